/** Twice as many requests as a server has capacity for: how many get a response in time, and how fast, compared with plain node. */
import { execFileSync } from 'node:child_process';
import { Agent, request } from 'node:http';
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, Program, pinned } from './measure/program.js';
import { median, roundsOf, spread, takeTurns } from './measure/rounds.js';
import { firstAnswer } from './process/ask.js';
import { bareServer, inDirectory, iniFile, serve } from './process/site.js';

const ROUNDS = roundsOf(5);
const PEAK_MS = 2000;
const UNLOADED_MS = 4000;
const OVERLOAD_MS = 4000;
/** The load, as a multiple of the server's capacity. */
const UNLOADED = 0.2;
const OVERLOAD = 2;
/** Kept connections, like those of a web server in front: Node accepts new ones one at a time, between two turns of its loop. */
const CONNECTIONS = 64;
/** A client gives up after this time. */
const TIMEOUT_MS = 1000;
const GOALS = { goodput: 0.9, latency: 3 };

/** `clients`: how many at a time reach the peak. */
const APPLICATIONS = [
  {
    name: 'a handler that computes',
    clients: 2,
    limits: 'overload_lag = 0.002',
    app: `export default (req, res) => {
  let number = 1;
  for (let step = 0; step < 2e6; step++) number = (number * 31 + step) | 0;
  res.end(String(number));
};
`,
  },
  {
    name: 'a handler that waits for one of 10 connections',
    clients: 10,
    limits: 'max_requests_in_flight = 15',
    app: `const waiting = [];
let free = 10;
export default async (req, res) => {
  if (free > 0) free--;
  else await new Promise((resolve) => waiting.push(resolve));
  setTimeout(() => {
    const next = waiting.shift();
    if (next) next();
    else free++;
    res.end('done');
  }, 20);
};
`,
  },
];

/** The load has a processor of its own, so that the program does not make the clients late. */
const processors = cpus().length > 1 ? { load: '0', program: '1' } : undefined;

/** @returns {Promise<import('./report/table.js').Row[]>} */
export async function measure() {
  if (processors) execFileSync('taskset', ['-cp', processors.load, String(process.pid)], { stdio: 'ignore' });
  const rows = [];
  for (const application of APPLICATIONS) rows.push(...(await overloading(application)));
  return rows;
}

async function overloading({ name, clients, limits, app }) {
  const port = await freePort();
  const files = { 'app.js': app, 'x.ini': `${iniFile(port)}${limits}\n`, 'server.js': bareServer(port) };
  return inDirectory(files, async (directory) => {
    const measured = (command) => async () => {
      const program = await Program.start(pinned(command, processors?.program), { cwd: directory });
      const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS, maxFreeSockets: CONNECTIONS });
      try {
        await firstAnswer(port);
        await Promise.all(Array.from({ length: CONNECTIONS }, () => ask(port, agent)));
        await closedLoop(port, agent, clients, PEAK_MS / 2);
        const peak = await closedLoop(port, agent, clients, PEAK_MS);
        const unloaded = await openLoop(port, agent, peak * UNLOADED, UNLOADED_MS);
        const overloaded = await openLoop(port, agent, peak * OVERLOAD, OVERLOAD_MS);
        return { peak, unloaded, overloaded };
      } finally {
        agent.destroy();
        await program.stop();
      }
    };
    const found = await takeTurns(
      { paster: measured(serve('x.ini')), node: measured([process.execPath, 'server.js']) },
      ROUNDS,
    );
    return ['paster', 'node'].flatMap((program) => rowsOf(`${program}, ${name}`, found[program], program === 'paster'));
  });
}

function rowsOf(what, rounds, hasGoal) {
  const goodputs = rounds.map(({ peak, overloaded }) => overloaded.rate / peak);
  const latencies = rounds.map(({ unloaded, overloaded }) => overloaded.p99 / unloaded.p99);
  const [goodput, latency] = [median(goodputs), median(latencies)];
  const of = (pick) => rounds.map(pick);
  return [
    {
      what: `${what}: goodput at ${OVERLOAD} times its capacity / peak`,
      figure: `${Math.round(goodput * 100)} %`,
      goal: hasGoal ? `>= ${GOALS.goodput * 100} %` : '',
      met: hasGoal ? goodput >= GOALS.goodput : undefined,
      detail: `${spread(
        of(({ overloaded }) => overloaded.rate),
        '/s',
      )} to ${spread(
        of(({ peak }) => peak),
        '/s',
      )}`,
    },
    {
      what: `${what}: p99 of what it accepts / p99 unloaded`,
      figure: Number.isFinite(latency) ? `${latency.toFixed(1)} x` : 'no responses',
      goal: hasGoal ? `<= ${GOALS.latency} x` : '',
      met: hasGoal ? latency <= GOALS.latency : undefined,
      detail: `${spread(of(({ overloaded }) => overloaded.p99))} to ${spread(of(({ unloaded }) => unloaded.p99))}`,
    },
  ];
}

/** Each client sends its next request when it has a response. @returns responses with status 200 per second */
async function closedLoop(port, agent, clients, milliseconds) {
  const began = performance.now();
  let good = 0;
  const client = async () => {
    while (performance.now() - began < milliseconds) if ((await ask(port, agent)).isGood) good++;
  };
  await Promise.all(Array.from({ length: clients }, client));
  return (good * 1000) / (performance.now() - began);
}

/**
 * Sends requests at random times, however long earlier ones take, as many clients together do.
 * @returns timely responses with status 200 per second, and the time within which 99 of 100 of them arrived
 */
async function openLoop(port, agent, rate, milliseconds) {
  const answers = [];
  const began = performance.now();
  let next = began;
  while (next - began < milliseconds) {
    next += (-Math.log(1 - Math.random()) * 1000) / rate;
    const wait = next - performance.now();
    if (wait > 0) await sleep(wait);
    answers.push(ask(port, agent));
  }
  const seconds = (performance.now() - began) / 1000;
  const good = (await Promise.all(answers)).filter(({ isGood }) => isGood).map(({ time }) => time);
  return { rate: good.length / seconds, p99: good.sort((one, other) => one - other)[Math.floor(good.length * 0.99)] };
}

/** Sends a request. `isGood`: a complete response with status 200 has arrived in time. @returns {Promise<{ isGood: boolean, time: number }>} */
function ask(port, agent) {
  const began = performance.now();
  return new Promise((resolve) => {
    const asking = request({ host: '127.0.0.1', port, agent }, (response) => {
      response.on('error', () => end(false));
      response.on('end', () => end(response.statusCode === 200));
      response.resume();
    });
    const late = setTimeout(() => asking.destroy(new Error('no answer')), TIMEOUT_MS);
    const end = (isGood) => {
      clearTimeout(late);
      resolve({ isGood, time: performance.now() - began });
    };
    asking.on('error', () => end(false));
    asking.end();
  });
}
