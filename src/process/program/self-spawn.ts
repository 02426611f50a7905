/**
 * Starts this program again with the same arguments: as the daemon, as the server that a monitor watches, or isolated. The
 * child learns from its environment what it is, and reports to its parent over the channel between them.
 */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { outerEnvironment } from '../../config/env-file.ts';
import { RunError } from '../../errors.ts';
import { enterDirectory, inCurrentRelease, workingDirectory } from '../../working-directory.ts';
import { packError, type TransferredError } from '../ipc/error-transfer.ts';
import { isPasterMessage } from '../ipc/messages.ts';
import type { Inheritance } from '../upgrade/inheritance.ts';
import { argumentsForChild } from './command-line.ts';

/** What a child is, and what its parent has decided for it. */
export interface Role {
  readonly name: 'daemon' | 'monitored' | 'isolated' | 'successor';
  /** The files of a server. The child does not look for the default ones again: there may be a `var/` by now. */
  readonly files?: ServerFiles;
  /** The modules that an isolated run does not import. */
  readonly skipped?: readonly string[];
  /** What a successor takes over. */
  readonly inheritance?: Inheritance;
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

/** A Node and a paster. */
export interface Program {
  readonly node: string;
  readonly script: string;
}

/** What is different for a successor. */
export interface SpawnOtherOptions {
  readonly program: Program;
  /** What the child gets behind the standard descriptors. */
  readonly inherited: readonly (number | 'pipe')[];
  /** The working directory. Default: that of this process. */
  readonly directory: string | undefined;
  /** Without the configured variables. */
  readonly env: NodeJS.ProcessEnv;
}

/** Holds a role as JSON, with the parent's pid, which tells its child from a program that inherits the variable. */
const VARIABLE = 'PASTER_ROLE';

/** Starts this program again with its own arguments. */
export function spawnSelf(role: Role, options: SpawnSelfOptions): ChildProcess {
  enterDirectory(workingDirectory());
  const program = { node: process.execPath, script: inCurrentRelease(process.argv[1] ?? '') };
  // The child reads environment files itself.
  return spawnProgram(role, options, { program, inherited: [], directory: undefined, env: outerEnvironment() });
}

/** Starts another program with the arguments of this one. */
export function spawnProgram(
  role: Role,
  { output, detached }: SpawnSelfOptions,
  { program, inherited, directory, env }: SpawnOtherOptions,
): ChildProcess {
  const stdio: StdioOptions = ['ignore', output, output, ...inherited, 'ipc'];
  const { args, variables } = argumentsForChild();
  // Behind "--", Node takes fewer of the arguments for its own.
  return spawn(program.node, [...process.execArgv, '--', program.script, ...args], {
    stdio,
    detached,
    cwd: directory,
    env: { ...env, ...variables, [VARIABLE]: JSON.stringify({ ...role, parent: process.pid }) },
    // Every version of Node understands it.
    serialization: 'json',
  });
}

/**
 * The role that this process was started with. Removes the variable, so that no child of this process takes the role for its
 * own.
 * @throws RunError if the process that it should take over from has ended: it must not serve beside others
 */
export function takeRole(): Role | undefined {
  const { parent, ...role } = parseRole(process.env[VARIABLE]) ?? {};
  delete process.env[VARIABLE];
  if (process.connected && parent === process.ppid) return role as Role;
  if (role.name === 'successor') throw predecessorGone(parent);
  return undefined;
}

function parseRole(text: string | undefined): Partial<Role & { readonly parent: number }> | undefined {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function predecessorGone(pid: number | undefined): RunError {
  return new RunError('PASTER_UPGRADE', `process ${pid} ended before this one could take over from it`);
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

export function reportFailureToParent(error: unknown): Promise<void> {
  return reportToParent({ paster: 'failed', error: packError(error) });
}

/** Calls back for each report of a child. Messages of the application on the same channel are ignored. */
export function onReport(child: ChildProcess, callback: (message: Report) => void): void {
  child.on('message', (message) => {
    if (!isPasterMessage<Report>(message)) return;
    if (message.paster === 'listening' || message.paster === 'failed') callback(message);
  });
}
