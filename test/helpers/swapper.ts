/**
 * An attacker: a program of an ordinary user that keeps replacing what is in a directory by links to a file of root's,
 * while root works there.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const NOBODY = 65534;
const AS_NOBODY = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--'];
const SECRET = 'of root alone\n';

/** Swaps the directory itself as well: it is moved away, and a link to the other one takes its name. */
const SWAP = `
const { renameSync, symlinkSync, linkSync, unlinkSync, readdirSync } = require('node:fs');
const [directory, victim, other] = process.argv.slice(1);
const attempt = (work) => { try { work(); } catch {} };
process.stdout.write('swapping');
// An orphan would go on for ever.
const parent = process.ppid;
for (let turn = 0; process.ppid === parent; turn++) {
  let names = [];
  attempt(() => { names = readdirSync(directory); });
  for (const name of names) {
    const path = directory + '/' + name;
    attempt(() => renameSync(path, directory + '/away'));
    attempt(() => (turn % 3 === 0 ? linkSync : symlinkSync)(victim, path));
    if (turn % 2 === 0) attempt(() => { unlinkSync(path); renameSync(directory + '/away', path); });
  }
  if (turn % 5 !== 0) continue;
  attempt(() => renameSync(directory, directory + '.away'));
  attempt(() => symlinkSync(other, directory));
  attempt(() => unlinkSync(directory));
  attempt(() => renameSync(directory + '.away', directory));
}`;

export interface Swapped {
  /** Of the attacker, in a directory of the attacker's. */
  readonly directory: string;
  /** What the attacker has changed that only root may change. */
  harm(): string[];
  stop(): Promise<void>;
}

/** Only for root. */
export async function swapFiles(): Promise<Swapped> {
  const root = mkdtempSync(join(tmpdir(), 'paster-'));
  chmodSync(root, 0o755);
  const home = join(root, 'home');
  const directory = join(home, 'run');
  const other = join(root, 'other');
  const victim = join(other, 'victim');
  mkdirSync(other);
  for (const each of [home, directory]) {
    mkdirSync(each);
    chownSync(each, NOBODY, NOBODY);
  }
  writeFileSync(victim, SECRET, { mode: 0o600 });
  const child = spawn('setpriv', [...AS_NOBODY, process.execPath, '--eval', SWAP, directory, victim, other], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return {
    directory,
    harm() {
      const { uid, gid, mode } = statSync(victim);
      return [
        ...(uid !== 0 || gid !== 0 || (mode & 0o7777) !== 0o600 ? [`it is ${uid}:${gid} ${mode.toString(8)}`] : []),
        ...(readFileSync(victim, 'utf8') === SECRET ? [] : ['it has another content']),
        ...readdirSync(other).flatMap((name) => (name === 'victim' ? [] : [`${name} was made`])),
      ];
    },
    async stop() {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
      rmSync(root, { recursive: true });
    },
  };
}
