/**
 * Files in a directory of an unprivileged user, who replaces them while a process of root opens, rotates and reopens them.
 * Nothing outside that directory may be created, changed, or given to another user, and nothing may block. The other user's process
 * runs at its own speed, so a seed repeats only what root does.
 */
import { closeSync } from 'node:fs';
import { join } from 'node:path';
import { type FileUser, openToRead, writeText } from '../../../src/files/user-files.ts';
import { LineFile } from '../../../src/logging/output/line-file.ts';
import { rotateIfDue, SizeRotation } from '../../../src/logging/output/rotation.ts';
import { LogFile } from '../../../src/process/daemon/logfile.ts';
import { NOBODY, SECRET, swapFiles } from '../../helpers/programs/swapper.ts';
import type { Random } from '../random.ts';
import { must, type Target } from '../target.ts';

const USER: FileUser = { uid: NOBODY, gid: NOBODY, groups: [NOBODY] };
const ROUNDS = 20;

/** What root does with names in the user's directory. */
interface Work {
  readonly names: readonly string[];
  /** @throws Error if the user prevents it, which the user may do. */
  run(directory: string, random: Random): void;
}

const WORKS: readonly Work[] = [
  {
    names: ['a.log', 'a.log.1', 'a.log.lock'],
    run(directory, random) {
      const rotation = new SizeRotation(100, 2);
      const file: LineFile = new LineFile(join(directory, 'a.log'), {
        user: random.chance(0.8) ? USER : undefined,
        truncate: random.chance(0.2),
        delay: random.chance(0.5),
        room: () => rotation.room(file),
        beforeWrite: (length) => rotateIfDue(file, rotation, length),
      });
      try {
        for (let round = 0; round < ROUNDS; round++) {
          file.add('x'.repeat(random.below(80)), Date.now());
          file.flush();
          if (random.chance(0.3)) attempt(() => file.reopen());
        }
      } finally {
        file.close();
      }
    },
  },
  {
    names: ['own.log'],
    run(directory, random) {
      const file = new LogFile(join(directory, 'own.log'), random.chance(0.8) ? USER : undefined);
      for (let round = 0; round < ROUNDS; round++) {
        file.write('a line\n');
        attempt(() => file.reopen());
        must(!file.textSince(0).includes(SECRET), 'a file of root’s was read');
      }
      closeSync(file.fd);
    },
  },
  {
    names: ['whole'],
    run(directory) {
      const path = join(directory, 'whole');
      attempt(() => writeText(path, 'text', { truncate: true }));
      closeSync(openToRead(path, USER));
    },
  },
];

export const files: Target = {
  name: 'files',
  async start() {
    const swapped = await swapFiles(WORKS.flatMap(({ names }) => names));
    return {
      async run(random) {
        const work = random.pick(WORKS);
        quietly(() => attempt(() => work.run(swapped.directory, random)));
        const harm = swapped.harm();
        must(harm.length === 0, `another user has changed what is root's: ${harm.join(', ')}`);
        must(process.geteuid?.() === 0 && process.getegid?.() === 0, 'root’s rights were not taken back');
      },
      stop: () => swapped.stop(),
    };
  },
};

/** Rethrows a failed check, and ignores what the other user has prevented. */
function attempt(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (error instanceof Error && /^a file of root/.test(error.message)) throw error;
  }
}

/** Keeps messages about files that cannot be written off standard error. */
function quietly(work: () => void): void {
  const { write } = process.stderr;
  process.stderr.write = () => true;
  try {
    work();
  } finally {
    process.stderr.write = write;
  }
}
