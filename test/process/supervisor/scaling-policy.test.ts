import { expect, test } from 'vitest';
import { type ScalingLimits, ScalingPolicy } from '../../../src/process/supervisor/scaling/scaling-policy.ts';

const LIMITS: ScalingLimits = { minimum: 1, maximum: 8, idleMs: 10_000, leastSpare: 0, mostSpare: 0 };
const LOOK_MS = 100;

/** Workers that share a load, as many as the policy decides. */
class Simulation {
  readonly #policy: ScalingPolicy;
  #now = 0;
  size: number;
  readonly sizes: number[] = [];
  reason = '';

  constructor(size: number, limits: Partial<ScalingLimits> = {}) {
    this.size = size;
    this.#policy = new ScalingPolicy({ ...LIMITS, ...limits }, 0);
  }

  /** @param load in workers without other load; `isActive`: there are requests */
  run(seconds: number, load: number | ((second: number) => number), isActive = true): void {
    const end = this.#now + seconds * 1000;
    for (; this.#now < end; this.#now += LOOK_MS) {
      const sum = typeof load === 'number' ? load : load(this.#now / 1000);
      const utilization = Math.min(1, sum / this.size);
      const loads = Array.from({ length: this.size }, () => ({ utilization, connections: 1, isActive }));
      const change = loads.length === 0 ? undefined : this.#policy.decide(loads, this.#now);
      if (!change) continue;
      this.size = change.count;
      this.reason = change.reason;
      this.sizes.push(change.count);
    }
  }
}

test('doubles under full load, up to the upper bound', () => {
  const workers = new Simulation(1);
  workers.run(2, 100);
  expect(workers.sizes).toEqual([2, 4, 8]);
  expect(workers.reason).toBe('event loops are busy for 100 % of the time');
});

test('above 75 % utilization, starts as many workers as bring each to half load', () => {
  const workers = new Simulation(1);
  workers.run(5, 1.4);
  expect(workers.sizes).toEqual([2]);
  workers.run(5, 1.6);
  expect(workers.sizes).toEqual([2, 4]);
});

test('a burst during two checks starts none', () => {
  const workers = new Simulation(1);
  workers.run(60, (second) => (second % 1 < 0.15 ? 1 : 0.1));
  expect(workers.sizes).toEqual([]);
});

test('ends workers one after the other, if none has been needed for the whole idle time', () => {
  const workers = new Simulation(1);
  workers.run(2, 100);
  workers.run(9.5, 0.01);
  expect(workers.size).toBe(8);
  workers.run(10, 0.01);
  expect(workers.sizes.slice(3)).toEqual([7, 6, 5, 4, 3, 2, 1]);
  expect(workers.reason).toBe('not needed for 10 s');
  workers.run(100, 0.01);
  expect(workers.size).toBe(1);
});

test('a load that returns within that time keeps them', () => {
  const workers = new Simulation(1);
  workers.run(300, (second) => (second % 8 < 2 ? 1.8 : 0.1));
  expect(workers.sizes).toEqual([2, 4]);
});

test('under a constant load it does not alternate between starting and ending workers', () => {
  for (let load = 0.05; load < 9; load += 0.05) {
    const workers = new Simulation(4);
    workers.run(100, load);
    const settled = workers.sizes.length;
    workers.run(200, load);
    expect({ load, sizes: workers.sizes.slice(settled) }).toEqual({ load, sizes: [] });
  }
});

test('the last one ends only if there are no connections', () => {
  const workers = new Simulation(1, { minimum: 0 });
  workers.run(100, 0.01);
  expect(workers.size).toBe(1);
  workers.run(100, 0.01, false);
  expect(workers.size).toBe(0);
});

test('work of an application without requests starts no workers', () => {
  const workers = new Simulation(2);
  workers.run(5, 2, false);
  expect(workers.sizes).toEqual([]);
  workers.run(100, 2, false);
  expect(workers.size).toBe(1);
});

test('minSpare and maxSpare add workers to those that the load needs', () => {
  const workers = new Simulation(2, { minimum: 2, leastSpare: 2, mostSpare: 4 });
  workers.run(5, 0.2);
  expect(workers.sizes).toEqual([3]);
  expect(workers.reason).toBe('minSpare = 2');
  workers.run(5, 1.4);
  expect(workers.size).toBe(5);
  workers.run(5, 3);
  expect(workers.size).toBe(8);
  workers.run(100, 0.2);
  expect(workers.size).toBe(5);
});
