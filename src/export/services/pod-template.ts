/** The pods that `paster export kubernetes` describes: one container that runs paster, with the INI file and no rights. */
import { createHash } from 'node:crypto';
import { basename, relative } from 'node:path';
import type { Deployment } from '../deployment.ts';
import type { PodResources } from './pod-resources.ts';
import { CONTAINER_HOME } from './serve-command.ts';
import { mountedFiles, secretNames } from './variable-notes.ts';
import type { YamlValue } from './yaml.ts';

/** The user `node` in Node's images. */
const NODE_USER = 1000;

export interface PodOptions {
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
  /** Seconds until a pod that is told to end is killed. */
  readonly gracePeriod: number;
  readonly resources: Pick<PodResources, 'requests' | 'limits'>;
  readonly restartPolicy?: string;
  /** What else its container has. */
  readonly container?: { readonly [key: string]: YamlValue };
}

export function podTemplate(deployment: Deployment, ini: string, options: PodOptions): YamlValue {
  const { name, image, command, gracePeriod, resources, restartPolicy, container } = options;
  const files = mountedFiles(deployment);
  return {
    metadata: {
      labels: labels(name),
      // A file mounted with subPath never changes in a running pod; a changed annotation replaces the pods.
      annotations: { 'paster/config': hashOf(ini).slice(0, 32) },
    },
    spec: {
      automountServiceAccountToken: false,
      restartPolicy,
      // Node does not collect the processes of others, as the first process of a container must; then Kubernetes' own is the first.
      shareProcessNamespace: true,
      terminationGracePeriodSeconds: gracePeriod,
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
          command,
          workingDir: CONTAINER_HOME,
          env: environment(deployment),
          resources: { requests: resources.requests, limits: resources.limits },
          ...container,
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
        { name: 'config', configMap: { name: `${deployment.name}-config` } },
        ...(files.length > 0 ? [{ name: 'env-files', secret: { secretName: secretNames(deployment).files } }] : []),
        { name: 'var', emptyDir: {} },
        { name: 'tmp', emptyDir: {} },
      ],
    },
  };
}

export function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** The variables that the INI file refers to, from a Secret. */
function environment(deployment: Deployment): YamlValue | undefined {
  const { names } = deployment.variables;
  if (names.length === 0) return undefined;
  const secret = secretNames(deployment).variables;
  return names.map((key) => ({ name: key, valueFrom: { secretKeyRef: { name: secret, key } } }));
}

export function labels(name: string): { [key: string]: YamlValue } {
  return { 'app.kubernetes.io/name': name };
}

/** The keys of a ConfigMap allow few characters. */
export function keyOf(file: string): string {
  return basename(file).replace(/[^A-Za-z0-9._-]/g, '_');
}
