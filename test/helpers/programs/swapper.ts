/**
 * An attacker: a program of an ordinary user that keeps replacing what is in a directory by links to a file of root and by
 * other files, while root works there.
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
import { fileURLToPath } from 'node:url';

export const NOBODY = 65534;
export const SECRET = 'of root alone\n';

const PROGRAM = fileURLToPath(new URL('swapper.js', import.meta.url));

export interface Swapped {
  /** The attacker's directory, whose entries the attacker keeps replacing. */
  readonly directory: string;
  /** What the attacker has changed although only root may change it, and whether the attacker has ended by itself. */
  harm(): string[];
  stop(): Promise<void>;
}

/** Only for root. @param names to replace. Default: those in the directory. */
export async function swapFiles(names: readonly string[] = []): Promise<Swapped> {
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
  const child = spawn(process.execPath, [PROGRAM, directory, victim, ...names], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  const { ino } = statSync(victim);
  return {
    directory,
    harm() {
      const { uid, gid, mode, ino: current } = statSync(victim);
      return [
        ...(child.exitCode === null ? [] : ['the attacker has ended']),
        ...(current === ino ? [] : ['it is another file']),
        ...(uid !== 0 || gid !== 0 || (mode & 0o7777) !== 0o600 ? [`it is ${uid}:${gid} ${mode.toString(8)}`] : []),
        ...(readFileSync(victim, 'utf8') === SECRET ? [] : ['it has another content']),
        ...readdirSync(other).flatMap((name) => (name === 'victim' ? [] : [`${name} was made`])),
      ];
    },
    async stop() {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
      rmSync(root, { recursive: true, force: true });
    },
  };
}
