/** The messages between the supervisor and a worker. Everything in them survives a structured clone. */
import type { FollowedLine } from '../../logging/follow.ts';
import type { ProcessReport, RestartReason, ServerStatus } from '../../metrics/server-status.ts';
import type { Address } from '../../net/address.ts';
import type { Unit } from '../preload/loaded-module.ts';
import type { Conflict, SideEffect } from '../preload/preloader.ts';
import type { TablePlace } from '../worker/connection-table.ts';
import type { TransferredError } from './error-transfer.ts';

/** A socket that a worker has inherited. */
export interface InheritedSocket {
  readonly fd: number;
  readonly address: Address;
  readonly backlog: number;
}

/** When a worker asks to be replaced, and how often it sends a heartbeat. Undefined: never. */
export interface WorkerLimits {
  readonly heartbeatMs: number | undefined;
  /** Silence after which the supervisor kills it. */
  readonly stallMs: number | undefined;
  readonly maxRequests: number | undefined;
  readonly maxRequestsJitter: number | undefined;
  /** MiB. */
  readonly maxMemory: number | undefined;
  /** Whether it reports its load, since workers are started and ended by it. */
  readonly reportsLoad: boolean;
  /** Node reports modules only until the worker is ready. */
  readonly reportsUntilReady: boolean;
}

/** A worker that runs as long as it likes, and reports only what it must. */
export const NO_LIMITS: WorkerLimits = {
  heartbeatMs: undefined,
  stallMs: undefined,
  maxRequests: undefined,
  maxRequestsJitter: undefined,
  maxMemory: undefined,
  reportsLoad: false,
  reportsUntilReady: false,
};

/** How often a worker measures its load. */
export const LOAD_MS = 100;
/** How often it reports it while it has little to do. */
export const QUIET_MS = 500;

/** How busy a worker is. */
export interface Load {
  /** The part of the time for which the event loop was busy; 1 if the worker refuses requests. */
  readonly utilization: number;
  readonly connections: number;
  /** Whether the worker holds a connection, or has accepted one since it reported last. */
  readonly isActive: boolean;
}

export interface BootMessage<Boot> {
  readonly paster: 'boot';
  readonly boot: Boot;
  /** The error that the worker responds with instead of the application. */
  readonly failure: TransferredError | undefined;
  readonly sockets: readonly InheritedSocket[];
  /** Where it writes how many connections it holds. */
  readonly place: TablePlace | undefined;
  /** The descriptor of the pipe to the supervisor for inspections. */
  readonly inspectionFd: number;
  readonly limits: WorkerLimits;
  /** Whether it becomes the first worker, which gets what only one of them can have. */
  readonly isFirst: boolean;
  /** Whether no file of the configuration has changed since it was told to import packages ahead. False where none is watched. */
  readonly isConfigurationSame: boolean;
  /** Whether it says that it has loaded, and waits for `open` before it accepts connections. */
  readonly asksToOpen: boolean;
}

export interface StopMessage {
  readonly paster: 'stop';
  readonly graceful: boolean;
  /** Seconds that requests in flight may take. */
  readonly timeout: number;
  /** Other workers keep serving: idle connections are handed over, not closed. */
  readonly handOver: boolean;
  /** The supervisor stops the worker, a signal to the worker does, or its server has ended by itself. */
  readonly cause: 'order' | 'signal' | 'finished';
}

/** Sent by both sides. */
export type ConnectionMessage =
  /** Comes with a connection, which belongs to the receiver from then on. `server` is absent if one server accepts all of them. */
  | { readonly paster: 'connection'; readonly id: number; readonly server?: string | undefined }
  /** The connection has arrived; the sender closes its copy. */
  | { readonly paster: 'taken'; readonly id: number };

/** Loads what every application needs. Sent to a spare worker at most once, before anything else. */
export interface WarmMessage<Boot> {
  readonly paster: 'warm';
  readonly boot: Boot;
  /** Whether to run a start of an empty application too, which the first workers have no time for. */
  readonly rehearses: boolean;
}

/** Imports packages of the application until the boot message comes. Sent to a spare worker at most once. */
export interface PreloadMessage<Boot> {
  readonly paster: 'preload';
  readonly boot: Boot;
  readonly units: readonly Unit[];
  readonly writtenVariables: readonly string[];
  /** As in Prepared. */
  readonly observed: number;
}

