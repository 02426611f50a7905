/**
 * The pid file names the process that serves, in a way that can be checked. Its lines are the pid, for scripts; the start time
 * of that process, since another process may have the pid later; how many seconds it may take to stop; the path that the file
 * was written for; and the configuration that the process serves. A file without the second line comes from another program and is never trusted.
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
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { errorCode, errorMessage, RunError } from '../../errors.ts';
import { DirectoryHandle } from '../../files/directory-handle.ts';
import { exposureOf } from '../../files/path-steps.ts';
import { removeIfPossible } from '../../net/socket-publication.ts';
import { identifyProcess } from './process-identity.ts';

/** The content of a pid file, checked. */
export type PidState =
  | { readonly state: 'absent' }
  /** The process exists and has written the file. */
  | RunningServer
  /** No process has the pid, or another process has it now. */
  | { readonly state: 'stale'; readonly pid: number | undefined };

export interface RunningServer {
  readonly state: 'running';
  readonly pid: number;
  /** Its start time, which identifies it together with the pid. */
  readonly start: string;
  /** Seconds that it may take to stop gracefully. */
  readonly graceful: number;
  /** As in PidFileContent. */
  readonly serves: string | undefined;
}

/** What a process writes about itself. */
export interface PidFileContent {
  /** Seconds that a graceful stop may take, for the command that waits for it. Default: 30. */
  readonly graceful?: number;
  /** What it serves, relative to its working directory: the INI file. Undefined: not known. */
  readonly serves?: string | undefined;
}

/** A pid file that still has a temporary name. */
export interface PreparedPidFile {
  /** Gives it its name. @throws RunError when another live server has the name */
  take(): PidFile;
  discard(): void;
}

export interface PidFile {
  /** Whether the file still names this process. */
  isOwn(): boolean;
  /** Removes the file, if it still belongs to this process. */
  remove(): void;
}

const DEFAULT_GRACEFUL_S = 30;
const MAX_TRIES = 20;
/** Far more than the size of a pid file: no more than this is read of another file. */
const MAX_BYTES = 8192;

/**
 * Checks before anything is started that `writePidFile` will work.
 * @param predecessor the process whose file this one takes over
 * @throws RunError as `writePidFile` does
 */
export function checkPidFile(file: string, predecessor?: number): void {
  try {
    // A rename would replace a symbolic link, and could replace another program's file.
    const found = lstatSync(file, { throwIfNoEntry: false });
    if (found && !found.isFile()) throw new Error('it is not a regular file');
    if (!statSync(dirname(file)).isDirectory()) throw new Error(`${dirname(file)} is not a directory`);
    accessSync(dirname(file), constants.W_OK | constants.X_OK);
    new DirectoryHandle(file).close();
  } catch (error) {
    throw cannotWrite(file, error);
  }
  refuseIfRunning(file, { predecessor });
}

/**
 * Writes the pid of this process.
 * @throws RunError when another live server has the file, or when it cannot be written.
 */
export function writePidFile(file: string, content?: PidFileContent): PidFile {
  return preparePidFile(file, content).take();
}

/**
 * Writes the pid of this process under another name.
 * @param predecessor the process whose file this one takes over
 * @throws RunError when it cannot be written
 */
export function preparePidFile(
  file: string,
  { graceful = DEFAULT_GRACEFUL_S, serves = '' }: PidFileContent = {},
  predecessor?: number,
): PreparedPidFile {
  const { pid } = process;
  const lines = [pid, identifyProcess(pid)?.start ?? '', graceful, JSON.stringify(file), JSON.stringify(serves)];
  const content = `${lines.join('\n')}\n`;
  const temporary = `${file}.${pid}`;
  const directory = holdDirectory(file);
  const discard = (): void => {
    removeIfPossible(directory.at(temporary));
    directory.close();
  };
  const orDiscard = (work: () => void): void => {
    try {
      work();
    } catch (cause) {
      discard();
      throw cannotWrite(file, cause);
    }
  };
  const isOwn = (): boolean => readText(directory.at(file))?.text === content;
  const namesPredecessor = (): boolean => {
    const found = examine(file, directory.at(file), directory.exposed);
    return found.state === 'running' && found.pid === predecessor;
  };
  orDiscard(() => writeFileSync(directory.at(temporary), content, { flag: 'wx', mode: 0o644 }));
  return {
    discard,
    take() {
      orDiscard(() => {
        if (namesPredecessor()) renameSync(directory.at(temporary), directory.at(file));
        else linkPidFile(directory, temporary, file);
      });
      removeIfPossible(directory.at(temporary));
      return {
        isOwn,
        remove() {
          if (isOwn()) removeIfPossible(directory.at(file));
          directory.close();
        },
      };
    },
  };
}

/** @throws RunError for a file that cannot be trusted: it may have been planted to stop another process. */
export function readPidFile(file: string): PidState {
  return examine(file, file, isExposedFile(file));
}

/**
 * Reads and checks a pid file.
 * @param at another path of the same file
 * @param exposed whether other users can create a file there
 */
