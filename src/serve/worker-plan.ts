/** What the supervisor of a `serve` sends to its workers. */
import type { LoadedServer } from '../deploy/load.ts';
import type { LogLevel } from '../log.ts';
import { formatAddress } from '../net/address.ts';
import type { Ownership } from './listeners.ts';
import type { ServePlan } from './plan.ts';

export interface WorkerPlan extends ServePlan {
  /** What the server spoke when `serve` began: for a moment when its section cannot be read. */
  readonly scheme: string;
  /** What its section said then of addresses and workers: the supervisor cannot follow a change of it. */
  readonly fixed: string;
  readonly countRequests: boolean;
  /** Whether changes of files matter. */
  readonly reload: boolean;
  readonly logLevel: LogLevel;
  /** Whom a worker becomes before it loads anything. */
  readonly ownership: Ownership;
  /** The file that its output goes to, to be opened again when it is told to. */
  readonly logFile: string | undefined;
}

/** What a running server cannot change about itself, as text to compare. */
export function fixedSettings(server: LoadedServer): string {
  return [...server.addresses.map(formatAddress), `workers = ${server.workers ?? 1}`].join(' ');
}
