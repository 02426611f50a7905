/** Charts of the last ten minutes as SVG: sparklines, bars of responses, lines of latencies. Numbers only, no text of clients. */
import { SAMPLE_MS, SAMPLES } from '../../../metrics/history.ts';
import { addDurations, quantile } from '../../../metrics/quantiles.ts';
import type { Sample } from '../../../metrics/server-status.ts';

const HEIGHT = 100;
/** How many samples a latency is taken from: half a minute. */
const WINDOW = 6;

/** A value and its time. */
export interface ChartPoint {
  readonly at: number;
  readonly value: number;
}

/** A line over the last ten minutes. It has no axes: `label` says what it shows. */
export function sparkline(points: readonly ChartPoint[], now: number, label: string): string {
  const most = Math.max(...points.map(({ value }) => value), Number.MIN_VALUE);
  return svg('spark', label, line(points, now, most));
}

/** A horizontal bar that is filled to a share from 0 to 1. */
export function bar(share: number): string {
  const width = Math.round(Math.min(1, Math.max(0, share)) * 100);
  return `<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"><rect class="track" width="100" height="4"/><rect class="fill" width="${width}" height="4"/></svg>`;
}

/** A chart with the number at its top. */
export interface Chart {
  readonly svg: string;
  readonly most: number;
}

/** Responses each second, by the first digit of the status: a stack for each sample. */
export function answersChart(samples: readonly Sample[], now: number): Chart {
  const rates = samples.map(({ at, seconds, answers }) => ({ at, rates: answers.map((count) => count / seconds) }));
  const most = Math.max(...rates.map((each) => each.rates.reduce((sum, rate) => sum + rate, 0)), Number.MIN_VALUE);
  const paths = ['', '', '', '', ''];
  for (const { at, rates: stack } of rates) {
    const x = xOf(at, now);
    let from = HEIGHT;
    stack.forEach((rate, index) => {
      if (rate <= 0) return;
      const to = from - (rate / most) * HEIGHT;
      paths[index] += `M${x} ${from.toFixed(1)}V${to.toFixed(1)}`;
      from = to;
    });
  }
  const stacks = paths.map((path, index) => (path === '' ? '' : `<path class="status${index + 1}" d="${path}"/>`));
  const label = `Responses per second in the last ten minutes, at most ${most.toFixed(1)}`;
  return { svg: svg('chart stacks', label, stacks.join('')), most: rates.length === 0 ? 0 : most };
}

/** The latencies that 50, 95 and 99 % of the requests did not exceed. */
export function latencyChart(samples: readonly Sample[], now: number): Chart {
  const windows = samples.map(({ at }, index) => {
    const durations = addDurations(
      samples.slice(Math.max(0, index + 1 - WINDOW), index + 1).map((each) => each.durations),
    );
    return { at, durations };
  });
  const lines = [0.5, 0.95, 0.99].map((share) =>
    windows.flatMap(({ at, durations }) => {
      const value = quantile(durations, share);
      return value === undefined ? [] : [{ at, value }];
    }),
  );
  const most = Math.max(...lines.flat().map(({ value }) => value), Number.MIN_VALUE);
  const drawn = lines.map((points, index) => line(points, now, most, ` class="quantile${index}"`));
  const label = `Latency in the last ten minutes, at most ${(most * 1000).toFixed(1)} ms`;
  return { svg: svg('chart', label, drawn.join('')), most: lines.flat().length === 0 ? 0 : most };
}

/** Draws a line; points that are further apart than samples are, are not connected. */
function line(points: readonly ChartPoint[], now: number, most: number, attributes = ''): string {
  let before = Number.NEGATIVE_INFINITY;
  const path = points.map(({ at, value }) => {
    const command = at - before > 3 * SAMPLE_MS ? 'M' : 'L';
    before = at;
    return `${command}${xOf(at, now)} ${(HEIGHT - (value / most) * (HEIGHT - 8) - 4).toFixed(1)}`;
  });
  return `<path${attributes} d="${path.join('')}"/>`;
}

/** One unit for each sample, from 0 (ten minutes ago) to SAMPLES (now). */
function xOf(at: number, now: number): string {
  return (SAMPLES - (now - at) / SAMPLE_MS).toFixed(1);
}

function svg(className: string, label: string, content: string): string {
  return `<svg class="${className}" viewBox="0 0 ${SAMPLES} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${label}">${content}</svg>`;
}
