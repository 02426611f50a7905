/** Saves a module of an application that imports packages, again and again, and waits for each new version. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { memoryOf, Program } from '../measure/program.js';
import { ask, firstAnswer } from './ask.js';

const EDITS = 5;
/** Long enough for paster to import the packages ahead in the next spare worker. */
const BETWEEN_MS = 3000;
const PAIR_MS = 60;
const PATIENCE_MS = 20_000;
const MIB = 2 ** 20;

/**
 * @param {string} name of the directory in the user's cache that they are installed into once
 * @param {Record<string, string>} packages their versions
 * @returns {string | undefined} their node_modules
 */
export function installed(name, packages) {
  const home = join(homedir(), '.cache', name);
  const modules = join(home, 'node_modules');
  if (existsSync(join(home, 'complete'))) return modules;
  mkdirSync(home, { recursive: true });
  writeFileSync(join(home, 'package.json'), JSON.stringify({ private: true, dependencies: packages }));
  const options = ['--no-audit', '--no-fund', '--ignore-scripts'];
  const { status } = spawnSync('npm', ['install', '--prefix', home, ...options], { stdio: 'ignore' });
  if (status !== 0) return undefined;
  writeFileSync(join(home, 'complete'), '');
  return modules;
}

/**
 * Starts a program whose application responds with the text that a module exports, and saves that module.
 *
 * @param {string[]} command run in the directory above the module, or above its src/
 * @param {number} port
 * @param {string} file the module
 * @param {{ hurries?: boolean }} options whether it also saves twice within 60 ms, and right after a new version has responded
 * @returns {Promise<{ times: number[], second?: number, next?: number, failed: number, memory: Record<string, number>[] }>}
 *   milliseconds from each save to the first new response, from the second of two saves within 60 ms, and from the save right after
 *   a new version; for each version, the resident MiB of paster's worker and of its spare one
 */
export async function saveEdits(command, port, file, { hurries = false } = {}) {
  const save = (version) => writeFileSync(file, `export const text = 'v${version}.';\n`);
  save(0);
  const directory = dirname(file).replace(/\/src$/, '');
  const program = await Program.start(command, { cwd: directory, env: {} });
  try {
    await firstAnswer(port);
    let failed = 0;
    /** Milliseconds until a response has the version. */
    const shown = async (version) => {
      const saved = performance.now();
      save(version);
      for (;;) {
        const body = await ask(port, { timeout: PATIENCE_MS }).then(
          (answer) => answer.body,
          () => undefined,
        );
        if (body === undefined) failed++;
        if (body === `v${version}.`) return performance.now() - saved;
        if (performance.now() - saved > PATIENCE_MS) throw new Error(`${command.join(' ')}: no new version`);
        await sleep(2);
      }
    };
    const times = [];
    const memory = [];
    for (let version = 1; version <= EDITS; version++) {
      await sleep(BETWEEN_MS);
      // The first worker has imported all by itself.
      if (version > 1) memory.push(memoryOfWorkers(program));
      times.push(await shown(version));
    }
    await sleep(BETWEEN_MS);
    memory.push(memoryOfWorkers(program));
    const { second, next } = hurries ? await hurried(save, shown) : {};
    return { times, second, next, failed, memory };
  } finally {
    await program.stop();
  }
}

async function hurried(save, shown) {
  save(EDITS + 1);
  await sleep(PAIR_MS);
  const second = await shown(EDITS + 2);
  return { second, next: await shown(EDITS + 3) };
}

function memoryOfWorkers(program) {
  const found = program.children().flatMap((pid) => {
    const [, kind] = /^paster: (spare worker|worker)\b/.exec(readFileSync(`/proc/${pid}/cmdline`, 'utf8')) ?? [];
    return kind === undefined ? [] : [[kind, memoryOf(pid).now / MIB]];
  });
  return Object.fromEntries(found);
}

/** A row for the ratio of paster to another program. */
export function ratioRow(name, ratio, goal) {
  return {
    what: `the same, paster / ${name}`,
    figure: ratio.toFixed(2),
    goal: `<= ${goal}`,
    met: ratio <= goal,
    detail: '',
  };
}
