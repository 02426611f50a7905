/** Time limits in seconds, for Node's timers. */

/** The longest duration of a timer (24.8 days). Node replaces anything longer by 1 ms. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Converts seconds to milliseconds for a timer, limited to the longest duration. */
export function timerMs(seconds: number): number {
  return Math.min(seconds * 1000, MAX_TIMER_MS);
}

/** Calls `action` after this time; 0: never. */
export function after(seconds: number, action: () => void): NodeJS.Timeout | undefined {
  return seconds > 0 ? setTimeout(action, timerMs(seconds)) : undefined;
}

/**
 * Waits for `work`, but no longer than this many seconds.
 * @param work called after the timer is set: `StopSignals` waits for the timers that a program sets from then on, and must not
 *   wait for this one
 * @param keepsProcess whether the wait keeps the process running if nothing else does
 * @returns whether `work` was done in time. Rejects as `work` does
 */
export async function isDoneWithin(
  seconds: number,
  work: () => Promise<unknown>,
  { keepsProcess = true } = {},
): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, timerMs(seconds), false);
    if (!keepsProcess) timer.unref();
  });
  try {
    return await Promise.race([work().then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
