/** How long to wait before a worker that has died is started again. */

const LONGEST_MS = 10_000;
const FIRST_MS = 100;
/** A worker that has served for so long was healthy: its death is the first of a new series. */
export const HEALTHY_AFTER_MS = 10_000;

/** Milliseconds before the next start, after so many deaths in a row: none, 100, 200, 400, ... ten seconds. */
export function backoffMs(deaths: number): number {
  return deaths <= 1 ? 0 : Math.min(LONGEST_MS, FIRST_MS * 2 ** (deaths - 2));
}
