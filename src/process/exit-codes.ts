/** Exit statuses of a worker: what the supervisor can tell from them when no message came before. */

/** Ended by an error that nobody has caught; Node's own. */
export const WORKER_CRASHED = 1;
/** Drained, as it was told. */
export const WORKER_DONE = 0;
/** The application did not load; the reason went ahead as a message. */
export const WORKER_BOOT_FAILED = 3;
/** The supervisor is gone. */
export const WORKER_ORPHANED = 4;

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** `with status 3`, `by SIGKILL`. */
export function describeExit({ code, signal }: Exit): string {
  return signal === null ? `with status ${code}` : `by ${signal}`;
}
