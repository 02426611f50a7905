/** The options of a supervisor, and the settings that its pool and its workers get from them. */
import type { Logger } from '../../log.ts';
import type { MemoryLimit } from '../../machine/capacity.ts';
import type { AskStatus, RestartReason, ServerStatus } from '../../metrics/server-status.ts';
import type { HeldSocket } from '../../net/held-socket.ts';
import type { Exit } from '../ipc/child-exit.ts';
import type { WorkerLimits } from '../ipc/messages.ts';
import type { PreloadPlan, PreloadSettings } from '../preload/preload-plan.ts';
import type { IsIgnored } from '../reload/ignored.ts';
import type { ReloadOptions } from '../reload/reload.ts';
import type { CanarySettings } from './canary.ts';
import type { OtherProcesses } from './memory-budget.ts';
import type { ScalingLimits } from './scaling/scaling-policy.ts';
import type { DeadWorker, WorkerHandle } from './worker-handle.ts';

export interface AutomaticNumber {
  /** For people: `1.5 CPUs by cgroup quota`. */
  readonly reason: string;
  /** Whether the machine has more to give, which is logged at the start. */
  readonly isLimited: boolean;
}

/** How the number of workers follows the load; its upper bound is `workers`. */
export type ScalingRange = Omit<ScalingLimits, 'maximum'>;

/** What a supervisor runs and how, as the configuration says: a reload may change these. */
export interface SupervisorSettings<Boot> {
  /** Sent to each worker. */
  readonly boot: Boot;
  /** Closed when they are no longer needed, at the latest by `stop`. */
  readonly sockets: readonly HeldSocket[];
  /** How many there are; with `automatic` or `scaling`, at most. */
  readonly workers: number;
  /** Present: the number follows the load, from `minimum` to `workers`. */
  readonly scaling?: ScalingRange | undefined;
  /** Present: as many workers as fit into `memoryLimit`, up to `workers`. If all fit, this is why there are not more. */
  readonly automatic?: AutomaticNumber | undefined;
  /** What this process and its workers may use together. */
  readonly memoryLimit?: MemoryLimit | undefined;
  /** Whether a worker ends before its successor loads. Default: false. */
  readonly exclusive?: boolean | undefined;
  /** How the first worker of a new version is judged before the others follow. Undefined: it is not. */
  readonly canary?: CanarySettings | undefined;
  /** With `reload`: which files cause no reload. Default: none is ignored. */
  readonly isIgnored?: IsIgnored | undefined;
  /** The environment of each worker. Default: that of this process. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Seconds that a worker may take to finish requests in flight. */
  readonly gracefulTimeout: number;
  /** Seconds until a worker must serve; 0: no limit. Default: 60. */
  readonly startTimeout?: number | undefined;
  /** Seconds for which an event loop may be blocked. Undefined or 0: no limit. */
  readonly workerTimeout?: number | undefined;
  readonly maxRequests?: number | undefined;
  readonly maxRequestsJitter?: number | undefined;
  /** MiB. Undefined: each worker's share of `memoryLimit`, if there is one. */
  readonly maxMemory?: number | undefined;
  /** How many spare workers wait to take over from one that ends or is replaced. With `reload`, one for each worker. */
  readonly spareWorkers?: number | undefined;
  /** Spare workers import packages of the application ahead. Undefined: they do not. */
  readonly preload?: PreloadSettings | undefined;
}

/** The settings, and what no reload changes. */
export interface SupervisorOptions<Boot> extends SupervisorSettings<Boot> {
  /** The worker's script; it calls `runWorker`. */
  readonly entry: string;
  /**
   * Returns the new settings before each reload. Absent: they do not change.
   * @param onlyCode nothing but modules has changed since `current` was read
   */
  readonly revise?:
    | ((current: SupervisorSettings<Boot>, onlyCode: boolean) => Promise<SupervisorSettings<Boot>>)
    | undefined;
  /** Called when a reload has replaced the workers. */
  readonly onReplaced?: ((serving: SupervisorSettings<Boot>) => void) | undefined;
  /** Present: reload when a file changes. */
  readonly reload?: ReloadOptions | undefined;
  /** Called with the error of a version that does not load after a change of files. Default: it is logged. */
  readonly onFailure?: ((error: unknown) => void) | undefined;
  /** Adds a hint to the error of a new version that does not start beside the old one. Default: it stays as it is. */
  readonly explainFailure?: ((error: unknown) => unknown) | undefined;
  /** Extra text for the log line that reports a worker's death. Default: none. */
  readonly describeDeath?: ((worker: DeadWorker, exit: Exit) => string) | undefined;
  readonly log: Logger;
  /** What the workers serve, for the titles of their processes. */
  readonly served?: string | undefined;
  /** What a worker is called in its title. Default: `worker`. */
  readonly role?: string | undefined;
  /** The processes that share `memoryLimit` with the workers. */
  readonly otherProcesses?: (() => OtherProcesses) | undefined;
  /** The status of what runs beside the workers, for the status of the server. */
  readonly describeProcesses?: (() => Promise<Pick<ServerStatus, 'processes' | 'tasks' | 'addresses'>>) | undefined;
  readonly execArgv?: readonly string[] | undefined;
  /** The descriptor for the standard output and error of the next worker. Default: this process's own. */
  readonly output?: (() => number) | undefined;
}

