/**
 * Opens files for a process that runs as root, in directories that other users can write to, with the rights of the user
 * that it serves as. Whatever that user puts at the path (a symbolic link, a hard link, a FIFO), root then reaches only
 * files that the user can reach too.
 */
import {
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  type Stats,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { type FoundStep, isShared, stepsTo } from './path-steps.ts';

/** The user whose rights root takes on for file operations. */
export interface FileUser {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
}

export interface AppendOptions {
  /** The user that this process serves as, if it runs as another one. */
  readonly user?: FileUser | undefined;
  /** Whether a file that root has to create belongs to `user`. */
  readonly giveToUser?: boolean;
  readonly truncate?: boolean;
  /** The mode of a new file. Default: 0640. */
  readonly mode?: number;
}

const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;
const READ = constants.O_RDONLY | constants.O_NONBLOCK;
const LOG_MODE = 0o640;
/** Where /dev/stdout leads. */
const DESCRIPTOR = /^\/proc\/\d+\/fd\/\d+$/;

/**
 * Runs synchronous file operations with the rights of `user` if this process is root, and with its own rights otherwise.
 *
 * The rights apply to the whole process: file operations of other threads at that moment may be refused, so the work must
 * be short.
 */
export function asUser<T>(user: FileUser | undefined, work: () => T): T {
  const { seteuid, setegid, setgroups, getegid, getgroups } = process;
  if (!user || user.uid === 0 || !isRoot() || !seteuid || !setegid || !setgroups || !getegid || !getgroups) {
    return work();
  }
  const gid = getegid();
  const groups = getgroups();
  try {
    setgroups([...user.groups]);
  } catch (error) {
    // A container can deny root this right. Such a root has usually lost its rights to other users' files as well.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
    return work();
  }
  try {
    setegid(user.gid);
    seteuid(user.uid);
    return work();
  } finally {
    seteuid(0);
    setegid(gid);
    setgroups(groups);
  }
}

/** Runs file operations on a path, and on files next to it, with the rights that `openToAppend` uses for it. */
export function asUserOf<T>(path: string, user: FileUser | undefined, work: () => T): T {
  const shared = isRootProcess() && !user && sharedStep(path);
  return asUser(shared ? ownerOf(shared) : user, work);
}

/**
 * Opens a file to append to it; creates it if it does not exist. Never blocks: a FIFO without a reader is an error.
 *
 * Root follows links and opens devices only if no other user can change where the path leads. Otherwise it opens only
 * regular files, as `user` or, without one, as the owner of the directory.
 * @returns the descriptor
 */
export function openToAppend(path: string, options: AppendOptions = {}): number {
  const fd = openAppendable(path, options);
  if (options.truncate && fstatSync(fd).isFile()) ftruncateSync(fd);
  return fd;
}

function openAppendable(path: string, { user, giveToUser = false, mode = LOG_MODE }: AppendOptions): number {
  const open = (flags = 0): number => openSync(path, APPEND | flags, mode);
  if (!isRootProcess()) return open();
  const shared = sharedStep(path);
  if (shared) return openAsUser(path, APPEND, user ?? ownerOf(shared), mode);
  if (!user || !giveToUser) return open();
  let fd: number;
  try {
    fd = open(constants.O_EXCL);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return asUser(user, open);
  }
  fchownSync(fd, user.uid, user.gid);
  return fd;
}

/** Opens a file to read it, under the same rules. @returns the descriptor */
export function openToRead(path: string, user?: FileUser): number {
  const shared = isRootProcess() && sharedStep(path);
  return shared ? openAsUser(path, READ, user ?? ownerOf(shared)) : openSync(path, READ);
}

/** A path by which a shell passes a pipe, `<(...)`, or standard input. It may be a FIFO, since the shell ends it. */
const SHELL_INPUT = /^\/(?:dev\/(?:fd\/\d+|stdin|null)|proc\/(?:self|\d+)\/fd\/\d+)$/;

/**
 * Reads a configuration file: an INI file, a file of variables, a certificate. A FIFO or a device, which could block the
 * process, is an error. In another user's directory, root reads the file with the rights of the directory's owner, who could
 * otherwise make root read any file through a link. Root also reads a file of its own that is directly in such a directory.
 */
export function readConfiguration(path: string): Buffer {
  const shared = isRootProcess() ? firstSharedStep(path) : undefined;
  if (!shared) return SHELL_INPUT.test(path) ? readFileSync(path) : readRegular(path, READ, () => true);
  try {
    return asUser(ownerOf(shared.stat), () => readRegular(path, READ, () => true));
  } catch (error) {
    // Another user controls only the file's name there, and only root can create a file of root's with a single name.
    const isDirect = shared.kind === 'directory' && shared.path === dirname(path);
    if ((error as NodeJS.ErrnoException).code !== 'EACCES' || !isDirect) throw error;
    const own = readRootsOwn(path);
    if (own) return own;
    throw error;
  }
}

function readRootsOwn(path: string): Buffer | undefined {
  try {
    return readRegular(path, READ | constants.O_NOFOLLOW, ({ uid, nlink }) => uid === 0 && nlink === 1);
  } catch {
    return undefined;
  }
}

function readRegular(path: string, flags: number, accepts: (stats: Stats) => boolean): Buffer {
  const fd = openSync(path, flags);
  try {
    // For a directory, the error of `readFileSync` is the clearest.
    if (!fstatSync(fd).isDirectory() && !accepts(fstatOfRegular(fd, path)))
      throw new Error(`not a file that only root controls, open '${path}'`);
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Writes a text to a file under the same rules. */
export function writeText(path: string, text: string, options?: AppendOptions): void {
  const fd = openToAppend(path, options);
  try {
    writeFileSync(fd, text);
  } finally {
    closeSync(fd);
  }
}

/** @throws Error also for anything but a regular file, and for a file of root's that another user may have linked. */
function openAsUser(path: string, flags: number, user: FileUser, mode?: number): number {
  return asUser(user, () => {
    const fd = openSync(path, flags | constants.O_NOFOLLOW, mode);
    try {
      const { uid, nlink } = fstatOfRegular(fd, path);
      // In a directory such as /tmp another user can place a file, or another name of root's file.
      if (isRoot() && (uid !== 0 || nlink > 1)) throw new Error(`not a file that only root controls, open '${path}'`);
      return fd;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  });
}

function fstatOfRegular(fd: number, path: string): Stats {
  const stats = fstatSync(fd);
  if (!stats.isFile()) throw new Error(`not a regular file, open '${path}'`);
  return stats;
}

/** The first directory or link on a path by which users other than root can change where the path leads. */
function sharedStep(path: string): Stats | undefined {
  return firstSharedStep(path)?.stat;
}

function firstSharedStep(path: string): FoundStep | undefined {
  // The file itself can be a link.
  const steps = [...stepsTo(path)];
  const directory = steps.findLast((step) => step.kind === 'directory');
  for (const step of steps) {
    // The file, or a missing name, which only root can create here. The path of an open descriptor does not matter.
    if (step.kind === 'problem' || DESCRIPTOR.test(step.path)) break;
    // Root alone, also while this process has another user's rights.
    if (isShared(step, step === directory, 0)) return step;
  }
  return undefined;
}

function ownerOf({ uid, gid }: Stats): FileUser {
  return { uid, gid, groups: [gid] };
}

/** Whether this process has root's rights now. */
function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

/** Whether this process is root's, even if it has taken on other rights. */
function isRootProcess(): boolean {
  return isRoot() || process.getuid?.() === 0;
}
