/**
 * The pid file: says which process serves, in a way that can be checked. Its first line is the pid, for scripts; the second
 * when that process was started, so that a number which belongs to another process by now is noticed; the third how many
 * seconds it may take to stop; the fourth the path that the file was written for. A file without the second line was
 * written by another program and is never believed.
 */
import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  linkSync,
  lstatSync,
  openSync,
  readSync,
  renameSync,
  type Stats,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { errorCode, errorMessage, RunError } from '../errors.ts';
import { exposureOf } from '../path-steps.ts';
import { HeldDirectory } from './held-directory.ts';
import { identifyProcess } from './process-identity.ts';

/** What a pid file says, checked. */
export type PidState =
  | { readonly state: 'absent' }
  /** The process is there and is the one that wrote the file. */
  | RunningServer
  /** The number is that of no process, or of another one by now. */
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
/** Far more than a pid file has, and all that is read of another file. */
const MOST_BYTES = 8192;

/**
 * Finds out before anything is started whether `writePidFile` is going to work.
 * @throws RunError as `writePidFile` does; nothing is written.
 */
export function checkPidFile(file: string): void {
  try {
    // A rename would replace a symbolic link, and could replace another program's file.
    const found = lstatSync(file, { throwIfNoEntry: false });
    if (found && !found.isFile()) throw new Error('something that is not a file has this name');
    if (!statSync(dirname(file)).isDirectory()) throw new Error(`${dirname(file)} is not a directory`);
    accessSync(dirname(file), constants.W_OK | constants.X_OK);
    new HeldDirectory(file).close();
  } catch (error) {
    throw cannotWrite(file, error);
  }
  refuseIfRunning(file);
}

/**
 * Writes the pid of this process.
 * @param graceful seconds that a graceful stop may take, for the command that will wait for it
 * @throws RunError when another live server has the file, or when it cannot be written.
 */
export function writePidFile(file: string, graceful: number = DEFAULT_GRACEFUL_S): PidFile {
  const { pid } = process;
  const content = `${pid}\n${identifyProcess(pid)?.start ?? ''}\n${graceful}\n${JSON.stringify(file)}\n`;
  const temporary = `${file}.${pid}`;
  const directory = holdDirectory(file);
  try {
    try {
      writeFileSync(directory.at(temporary), content, { flag: 'wx', mode: 0o644 });
      place(directory, temporary, file);
    } finally {
      removeQuietly(directory.at(temporary));
    }
  } catch (cause) {
    directory.close();
    throw cannotWrite(file, cause);
  }
  return {
    remove() {
      if (readText(directory.at(file))?.text === content) removeQuietly(directory.at(file));
      directory.close();
    },
  };
}

/** @throws RunError for a file that cannot be judged: it may have been put there to have another process stopped. */
export function readPidFile(file: string): PidState {
  return judge(file, file, isExposedFile(file));
}

/**
 * What the file of a path says.
 * @param at another path of the same file
 * @param exposed whether other users can put a file there
 */
function judge(file: string, at: string, exposed: boolean): PidState {
  const found = readText(at, file);
  if (found === undefined) return { state: 'absent' };
  const [first = '', start = '', third = '', fourth = ''] = found.text.split('\n');
  if (!/^[1-9]\d{0,9}$/.test(first)) return { state: 'stale', pid: undefined };
  const pid = Number(first);
  const identity = identifyProcess(pid);
  if (identity?.start !== start || !mayName(found.stat, identity.users)) return { state: 'stale', pid };
  if (exposed) refuseForeign(file, found.stat, fourth, pid);
  const graceful = /^\d{1,7}(\.\d+)?$/.test(third) ? Number(third) : DEFAULT_GRACEFUL_S;
  return { state: 'running', pid, start, graceful };
}

/** Whether that very process lives. */
export function stillRuns({ pid, start }: RunningServer): boolean {
  return identifyProcess(pid)?.start === start;
}

