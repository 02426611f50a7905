/** Inspects a worker: writes a profile or a snapshot of its heap to a file, or evaluates expressions in it. */
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
  const file = output ?? defaultName('profile', pid, 'cpuprofile');
  return inspectIntoFile(server, pid, { method: 'profile', seconds }, file, console);
}

export function heap(server: FoundServer, pid: number, console: Console, { output }: InspectionOptions): Promise<void> {
  return inspectIntoFile(server, pid, { method: 'heap' }, output ?? defaultName('heap', pid, 'heapsnapshot'), console);
}

function defaultName(what: string, pid: number, extension: string): string {
  return `${what}-${pid}-${new Date()
    .toISOString()
    .replace(/\.\d+Z$/, '')
    .replaceAll(/[-:]/g, '')}.${extension}`;
}

async function inspectIntoFile(
  server: FoundServer,
  pid: number,
  what: Inspection,
  output: string,
  console: Console,
): Promise<void> {
  const path = resolve(workingDirectory(), output);
  // First, so that an existing file is reported before the inspection, which may take minutes.
  const fd = createPrivateFile(path);
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
 * Creates a file that only this user can read, since a snapshot contains all data of the application. In a directory of another
 * user, root creates it with that user's rights. An existing file, or a link, is never written to.
 */
function createPrivateFile(path: string): number {
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
  // Fails before the user types anything if the worker cannot be inspected.
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
