/** How much faster an application that only computes is with a second worker. */
import { Agent } from 'node:http';
import { availableParallelism } from 'node:os';
import { freePort, Program } from '../../measure/program.js';
import { median, roundsOf, spread, takeTurns } from '../../measure/rounds.js';
import { ask, firstAnswer } from '../ask.js';
import { inDirectory, iniFile, serve } from '../site.js';

const ROUNDS = roundsOf(5);
const ROUND_MS = 3000;
const CLIENTS = 8;
const GOAL = 1.7;

/** Some milliseconds of work for each request, so that the client and the sockets cost little in comparison. */
const APP = `export default (req, res) => {
  let number = 1;
  for (let step = 0; step < 5e6; step++) number = (number * 31 + step) | 0;
  res.end(String(number));
};
`;

/** @returns {Promise<import('../../report/table.js').Row[]>} */
export async function scaling() {
  const what = '2 workers / 1, requests/s of a handler that computes';
  if (availableParallelism() < 2) return [{ what, figure: 'one processor', goal: '', met: undefined, detail: '' }];
  const port = await freePort();
  return inDirectory({ 'app.js': APP, 'x.ini': iniFile(port) }, async (directory) => {
    const rate = (workers) => async () => {
      const program = await Program.start(serve('x.ini', '-w', workers), { cwd: directory });
      try {
        return await requestsPerSecond(port, await firstAnswer(port));
      } finally {
        await program.stop();
      }
    };
    const { one, two } = await takeTurns({ one: rate('1'), two: rate('2') }, ROUNDS);
    // Compared round by round, since other work of the machine lasts longer than a round.
    const ratio = median(two.map((each, round) => each / one[round]));
    return [
      {
        what,
        figure: `${ratio.toFixed(2)} x`,
        goal: `>= ${GOAL} x`,
        met: ratio >= GOAL,
        detail: `${spread(two, '/s')} to ${spread(one, '/s')}`,
      },
    ];
  });
}

async function requestsPerSecond(port, expected) {
  const began = performance.now();
  let answered = 0;
  const client = async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (performance.now() - began < ROUND_MS) {
      const { body } = await ask(port, { agent });
      if (body !== expected) throw new Error(`an answer was ${JSON.stringify(body)}`);
      answered++;
    }
    agent.destroy();
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return (answered * 1000) / (performance.now() - began);
}
