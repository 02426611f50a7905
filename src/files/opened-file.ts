/**
 * Opens a file below a directory and verifies that the opened file is below it: after the path was looked up, another
 * process can replace a directory or the file by a symbolic link that leads out.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  open,
  openSync,
  readlinkSync,
  realpathSync,
  type Stats,
} from 'node:fs';
import { sep } from 'node:path';
import { promisify } from 'node:util';
import { errorCode } from '../errors.ts';

/** The result of looking up a path. */
export interface FoundFile {
  /** The path without symbolic links. */
  readonly real: string;
  /** The directory that must contain it, without symbolic links. */
  readonly root: string;
}

/** A looked-up file that is open. */
export interface OpenedFile extends FoundFile {
  readonly fd: number;
  readonly stats: Stats;
}

const openDescriptor = promisify(open);

/** Only on macOS, and Node has no name for it: refuses symbolic links anywhere in the path. */
const O_NOFOLLOW_ANY = process.platform === 'darwin' ? 0x20000000 : 0;
/** O_NONBLOCK: opening a named pipe would wait for a writer, and opening some devices waits for their other end. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY | constants.O_NOFOLLOW | O_NOFOLLOW_ANY;

/** The file does not exist (any more), is now a symbolic link, or is of a kind that cannot be opened (a socket, a missing device). */
const NO_FILE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'EMLINK', 'ENXIO', 'ENODEV', 'EOPNOTSUPP']);

/**
 * Opens a file that was looked up.
 * @returns undefined if it does not exist any more, or now leads out of the root.
 * @throws the operating system's error if it cannot be opened.
 */
export async function openFound(found: FoundFile): Promise<OpenedFile | undefined> {
  try {
    return verified(await openDescriptor(found.real, FLAGS), found);
  } catch (error) {
    return undefinedIfAbsent(error);
  }
}

/** As `openFound`, synchronously. */
export function openFoundSync(found: FoundFile): OpenedFile | undefined {
  try {
    return verified(openSync(found.real, FLAGS), found);
  } catch (error) {
    return undefinedIfAbsent(error);
  }
}

export function closeFile({ fd }: OpenedFile): void {
  closeSync(fd);
}

function undefinedIfAbsent(error: unknown): undefined {
  if (!NO_FILE.has(errorCode(error) ?? '')) throw error;
}

/** Synchronous: for an open file these calls do not wait for a disk. */
function verified(fd: number, { real, root }: FoundFile): OpenedFile | undefined {
  let isInside = false;
  try {
    const stats = fstatSync(fd);
    isInside = isFileInside(fd, stats, real, root);
    return isInside ? { fd, stats, real, root } : undefined;
  } finally {
    if (!isInside) closeSync(fd);
  }
}

/** Linux has the path of an open file in /proc. Elsewhere the path must have no links and lead to the opened file. */
function isFileInside(fd: number, stats: Stats, real: string, root: string): boolean {
  const path = pathOf(fd);
  if (path !== undefined) return isBelow(path, root);
  const { dev, ino } = lstatSync(real);
  return dev === stats.dev && ino === stats.ino && realpathSync.native(real) === real;
}

/** Undefined without /proc. */
function pathOf(fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined;
  }
}

/** Whether a path is `directory` or below it. */
export function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory.endsWith(sep) ? directory : directory + sep);
}
