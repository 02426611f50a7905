/**
 * Opens a file below a directory, and makes sure that the file that was opened is below it: between the look-up of a path
 * and its opening, another process can replace a directory or the file by a symbolic link that leads out.
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

/** Where a path leads. */
export interface Found {
  /** Without symbolic links. */
  readonly real: string;
  /** The directory that contains it, likewise. */
  readonly root: string;
}

/** Where it leads, opened. */
export interface OpenedFile extends Found {
  readonly fd: number;
  readonly stats: Stats;
}

const openDescriptor = promisify(open);

/** macOS alone has it, and Node has no name for it: no symbolic link anywhere in the path. */
const O_NOFOLLOW_ANY = process.platform === 'darwin' ? 0x20000000 : 0;
/** O_NONBLOCK: opening a named pipe would wait for a writer, and opening some devices for their other end. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY | constants.O_NOFOLLOW | O_NOFOLLOW_ANY;

/** What is not there (any more), has become a symbolic link, or cannot be opened by its kind (a socket, a missing device). */
const NO_FILE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'EMLINK', 'ENXIO', 'ENODEV', 'EOPNOTSUPP']);

/**
 * Opens what a look-up found.
 * @returns undefined where it is not there any more, or leads out of the root by now.
 * @throws the operating system's error where it cannot be opened.
 */
export async function openFound(found: Found): Promise<OpenedFile | undefined> {
  try {
    return verified(await openDescriptor(found.real, FLAGS), found);
  } catch (error) {
    return absent(error);
  }
}

/** The same for a caller that cannot wait. */
export function openFoundSync(found: Found): OpenedFile | undefined {
  try {
    return verified(openSync(found.real, FLAGS), found);
  } catch (error) {
    return absent(error);
  }
}

export function closeFile({ fd }: OpenedFile): void {
  closeSync(fd);
}

function absent(error: unknown): undefined {
  if (!NO_FILE.has(errorCode(error) ?? '')) throw error;
}

/** Neither call waits for a disk: the file is open. */
function verified(fd: number, { real, root }: Found): OpenedFile | undefined {
  let isInside = false;
  try {
    const stats = fstatSync(fd);
    isInside = isFileInside(fd, stats, real, root);
    return isInside ? { fd, stats, real, root } : undefined;
  } finally {
    if (!isInside) closeSync(fd);
  }
}

/** Linux says where an open file is. Elsewhere the path has to be free of links, and lead to the file that was opened. */
function isFileInside(fd: number, stats: Stats, real: string, root: string): boolean {
  const path = pathOf(fd);
  if (path !== undefined) return isBelow(path, root);
  const { dev, ino } = lstatSync(real);
  return dev === stats.dev && ino === stats.ino && realpathSync.native(real) === real;
}

/** Undefined where there is no /proc. */
function pathOf(fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined;
  }
}

/** Whether a path is a directory, or is below it. */
export function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory.endsWith(sep) ? directory : directory + sep);
}
