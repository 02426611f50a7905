/** The last ten minutes, quantiles, and the list of restarts and reloads. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Counts, DURATION_BOUNDS, NO_COUNTS } from '../../src/metrics/counts.ts';
import { History, SAMPLE_MS, SAMPLES } from '../../src/metrics/history.ts';
import { addDurations, quantile } from '../../src/metrics/quantiles.ts';
import { ServerEvents } from '../../src/metrics/server-events.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'Date'] });
});

afterEach(() => {
  vi.useRealTimers();
});

function counted(statuses: Readonly<Record<number, number>>): Counts {
  const answers = Object.entries(statuses).map(([status, count]) => ({ method: 'GET', status: Number(status), count }));
  const count = answers.reduce((sum, each) => sum + each.count, 0);
  return { ...NO_COUNTS, sections: [{ section: 'app:x', answers, aborted: 0, durations: [count, 0], seconds: 1 }] };
}

test('a sample has what happened since the previous one, and ten minutes are kept', () => {
  const history = new History();
  const note = (statuses: Readonly<Record<number, number>>) =>
    history.note(() => ({ counts: counted(statuses), reports: [] }));
  note({ 200: 100 });
  expect(history.samples).toEqual([]);
  vi.advanceTimersByTime(SAMPLE_MS / 2);
  history.note(() => {
    throw new Error('too early to read anything');
  });
  vi.advanceTimersByTime(SAMPLE_MS / 2);
  note({ 200: 107, 304: 1, 404: 2, 499: 1, 500: 3 });
  expect(history.samples).toMatchObject([{ seconds: 5, answers: [0, 7, 1, 3, 3], durations: [14, 0], inFlight: 0 }]);
  for (let index = 0; index < SAMPLES + 5; index++) {
    vi.advanceTimersByTime(SAMPLE_MS);
    note({ 200: 200 });
  }
  expect(history.samples).toHaveLength(SAMPLES);
});

test('quantiles are interpolated within their bucket', () => {
  const durations = Array.from({ length: DURATION_BOUNDS.length + 1 }, () => 0);
  expect(quantile(durations, 0.5)).toBeUndefined();
  durations[0] = 90;
  durations[4] = 10;
  expect(quantile(durations, 0.45)).toBeCloseTo(0.0005);
  expect(quantile(durations, 0.95)).toBeCloseTo(0.0175);
  // 20 requests took longer than the last bound.
  expect(quantile(addDurations([durations, [...durations.map(() => 0).slice(1), 20]]), 0.99)).toBe(30);
});

test('events are kept as one line without secrets, the newest first, up to a maximum number', () => {
  const events = new ServerEvents();
  events.reloaded('HUP', performance.now(), 2);
  events.restarted('crash', 'worker 7 ended by SIGKILL\nat x');
  events.reloadFailed('a.js changed', `cannot connect to postgres://u:secret@db\u001b[2J${'x'.repeat(500)}`);
  const [failed, crash, reload] = events.latest;
  expect(failed?.kind).toBe('reload_failed');
  expect(failed?.text).toMatch(/^a\.js changed: cannot connect to postgres:.*\\x1b\[2Jx+\.\.\.$/);
  expect(failed?.text).not.toContain('secret');
  expect(crash).toMatchObject({ kind: 'crash', text: 'worker 7 ended by SIGKILL' });
  expect(reload).toMatchObject({ kind: 'reload', text: 'HUP' });
  expect(events.restarts).toMatchObject({ reload: 2, crash: 1 });
  expect(events.reloads).toMatchObject({ done: 1, failed: 1 });
  for (let index = 0; index < 60; index++) events.restarted('signal', String(index));
  expect(events.latest).toHaveLength(50);
  expect(events.latest[0]?.text).toBe('59');
});
