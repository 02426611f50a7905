/** What is known of a server that runs: of each of its processes, and of all of them together. Plain data. */
import type { Counts } from './counts.ts';
import type { Lag } from './loop-lag.ts';

/** A request that is being answered. */
export interface RequestInFlight {
  readonly method: string;
  /** As the client sent it, without what is secret in it. */
  readonly url: string;
  /** The client's address, as far as it is known. */
  readonly client: string | undefined;
  /** The innermost section of the INI file that has got it. */
  readonly section: string | undefined;
  /** How long it has been in hand. */
  readonly seconds: number;
}

/** What a process that serves says of itself. */
export interface ProcessReport {
  readonly pid: number;
  /** Seconds that it has been serving. */
  readonly uptime: number;
  readonly counts: Counts;
  /** The oldest first, as many as people read. */
  readonly inFlight: readonly RequestInFlight[];
  /** How many there are. */
  readonly inFlightCount: number;
  /** Connections that are open, and those of them that an upgrade has taken over. */
  readonly connections: number;
  readonly upgraded: number;
  /** Bytes. */
  readonly memory: {
    readonly resident: number;
    readonly heapUsed: number;
    readonly heapTotal: number;
    readonly external: number;
  };
  readonly lag: Lag;
}

/** One process of a server. */
export interface WorkerStatus {
  readonly pid: number | undefined;
  /** `ready` where it serves; `standby` is one that waits for a reload. */
  readonly state: 'starting' | 'standby' | 'booting' | 'ready' | 'draining' | 'exited';
  /** Undefined while it has never said anything. */
  readonly report: ProcessReport | undefined;
  /** Seconds since that, where it did not answer now: its event loop stands still. */
  readonly silent: number | undefined;
}

/** Why a worker was exchanged for another one, or went. */
export const RESTART_REASONS = [
  'max_requests',
  'max_memory',
  'log',
  'reload',
  'stuck',
  'crash',
  'signal',
  'finished',
] as const;
export type RestartReason = (typeof RESTART_REASONS)[number];

export interface Reloads {
  readonly done: number;
  readonly failed: number;
  /** What those that were done have taken, all together and the last one. */
  readonly seconds: number;
  readonly lastSeconds: number | undefined;
  /** When it was, in milliseconds of `Date.now()`. */
  readonly lastAt: number | undefined;
}

export const NO_RELOADS: Reloads = { done: 0, failed: 0, seconds: 0, lastSeconds: undefined, lastAt: undefined };

export interface ServerStatus {
  /** The process that gets the signals: the supervisor, or the one that there is. */
  readonly pid: number;
  /** When it began to serve, in milliseconds of `Date.now()`. */
  readonly started: number;
  readonly workers: readonly WorkerStatus[];
  /** Of all processes, also of those that have ended. */
  readonly totals: Counts;
  readonly restarts: Readonly<Record<RestartReason, number>>;
  readonly reloads: Reloads;
}

export function noRestarts(): Record<RestartReason, number> {
  return { max_requests: 0, max_memory: 0, log: 0, reload: 0, stuck: 0, crash: 0, signal: 0, finished: 0 };
}
