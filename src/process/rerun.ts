/**
 * The same command line once more, in another process: as the daemon, or as the server that a monitor watches. The
 * child learns what it is from its environment and reports over its channel to whoever started it. Both sides are here.
 */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { outerEnvironment } from '../config/env-file.ts';
import { enterDirectory, inCurrentRelease, workingDirectory } from '../working-directory.ts';
import { argumentsForRerun } from './command-line.ts';
import { packError, type TransferredError } from './error-transfer.ts';
import { isWord } from './messages.ts';

/** What a process is that was started by `rerun`. */
export type Role = 'daemon' | 'monitored' | 'watched';

/** What such a process says, once. */
export type Report =
  /** Connections are accepted; the lines are what the terminal shows then. */
  | { readonly paster: 'listening'; readonly pid: number; readonly lines: readonly string[] }
  | { readonly paster: 'failed'; readonly error: TransferredError };

export interface RerunOptions {
  /** Where standard output and error go. */
  readonly output: number | 'inherit';
  /** In a session of its own, without a terminal. */
  readonly detached: boolean;
}

const VARIABLE = 'PASTER_ROLE';

/** Starts this program again with its own arguments. */
export function rerun(role: Role, { output, detached }: RerunOptions): ChildProcess {
  enterDirectory(workingDirectory());
  const stdio: StdioOptions = ['ignore', output, output, 'ipc'];
  const { args, variables } = argumentsForRerun();
  // Behind "--", Node takes fewer of the arguments for its own.
  return spawn(process.execPath, [...process.execArgv, '--', inCurrentRelease(process.argv[1] ?? ''), ...args], {
    stdio,
    detached,
    // The child reads environment files itself. The parent's pid tells it from a program that inherits the variable.
    env: { ...outerEnvironment(), ...variables, [VARIABLE]: `${role}:${process.pid}` },
    serialization: 'advanced',
  });
}

/** What this process was started as. Takes the variable away, so that no child of this one believes it. */
export function takeRole(): Role | undefined {
  const [role, parent] = (process.env[VARIABLE] ?? '').split(':');
  delete process.env[VARIABLE];
  if (parent !== String(process.ppid) || !process.connected) return undefined;
  return role === 'daemon' || role === 'monitored' || role === 'watched' ? role : undefined;
}

/** Whoever started this process waits no longer. */
export function letGo(): void {
  if (process.connected) process.disconnect?.();
}

/** Tells whoever started this process. Resolves when the message is out, or can never be. */
export function report(message: Report): Promise<void> {
  return new Promise((resolve) => {
    if (!process.connected || !process.send) resolve();
    else process.send(message, undefined, {}, () => resolve());
  });
}

export function reportFailure(error: unknown): Promise<void> {
  return report({ paster: 'failed', error: packError(error) });
}

/** Calls back for each report of a child; what the application may say over the same channel is passed over. */
export function onReport(child: ChildProcess, callback: (message: Report) => void): void {
  child.on('message', (message) => {
    if (isWord<Report>(message) && (message.paster === 'listening' || message.paster === 'failed')) callback(message);
  });
}