/** Holds one worker at a time. */
export interface Slot<Boot> {
  worker: WorkerHandle<Boot> | undefined;
  /** How many workers in a row have died in it soon, or have failed to start. */
  deaths: number;
  /** Whether the pool has given it up: no other worker is started for it. */
  removed: boolean;
}

/** How workers are started. */
export interface WorkerSettings<Boot> {
  /** Sent to each worker. */
  readonly boot: Boot;
  readonly sockets: readonly HeldSocket[];
  readonly env: NodeJS.ProcessEnv;
  readonly limits: WorkerLimits;
  /** Seconds until a worker must serve; 0: no limit. */
  readonly startTimeout: number;
  /** How many workers are kept warm, without `reload`. */
  readonly spareWorkers: number;
  /** Seconds that a replaced worker may take for requests in flight. */
  readonly drain: number;
  /** Whether a worker ends before its successor loads. */
  readonly exclusive: boolean;
}

/** How a pool starts one worker. */
export interface BootOptions {
  readonly isFirst: boolean;
  readonly failure?: Error | undefined;
  readonly isCold?: boolean;
}

/** How a pool starts all workers of a new version. */
export interface BootAllOptions {
  readonly failure?: Error | undefined;
  readonly oneByOne: boolean;
  readonly canary?: CanarySettings | undefined;
  readonly confirm?: (() => Promise<void>) | undefined;
}

/** What a pool gets from its supervisor. */
export interface PoolOptions<Boot> {
  readonly entry: string;
  readonly settings: WorkerSettings<Boot>;
  readonly log: Logger;
  /** What the workers serve, for their titles. */
  readonly served?: string | undefined;
  /** What a worker is called in its title. Default: `worker`. */
  readonly role?: string | undefined;
  readonly execArgv: readonly string[];
  readonly output: () => number | 'inherit';
  /**
   * For development: a warm process for each slot, reports of modules, and if a worker that died does not start again, another
   * one serves the error instead. Otherwise it is tried again.
   */
  readonly reload: boolean;
  /** Which packages spare workers import ahead; undefined: none. */
  readonly preload: PreloadPlan | undefined;
  /** Gets files to watch, and when the worker began to load. */
  readonly onWatch: (files: readonly string[], loaded: number) => void;
  /** The same for files that configure the application. */
  readonly onConfiguration: (files: readonly string[], loaded: number) => void;
  readonly onPatterns: (patterns: readonly string[], loaded: number) => void;
  readonly onReplace: (worker: WorkerHandle<Boot>, reason: string, kind: RestartReason) => void;
  /** Called when a worker serves the application, or an error instead of it. */
  readonly onServes: (failure: Error | undefined) => void;
  /** Gets the status of the whole server, for a worker that asks. */
  readonly onAsk: AskStatus;
  /** Called with each report of a worker. */
  readonly onReport: () => void;
  /** Gets why a worker has ended, and a line about it. */
  readonly onDeath: (kind: RestartReason, text: string) => void;
  /** Extra text for the log line that reports a worker's death. */
  readonly describeDeath: (worker: DeadWorker, exit: Exit) => string;
}

const DEFAULT_DRAIN_S = 1;
const DEFAULT_START_S = 60;
const MAX_HEARTBEAT_MS = 1000;

export function workerSettings<Boot>(
  of: SupervisorSettings<Boot>,
  reload: ReloadOptions | undefined,
): WorkerSettings<Boot> {
  const { boot, sockets, env = process.env, gracefulTimeout, startTimeout = DEFAULT_START_S, workerTimeout = 0 } = of;
  const { maxRequests, maxRequestsJitter, maxMemory, spareWorkers = 0 } = of;
  const stallMs = workerTimeout > 0 ? workerTimeout * 1000 : undefined;
  return {
    boot,
    sockets,
    env,
    startTimeout,
    spareWorkers,
    exclusive: of.exclusive ?? false,
    drain: reload ? (reload.drain ?? DEFAULT_DRAIN_S) : gracefulTimeout,
    limits: {
      heartbeatMs: stallMs && Math.min(MAX_HEARTBEAT_MS, stallMs / 4),
      stallMs,
      maxRequests,
      maxRequestsJitter,
      maxMemory,
      reportsLoad: of.scaling !== undefined,
      reportsUntilReady: reload === undefined,
    },
  };
}

/** How many workers start at first. With a memory limit, one shows how many of them fit. */
export function workersAtOnce<Boot>(settings: SupervisorSettings<Boot>): number {
  const { workers, automatic, memoryLimit } = settings;
  return automatic && memoryLimit ? 1 : workersAtFirst(settings, workers);
}

/** How many of `maximum` workers start before the load is known. At least one: it shows that the application loads. */
export function workersAtFirst<Boot>({ scaling }: SupervisorSettings<Boot>, maximum: number): number {
  return scaling ? Math.max(1, Math.min(scaling.minimum, maximum)) : maximum;
}
