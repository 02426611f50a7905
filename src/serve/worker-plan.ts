/** What the supervisor of a `serve` sends to its workers. */
import type { LogLevel } from '../log.ts';
import type { TcpAddress } from '../net/address.ts';
import type { Ownership } from './listeners.ts';
import type { ServePlan } from './plan.ts';

export interface WorkerPlan extends ServePlan {
  /** What the server spoke when `serve` began: for a moment when its section cannot be read. */
  readonly scheme: string;
  /** What `envFiles` have set in the supervisor: a worker may not be able to read them. */
  readonly variables: Readonly<Record<string, string>>;
  readonly countRequests: boolean;
  /** Whether changes of files matter. */
  readonly reload: boolean;
  readonly logLevel: LogLevel;
  /** Whom a worker becomes before it loads anything. */
  readonly ownership: Ownership;
  /** The file that its output goes to, to be opened again when it is told to. */
  readonly logFile: string | undefined;
  /** Where a debugger finds the first worker. */
  readonly inspect: TcpAddress | undefined;
}
