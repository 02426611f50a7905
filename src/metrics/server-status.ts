/** The status of a running server: of each of its processes, and of all of them together. Plain data. */
import type { Counts } from './counts.ts';
import type { Lag } from './loop-lag.ts';

/** A request in flight. */
export interface RequestReport {
  readonly method: string;
  /** As the client sent it, with secrets masked. */
  readonly url: string;
  /** The client's address, if it is known. */
  readonly client: string | undefined;
  /** The innermost section of the INI file that the request has reached. */
  readonly section: string | undefined;
  /** Since it arrived. */
  readonly seconds: number;
}

/** A certificate that a process presents to clients. */
export interface CertificateReport {
  /** Its first host name. */
  readonly name: string;
  /** In milliseconds of `Date.now()`. */
  readonly expires: number;
}

/** What a serving process reports about itself. */
export interface ProcessReport {
  readonly pid: number;
  /** Seconds since it began to serve. */
  readonly uptime: number;
  readonly counts: Counts;
  /** The oldest first; only as many as a person would read. */
  readonly inFlight: readonly RequestReport[];
  /** The number of all requests in flight. */
  readonly inFlightCount: number;
  /** Open connections. */
  readonly connections: number;
  /** Open connections that an HTTP upgrade has taken over, such as WebSockets. */
  readonly upgraded: number;
  /** Bytes. */
  readonly memory: {
    readonly resident: number;
    readonly heapUsed: number;
    readonly heapTotal: number;
    readonly external: number;
  };
  readonly lag: Lag;
  readonly certificates: readonly CertificateReport[];
}

/** One process of a server. */
export interface WorkerStatus {
  readonly pid: number | undefined;
  /** `standby`: a spare worker that waits; `booting`: it loads the application; `ready`: it serves. */
  readonly state: 'starting' | 'standby' | 'booting' | 'ready' | 'draining' | 'exited';
  /** The last report; undefined before the first. */
  readonly report: ProcessReport | undefined;
  /** Seconds since the last report, if the worker did not respond this time because its event loop is blocked. */
  readonly silent: number | undefined;
}

/** Why a worker was replaced or ended. */
const RESTART_REASONS = [
  'max_requests',
  'max_memory',
  'log',
  'reload',
  'control',
  'stuck',
  'crash',
  'signal',
  'finished',
] as const;
export type RestartReason = (typeof RESTART_REASONS)[number];

/** A restart or a reload. */
export interface ServerEvent {
  /** Milliseconds of `Date.now()`. */
  readonly at: number;
  readonly kind: RestartReason | 'reload_failed';
  /** Why, on one line. */
  readonly text: string;
}

export interface Reloads {
  readonly done: number;
  readonly failed: number;
  /** The duration of all successful reloads together. */
  readonly seconds: number;
  /** The duration of the last one. */
  readonly lastSeconds: number | undefined;
  /** When the last one was, in milliseconds of `Date.now()`. */
  readonly lastAt: number | undefined;
}

export const NO_RELOADS: Reloads = { done: 0, failed: 0, seconds: 0, lastSeconds: undefined, lastAt: undefined };

/** One worker in a sample. */
export interface WorkerSample {
  readonly pid: number;
  /** Bytes of resident memory. */
  readonly resident: number;
  /** Seconds: how late timers were at most in the last ten to twenty seconds. */
  readonly lag: number;
}

/** What happened between a sample and the one before. */
export interface Sample {
  /** Milliseconds of `Date.now()`. */
  readonly at: number;
  /** Since the sample before. */
  readonly seconds: number;
  /** Responses by the first digit of their status, 1 to 5. */
  readonly answers: readonly number[];
  /** Requests by duration, as in `SectionCounts`. */
  readonly durations: readonly number[];
  /** Requests in flight at that time. */
  readonly inFlight: number;
  readonly workers: readonly WorkerSample[];
}

/** The processes of a `[process:*]` section. */
export interface ProcessStatus {
  /** Without `process:`. */
  readonly name: string;
  /** Stopped by `paster control`. */
  readonly isStopped: boolean;
  readonly workers: readonly WorkerStatus[];
  readonly restarts: Readonly<Record<RestartReason, number>>;
  /** The latest restarts and reloads, the newest first. */
  readonly events: readonly ServerEvent[];
}

/** How a run of a task ended, or why it did not take place. */
export const TASK_RESULTS = ['ok', 'failed', 'timeout', 'stopped', 'skipped', 'missed'] as const;
export type TaskResult = (typeof TASK_RESULTS)[number];

export interface TaskRun {
  /** When it began, in milliseconds of `Date.now()`. */
  readonly at: number;
  readonly seconds: number;
  readonly result: TaskResult;
  /** The error, if there is one. */
  readonly text: string | undefined;
}

/** A `[task:*]` section. */
export interface TaskStatus {
  /** Without `task:`. */
  readonly name: string;
  readonly schedule: string;
  /** When it is due next, in milliseconds of `Date.now()`. */
  readonly next: number | undefined;
  /** The process of the run in progress. */
  readonly running: number | undefined;
  readonly last: TaskRun | undefined;
  readonly runs: Readonly<Record<TaskResult, number>>;
}

/** An address that a server listens on. */
export interface ServerAddress {
  /** The name of its section, without `server:`. */
  readonly server: string;
  /** `http://127.0.0.1:8080`, `fastcgi://unix:/srv/shop/web.sock` */
  readonly url: string;
}

/** How many workers there should be, with a number that follows the load. */
export interface ScalingStatus {
  readonly wanted: number;
  readonly minimum: number;
  readonly maximum: number;
  /** Whether the number was set by hand, and holds until the next reload. */
  readonly isFixed: boolean;
}

export interface ServerStatus {
  /** The process that signals are sent to: the supervisor, or the only process. */
  readonly pid: number;
  /** When it began to serve, in milliseconds of `Date.now()`. */
  readonly started: number;
  readonly workers: readonly WorkerStatus[];
  /** What it listens on; absent if it serves nothing. */
  readonly addresses?: readonly ServerAddress[] | undefined;
  /** Present if the number of workers follows the load. */
  readonly scaling?: ScalingStatus | undefined;
  /** Of all processes, including those that have ended. */
  readonly totals: Counts;
  readonly restarts: Readonly<Record<RestartReason, number>>;
  readonly reloads: Reloads;
  /** The latest restarts and reloads, the newest first. */
  readonly events: readonly ServerEvent[];
  /** Present if the INI file has any. */
  readonly processes?: readonly ProcessStatus[] | undefined;
  /** Likewise. */
  readonly tasks?: readonly TaskStatus[] | undefined;
  /** The last ten minutes; present if it was asked for and requests are counted. */
  readonly history?: readonly Sample[] | undefined;
}

/** The status of the whole server; with the last ten minutes if `history` is true. */
export type AskStatus = (options: { readonly history: boolean }) => Promise<ServerStatus>;

/** What a server serves, and where: this stays the same while it runs. */
export interface ServerIdentity {
  /** URLs of the addresses that it listens on. */
  readonly listeners: readonly string[];
  /** Its working directory by the user's name for it, such as `/srv/app/current`. */
  readonly directory: string;
  /** Where symbolic links in that name lead, such as `/srv/app/releases/7`. */
  readonly release: string;
  /** The INI file, if the application is in one. */
  readonly file: string | undefined;
}

export function noRestarts(): Record<RestartReason, number> {
  return { max_requests: 0, max_memory: 0, log: 0, reload: 0, control: 0, stuck: 0, crash: 0, signal: 0, finished: 0 };
}
