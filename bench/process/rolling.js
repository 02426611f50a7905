/** Under full load: the requests that fail during HUP after HUP, and the pause after a crash of the only worker, with a spare one. */
import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, Program } from '../measure/program.js';
import { median, roundsOf, spread } from '../measure/rounds.js';
import { ask, firstAnswer } from './ask.js';
import { inDirectory, iniFile, serve } from './site.js';

const HUPS = 10;
const CLIENTS = 8;
/** If more workers in a row crash, paster waits longer than BETWEEN_CRASHES_MS before it starts the next spare one. */
const CRASHES = roundsOf(5);
const BETWEEN_CRASHES_MS = 4000;
const CRASH_GOAL_MS = 60;
const PATIENCE_MS = 10_000;
const LOOK_MS = 5;
const REQUESTS_PER_CONNECTION = 50;

const APP = `const body = process.pid + ' ' + 'abcdefghij'.repeat(100);
export default (req, res) => res.end(body);
`;

/** @returns {Promise<import('../report/table.js').Row[]>} */
export async function rolling() {
  const rows = [];
  for (const workers of [1, 2]) rows.push(await hups(workers));
  return [...rows, ...(await crashes())];
}

async function crashes() {
  const port = await freePort();
  const files = { 'app.js': APP, 'x.ini': `${iniFile(port)}workers = 1\nspare_workers = 1\n` };
  return inDirectory(files, async (directory) => {
    const program = await Program.start(serve('x.ini'), { cwd: directory });
    const times = [];
    let failed = 0;
    try {
      await firstAnswer(port);
      for (let count = 0; count < CRASHES; count++) {
        await sleep(BETWEEN_CRASHES_MS);
        const load = new Load(port);
        load.start();
        await load.answeredBy(1);
        load.forget();
        const [pid] = load.everSeen;
        const killed = performance.now();
        process.kill(Number(pid), 'SIGKILL');
        await load.answeredBy(1);
        times.push(load.firstSeenAt - killed);
        await load.stop();
        failed = Math.max(failed, load.failed);
      }
    } finally {
      await program.stop();
    }
    return [
      {
        what: 'crash of the only worker under load, spare_workers = 1: to the next response',
        figure: `${median(times).toFixed(0)} ms`,
        goal: `<= ${CRASH_GOAL_MS} ms`,
        met: median(times) <= CRASH_GOAL_MS,
        detail: spread(times),
      },
      {
        what: 'the same: failed requests, the most of a crash',
        figure: String(failed),
        goal: `<= ${CLIENTS} in flight`,
        met: failed <= CLIENTS,
        detail: `${CRASHES} crashes`,
      },
    ];
  });
}

async function hups(workers) {
  const port = await freePort();
  return inDirectory({ 'app.js': APP, 'x.ini': iniFile(port) }, async (directory) => {
    const program = await Program.start(serve('x.ini', '-w', String(workers)), { cwd: directory });
    const load = new Load(port);
    try {
      await firstAnswer(port);
      load.start();
      for (let count = 0; count < HUPS; count++) {
        await load.answeredBy(workers);
        load.forget();
        process.kill(program.pid, 'SIGHUP');
      }
      await load.answeredBy(workers);
    } finally {
      await load.stop();
      await program.stop();
    }
    return {
      what: `${HUPS} x HUP under load, ${workers} worker${workers > 1 ? 's' : ''}: failed requests`,
      figure: String(load.failed),
      goal: '0',
      met: load.failed === 0,
      detail: `${load.answered} responses, by ${load.everSeen.size} processes`,
    };
  });
}

/**
 * One request after the other on kept connections, which the server may close after an answer that says so. Now and then
 * a client takes a new one, so that each worker gets some.
 */
class Load {
  failed = 0;
  answered = 0;
  everSeen = new Set();
  /** The time of the first response of the newest process. */
  firstSeenAt = 0;
  #port;
  #former = new Set();
  #stopped = false;
  #clients;

  constructor(port) {
    this.#port = port;
  }

  start() {
    this.#clients = Promise.all(Array.from({ length: CLIENTS }, () => this.#client()));
  }

  /** Counts every process that has responded so far as an old one from now on. */
  forget() {
    this.#former = new Set(this.everSeen);
  }

  /** Waits until this number of new processes have responded. */
  async answeredBy(count) {
    const until = performance.now() + PATIENCE_MS;
    while (this.everSeen.size - this.#former.size < count) {
      if (performance.now() > until)
        throw new Error(`of ${count} workers ${this.everSeen.size - this.#former.size} have answered since the HUP`);
      await sleep(LOOK_MS);
    }
  }

  async stop() {
    this.#stopped = true;
    await this.#clients;
  }

  async #client() {
    let agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let count = 1; !this.#stopped; count++) {
      if (count % REQUESTS_PER_CONNECTION === 0) {
        agent.destroy();
        agent = new Agent({ keepAlive: true, maxSockets: 1 });
      }
      try {
        const { status, body } = await ask(this.#port, { agent, timeout: PATIENCE_MS });
        const [, pid] = /^(\d+) (?:abcdefghij){100}$/.exec(body) ?? [];
        if (status !== 200 || pid === undefined) throw new Error(`${status}: ${body}`);
        if (!this.everSeen.has(pid)) this.firstSeenAt = performance.now();
        this.everSeen.add(pid);
        this.answered++;
      } catch {
        this.failed++;
      }
    }
    agent.destroy();
  }
}
