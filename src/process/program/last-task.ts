/** The last task of this process, when everything else has ended: the tracing tool sends what it has not sent yet. */

/** Resolves after `limit` milliseconds at the latest. */
export type LastTask = (limit: number) => Promise<void>;

/** The task always has this time, which is less than what a supervisor grants beyond `graceful_timeout`. */
const LEAST_MS = 1000;
/** The time for the task if `endWithin` has not been called. */
const MOST_MS = 10_000;

let task: LastTask | undefined;
let deadline: number | undefined;

export function setLastTask(last: LastTask): void {
  task = last;
}

/** Limits the time that is left to this process: to `seconds` from now on. */
export function endWithin(seconds: number): void {
  deadline = performance.now() + seconds * 1000;
}

/** To be called once, right before the process ends. */
export async function runLastTask(): Promise<void> {
  const left = deadline === undefined ? MOST_MS : deadline - performance.now();
  await task?.(Math.round(Math.max(LEAST_MS, left)));
}
