/** The pods that `paster export kubernetes` describes: their resources, and the object for Kubernetes. */
import { createHash } from 'node:crypto';
import { basename, relative } from 'node:path';
import type { ProcessSettings } from '../../deploy/server/server-settings.ts';
import { upperBound } from '../../deploy/server/workers-setting.ts';
import { workersFor } from '../../machine/capacity.ts';
import type { Deployment } from '../deployment.ts';
import { exportError } from '../site.ts';
import { CONTAINER_HOME } from './serve-command.ts';
import { mountedFiles, secretNames } from './variable-notes.ts';
import type { YamlValue } from './yaml.ts';

export interface PodResources {
  readonly limits: { readonly cpu: string; readonly memory: string };
  readonly requests: { readonly cpu: string; readonly memory: string };
  /** Where the limits of the command line and the INI file disagree. */
  readonly warnings: readonly string[];
}

/** The limits that the command line gives. */
export interface GivenLimits {
  readonly cpu: string | undefined;
  readonly memory: string | undefined;
}

/** For a worker without `max_memory`. */
const WORKER_MIB = 256;
/** For the supervisor and the worker that replaces another one, if the size of workers is not known. */
const OVERHEAD_MIB = 256;
/** For the supervisor alone. */
const SUPERVISOR_MIB = 64;
/** Few workers need less. */
const SMALL_WORKER_MIB = 96;
/** The part of its limits that a pod uses most of the time. It requests this part, and the scheduler places it by its requests. */
const USUAL_CPU = 1 / 4;
const USUAL_MEMORY = 1 / 2;

/**
 * The limits and requests of a pod. They follow from the number of workers in the INI file. With `workers = auto` that number
 * follows from the limits instead. One worker keeps one processor busy.
 */
export function podResources(
  { settings }: { readonly settings: Partial<Pick<ProcessSettings, 'workers' | 'maxChildren' | 'max_memory'>> },
  given: GivenLimits,
): PodResources {
  const { workers, maxChildren = Number.POSITIVE_INFINITY, max_memory: maxMemory } = settings;
  /** Undefined: as many as the processors allow. */
  const most = workers === undefined ? 1 : upperBound(workers, maxChildren);
  const cpu = given.cpu === undefined ? (most ?? 1) : parseCpu(given.cpu);
  const count = most ?? Math.min(workersFor(cpu), maxChildren);
  const needed = maxMemory === undefined ? undefined : SUPERVISOR_MIB + maxMemory * (count + 1);
  const memory =
    given.memory === undefined ? roundUp(needed ?? OVERHEAD_MIB + WORKER_MIB * count) : parseMemory(given.memory);
  const warnings: string[] = [];
  if (most !== undefined && count > workersFor(cpu)) {
    warnings.push(
      `${count} workers share ${cpu} ${cpu === 1 ? 'CPU' : 'CPUs'}: write workers = auto in the INI file, or --cpu ${count}`,
    );
  }
  if (workersFor(cpu) > count) {
    const what =
      workers === undefined ? 'a server without workers uses' : count === 1 ? '1 worker uses' : `${count} workers use`;
    warnings.push(`${what} ${count} of ${cpu} CPUs: write workers = auto in the INI file, or --cpu ${count}`);
  }
  if (needed !== undefined && workers !== undefined && needed > memory) {
    warnings.push(
      `max_memory = ${maxMemory} for each of ${count + 1} workers, one of them a successor, exceeds ${memory} MiB: leave max_memory out, or write --memory ${roundUp(needed)}Mi`,
    );
  }
  if (needed === undefined && memory < OVERHEAD_MIB / 2 + SMALL_WORKER_MIB * count) {
    warnings.push(
      `${memory} MiB may be too little for ${count === 1 ? 'one process' : `${count} workers`}: write --memory ${roundUp(OVERHEAD_MIB + WORKER_MIB * count)}Mi`,
    );
  }
  return {
    limits: { cpu: cpuText(cpu), memory: `${memory}Mi` },
    requests: { cpu: cpuText(cpu * USUAL_CPU), memory: `${Math.ceil(memory * USUAL_MEMORY)}Mi` },
    warnings,
  };
}

/** `1.5` or `1500m`, as in Kubernetes. */
function parseCpu(text: string): number {
  const [, number, unit] = /^(\d{1,4}(?:\.\d{1,3})?)(m?)$/.exec(text) ?? [];
  const cpus = Number(number) / (unit === 'm' ? 1000 : 1);
  if (cpus >= 0.001) return cpus;
  throw exportError(`--cpu: ${JSON.stringify(text)} is not a number of processors`, 'allowed: 1.5, 500m');
}

/** MiB of `512Mi` or `1.5Gi`. */
function parseMemory(text: string): number {
  const [, number, unit] = /^(\d{1,6}(?:\.\d{1,3})?)([MG])i$/.exec(text) ?? [];
  const mebibytes = Math.floor(Number(number) * (unit === 'G' ? 1024 : 1));
  if (mebibytes >= 1) return mebibytes;
  throw exportError(`--memory: ${JSON.stringify(text)} is not a size`, 'allowed: 512Mi, 1.5Gi');
}

function cpuText(cpus: number): string {
  return Number.isInteger(cpus) ? String(cpus) : `${Math.ceil(cpus * 1000)}m`;
}

function roundUp(mebibytes: number): number {
  return Math.ceil(mebibytes / 64) * 64;
}

// --- the object of a pod

/** The user `node` in Node's images. */
const NODE_USER = 1000;

interface PodOptions {
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

/** The template of a pod: one container that runs paster without any rights, with the INI file in a volume. */
export function podTemplate(deployment: Deployment, ini: string, options: PodOptions): YamlValue {
  const { name, image, command, gracePeriod, resources, restartPolicy, container } = options;
  const files = mountedFiles(deployment);
  return {
    metadata: {
      labels: labels(name),
      // A file mounted with subPath never changes in a running pod; a changed annotation replaces the pods.
      annotations: { 'paster/config': textHash(ini).slice(0, 32) },
    },
    spec: {
      automountServiceAccountToken: false,
      restartPolicy,
      // The first process of a container must collect orphaned processes, which Node does not. With this setting it is Kubernetes' own.
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

export function textHash(text: string): string {
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
