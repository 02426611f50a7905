/**
 * Starts this program again with the same arguments: as the daemon, as the server that a monitor watches, or isolated. The
 * child learns from its environment what it is, and reports to its parent over the channel between them.
 */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { outerEnvironment } from '../../config/env-file.ts';
import { enterDirectory, inCurrentRelease, workingDirectory } from '../../working-directory.ts';
import { packError, type TransferredError } from '../ipc/error-transfer.ts';
import { isPasterMessage } from '../ipc/messages.ts';
import { argumentsForChild } from './command-line.ts';

/** What a child is, and what its parent has decided for it. */
export interface Role {
  readonly name: 'daemon' | 'monitored' | 'isolated';
  /** The files of a server. The child does not look for the default ones again: there may be a `var/` by now. */
  readonly files?: ServerFiles;
  /** The modules that an isolated run does not import. */
  readonly skipped?: readonly string[];
}

export interface ServerFiles {
  readonly pidFile?: string | undefined;
  readonly logFile?: string | undefined;
}

/** What a child reports, once. */
export type Report =
  /** Connections are accepted; `lines` are for the terminal. */
  | { readonly paster: 'listening'; readonly pid: number; readonly lines: readonly string[] }
  | { readonly paster: 'failed'; readonly error: TransferredError };

export interface SpawnSelfOptions {
  /** Where standard output and error go. */
  readonly output: number | 'inherit';
  /** In a session of its own, without a terminal. */
  readonly detached: boolean;
}

/** Holds a role as JSON, with the parent's pid, which tells its child from a program that inherits the variable. */
const VARIABLE = 'PASTER_ROLE';

/** Starts this program again with its own arguments. */
export function spawnSelf(role: Role, { output, detached }: SpawnSelfOptions): ChildProcess {
  enterDirectory(workingDirectory());
  const stdio: StdioOptions = ['ignore', output, output, 'ipc'];
  const { args, variables } = argumentsForChild();
  // Behind "--", Node takes fewer of the arguments for its own.
  return spawn(process.execPath, [...process.execArgv, '--', inCurrentRelease(process.argv[1] ?? ''), ...args], {
    stdio,
    detached,
    // The child reads environment files itself.
    env: { ...outerEnvironment(), ...variables, [VARIABLE]: JSON.stringify({ ...role, parent: process.pid }) },
    serialization: 'advanced',
  });
}

/** What this process was started as. Removes the variable, so that no child of this process believes it. */
export function takeRole(): Role | undefined {
  const text = process.env[VARIABLE];
  delete process.env[VARIABLE];
  if (text === undefined || !process.connected) return undefined;
  try {
    const { parent, ...role } = JSON.parse(text) as Role & { readonly parent: number };
    return parent === process.ppid ? role : undefined;
  } catch {
    return undefined;
  }
}

/** Lets the parent end: it waits no longer. */
export function releaseParent(): void {
  if (process.connected) process.disconnect?.();
}

/** Resolves when the message is sent, or can never be sent. */
export function reportToParent(message: Report): Promise<void> {
  return new Promise((resolve) => {
    if (!process.connected || !process.send) resolve();
    else process.send(message, undefined, {}, () => resolve());
  });
}

export function reportFailure(error: unknown): Promise<void> {
  return reportToParent({ paster: 'failed', error: packError(error) });
}

/** Calls back for each report of a child. Messages of the application on the same channel are ignored. */
export function onReport(child: ChildProcess, callback: (message: Report) => void): void {
  child.on('message', (message) => {
    if (!isPasterMessage<Report>(message)) return;
    if (message.paster === 'listening' || message.paster === 'failed') callback(message);
  });
}
