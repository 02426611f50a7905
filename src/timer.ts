/** Durations as Node's timers take them. */

/** What a timer holds (24.8 days); Node makes 1 ms of anything longer. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Seconds as milliseconds for a timer: never more than it holds. */
export function timerMs(seconds: number): number {
  return Math.min(seconds * 1000, LONGEST_TIMER_MS);
}
