/** `paster export kubernetes`: the objects that run a project's image in a cluster, with the INI file in a ConfigMap. */
import { createHash } from 'node:crypto';
import { basename, relative } from 'node:path';
import type { Deployment } from '../deployment.ts';
import { lines } from '../text.ts';
import type { PodResources } from './pod-resources.ts';
import { CONTAINER_HOME, type ContainerCommand, containerCommand } from './serve-command.ts';
import { projectVariableFiles, secretNames } from './variable-notes.ts';

export interface KubernetesOptions {
  readonly image: string;
  /** The host of the Ingress; undefined: any. */
  readonly serverName: string | undefined;
  readonly maxBodyMiB: number;
  readonly health: string | undefined;
  readonly resources: PodResources;
}

/** Seconds for which a terminating pod still serves, until the cluster sends no more requests to it. */
const PRE_STOP = 5;
/** Seconds between paster's own limit and the KILL. */
const KILL_MARGIN = 5;
/** The user `node` in Node's images. */
const NODE_USER = 1000;
const PERIOD = 5;

/** @param ini the text of the INI file */
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
    '# Anyone who can read this ConfigMap can read your INI file: write secrets as %(ENV_NAME)s there.',
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

/** The keys of a ConfigMap allow few characters. */
function keyOf(file: string): string {
  return basename(file).replace(/[^A-Za-z0-9._-]/g, '_');
}

function workload(deployment: Deployment, ini: string, { image, health, resources }: KubernetesOptions): YamlValue {
  const { name, settings } = deployment;
  const serve = containerCommand(deployment);
  const wait = Math.ceil(settings.start_timeout) || 600;
  const probe = probeOf(serve, health);
  const files = projectVariableFiles(deployment);
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
          // A file mounted with subPath never changes in a running pod; a changed annotation replaces the pods.
          annotations: { 'paster/config': createHash('sha256').update(ini).digest('hex').slice(0, 32) },
        },
        spec: {
          automountServiceAccountToken: false,
          // Node does not collect the processes of others, as the first process of a container must; then Kubernetes' own is the first.
          shareProcessNamespace: true,
          terminationGracePeriodSeconds: PRE_STOP + serve.gracefulTimeout + KILL_MARGIN,
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
              env: environment(deployment),
              ports: [{ name: 'http', containerPort: serve.port }],
              resources: { requests: resources.requests, limits: resources.limits },
              startupProbe: { ...probe, periodSeconds: PERIOD, failureThreshold: Math.ceil(wait / PERIOD) },
              readinessProbe: { ...probe, periodSeconds: PERIOD },
              // A server that does not listen must be restarted; one that waits for its database must not.
              livenessProbe: { tcpSocket: { port: 'http' }, periodSeconds: PERIOD * 2 },
              lifecycle: { preStop: { exec: { command: ['sleep', String(PRE_STOP)] } } },
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
                ...files.map(({ path, key }) => ({
                  name: 'env-files',
                  mountPath: `${CONTAINER_HOME}/${path}`,
                  subPath: key,
                  readOnly: true,
                })),
                { name: 'var', mountPath: `${CONTAINER_HOME}/var` },
                { name: 'tmp', mountPath: '/tmp' },
              ],
            },
          ],
          volumes: [
            { name: 'config', configMap: { name: `${name}-config` } },
            ...(files.length > 0 ? [{ name: 'env-files', secret: { secretName: secretNames(deployment).files } }] : []),
            { name: 'var', emptyDir: {} },
            { name: 'tmp', emptyDir: {} },
          ],
        },
      },
    },
  };
}

/** The variables that the INI file refers to, from a Secret. */
function environment(deployment: Deployment): YamlValue | undefined {
  const { names } = deployment.variables;
  if (names.length === 0) return undefined;
  const secret = secretNames(deployment).variables;
  return names.map((key) => ({ name: key, valueFrom: { secretKeyRef: { name: secret, key } } }));
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
  const { scheme } = containerCommand(deployment);
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

// --- YAML ------------------------------------------------------------------------------------------------------------

/** Plain values as YAML, for what `export kubernetes` writes: what could be read as anything but a text is quoted. */

type YamlValue = string | number | boolean | readonly YamlValue[] | { readonly [key: string]: YamlValue | undefined };

/** One document, without `---`. */
function yamlText(value: YamlValue): string {
  return nested(value, '').replace(/^\n/, '');
}

/** A text that needs no quotes in YAML 1.1 and 1.2: no number, no `yes`, nothing that starts a structure. */
const PLAIN = /^[A-Za-z/][A-Za-z0-9/._-]*(?: [A-Za-z0-9/._-]+)*$/;
const WORDS = /^(?:true|false|yes|no|on|off|null|y|n)$/i;

/** The text after a key's colon or an item's dash: a scalar after a space, a structure on the next lines. */
function nested(value: YamlValue, indent: string): string {
  if (typeof value !== 'object') return scalar(value, indent);
  if (isList(value)) {
    if (value.length === 0) return ' []';
    return value.map((item) => `\n${indent}-${inItem(item, `${indent}  `)}`).join('');
  }
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  if (members.length === 0) return ' {}';
  return members.map(([key, member]) => `\n${indent}${keyText(key)}:${nested(member ?? '', `${indent}  `)}`).join('');
}

/** A mapping begins on the line of its dash. */
function inItem(item: YamlValue, indent: string): string {
  return nested(item, indent).replace(`\n${indent}`, ' ');
}

function isList(value: object): value is readonly YamlValue[] {
  return Array.isArray(value);
}

function keyText(key: string): string {
  return PLAIN.test(key) && !WORDS.test(key) ? key : JSON.stringify(key);
}

function scalar(value: string | number | boolean, indent: string): string {
  if (typeof value !== 'string') return ` ${value}`;
  if (isBlock(value)) {
    // The indentation is given as 2, since the first line may itself begin with spaces.
    return ` |2${value.endsWith('\n') ? '' : '-'}\n${value.replace(/\n$/, '').replace(/^(?=.)/gm, indent)}`;
  }
  return ` ${PLAIN.test(value) && !WORDS.test(value) ? value : JSON.stringify(value)}`;
}

/** Whether a literal block keeps the text as it is. Any other text becomes a JSON string, which YAML reads too. */
function isBlock(value: string): boolean {
  return (
    value.includes('\n') && !/[^\n\x20-\x7e\u00a1-\u024f]/.test(value) && !/\n\n$/.test(value) && !/^\n/.test(value)
  );
}
