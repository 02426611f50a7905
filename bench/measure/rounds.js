/** Runs programs in turn, and summarizes their times. */
import { spawnSync } from 'node:child_process';
import { performance } from 'node:perf_hooks';

/** A run that takes a few minutes, with less reliable figures. */
export const QUICK = process.argv.includes('--quick');

/** The number of rounds: `count`, or fewer with --quick. */
export function roundsOf(count) {
  return QUICK ? Math.max(2, Math.ceil(count / 5)) : count;
}

/**
 * One round of each program after the other, `rounds` times, so that whatever else the machine does hits all alike.
 *
 * @template T
 * @param {Record<string, () => T>} programs each gives its own time in milliseconds
 * @param {number} rounds
 * @returns {Record<string, T[]>}
 */
export function interleave(programs, rounds) {
  const times = Object.fromEntries(Object.keys(programs).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of Object.entries(programs)) times[name].push(run());
  }
  return times;
}

/**
 * Runs a program that prints its own time, as the last two words of its output: by the clock, and of the processor, which
 * is what it would have been on a machine that does nothing else.
 *
 * @returns {{ time: number, cpu: number }} milliseconds
 */
export function ownTimes(file, args) {
  const [time, cpu] = output(file, args).trim().split(/\s/).slice(-2).map(Number);
  if (!Number.isFinite(time) || !Number.isFinite(cpu)) throw new Error(`${file} ${args.join(' ')} printed no times`);
  return { time, cpu };
}

/**
 * Like `interleave`, for asynchronous programs.
 *
 * @template T
 * @param {Record<string, () => Promise<T>>} programs
 * @param {number} rounds
 * @returns {Promise<Record<string, T[]>>}
 */
export async function takeTurns(programs, rounds) {
  const results = Object.fromEntries(Object.keys(programs).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of Object.entries(programs)) results[name].push(await run());
  }
  return results;
}

/** Runs a program. @returns the milliseconds from its start to its end */
export function wholeTime(file, args) {
  const start = performance.now();
  output(file, args);
  return performance.now() - start;
}

function output(file, args) {
  const { status, stdout, stderr, error } = spawnSync(file, args, { encoding: 'utf8', maxBuffer: 2 ** 26 });
  if (status !== 0) throw error ?? new Error(`${file} ${args.join(' ')} ended with ${status}:\n${stderr}`);
  return stdout;
}

/** @param {readonly number[]} times */
export function median(times) {
  const sorted = [...times].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** `12.3 ms (11.9 - 14.0)` */
export function spread(times, unit = 'ms') {
  const shown = (time) => (time < 100 ? time.toFixed(1) : time.toFixed(0));
  return `${shown(median(times))} ${unit} (${shown(Math.min(...times))} - ${shown(Math.max(...times))})`;
}
