/** `paster export kubernetes`: the objects that run a project's image in a cluster, with the INI file in a ConfigMap. */
import type { BackgroundSettings } from '../../deploy/background/process-settings.ts';
import type { TaskSettings } from '../../deploy/background/task-settings.ts';
import { errorMessage } from '../../errors.ts';
import { type BackgroundPart, partError, restartedBy } from '../background.ts';
import type { Deployment } from '../deployment.ts';
import { lines } from '../text.ts';
import { cronJobSchedule } from './calendar.ts';
import { keyOf, labels, type PodResources, podResources, podTemplate, textHash } from './pods.ts';
import {
  type ContainerServer,
  containerCommand,
  containerServer,
  gracefulTimeout,
  portsBesideWeb,
  refuseAccounts,
} from './serve-command.ts';
import { type YamlValue, yamlText } from './yaml.ts';

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
const PERIOD = 5;

type Process = BackgroundPart<BackgroundSettings>;
type Task = BackgroundPart<TaskSettings>;

/** `--cpu` and `--memory` are for the pods of the web server. */
const NOT_GIVEN = { cpu: undefined, memory: undefined };

/** @param ini the text of the INI file */
export function kubernetesObjects(deployment: Deployment, ini: string, options: KubernetesOptions): string {
  refuseAccounts(deployment);
  const { background, hasServer } = deployment;
  const web = () => [
    workload(deployment, ini, options),
    service(deployment),
    ingress(deployment, options),
    autoscaler(deployment),
    disruptionBudget(deployment),
  ];
  const objects = [
    configMap(deployment, ini),
    ...(hasServer ? web() : []),
    ...background.processes.map((part) => processWorkload(deployment, ini, part, options.image)),
    ...background.tasks
      .filter((part) => restartedBy(part, background) === undefined)
      .map((part) => cronJob(deployment, ini, part, options.image)),
  ];
  return lines(
    '# Anyone who can read this ConfigMap can read your INI file: write secrets as %(ENV_NAME)s there.',
    objects.map((object) => yamlText(object)).join('\n---\n'),
  );
}

function metadata({ name }: Deployment, suffix = ''): YamlValue {
  return { name: `${name}${suffix}`, labels: labels(name) };
}

function configMap(deployment: Deployment, ini: string): YamlValue {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: metadata(deployment, '-config'),
    data: { [keyOf(deployment.file)]: ini },
  };
}

function workload(deployment: Deployment, ini: string, options: KubernetesOptions): YamlValue {
  const { name, settings, background } = deployment;
  const server = containerServer(deployment);
  const wait = Math.ceil(settings.start_timeout) || 600;
  const probe = probeOf(server, options.health);
  const hasOthers = background.processes.length + background.tasks.length > 0;
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: metadata(deployment),
    spec: {
      selector: { matchLabels: labels(name) },
      strategy: ONE_MORE,
      template: podTemplate(deployment, ini, {
        name,
        image: options.image,
        command: containerCommand(deployment, hasOthers ? 'web' : 'all'),
        gracePeriod: PRE_STOP + gracefulTimeout(deployment, 'web') + KILL_MARGIN,
        resources: options.resources,
        container: {
          ports: [
            { name: 'http', containerPort: server.port },
            ...portsBesideWeb(deployment).map(({ name, port }) => ({ name, containerPort: port })),
          ],
          startupProbe: { ...probe, periodSeconds: PERIOD, failureThreshold: Math.ceil(wait / PERIOD) },
          readinessProbe: { ...probe, periodSeconds: PERIOD },
          // A server that does not listen must be restarted; one that waits for its database must not.
          livenessProbe: { tcpSocket: { port: 'http' }, periodSeconds: PERIOD * 2 },
          lifecycle: { preStop: { exec: { command: ['sleep', String(PRE_STOP)] } } },
        },
      }),
    },
  };
}

const ONE_MORE = { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } };

/** One pod with all instances of the process: more pods would run more of them. */
function processWorkload(deployment: Deployment, ini: string, part: Process, image: string): YamlValue {
  const { instances, exclusive, max_memory } = part.settings;
  const name = objectName(deployment, part);
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: partMetadata(deployment, name),
    spec: {
      replicas: 1,
      selector: { matchLabels: labels(name) },
      // With Recreate the old pod has ended before the new one starts.
      strategy: exclusive ? { type: 'Recreate' } : ONE_MORE,
      template: podTemplate(deployment, ini, {
        name,
        image,
        command: containerCommand(deployment, part),
        gracePeriod: gracefulTimeout(deployment, part) + KILL_MARGIN,
        resources: podResources({ settings: { workers: instances, max_memory } }, NOT_GIVEN),
      }),
    },
  };
}

/** A Job for each run, which is not tried again when it fails. */
function cronJob(deployment: Deployment, ini: string, part: Task, image: string): YamlValue {
  const { timezone, overlap, missed, timeout } = part.settings;
  const name = objectName(deployment, part);
  const gracePeriod = gracefulTimeout(deployment, part) + KILL_MARGIN;
  return {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: partMetadata(deployment, name),
    spec: {
      schedule: scheduleOf(part),
      timeZone: timezone,
      concurrencyPolicy: overlap === 'kill' ? 'Replace' : 'Forbid',
      // Without a deadline a run that could not start waits: until the one before has ended, or the cluster is back.
      startingDeadlineSeconds: missed === 'once' || overlap === 'queue' ? undefined : STARTING_DEADLINE,
      jobTemplate: {
        spec: {
          backoffLimit: 0,
          // paster itself stops a run after its timeout; this is for one that cannot.
          activeDeadlineSeconds: timeout === 0 ? undefined : Math.ceil(timeout) + gracePeriod,
          template: podTemplate(deployment, ini, {
            name,
            image,
            command: containerCommand(deployment, part),
            gracePeriod,
            resources: podResources({ settings: { workers: 1 } }, NOT_GIVEN),
            restartPolicy: 'Never',
          }),
        },
      },
    },
  };
}

/** Seconds; less than 10 would lose runs, since the controller looks every 10 seconds. */
const STARTING_DEADLINE = 60;

function scheduleOf(part: Task): string {
  const { schedule } = part.settings;
  try {
    return cronJobSchedule(schedule);
  } catch (error) {
    const message = `Kubernetes has no schedule for "${schedule}": ${errorMessage(error)}`;
    throw partError(part, 'schedule', message, 'write five fields, without seconds, L and #');
  }
}

/** A CronJob's name has at most 52 characters: the names of its Jobs are longer. */
function objectName({ name }: Deployment, { id }: BackgroundPart): string {
  const whole = `${name}-${id}`;
  return whole.length <= 52 ? whole : `${whole.slice(0, 43).replace(/-$/, '')}-${textHash(whole).slice(0, 8)}`;
}

function partMetadata(deployment: Deployment, name: string): YamlValue {
  return { name, labels: { ...labels(name), 'app.kubernetes.io/part-of': deployment.name } };
}

function probeOf({ scheme }: ContainerServer, health: string | undefined): { [key: string]: YamlValue } {
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
      ports: [
        { name: 'http', port: 80, targetPort: 'http' },
        ...portsBesideWeb(deployment).map(({ name, port }) => ({ name, port, targetPort: name })),
      ],
    },
  };
}

function ingress(deployment: Deployment, { serverName, maxBodyMiB }: KubernetesOptions): YamlValue {
  const { scheme } = containerServer(deployment);
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
