/** Workers by load: how long the first request after an idle time takes, what an idle server costs, and a step to full load. */
import { Agent } from 'node:http';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { median, roundsOf, spread, takeTurns } from '../../measure.js';
import { freePort, memoryOf, Program } from '../../program.js';
import { ask, firstAnswer } from '../ask.js';
import { inDirectory, iniFile, serve } from '../site.js';

const ROUNDS = roundsOf(10);
const IDLE_MS = 5000;
const CLIENTS = 16;
/** More do not get more processor time. */
const MOST = availableParallelism();
const STEP_MS = 4000;
const MIB = 2 ** 20;

/** Beyond the import of the application. */
const GOAL_FIRST_MS = 60;
const GOAL_STEP_MS = 2000;

const EXPRESS = JSON.stringify(
  pathToFileURL(new URL('../../../node_modules/express/index.js', import.meta.url).pathname).href,
);
const APP = `const begun = performance.now();
const { default: express } = await import(${EXPRESS});
const app = express();
const imported = performance.now() - begun;
app.get('/', (_req, res) => res.send(String(imported)));
app.get('/work', (_req, res) => {
  const end = performance.now() + 5;
  while (performance.now() < end);
  res.send(String(process.pid));
});
export default app;
`;

/** @returns {Promise<import('../../table.js').Row[]>} */
export async function demand() {
  return [...(await firstRequests()), await idle(), await step()];
}

/** With `workers = 0-1`: calls back when no worker is left but spare ones. */
async function whenIdle(settings, spares, use) {
  const port = await freePort();
  const ini = `${iniFile(port)}idle_timeout = 0.2\n${settings}\n`;
  return inDirectory({ 'app.js': APP, 'x.ini': ini }, async (directory) => {
    const program = await Program.start(serve('x.ini'), { cwd: directory });
    try {
      await firstAnswer(port);
      // A spare worker has to be ready too.
      await sleep(1500);
      while (program.children().length > spares) await sleep(10);
      return await use(port, program);
    } finally {
      await program.stop();
    }
  });
}

/** @returns {Promise<{ whole: number, imported: number }>} milliseconds */
async function firstRequest(port) {
  const begun = performance.now();
  const { body } = await ask(port);
  return { whole: performance.now() - begun, imported: Number(body) };
}

async function firstRequests() {
  const rounds = await takeTurns(
    {
      fork: () => whenIdle('workers = 0-1', 0, firstRequest),
      spare: () => whenIdle('workers = 0-1\nspare_workers = 1', 1, firstRequest),
    },
    ROUNDS,
  );
  return [
    ['fork', 'first request after idle, beyond the import of Express'],
    ['spare', 'the same with a spare worker'],
  ].map(([name, what]) => {
    const beyond = rounds[name].map(({ whole, imported }) => whole - imported);
    const imports = rounds[name].map(({ imported }) => imported);
    const figure = median(beyond);
    return {
      what,
      figure: `${figure.toFixed(0)} ms`,
      goal: `<= ${GOAL_FIRST_MS} ms`,
      met: figure <= GOAL_FIRST_MS,
      detail: `${spread(beyond, 'ms')}; the import ${median(imports).toFixed(0)} ms`,
    };
  });
}

function idle() {
  return whenIdle('workers = 0-1', 0, async (_port, program) => {
    const before = program.cpuOfStart();
    await sleep(IDLE_MS);
    const busy = (program.cpuOfStart() - before) / IDLE_MS;
    const processes = program.everyProcess().length;
    return {
      what: 'an idle server without workers',
      figure: `${processes} process, ${(memoryOf(program.pid).now / MIB).toFixed(0)} MiB`,
      goal: '1 process',
      met: processes === 1,
      detail: `${(busy * 100).toFixed(3)} % of a processor`,
    };
  });
}

/** All clients begin at once, on kept connections. */
async function step() {
  const rounds = [];
  for (let round = 0; round < Math.ceil(ROUNDS / 2); round++) rounds.push(await oneStep());
  const times = rounds.map(({ time }) => time);
  const failed = rounds.reduce((sum, each) => sum + each.failed, 0);
  const figure = median(times);
  return {
    what: `from idle to full load with workers = 1-${MOST}, one for each processor: until all respond`,
    figure: `${figure.toFixed(0)} ms, ${failed} failed`,
    goal: `<= ${GOAL_STEP_MS} ms, 0 failed`,
    met: figure <= GOAL_STEP_MS && failed === 0,
    detail: spread(times, 'ms'),
  };
}

/** @returns {Promise<{ time: number, failed: number }>} */
async function oneStep() {
  const port = await freePort();
  return inDirectory({ 'app.js': APP, 'x.ini': `${iniFile(port)}workers = 1-${MOST}\n` }, async (directory) => {
    const program = await Program.start(serve('x.ini'), { cwd: directory });
    try {
      await firstAnswer(port);
      await sleep(1500);
      const begun = performance.now();
      const workers = new Map();
      let failed = 0;
      const client = async () => {
        const agent = new Agent({ keepAlive: true, maxSockets: 1 });
        while (performance.now() - begun < STEP_MS) {
          const { status, body } = await ask(port, { agent, path: '/work' }).catch(() => ({ status: 0, body: '' }));
          if (status !== 200) failed++;
          else if (!workers.has(body)) workers.set(body, performance.now() - begun);
        }
        agent.destroy();
      };
      await Promise.all(Array.from({ length: CLIENTS }, client));
      const time = workers.size < MOST ? Number.POSITIVE_INFINITY : Math.max(...workers.values());
      return { time, failed };
    } finally {
      await program.stop();
    }
  });
}