function examine(file: string, at: string, exposed: boolean): PidState {
  const found = readText(at, file);
  if (found === undefined) return { state: 'absent' };
  const [first = '', start = '', third = '', fourth = '', fifth = ''] = found.text.split('\n');
  if (!/^[1-9]\d{0,9}$/.test(first)) return { state: 'stale', pid: undefined };
  const pid = Number(first);
  const identity = identifyProcess(pid);
  if (identity?.start !== start || !mayName(found.stat, identity.users)) return { state: 'stale', pid };
  if (exposed) refuseForeign(file, found.stat, fourth, pid);
  const graceful = /^\d{1,7}(\.\d+)?$/.test(third) ? Number(third) : DEFAULT_GRACEFUL_S;
  return { state: 'running', pid, start, graceful, serves: readServed(fifth) };
}

/** Undefined in a file of an earlier version, which did not write this line. */
function readServed(line: string): string | undefined {
  try {
    const serves: unknown = JSON.parse(line);
    return typeof serves === 'string' && serves !== '' ? serves : undefined;
  } catch {
    return undefined;
  }
}

/** `process 4711, which serves etc/config.ini` */
export function describeServer({ pid, serves }: RunningServer): string {
  return `process ${pid}${serves === undefined ? '' : `, which serves ${serves}`}`;
}

/** Whether that process is still alive. */
export function stillRuns({ pid, start }: RunningServer): boolean {
  return identifyProcess(pid)?.start === start;
}

/** Whether the owner of the file may name the process: root may name all, other users their own. */
function mayName({ uid, mode }: Stats, users: ReadonlySet<number>): boolean {
  if ((mode & 0o022) !== 0) return false;
  return uid === 0 || [...users].every((user) => user === uid);
}

/**
 * Where other users can create a file, it may be the real pid file of another server: moved, linked, or reached through
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
  throw new RunError('PASTER_PID_FILE', `the pid file ${file} is not trusted: ${reason}`, {
    hint: `other users can write to a directory of its path; if process ${pid} is the server, kill ${pid} ends it`,
  });
}

/** Removes a stale file; one that belongs to a live server stays. */
export function removeStalePidFile(file: string): void {
  let directory: DirectoryHandle;
  try {
    directory = new DirectoryHandle(file);
  } catch {
    // A directory that cannot be trusted is left alone.
    return;
  }
  try {
    if (examine(file, directory.at(file), directory.exposed).state === 'stale') {
      discardStale(directory, file, `${file}.${process.pid}.stale`);
    }
  } finally {
    directory.close();
  }
}

function isExposedFile(file: string): boolean {
  const { exposedAbove, exposedInside } = exposureOf(dirname(file));
  return exposedAbove !== undefined || exposedInside;
}

function holdDirectory(file: string): DirectoryHandle {
  try {
    return new DirectoryHandle(file);
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

/** Gives the temporary file its name. If several processes try, one succeeds. */
function linkPidFile(directory: DirectoryHandle, temporary: string, file: string): void {
  for (let tries = 1; ; tries++) {
    try {
      // Fails if the name is taken, even if it was free a moment ago.
      linkSync(directory.at(temporary), directory.at(file));
      return;
    } catch (error) {
      if (errorCode(error) !== 'EEXIST' || tries === MAX_TRIES) throw error;
    }
    refuseIfRunning(file, { at: directory.at(file), exposed: directory.exposed });
    discardStale(directory, file, `${temporary}.stale`);
  }
}

/**
 * Removes a stale file. It is first renamed and examined again: if another server has written its own in the meantime, that
 * one gets its name back.
 */
function discardStale(directory: DirectoryHandle, file: string, aside: string): void {
  const [from, to] = [directory.at(file), directory.at(aside)];
  try {
    renameSync(from, to);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw error;
  }
  try {
    if (examine(file, to, false).state === 'running') linkSync(to, from);
  } catch (error) {
    // A third process has taken the name: the next iteration examines its file.
    if (errorCode(error) !== 'EEXIST') throw error;
  } finally {
    removeIfPossible(to);
  }
}

function refuseIfRunning(
  file: string,
  {
    at = file,
    exposed = isExposedFile(file),
    predecessor,
  }: { readonly at?: string; readonly exposed?: boolean; readonly predecessor?: number | undefined },
): void {
  const found = examine(file, at, exposed);
  if (found.state !== 'running' || found.pid === process.pid || found.pid === predecessor) return;
  throw new RunError('PASTER_PID_FILE', `a server is already running: ${file} names ${describeServer(found)}`, {
    hint: 'stop it first, or use another --pid-file',
  });
}

interface FoundFile {
  readonly stat: Stats;
  readonly text: string;
}

/**
 * Opens the file once; does not follow a link or wait for a FIFO.
 * @param shown the path for messages
 */
function readText(file: string, shown: string = file): FoundFile | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new Error('it is not a regular file');
    const bytes = Buffer.alloc(MAX_BYTES);
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
