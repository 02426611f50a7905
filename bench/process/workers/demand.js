/** Workers by load: how long the first request after an idle time takes, what an idle server costs, and a step to full load. */
import { Agent } from 'node:http';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { freePort, memoryOf, Program } from '../../measure/program.js';
import { median, roundsOf, spread, takeTurns } from '../../measure/rounds.js';
import { ask, firstAnswer } from '../ask.js';
import { bareServer, inDirectory, iniFile, serve } from '../site.js';

const ROUNDS = roundsOf(10);
const IDLE_MS = 5000;
const CLIENTS = 16;
/** More workers would not get more processor time. */
const MOST = availableParallelism();
const STEP_MS = 4000;
const MIB = 2 ** 20;

/** How much longer than in a plain Node process, which imports the application and serves it. */
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

/** @returns {Promise<import('../../report/table.js').Row[]>} */
export async function demand() {
  return [...(await firstRequests()), await idle(), await step()];
}

/** Calls `use` when only spare workers are left. @param settings `workers = 0-1` and others */
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

/** A process without paster that starts for its first request. @returns the same as `firstRequest` */
async function bareStart() {
  const port = await freePort();
  return inDirectory({ 'app.js': APP, 'server.js': bareServer(port) }, async (directory) => {
    const begun = performance.now();
    const program = await Program.start([process.execPath, 'server.js'], { cwd: directory });
    try {
      const imported = Number(await firstAnswer(port));
      return { whole: performance.now() - begun, imported };
    } finally {
      await program.stop();
    }
  });
}

async function firstRequests() {
  const { node, fork, spare } = await takeTurns(
    {
      node: bareStart,
      fork: () => whenIdle('workers = 0-1', 0, firstRequest),
      spare: () => whenIdle('workers = 0-1\nspare_workers = 1', 1, firstRequest),
    },
    ROUNDS,
  );
  const [bare, whole] = [node, fork].map((rounds) => rounds.map((each) => each.whole));
  return [
    firstRow(
      'first request after idle, Express - the start of node server.js to its first response',
      median(whole) - median(bare),
      `${spread(whole, 'ms')} to ${spread(bare, 'ms')}`,
      GOAL_FIRST_MS,
    ),
    beyondImport('the same beyond the import in the worker', fork),
    beyondImport('the same with a spare worker', spare, GOAL_FIRST_MS),
  ];
}

function beyondImport(what, rounds, goal) {
  const beyond = rounds.map(({ whole, imported }) => whole - imported);
  const imports = median(rounds.map(({ imported }) => imported));
  return firstRow(what, median(beyond), `${spread(beyond, 'ms')}; the import ${imports.toFixed(0)} ms`, goal);
}

function firstRow(what, figure, detail, goal) {
  return {
    what,
    figure: `${figure.toFixed(0)} ms`,
    goal: goal === undefined ? '' : `<= ${goal} ms`,
    met: goal === undefined ? undefined : figure <= goal,
    detail,
  };
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

/** All clients begin at the same time, on kept connections. */
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
