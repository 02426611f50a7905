/** Saving a file under load: the time until the first response of the new version, and the number of failed requests. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, Program } from '../measure/program.js';
import { median, roundsOf, spread, takeTurns } from '../measure/rounds.js';
import { ask, firstAnswer } from './ask.js';
import { findReloaders } from './reloaders.js';
import { inDirectory } from './site.js';

const ROUNDS = roundsOf(4);
const EDITS = 5;
const CLIENTS = 2;
const REST_MS = 5;
/** The most requests that a client sends in a round. */
const MOST = 10_000;
/** The pause after a start, and the shortest pause between a response and the next edit. */
const SETTLE_MS = 1000;
const BETWEEN_MS = 400;
const PATIENCE_MS = 10_000;
const GOAL_MS = 60;
const CHART = 'From saving a file to the first new response';

/** @returns {Promise<import('../report/table.js').Row[]>} */
export function reloading() {
  return inDirectory({}, async (directory) => {
    const port = await freePort();
    const { reloaders, leftOut } = findReloaders(directory, port);
    const turns = reloaders.map((reloader, index) => {
      let round = 0;
      return [reloader.name, () => edit(reloader, join(directory, `${index}-${round++}`), port)];
    });
    const found = await takeTurns(Object.fromEntries(turns), ROUNDS);
    const rows = Object.entries(found).flatMap(([name, rounds]) => rowsOf(name, rounds));
    return [
      ...rows,
      { what: 'left out', figure: leftOut.join(', ') || 'nothing', goal: '', met: undefined, detail: '' },
    ];
  });
}

function rowsOf(name, rounds) {
  const times = rounds.flatMap((round) => round.times);
  const [failed, answered] = ['failed', 'answered'].map((key) => rounds.reduce((sum, round) => sum + round[key], 0));
  const ours = name.startsWith('paster');
  const all = times.length === ROUNDS * EDITS;
  return [
    {
      what: `${ours ? '' : '  '}${name}: from saving to the first new response`,
      figure: all ? `${median(times).toFixed(0)} ms` : `${times.length} of ${ROUNDS * EDITS} edits`,
      goal: ours ? `<= ${GOAL_MS} ms` : '',
      met: ours ? all && median(times) <= GOAL_MS : undefined,
      detail: times.length > 0 ? spread(times) : '',
      ...(all ? { bars: [{ title: CHART, label: name, value: median(times), unit: 'ms' }] } : {}),
    },
    {
      what: `${ours ? '' : '  '}${name}: failed requests`,
      figure: String(failed),
      goal: ours ? '0' : '',
      met: ours ? failed === 0 : undefined,
      detail: `${answered} responses`,
    },
  ];
}

/** Starts a reloader and saves some versions one after the other. A version that never responds has no time. */
async function edit({ command, files, edited, source, between = BETWEEN_MS }, directory, port) {
  mkdirSync(directory);
  const save = (version) => writeFileSync(join(directory, edited), source(answerOf(version)));
  for (const [name, text] of Object.entries({ 'package.json': '{"type": "module"}\n', ...files })) {
    writeFileSync(join(directory, name), text);
  }
  save(0);
  // Python recognizes a changed module by the second of its change and its size, and a save may change neither.
  const env = { PYTHONDONTWRITEBYTECODE: '1', PYTHONPATH: directory };
  const program = await Program.start(command, { cwd: directory, env });
  try {
    await firstAnswer(port);
    await sleep(SETTLE_MS);
    const load = new Load(port);
    const times = [];
    for (let version = 1; version <= EDITS; version++) {
      const seen = load.expect(version);
      const saved = performance.now();
      save(version);
      const when = await Promise.race([seen, sleep(PATIENCE_MS)]);
      if (when !== undefined) times.push(when - saved);
      // A varying pause, so that it does not fall into step with a tool that polls.
      await sleep(between * (1 + version / EDITS));
    }
    const { failed, answered } = await load.stop();
    return { times, failed, answered };
  } finally {
    await program.stop();
  }
}

/** Sends each request on a new connection, and checks every byte of every response. */
class Load {
  #expected = 0;
  #failed = 0;
  #answered = 0;
  #stopped = false;
  #seen = (_when) => {};
  #clients;

  constructor(port) {
    this.#clients = Promise.all(Array.from({ length: CLIENTS }, () => this.#client(port)));
  }

  /** Resolves with the time of the first answer of that version, which is about to be saved. */
  expect(version) {
    this.#expected = version;
    return new Promise((resolve) => {
      this.#seen = resolve;
    });
  }

  async stop() {
    this.#stopped = true;
    await this.#clients;
    return { failed: this.#failed, answered: this.#answered };
  }

  async #client(port) {
    for (let count = 0; count < MOST && !this.#stopped; count++) {
      const oldest = this.#expected - 1;
      try {
        const { status, body } = await ask(port, { timeout: PATIENCE_MS });
        const isNew = body === answerOf(this.#expected);
        if (status !== 200 || !(isNew || body === answerOf(this.#expected - 1) || body === answerOf(oldest))) {
          throw new Error(`${status}: ${body}`);
        }
        this.#answered++;
        if (isNew) this.#seen(performance.now());
      } catch {
        this.#failed++;
      }
      await sleep(REST_MS);
    }
  }
}

function answerOf(version) {
  return `v${version} ${'abcdefghij'.repeat(100)}`;
}
