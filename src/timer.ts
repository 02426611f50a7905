/** Durations for Node's timers. */

/** The longest duration of a timer (24.8 days). Node replaces anything longer by 1 ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Converts seconds to milliseconds for a timer, limited to the longest duration. */
export function timerMs(seconds: number): number {
  return Math.min(seconds * 1000, LONGEST_TIMER_MS);
}

/** A timer; 0 seconds mean none. */
export function after(seconds: number, action: () => void): NodeJS.Timeout | undefined {
  return seconds > 0 ? setTimeout(action, timerMs(seconds)) : undefined;
}
