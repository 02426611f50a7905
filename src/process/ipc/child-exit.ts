/** How child processes end, and how long to wait before one is started again. */
import type { ChildProcess } from 'node:child_process';

/** The application threw an error that nothing caught; Node's own status. */
export const WORKER_CRASHED = 1;
/** The worker was stopped and has finished its requests. */
export const WORKER_DONE = 0;
/** The application did not load; the reason was sent as a message before. */
export const WORKER_BOOT_FAILED = 3;
/** The supervisor is gone. */
export const WORKER_ORPHANED = 4;
/** Seconds after `graceful_timeout` until a process that has not ended is given up. */
export const KILL_MARGIN_S = 2;

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** `with status 3`, `by SIGKILL`. */
export function describeExit({ code, signal }: Exit): string {
  return signal === null ? `with status ${code}` : `by ${signal}`;
}

/** The log line for a process that had to be killed. @param seconds its `graceful_timeout` */
export function overdueText(process: string, seconds: number): string {
  return `${process} is killed: it did not end within graceful_timeout (${seconds} s), which its section can raise`;
}

/** How long to wait for the last messages of a dead process: one that it started may keep the channel open. */
const LAST_MESSAGES_MS = 500;

/** Calls back when a child has ended and its last messages, which may still be in the channel, have come. */
export function onEnd(child: ChildProcess, ended: (exit: Exit) => void): void {
  child.once('exit', (code, signal) => {
    if (!child.connected) return ended({ code, signal });
    const late = setTimeout(() => ended({ code, signal }), LAST_MESSAGES_MS);
    child.once('disconnect', () => {
      clearTimeout(late);
      setImmediate(() => ended({ code, signal }));
    });
  });
}

const MAX_BACKOFF_MS = 10_000;
const FIRST_BACKOFF_MS = 100;
/** A process that has served this long was healthy: its death is the first of a new series. */
export const HEALTHY_AFTER_MS = 10_000;

/** Milliseconds before the next start, by the number of deaths in a row: none, 100, 200, 400, ... ten seconds. */
export function backoffMs(deaths: number): number {
  return deaths <= 1 ? 0 : Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (deaths - 2));
}
