/**
 * Files in a directory of an unprivileged user, who swaps them while a process of root's opens, rotates and reopens them.
 * Nothing outside that directory may be created, changed, or given to another user, and nothing may block. The other side
 * runs at its own pace, so a seed repeats only what root does.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LineFile } from '../../src/logging/line-file.ts';
import { rotate, SizeRotation } from '../../src/logging/rotation.ts';
import { LogFile } from '../../src/process/logfile.ts';
import { type FileUser, openToRead, writeText } from '../../src/user-files.ts';
import type { Random } from './random.ts';
import { must, type Target } from './target.ts';

const NOBODY: FileUser = { uid: 65_534, gid: 65_534, groups: [65_534] };
const ROUNDS = 20;

/** Work that root does on names in the user's directory. */
interface Work {
  readonly names: readonly string[];
  /** @throws Error where the user keeps it from being done, which is the user's right. */
  run(directory: string, random: Random): void;
}

const WORKS: readonly Work[] = [
  {
    names: ['a.log', 'a.log.1', 'a.log.lock'],
    run(directory, random) {
      const rotation = new SizeRotation(100, 2);
      const file: LineFile = new LineFile(join(directory, 'a.log'), {
        user: random.chance(0.8) ? NOBODY : undefined,
        truncate: random.chance(0.2),
        delay: random.chance(0.5),
        room: () => rotation.room(file),
        beforeWrite: (length) => rotate(file, rotation, length),
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
      const file = new LogFile(join(directory, 'own.log'), random.chance(0.8) ? NOBODY : undefined);
      for (let round = 0; round < ROUNDS; round++) {
        file.write('a line\n');
        attempt(() => file.reopen());
        must(!file.textSince(0).includes('secret'), 'a file of root’s was read');
      }
      closeSync(file.fd);
    },
  },
  {
    names: ['whole'],
    run(directory) {
      const path = join(directory, 'whole');
      attempt(() => writeText(path, 'text', { truncate: true }));
      closeSync(openToRead(path, NOBODY));
    },
  },
];

export const files: Target = {
  name: 'files',
  async start() {
    const root = mkdtempSync(join(tmpdir(), 'paster-fuzz-'));
    const [outside, theirs] = [join(root, 'outside'), join(root, 'theirs')];
    for (const directory of [outside, theirs, join(theirs, 'log')]) mkdirSync(directory);
    writeFileSync(join(outside, 'kept'), 'secret\n', { mode: 0o600 });
    for (const directory of [root, outside]) chmodSync(directory, 0o755);
    for (const directory of [theirs, join(theirs, 'log')]) chownSync(directory, NOBODY.uid, NOBODY.gid);
    const before = stateOf(outside);
    const script = fileURLToPath(new URL('swapper.js', import.meta.url));
    const names = WORKS.flatMap((work) => work.names);
    const swapper = spawn(process.execPath, [script, theirs, outside, ...names], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(swapper.stdout, 'data');
    return {
      async run(random) {
        const work = random.pick(WORKS);
        quietly(() => attempt(() => work.run(join(theirs, 'log'), random)));
        must(stateOf(outside) === before, 'a file outside was changed');
        must(process.geteuid?.() === 0 && process.getegid?.() === 0, 'root’s rights were not taken back');
        must(swapper.exitCode === null, 'the other side has ended');
      },
      async stop() {
        const ended = once(swapper, 'exit');
        swapper.kill('SIGKILL');
        await ended;
        rmSync(root, { recursive: true, force: true });
      },
    };
  },
};

/** A failed check goes through; what the other side has prevented does not. */
function attempt(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (error instanceof Error && /^a file of root/.test(error.message)) throw error;
  }
}

/** Keeps the messages about files that cannot be written from standard error. */
function quietly(work: () => void): void {
  const { write } = process.stderr;
  process.stderr.write = () => true;
  try {
    work();
  } finally {
    process.stderr.write = write;
  }
}

function stateOf(directory: string): string {
  const names = readdirSync(directory).sort();
  return JSON.stringify(
    names.map((name) => {
      const path = join(directory, name);
      const { ino, uid, gid, mode, nlink } = lstatSync(path);
      return [name, ino, uid, gid, mode, nlink, readFileSync(path, 'utf8')];
    }),
  );
}
