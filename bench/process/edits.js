/** Saves a module of an application that imports packages, again and again, and waits for each new version. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { memoryOf, Program } from '../program.js';
import { ask, firstAnswer } from './ask.js';

const EDITS = 5;
const BETWEEN_MS = 3000;
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
 * @returns {Promise<{ times: number[], failed: number, memory: Record<string, number>[] }>} milliseconds from each save to the first
 *   new response; for each version, the resident MiB of paster's worker and of its spare one
 */
export async function saveEdits(command, port, file) {
  const save = (version) => writeFileSync(file, `export const text = 'v${version}.';\n`);
  save(0);
  const directory = dirname(file).replace(/\/src$/, '');
  const program = await Program.start(command, { cwd: directory, env: {} });
  try {
    await firstAnswer(port);
    const times = [];
    const memory = [];
    let failed = 0;
    for (let version = 1; version <= EDITS; version++) {
      await sleep(BETWEEN_MS);
      // The first worker has imported all by itself.
      if (version > 1) memory.push(memoryOfWorkers(program));
      const saved = performance.now();
      save(version);
      for (;;) {
        const body = await ask(port, { timeout: PATIENCE_MS }).then(
          (answer) => answer.body,
          () => undefined,
        );
        if (body === undefined) failed++;
        if (body === `v${version}.`) break;
        if (performance.now() - saved > PATIENCE_MS) throw new Error(`${command.join(' ')}: no new version`);
        await sleep(2);
      }
      times.push(performance.now() - saved);
    }
    await sleep(BETWEEN_MS);
    memory.push(memoryOfWorkers(program));
    return { times, failed, memory };
  } finally {
    await program.stop();
  }
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
