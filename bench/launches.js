/** Programs that are compared over several lives: how well V8 compiles one differs by a tenth from one start to the next. */
import { load } from './gateway/load.js';
import { takeTurns } from './measure.js';

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
        turns[name] = () => round(program, url, ofLoad);
      }
      await takeTurns(turns, 1);
      for (const [name, results] of Object.entries(await takeTurns(turns, rounds))) {
        found[name].cpu.push(...results.map(({ cpu }) => cpu));
        found[name].perSecond.push(...results.map(({ perSecond }) => perSecond));
      }
    } finally {
      for (const program of started) await program.stop();
    }
  }
  return found;
}

/** What one round of load costs a program. */
async function round(program, url, ofLoad) {
  const before = program.cpu();
  const { requests, perSecond } = await load(url, ROUND_S, ofLoad);
  return { cpu: (program.cpu() - before) / requests, perSecond };
}
