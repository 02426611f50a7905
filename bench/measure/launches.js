/** Loads programs in turn, and starts each several times: how well V8 compiles one differs by a tenth from one start to the next. */
import { load } from '../gateway/load.js';
import { takeTurns } from './rounds.js';

const ROUND_S = 1;

/**
 * Starts all, warms each up, loads them in turn, and ends them, as many times as there are launches.
 *
 * @param {Record<string, () => Promise<{ program: import('./program.js').Program, url: string }>>} contestants
 * @param {{ launches: number, rounds: number, ofLoad: string | undefined }} how `ofLoad`: the processors of the load
 * @returns {Promise<Record<string, { cpu: number[], perSecond: number[] }>>} microseconds and requests, of each round
 */
export async function compareLaunches(contestants, { launches, rounds, ofLoad }) {
  const found = Object.fromEntries(Object.keys(contestants).map((name) => [name, { cpu: [], perSecond: [] }]));
  for (let launch = 0; launch < launches; launch++) {
    const started = [];
    try {
      const turns = {};
      for (const [name, start] of Object.entries(contestants)) {
        const { program, url } = await start();
        started.push(program);
        turns[name] = () => round(program, url, ROUND_S, ofLoad);
      }
      for (const [name, { cpu, perSecond }] of Object.entries(await compareRounds(turns, rounds))) {
        found[name].cpu.push(...cpu);
        found[name].perSecond.push(...perSecond);
      }
    } finally {
      for (const program of started) await program.stop();
    }
  }
  return found;
}

/** Rounds of several programs in turn, by their names. The first round only warms them up. */
export async function compareRounds(turns, rounds) {
  await takeTurns(turns, 1);
  const results = await takeTurns(turns, rounds);
  return Object.fromEntries(
    Object.entries(results).map(([name, all]) => [
      name,
      { cpu: all.map(({ cpu }) => cpu), perSecond: all.map(({ perSecond }) => perSecond) },
    ]),
  );
}

/** What one round of load costs a program. */
export async function round(program, url, seconds, ofLoad) {
  const before = program.cpu();
  const { requests, perSecond } = await load(url, seconds, ofLoad);
  return { cpu: (program.cpu() - before) / requests, perSecond };
}
