/** Looks into a worker: a profile, a snapshot of its heap, and a prompt. */
import { closeSync, constants, openSync, unlinkSync, writeSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { errorMessage, RunError } from '../../errors.ts';
import { asUserOf } from '../../files/user-files.ts';
import { printable } from '../../printable.ts';
import type { FoundServer } from '../../process/ipc/control-client.ts';
import type { Inspection } from '../../process/worker/inspection.ts';
import { workingDirectory } from '../../working-directory.ts';
import type { Console } from '../command-line/command.ts';

export interface InspectionOptions {
  readonly seconds: number;
  /** The file to write. */
  readonly output: string | undefined;
}

export function profile(
  server: FoundServer,
  pid: number,
  console: Console,
  { seconds, output }: InspectionOptions,
): Promise<void> {
  return intoFile(server, pid, { method: 'profile', seconds }, output ?? nameOf('profile', pid, 'cpuprofile'), console);
}

export function heap(server: FoundServer, pid: number, console: Console, { output }: InspectionOptions): Promise<void> {
  return intoFile(server, pid, { method: 'heap' }, output ?? nameOf('heap', pid, 'heapsnapshot'), console);
}

function nameOf(what: string, pid: number, extension: string): string {
  return `${what}-${pid}-${new Date()
    .toISOString()
    .replace(/\.\d+Z$/, '')
    .replaceAll(/[-:]/g, '')}.${extension}`;
}

async function intoFile(
  server: FoundServer,
  pid: number,
  what: Inspection,
  output: string,
  console: Console,
): Promise<void> {
  const path = resolve(workingDirectory(), output);
  // Before it takes its time.
  const fd = create(path);
  try {
    await server.ask({ command: 'inspect', pid, what }, (piece: string) => void writeSync(fd, piece));
  } catch (error) {
    asUserOf(path, undefined, () => unlinkSync(path));
    throw error;
  } finally {
    closeSync(fd);
  }
  console.out(printable(relative(workingDirectory(), path)));
}

/**
 * Creates a file that only its user can read, since it has everything that the application knows. Root has the rights of the
 * directory's owner where that is another user. An existing file, or a link, is never written to.
 */
function create(path: string): number {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  try {
    return asUserOf(path, undefined, () => openSync(path, flags, 0o600));
  } catch (cause) {
    throw new RunError(
      'PASTER_OUTPUT',
      `control: cannot write ${relative(workingDirectory(), path)}: ${errorMessage(cause)}`,
      {
        hint: 'name another file with -o',
        cause,
      },
    );
  }
}

/** Evaluates lines of standard input in the worker until the input ends. */
export async function repl(server: FoundServer, pid: number, console: Console): Promise<void> {
  const evaluate = (expression: string): Promise<string> =>
    server.ask({ command: 'inspect', pid, what: { method: 'evaluate', expression } });
  // A worker that cannot be looked into says so before anything is typed.
  await evaluate('process.pid');
  const isTerminal = process.stdin.isTTY === true && console.screen?.isTerminal === true;
  const lines = createInterface({
    input: process.stdin,
    ...(isTerminal ? { output: process.stdout, prompt: `worker ${pid}> ` } : {}),
  });
  if (isTerminal) {
    console.out(`JavaScript in worker ${pid}, which serves meanwhile. Ctrl-D ends.`);
    lines.prompt();
  }
  for await (const line of lines) {
    if (line.trim() !== '') console.out(printable(await evaluate(line)));
    if (isTerminal) lines.prompt();
  }
}
