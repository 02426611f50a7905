/** `paster export kubernetes`: what a cluster needs to run a project's image, with the INI file in a ConfigMap. */
import { createHash } from 'node:crypto';
import { basename, relative } from 'node:path';
import type { Deployment } from './deployment.ts';
import { CONTAINER_HOME, type ContainerCommand, commandInContainer } from './serve-command.ts';
import { lines } from './text.ts';
import { type YamlValue, yamlText } from './yaml.ts';

export interface KubernetesOptions {
  readonly image: string;
  /** Of the Ingress; undefined: any. */
  readonly serverName: string | undefined;
  readonly maxBodyMiB: number;
  readonly health: string | undefined;
}

/** Seconds for which a pod that ends still serves: until then nobody sends to it any more. */
const LEAVING = 5;
/** Seconds between its own limit and the KILL. */
const MARGIN = 5;
/** The account `node` of Node's images. */
const NODE_USER = 1000;
const PERIOD = 5;

/** @param ini the INI file's text. */
export function kubernetesObjects(deployment: Deployment, ini: string, options: KubernetesOptions): string {
  const objects = [
    configMap(deployment, ini),
    workload(deployment, ini, options),
    service(deployment),
    ingress(deployment, options),
    autoscaler(deployment),
    disruptionBudget(deployment),
  ];
  return lines(
    '# Whoever may read the ConfigMap reads the INI file: write secrets as %(ENV_NAME)s there.',
    objects.map((object) => yamlText(object)).join('\n---\n'),
  );
}

function metadata({ name }: Deployment, suffix = ''): YamlValue {
  return { name: `${name}${suffix}`, labels: labels(name) };
}

function labels(name: string): { [key: string]: YamlValue } {
  return { 'app.kubernetes.io/name': name };
}

function configMap(deployment: Deployment, ini: string): YamlValue {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: metadata(deployment, '-config'),
    data: { [keyOf(deployment.file)]: ini },
  };
}

/** The keys of a ConfigMap are of few characters. */
function keyOf(file: string): string {
  return basename(file).replace(/[^A-Za-z0-9._-]/g, '_');
}

function workload(deployment: Deployment, ini: string, { image, health }: KubernetesOptions): YamlValue {
  const { name, settings } = deployment;
  const serve = commandInContainer(deployment);
  const wait = Math.ceil(settings.start_timeout) || 600;
  const probe = probeOf(serve, health);
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: metadata(deployment),
    spec: {
      selector: { matchLabels: labels(name) },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      template: {
        metadata: {
          labels: labels(name),
          // A file below subPath never changes in a pod that runs: another INI file makes other pods.
          annotations: { 'paster/config': createHash('sha256').update(ini).digest('hex').slice(0, 32) },
        },
        spec: {
          automountServiceAccountToken: false,
          terminationGracePeriodSeconds: LEAVING + serve.gracefulTimeout + MARGIN,
          securityContext: {
            runAsNonRoot: true,
            runAsUser: NODE_USER,
            runAsGroup: NODE_USER,
            fsGroup: NODE_USER,
            seccompProfile: { type: 'RuntimeDefault' },
          },
          containers: [
            {
              name,
              image,
              command: serve.command,
              workingDir: CONTAINER_HOME,
              ports: [{ name: 'http', containerPort: serve.port }],
              resources: { requests: { cpu: '250m', memory: '256Mi' }, limits: { memory: '512Mi' } },
              startupProbe: { ...probe, periodSeconds: PERIOD, failureThreshold: Math.ceil(wait / PERIOD) },
              readinessProbe: { ...probe, periodSeconds: PERIOD },
              // That nobody listens is a reason to start anew; that a database is away is none.
              livenessProbe: { tcpSocket: { port: 'http' }, periodSeconds: PERIOD * 2 },
              lifecycle: { preStop: { exec: { command: ['sleep', String(LEAVING)] } } },
              securityContext: {
                allowPrivilegeEscalation: false,
                readOnlyRootFilesystem: true,
                capabilities: { drop: ['ALL'] },
              },
              volumeMounts: [
                {
                  name: 'config',
                  mountPath: `${CONTAINER_HOME}/${relative(deployment.project, deployment.file)}`,
                  subPath: keyOf(deployment.file),
                  readOnly: true,
                },
                { name: 'var', mountPath: `${CONTAINER_HOME}/var` },
                { name: 'tmp', mountPath: '/tmp' },
              ],
            },
          ],
          volumes: [
            { name: 'config', configMap: { name: `${name}-config` } },
            { name: 'var', emptyDir: {} },
            { name: 'tmp', emptyDir: {} },
          ],
        },
      },
    },
  };
}

function probeOf({ scheme }: ContainerCommand, health: string | undefined): { [key: string]: YamlValue } {
  if (health === undefined) return { tcpSocket: { port: 'http' } };
  return { httpGet: { path: health, port: 'http', scheme: scheme.toUpperCase() }, timeoutSeconds: 3 };
}

function service(deployment: Deployment): YamlValue {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: metadata(deployment),
    spec: {
      selector: labels(deployment.name),
      ports: [{ name: 'http', port: 80, targetPort: 'http' }],
    },
  };
}

function ingress(deployment: Deployment, { serverName, maxBodyMiB }: KubernetesOptions): YamlValue {
  const { scheme } = commandInContainer(deployment);
  const backend = { service: { name: deployment.name, port: { name: 'http' } } };
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: {
      name: deployment.name,
      labels: labels(deployment.name),
      annotations: {
        'nginx.ingress.kubernetes.io/proxy-body-size': `${maxBodyMiB}m`,
        'nginx.ingress.kubernetes.io/proxy-next-upstream': 'error',
        'nginx.ingress.kubernetes.io/backend-protocol': scheme.toUpperCase(),
      },
    },
    spec: { rules: [{ host: serverName, http: { paths: [{ path: '/', pathType: 'Prefix', backend }] } }] },
  };
}

function autoscaler(deployment: Deployment): YamlValue {
  return {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: metadata(deployment),
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: deployment.name },
      minReplicas: 2,
      maxReplicas: 10,
      metrics: [
        { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 70 } } },
      ],
    },
  };
}

function disruptionBudget(deployment: Deployment): YamlValue {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: metadata(deployment),
    spec: { maxUnavailable: 1, selector: { matchLabels: labels(deployment.name) } },
  };
}
