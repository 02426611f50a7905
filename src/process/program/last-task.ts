/** The last task of this process, after everything else has ended: a tracing tool sends the data that it has not sent yet. */

/** Resolves after `limit` milliseconds at the latest. */
export type LastTask = (limit: number) => Promise<void>;

/** The task always gets at least this time. It is less than the time that a supervisor allows beyond `graceful_timeout`. */
const MIN_MS = 1000;
/** The time for the task if `endWithin` has not been called. */
const DEFAULT_MS = 10_000;

let task: LastTask | undefined;
let deadline: number | undefined;

export function setLastTask(last: LastTask): void {
  task = last;
}

/** Limits the time until this process must have ended, to `seconds` from now. */
export function endWithin(seconds: number): void {
  deadline = performance.now() + seconds * 1000;
}

/** To be called once, right before the process ends. */
export async function runLastTask(): Promise<void> {
  const left = deadline === undefined ? DEFAULT_MS : deadline - performance.now();
  await task?.(Math.round(Math.max(MIN_MS, left)));
}
