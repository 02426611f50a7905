/** Quantiles of durations, estimated from a histogram. Pure. */
import { DURATION_BOUNDS } from './counts.ts';

/**
 * The duration, in seconds, that a share of the requests does not exceed; within a bucket, requests are taken to be spread
 * evenly, as Prometheus does. At most the last bound. Undefined if there were no requests.
 * @param durations requests by duration, not cumulative, as in `SectionCounts`
 * @param share from 0 to 1
 */
export function quantile(durations: readonly number[], share: number): number | undefined {
  const total = durations.reduce((sum, count) => sum + count, 0);
  if (total === 0) return undefined;
  let left = total * share;
  for (const [bucket, count] of durations.entries()) {
    const upper = DURATION_BOUNDS[bucket];
    if (upper === undefined) break;
    const lower = DURATION_BOUNDS[bucket - 1] ?? 0;
    if (count > 0 && left <= count) return lower + (upper - lower) * (left / count);
    left -= count;
  }
  return DURATION_BOUNDS.at(-1);
}

/** The sum of several histograms. */
export function addDurations(histograms: readonly (readonly number[])[]): number[] {
  const sum: number[] = [];
  for (const histogram of histograms) {
    histogram.forEach((count, bucket) => {
      sum[bucket] = (sum[bucket] ?? 0) + count;
    });
  }
  return sum;
}
