/** Runs `paster` for the pictures: a command until it ends, a server until it is stopped. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const PASTER = join(ROOT, 'bin/paster.js');

/** The pictures show nothing of the environment of the person who records them. */
const ENV = { PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', LANG: 'C.UTF-8' };

/** @returns what the command printed */
export function run(args: readonly string[], cwd: string): string {
  return execFileSync(process.execPath, [PASTER, ...args], { cwd, env: ENV, encoding: 'utf8' });
}

/** Serves until `use` has ended. What the server prints goes to `log`. */
export async function whileServing(
  args: readonly string[],
  { cwd, port, log }: { cwd: string; port: number; log: string },
  use: (url: string) => Promise<void>,
): Promise<void> {
  const output = openSync(log, 'a');
  const child = spawn(process.execPath, [PASTER, 'serve', ...args, `http_port=${port}`], {
    cwd,
    env: ENV,
    stdio: ['ignore', output, output],
  });
  const ended = once(child, 'exit');
  try {
    const url = `http://127.0.0.1:${port}`;
    const deadline = Date.now() + 60_000;
    while (!(await responds(url))) {
      if (child.exitCode !== null || Date.now() > deadline)
        throw new Error(`${args.join(' ')} does not serve; see ${log}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await use(url);
  } finally {
    child.kill('SIGINT');
    await ended;
  }
}

async function responds(url: string): Promise<boolean> {
  try {
    await (await fetch(url)).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
