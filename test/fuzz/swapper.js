/**
 * The unprivileged side of the target `files`: swaps what the names in its directory mean, as fast as it can.
 * Arguments: its own directory, a directory of root's with a file `kept`, and the names.
 */
import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const NOBODY = 65_534;
const [directory, outside, ...names] = process.argv.slice(2);
process.setgroups([NOBODY]);
process.setgid(NOBODY);
process.setuid(NOBODY);

const inside = join(directory, 'log');
const aside = join(directory, 'aside');
const fifo = join(directory, 'fifo');
execFileSync('mkfifo', [fifo]);

function attempt(work) {
  try {
    work();
  } catch {
    // Root's side was quicker, or the system forbids it.
  }
}

const SWAPS = [
  (path) => symlinkSync(join(outside, 'kept'), path),
  (path) => symlinkSync(join(outside, 'new'), path),
  (path) => symlinkSync('/dev/zero', path),
  (path) => linkSync(join(outside, 'kept'), path),
  (path) => linkSync(fifo, path),
  (path) => mkdirSync(path),
  (path) => writeFileSync(path, '1\n'),
  (path) => renameSync(path, `${path}.1`),
];

const pick = (all) => all[Math.floor(Math.random() * all.length)];

// An orphan would go on for ever.
const parent = process.ppid;
process.stdout.write('ready\n');
while (process.ppid === parent) {
  const path = join(inside, pick(names));
  attempt(() => unlinkSync(path));
  attempt(() => rmSync(path, { recursive: true, force: true }));
  attempt(() => pick(SWAPS)(path));
  if (Math.random() < 0.1) {
    attempt(() => renameSync(inside, aside));
    attempt(() => symlinkSync(outside, inside));
    attempt(() => unlinkSync(inside));
    attempt(() => renameSync(aside, inside));
  }
}