export type ToWorker<Boot> =
  | BootMessage<Boot>
  | WarmMessage<Boot>
  | PreloadMessage<Boot>
  | StopMessage
  | ConnectionMessage
  /** Makes a socket listen by this copy of it, which the worker closes. Sent before anything is loaded. */
  | { readonly paster: 'listen'; readonly fd: number; readonly backlog: number }
  | { readonly paster: 'reopen' }
  /** What `ps` shows of it. */
  | { readonly paster: 'title'; readonly title: string }
  /** It may accept connections. The response to `opening`, or sent before that. */
  | { readonly paster: 'open' }
  /** Starts the thread that looks into the main thread. */
  | { readonly paster: 'inspect' }
  /** From which level on the supervisor wants what it logs and prints; undefined: nothing. */
  | { readonly paster: 'follow'; readonly level: number | undefined }
  /** Some clients should move to other workers; 0: no more of them. */
  | { readonly paster: 'spread'; readonly count: number }
  /** It has not loaded within this many seconds, and may say why before it is killed. */
  | { readonly paster: 'overdue'; readonly seconds: number }
  /** Asks for a report. */
  | { readonly paster: 'report' }
  /** The response to `ask`. */
  | { readonly paster: 'status'; readonly id: number; readonly status: ServerStatus };

export type FromWorker =
  | ConnectionMessage
  /** Started and warm; nothing of the application is loaded. */
  | { readonly paster: 'loaded' }
  /** The response to `listen`. */
  | { readonly paster: 'listening'; readonly fd: number; readonly error: TransferredError | undefined }
  /** The unit whose import begins. */
  | { readonly paster: 'preloading'; readonly index: number }
  /** A unit is imported, with these effects. */
  | { readonly paster: 'imported'; readonly index: number; readonly effects: readonly SideEffect[] }
  /** The application cannot use the packages that were imported before it. The worker ends. */
  | { readonly paster: 'conflict'; readonly conflict: Conflict }
  /** A module that the configuration names, and all that it imports, has been evaluated. */
  | { readonly paster: 'evaluated' }
  /** Has loaded the application, and asks whether it may serve it: the packages that it has imported ahead may not fit. */
  | { readonly paster: 'opening' }
  /** Accepts connections. */
  | { readonly paster: 'ready' }
  /** Has started a process group, which must not outlive it. */
  | { readonly paster: 'group'; readonly pid: number }
  /** The worker cannot start, or is about to die of this error. */
  | { readonly paster: 'failed'; readonly error: TransferredError }
  | { readonly paster: 'beat' }
  | { readonly paster: 'load'; readonly load: Load }
  /** Files that the application consists of. */
  | { readonly paster: 'watch'; readonly files: readonly string[] }
  /** Patterns of further files to watch. They replace the earlier ones. */
  | { readonly paster: 'patterns'; readonly patterns: readonly string[] }
  /** A browser has opened a page that it loads again after a reload. */
  | { readonly paster: 'page' }
  /** Asks for a successor, and serves until it is there. */
  | { readonly paster: 'replace'; readonly reason: string; readonly kind: RestartReason }
  /** Sent when the supervisor asks, at intervals, and as the last message. */
  | { readonly paster: 'report'; readonly report: ProcessReport; readonly isLast: boolean }
  /** Asks for the status of the whole server. */
  | { readonly paster: 'ask'; readonly id: number; readonly history: boolean }
  /** What it logs and prints, after `follow`. */
  | { readonly paster: 'log'; readonly line: FollowedLine }
  /** Was asked to end, and ends now although it has not finished within this many seconds. */
  | { readonly paster: 'unfinished'; readonly seconds: number }
  /** Accepts no more connections. */
  | { readonly paster: 'draining'; readonly cause: StopMessage['cause'] };

/** What a worker reports about the packages that it imports ahead. */
export type PreloadReport = Extract<FromWorker, { readonly paster: 'preloading' | 'imported' | 'conflict' }>;

/** Tells paster's messages from those that the application sends over the same channel. */
export function isPasterMessage<T extends { readonly paster: string }>(message: unknown): message is T {
  return typeof message === 'object' && message !== null && 'paster' in message && typeof message.paster === 'string';
}

/** The environment variable with the number of a worker since the server was started. */
export const WORKER_NUMBER = 'PASTER_WORKER_NUMBER';

/** The environment variable that tells a run of a task when it was due. No two runs of a schedule have the same time. */
export const TASK_DUE = 'PASTER_TASK_DUE';

/**
 * The environment variable that makes Node itself report each module that it resolves, as `node --watch` does. Node
 * reads it again for each module, so with `reload` it stays set: children that an application forks report to the application.
 */
export const REPORT_MODULES = { WATCH_REPORT_DEPENDENCIES: '1' } as const;

/**
 * The modules in one of Node's own reports: URLs from `import`, paths from `require`. A module that was not found is
 * reported too, under each name that it could have had. Node does not document these reports: anything unexpected is ignored.
 */
export function reportedModules(message: unknown): string[] {
  if (typeof message !== 'object' || message === null) return [];
  const imported = 'watch:import' in message ? message['watch:import'] : [];
  const required = 'watch:require' in message ? message['watch:require'] : [];
  return [imported, required].flat().filter((each) => typeof each === 'string');
}