/** Whether the user that wrote the file may speak for the process: root for all, other users for their own processes. */
function mayName({ uid, mode }: Stats, users: ReadonlySet<number>): boolean {
  if ((mode & 0o022) !== 0) return false;
  return uid === 0 || [...users].every((user) => user === uid);
}

/**
 * Where other users can put a file, it may be the true pid file of another server, moved, linked or reached by way of
 * another directory.
 */
function refuseForeign(file: string, { nlink }: Stats, writtenFor: string, pid: number): void {
  const reason =
    nlink > 1
      ? 'it is a hard link'
      : writtenFor !== JSON.stringify(file)
        ? `it was written for ${writtenFor === '' ? 'another path' : writtenFor}`
        : undefined;
  if (reason === undefined) return;
  throw new RunError('PASTER_PID_FILE', `the pid file ${file} is not believed: ${reason}`, {
    hint: `other users can write to a directory of its path; if process ${pid} is the server, kill ${pid} ends it`,
  });
}

/** Removes a stale file; one that belongs to a live server by now stays. */
export function removeStalePidFile(file: string): void {
  let directory: HeldDirectory;
  try {
    directory = new HeldDirectory(file);
  } catch {
    // What is not certain to be the file's own directory is left alone.
    return;
  }
  try {
    if (judge(file, directory.at(file), directory.exposed).state === 'stale') {
      discardStale(directory, file, `${file}.${process.pid}.stale`);
    }
  } finally {
    directory.close();
  }
}

function isExposedFile(file: string): boolean {
  const { way, inside } = exposureOf(dirname(file));
  return way !== undefined || inside;
}

function holdDirectory(file: string): HeldDirectory {
  try {
    return new HeldDirectory(file);
  } catch (cause) {
    throw cannotWrite(file, cause);
  }
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
function place(directory: HeldDirectory, temporary: string, file: string): void {
  for (let tries = 1; ; tries++) {
    try {
      // Fails if the name is taken, even if it was free a moment ago.
      linkSync(directory.at(temporary), directory.at(file));
      return;
    } catch (error) {
      if (errorCode(error) !== 'EEXIST' || tries === MAX_TRIES) throw error;
    }
    refuseIfRunning(file, directory.at(file), directory.exposed);
    discardStale(directory, file, `${temporary}.stale`);
  }
}

/**
 * Takes a stale file out of the way. It is moved aside and looked at again before it is deleted: in the meantime another
 * server may have put its own there, and that one goes back.
 */
function discardStale(directory: HeldDirectory, file: string, aside: string): void {
  const [from, to] = [directory.at(file), directory.at(aside)];
  try {
    renameSync(from, to);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw error;
  }
  try {
    if (judge(file, to, false).state === 'running') linkSync(to, from);
  } catch (error) {
    // A third one has taken the name: the next round asks that one.
    if (errorCode(error) !== 'EEXIST') throw error;
  } finally {
    removeQuietly(to);
  }
}

function refuseIfRunning(file: string, at = file, exposed = isExposedFile(file)): void {
  const found = judge(file, at, exposed);
  if (found.state !== 'running' || found.pid === process.pid) return;
  throw new RunError('PASTER_PID_FILE', `a server runs already: ${file} names process ${found.pid}`, {
    hint: 'stop it first, or use another --pid-file',
  });
}

interface FoundFile {
  readonly stat: Stats;
  readonly text: string;
}

/**
 * Opens the file once, follows no link and waits for no FIFO.
 * @param shown its path for messages
 */
function readText(file: string, shown: string = file): FoundFile | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new Error('it is not a regular file');
    const bytes = Buffer.alloc(MOST_BYTES);
    return { stat, text: bytes.toString('utf8', 0, readSync(fd, bytes)) };
  } catch (cause) {
    const code = errorCode(cause);
    if (code === 'ENOENT') return undefined;
    const reason = code === 'ELOOP' ? 'it is a symbolic link' : errorMessage(cause);
    throw new RunError('PASTER_PID_FILE', `cannot read the pid file ${shown}: ${reason}`, { cause });
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function removeQuietly(file: string): void {
  try {
    unlinkSync(file);
  } catch {
    // Gone already.
  }
}
