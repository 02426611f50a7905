/**
 * The attacker of swapper.ts: as an ordinary user, replaces what is in its directory by links and other files as fast as it
 * can, and sometimes the directory itself by a link to the directory of a file of root.
 * Arguments: its directory, the file of root, and the names to replace. Default: the names that it finds.
 */
import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const NOBODY = 65_534;
const [directory, victim, ...names] = process.argv.slice(2);
process.setgroups([NOBODY]);
process.setgid(NOBODY);
process.setuid(NOBODY);

const other = dirname(victim);
const [away, kept, fifo] = ['away', 'kept', 'fifo'].map((name) => `${directory}.${name}`);
execFileSync('mkfifo', [fifo]);

function attempt(work) {
  try {
    work();
  } catch {
    // Root was faster, or the system forbids it.
  }
}

const SWAPS = [
  (path) => symlinkSync(victim, path),
  (path) => symlinkSync(join(other, 'new'), path),
  (path) => symlinkSync('/dev/zero', path),
  (path) => linkSync(victim, path),
  (path) => linkSync(fifo, path),
  (path) => mkdirSync(path),
  (path) => writeFileSync(path, '1\n'),
  (path) => renameSync(kept, `${path.replace(/\.1$/, '')}.1`),
];

const pick = (all) => all[Math.floor(Math.random() * all.length)];

function found() {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

// An orphan would run forever.
const parent = process.ppid;
process.stdout.write('swapping\n');
while (process.ppid === parent) {
  const name = pick(names.length > 0 ? names : found());
  if (name !== undefined) {
    const path = join(directory, name);
    rmSync(kept, { recursive: true, force: true });
    attempt(() => renameSync(path, kept));
    attempt(() => pick(SWAPS)(path));
    if (Math.random() < 0.5) {
      attempt(() => rmSync(path, { recursive: true, force: true }));
      attempt(() => renameSync(kept, path));
    }
  }
  if (Math.random() < 0.1) {
    attempt(() => renameSync(directory, away));
    attempt(() => symlinkSync(other, directory));
    attempt(() => unlinkSync(directory));
    attempt(() => renameSync(away, directory));
  }
}
