/** The properties of sums of counts, and what a counter makes of any requests. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addCounts, type Counts, DURATION_BOUNDS, NO_COUNTS, requestsOf } from '../../src/metrics/counts.ts';
import { METHODS, SectionCounter } from '../../src/metrics/section-counter.ts';
import { NO_RELOADS, noRestarts } from '../../src/metrics/server-status.ts';
import { duration, statusLines } from '../../src/metrics/status-lines.ts';

const request = fc.record({
  section: fc.constantFrom('app:a', 'app:b', 'app:__proto__'),
  method: fc.constantFrom(...METHODS, 'BREW', undefined),
  status: fc.integer({ min: 100, max: 999 }),
  // Halves, whose sums are exact in any order.
  seconds: fc.integer({ min: 0, max: 100 }).map((halves) => halves / 2),
  isComplete: fc.boolean(),
});
type Request = typeof request extends fc.Arbitrary<infer T> ? T : never;

function count(requests: readonly Request[]): Counts {
  const counters = new Map<string, SectionCounter>();
  for (const { section, method, status, seconds, isComplete } of requests) {
    const counter = counters.get(section) ?? new SectionCounter(section);
    counters.set(section, counter);
    counter.add(method, status, seconds, isComplete);
  }
  return { ...NO_COUNTS, sections: [...counters.values()].flatMap((counter) => counter.counts() ?? []) };
}

/** In a fixed order, because the order has no meaning. */
function sorted({ sections, ...rest }: Counts): unknown {
  const byName = (one: string, other: string) => (one < other ? -1 : 1);
  return {
    ...rest,
    sections: sections
      .map((each) => ({
        ...each,
        answers: each.answers.map(({ method, status, count: n }) => `${method} ${status} ${n}`).sort(byName),
      }))
      .sort((one, other) => byName(one.section, other.section)),
  };
}

test('the sum does not depend on which worker has counted what', () => {
  fc.assert(
    fc.property(fc.array(request), fc.nat(), (requests, place) => {
      const [first, second] = [requests.slice(0, place), requests.slice(place)];
      const sum = sorted(addCounts(count(first), count(second)));
      expect(sum).toEqual(sorted(count(requests)));
      expect(sorted(addCounts(count(second), count(first)))).toEqual(sum);
      expect(sorted(addCounts(NO_COUNTS, count(requests)))).toEqual(sorted(count(requests)));
    }),
  );
});

test('another request decreases no number', () => {
  fc.assert(
    fc.property(fc.array(request), request, (requests, one) => {
      const [before, after] = [count(requests), count([...requests, one])];
      expect(requestsOf(after)).toBe(requestsOf(before) + 1);
      for (const { section, aborted, seconds, durations } of before.sections) {
        const same = after.sections.find((each) => each.section === section);
        expect(same?.aborted).toBeGreaterThanOrEqual(aborted);
        expect(same?.seconds).toBeGreaterThanOrEqual(seconds);
        expect(same?.durations.every((each, index) => each >= (durations[index] ?? 0))).toBe(true);
      }
    }),
  );
});

test('a duration is in the first bucket whose bound it does not exceed', () => {
  for (const [index, bound] of DURATION_BOUNDS.entries()) {
    for (const [seconds, place] of [[bound, index] as const, [bound + 1e-9, index + 1] as const]) {
      const counter = new SectionCounter('a');
      counter.add('GET', 200, seconds, true);
      expect(counter.counts()?.durations.indexOf(1)).toBe(place);
    }
  }
});

test.each([
  [0, '0 s'],
  [59.9, '59 s'],
  [3600, '1 h'],
  [3725, '1 h 2 min'],
  [90_061, '1 d 1 h'],
])('%d seconds are written as %s', (seconds, text) => {
  expect(duration(seconds)).toBe(text);
});

test.each([
  [0, '0 reloads, 0 failed'],
  [1, '1 reload, 0 failed'],
  [2, '2 reloads, 0 failed'],
])('%i reloads of a server are described in words', (done, expected) => {
  const reloads = { ...NO_RELOADS, done };
  const counts = { workers: [], totals: NO_COUNTS, restarts: noRestarts(), reloads, events: [] };
  expect(statusLines({ pid: 4711, started: Date.now(), ...counts })[0]).toContain(expected);
});
