/** The words between the supervisor and a worker. Everything in them survives a structured clone. */
import type { ProcessReport, RestartReason, ServerStatus } from '../metrics/server-status.ts';
import type { Address } from '../net/address.ts';
import type { TablePlace } from './balance.ts';
import type { TransferredError } from './error-transfer.ts';

/** A socket that a worker has inherited. */
export interface InheritedSocket {
  readonly fd: number;
  readonly address: Address;
  readonly backlog: number;
}

/** When a worker asks to be replaced, and how often it says that it lives. Undefined: never. */
export interface WorkerLimits {
  readonly heartbeatMs: number | undefined;
  /** Silence after which the supervisor kills it. */
  readonly stallMs: number | undefined;
  readonly maxRequests: number | undefined;
  readonly maxRequestsJitter: number | undefined;
  /** MiB. */
  readonly maxMemory: number | undefined;
}

export interface BootMessage<Boot> {
  readonly paster: 'boot';
  readonly boot: Boot;
  /** Set where the worker is to answer with this error in the application's place. */
  readonly failure: TransferredError | undefined;
  readonly sockets: readonly InheritedSocket[];
  /** Where it says how many connections it holds. */
  readonly place: TablePlace | undefined;
  readonly limits: WorkerLimits;
  /** Whether it is to be the first of the workers: for what only one of them can have. */
  readonly isFirst: boolean;
}

export interface StopMessage {
  readonly paster: 'stop';
  readonly graceful: boolean;
  /** Seconds that what is in flight may take. */
  readonly timeout: number;
  /** Somebody else goes on serving: connections that are kept are handed over, not closed. */
  readonly handOver: boolean;
  /** The supervisor says so, somebody has sent the worker a signal, or its server has ended by itself. */
  readonly cause: 'order' | 'signal' | 'finished';
}

/** Said by both sides. */
export type ConnectionWord =
  /** Comes with a connection, which belongs to the receiver from then on. */
  | { readonly paster: 'connection'; readonly id: number }
  /** It has come; the sender closes its copy. */
  | { readonly paster: 'taken'; readonly id: number };

export type ToWorker<Boot> =
  | BootMessage<Boot>
  | StopMessage
  | ConnectionWord
  | { readonly paster: 'reopen' }
  /** It is to say how it is. */
  | { readonly paster: 'report' }
  /** What it has asked for. */
  | { readonly paster: 'status'; readonly id: number; readonly status: ServerStatus };

export type FromWorker =
  | ConnectionWord
  /** Started and warm; nothing of the application is loaded. */
  | { readonly paster: 'loaded' }
  /** Accepts connections. */
  | { readonly paster: 'ready' }
  /** Could not start, or is about to die of this. */
  | { readonly paster: 'failed'; readonly error: TransferredError }
  | { readonly paster: 'beat' }
  /** Files that the application is made of. */
  | { readonly paster: 'watch'; readonly files: readonly string[] }
  /** Patterns of further files to watch: these, in the place of those that were said before. */
  | { readonly paster: 'patterns'; readonly patterns: readonly string[] }
  /** Asks for a successor, and serves until it is there. */
  | { readonly paster: 'replace'; readonly reason: string; readonly kind: RestartReason }
  /** How it is: when it is asked, now and then, and as the last of all words. */
  | { readonly paster: 'report'; readonly report: ProcessReport; readonly isLast: boolean }
  /** Asks how the whole server is. */
  | { readonly paster: 'ask'; readonly id: number }
  /** Accepts nothing more. */
  | { readonly paster: 'draining'; readonly cause: StopMessage['cause'] };

/** Tells the words above from whatever else an application may send over the same channel. */
export function isWord<T extends { readonly paster: string }>(message: unknown): message is T {
  return typeof message === 'object' && message !== null && 'paster' in message && typeof message.paster === 'string';
}

/**
 * The environment variable that makes Node itself report each module that it resolves, as `node --watch` does. Node
 * reads it again at each module, so it has to stay: children that an application forks report to the application.
 */
export const REPORT_MODULES = { WATCH_REPORT_DEPENDENCIES: '1' } as const;

/**
 * The modules in one of Node's own reports: URLs from `import`, paths from `require`. A module that was not found is
 * reported too, under each name that it could have had. Undocumented in Node: anything unexpected is passed over.
 */
export function reportedModules(message: unknown): string[] {
  if (typeof message !== 'object' || message === null) return [];
  const imported = 'watch:import' in message ? message['watch:import'] : [];
  const required = 'watch:require' in message ? message['watch:require'] : [];
  return [imported, required].flat().filter((each) => typeof each === 'string');
}
