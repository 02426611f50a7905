/**
 * The pid file: says which process serves, in a way that can be checked. Its first line is the pid, for scripts; its
 * second line tells when that process was started, so that a number which now belongs to somebody else is noticed; the
 * third, how many seconds it may take to stop. A file without the second line (written by another program) is never
 * believed to be ours.
 */
import { execFileSync } from 'node:child_process';
import {
  accessSync,
  constants,
  linkSync,
  lstatSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { errorCode, errorMessage, RunError } from '../errors.ts';

/** What a pid file says, checked. */
export type PidState =
  | { readonly state: 'absent' }
  /** The process is there and is the one that wrote the file. */
  | RunningServer
  /** Nobody, or somebody else, has that number now. */
  | { readonly state: 'stale'; readonly pid: number | undefined };

export interface RunningServer {
  readonly state: 'running';
  readonly pid: number;
  /** When it was started: with the pid, its identity. */
  readonly start: string;
  /** Seconds that it may take to stop gracefully. */
  readonly graceful: number;
}

export interface PidFile {
  /** Removes it, if it is still this process's. */
  remove(): void;
}

const DEFAULT_GRACEFUL_S = 30;
const MAX_TRIES = 20;

/**
 * Finds out before anything is started whether `writePidFile` is going to work.
 * @throws RunError as `writePidFile` does; nothing is written.
 */
export function checkPidFile(file: string): void {
  try {
    // A rename would replace a symbolic link, and could replace somebody's file.
    const found = lstatSync(file, { throwIfNoEntry: false });
    if (found && !found.isFile()) throw new Error('something that is not a file has this name');
    if (!statSync(dirname(file)).isDirectory()) throw new Error(`${dirname(file)} is not a directory`);
    accessSync(dirname(file), constants.W_OK | constants.X_OK);
  } catch (error) {
    throw cannotWrite(file, error);
  }
  refuseIfRunning(file);
}

/**
 * Writes the pid of this process.
 * @param graceful seconds that a graceful stop may take, for whoever will wait for it
 * @throws RunError when another live server has the file, or when it cannot be written.
 */
export function writePidFile(file: string, graceful: number = DEFAULT_GRACEFUL_S): PidFile {
  const { pid } = process;
  const content = `${pid}\n${startOf(pid) ?? ''}\n${graceful}\n`;
  const temporary = `${file}.${pid}`;
  try {
    writeFileSync(temporary, content, { flag: 'wx', mode: 0o644 });
    place(temporary, file);
  } catch (cause) {
    throw cannotWrite(file, cause);
  } finally {
    removeQuietly(temporary);
  }
  return {
    remove() {
      if (readText(file) === content) removeQuietly(file);
    },
  };
}

/** Whose pid file it is. */
export function readPidFile(file: string): PidState {
  const text = readText(file);
  if (text === undefined) return { state: 'absent' };
  const [first = '', start = '', third = ''] = text.split('\n');
  if (!/^[1-9]\d{0,9}$/.test(first)) return { state: 'stale', pid: undefined };
  const pid = Number(first);
  if (start === '' || startOf(pid) !== start || !mayName(file, pid)) return { state: 'stale', pid };
  const graceful = /^\d{1,6}(\.\d+)?$/.test(third) ? Number(third) : DEFAULT_GRACEFUL_S;
  return { state: 'running', pid, start, graceful };
}

/** Whether that very process lives. */
export function stillRuns({ pid, start }: RunningServer): boolean {
  return startOf(pid) === start;
}

/** Whether who wrote the file may speak for the process: root for all, everybody else for processes of their own. */
function mayName(file: string, pid: number): boolean {
  const writer = statSync(file, { throwIfNoEntry: false })?.uid;
  const owner = statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid;
  return owner === undefined || writer === 0 || writer === owner;
}

/** Removes a file that names nobody; one that has come to life in the meantime stays. */
export function removeStalePidFile(file: string): void {
  if (readPidFile(file).state === 'stale') discardStale(file, `${file}.${process.pid}.stale`);
}

function cannotWrite(file: string, cause: unknown): RunError {
  if (cause instanceof RunError) return cause;
  const missing = errorCode(cause) === 'ENOENT';
  return new RunError('PASTER_PID_FILE', `cannot write the pid file ${file}: ${errorMessage(cause)}`, {
    hint: missing ? `create its directory: mkdir -p ${dirname(file)}` : undefined,
    cause,
  });
}

/** Of several that do this at once, one succeeds. */
function place(temporary: string, file: string): void {
  for (let tries = 1; ; tries++) {
    try {
      // Fails if the name is taken, whoever was quicker.
      linkSync(temporary, file);
      return;
    } catch (error) {
      if (errorCode(error) !== 'EEXIST' || tries === MAX_TRIES) throw error;
    }
    refuseIfRunning(file);
    discardStale(file, `${temporary}.stale`);
  }
}

/**
 * Takes a stale file out of the way. It is moved aside and looked at again before it is deleted: in the meantime another
 * server may have put its own there, and that one goes back.
 */
function discardStale(file: string, aside: string): void {
  try {
    renameSync(file, aside);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw error;
  }
  try {
    if (readPidFile(aside).state === 'running') linkSync(aside, file);
  } catch (error) {
    // A third one has taken the name: the next round asks that one.
    if (errorCode(error) !== 'EEXIST') throw error;
  } finally {
    removeQuietly(aside);
  }
}

function refuseIfRunning(file: string): void {
  const found = readPidFile(file);
  if (found.state !== 'running' || found.pid === process.pid) return;
  throw new RunError('PASTER_PID_FILE', `a server runs already: ${file} names process ${found.pid}`, {
    hint: 'stop it first, or use another --pid-file',
  });
}

/**
 * When a process was started, in a form that is only good for comparing; undefined when there is none. On Linux the
 * clock ticks since the machine was started, with the id of that start; elsewhere what `ps` says.
 */
function startOf(pid: number): string | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  if (stat !== undefined) {
    // The name of the program, in parentheses, may hold anything; field 22 is the 20th after it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z') return undefined;
    return `${fields[19]} ${readText('/proc/sys/kernel/random/boot_id')?.trim() ?? ''}`;
  }
  if (process.platform === 'linux') return undefined;
  try {
    return (
      execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], {
        encoding: 'utf8',
        env: { ...process.env, LC_ALL: 'C' },
        stdio: ['ignore', 'pipe', 'ignore'],
      }).trim() || undefined
    );
  } catch {
    return undefined;
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ESRCH' || file.startsWith('/proc/')) return undefined;
    throw new RunError('PASTER_PID_FILE', `cannot read the pid file ${file}: ${errorMessage(error)}`, { cause: error });
  }
}

function removeQuietly(file: string): void {
  try {
    unlinkSync(file);
  } catch {
    // Gone already.
  }
}
