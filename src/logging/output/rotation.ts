/**
 * Rotates log files by size or age, with the names that Python gives. Several processes may write to one file: the first
 * one that notices renames it, under a lock file; the others see that the name means another file now and open that. A
 * process that does not get the lock does not wait: it writes to the old file, and checks again with the next lines.
 */
import {
  closeSync,
  linkSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { errorCode } from '../../errors.ts';
import { openToRead } from '../../files/user-files.ts';
import { strftime } from '../python/strftime.ts';
import type { LineFile } from './line-file.ts';

/** When a file is rotated, and to which name. */
export interface Rotation {
  /** Whether to rotate before `length` bytes are written. @param now milliseconds since 1970 */
  isDue(file: LineFile, length: number, now: number): boolean;
  /** Fewer bytes than this may be written at once; with more, the file might have to be rotated between two lines. */
  room(file: LineFile): number;
  /** Renames the file and removes those that are too old. Runs under the lock. */
  rotate(path: string): void;
  /** Called when this process or another has begun a new file. */
  onNewFile(now: number): void;
}

/** Rotates the file, or opens the one that another process has begun, before lines are written. */
export function rotateIfDue(file: LineFile, rotation: Rotation, length: number): void {
  const now = Date.now();
  if (file.hasMoved()) {
    file.reopen();
    rotation.onNewFile(now);
  }
  // A device or a FIFO is never renamed.
  if (!file.stat()?.isFile() || !rotation.isDue(file, length, now)) return;
  const isRotated = file.asUser(() =>
    withLock(`${file.path}.lock`, () => {
      // Another process may have rotated the file before this one had the lock.
      if (file.hasMoved()) return;
      if (!lstatSync(file.path).isFile()) throw new Error('its name is a symbolic link');
      rotation.rotate(file.path);
    }),
  );
  if (!isRotated) return;
  file.reopen();
  rotation.onNewFile(now);
}

/** `handlers.RotatingFileHandler`: `app.log.1` is the newest of `keep` files. */
export class SizeRotation implements Rotation {
  readonly #limit: number;
  readonly #keep: number;

  /** @param limit bytes; if it or `keep` is 0, the file is never rotated */
  constructor(limit: number, keep: number) {
    this.#limit = limit;
    this.#keep = keep;
  }

  isDue(file: LineFile, length: number): boolean {
    // Rotating an empty file would change nothing.
    return length >= this.room(file) && sizeOf(file) > 0;
  }

  room(file: LineFile): number {
    return this.#limit <= 0 || this.#keep <= 0 ? Number.POSITIVE_INFINITY : this.#limit - sizeOf(file);
  }

  rotate(path: string): void {
    for (let number = this.#keep - 1; number > 0; number--) renameIfThere(`${path}.${number}`, `${path}.${number + 1}`);
    renameIfThere(path, `${path}.1`);
  }

  onNewFile(): void {}
}

function sizeOf(file: LineFile): number {
  return file.stat()?.size ?? 0;
}

const DAY_S = 86_400;

/** The seconds of each unit of `when`, and the suffix that names a rotated file. */
const UNITS: Readonly<Record<string, { readonly seconds: number; readonly suffix: string }>> = {
  S: { seconds: 1, suffix: '%Y-%m-%d_%H-%M-%S' },
  M: { seconds: 60, suffix: '%Y-%m-%d_%H-%M' },
  H: { seconds: 3600, suffix: '%Y-%m-%d_%H' },
  D: { seconds: DAY_S, suffix: '%Y-%m-%d' },
  MIDNIGHT: { seconds: DAY_S, suffix: '%Y-%m-%d' },
  W: { seconds: 7 * DAY_S, suffix: '%Y-%m-%d' },
};

/** The values of `when`, in upper or lower case. */
export const WHENS: readonly string[] = ['S', 'M', 'H', 'D', 'midnight', ...Array.from('0123456', (day) => `W${day}`)];

/** `handlers.TimedRotatingFileHandler`: `app.log.2026-11-21` holds the lines of that day. */
export class TimedRotation implements Rotation {
  readonly #interval: number;
  readonly #suffix: string;
  readonly #keep: number;
  readonly #isUtc: boolean;
  readonly #atMidnight: boolean;
  /** 0 is Monday, as Python counts. */
  readonly #weekday: number | undefined;
  #due: number;

  /**
   * @param when one of WHENS
   * @param interval how many of these units
   * @param keep how many old files; 0: all
   * @param begin seconds since 1970, when the file was last written to
   */
  constructor(when: string, interval: number, keep: number, isUtc: boolean, begin: number) {
    const [unit = '', day] = /^(W)(\d)$/.exec(when.toUpperCase())?.slice(1) ?? [when.toUpperCase()];
    const { seconds, suffix } = UNITS[unit] ?? { seconds: 3600, suffix: '' };
    this.#interval = seconds * interval;
    this.#suffix = suffix;
    this.#keep = keep;
    this.#isUtc = isUtc;
    this.#weekday = day === undefined ? undefined : Number(day);
    this.#atMidnight = unit === 'MIDNIGHT' || unit === 'W';
    this.#due = this.next(begin);
  }

  /** When a file that begins at `time` is rotated; both in seconds since 1970. */
  next(time: number): number {
    if (!this.#atMidnight) return time + this.#interval;
    const midnight = this.#midnight(time, 1);
    if (this.#weekday === undefined) return midnight;
    const now = new Date(time * 1000);
    const today = ((this.#isUtc ? now.getUTCDay() : now.getDay()) + 6) % 7;
    return this.#midnight(time, 1 + ((this.#weekday - today + 7) % 7));
  }

  /** Midnight, `days` days after the day of `time` began. Days differ in length. */
  #midnight(time: number, days: number): number {
    const now = new Date(time * 1000);
    const milliseconds = this.#isUtc
      ? Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() + days)
      : new Date(now.getFullYear(), now.getMonth(), now.getDate() + days).getTime();
    return milliseconds / 1000;
  }

  isDue(_file: LineFile, _length: number, now: number): boolean {
    return Math.floor(now / 1000) >= this.#due;
  }

  room(): number {
    return Number.POSITIVE_INFINITY;
  }

  rotate(path: string): void {
    const rotated = `${path}.${this.#suffixOfInterval()}`;
    // Python removes a file of that name, but a restarted process or another worker may have written it.
    if (statSync(rotated, { throwIfNoEntry: false }) === undefined) renameIfThere(path, rotated);
    if (this.#keep > 0) for (const old of this.#rotatedFiles(path).slice(0, -this.#keep)) rmSync(old, { force: true });
  }

  onNewFile(now: number): void {
    this.#due = this.next(Math.floor(now / 1000));
  }

  /** A file is named after the beginning of its interval. */
  #suffixOfInterval(): string {
    const begin = this.#atMidnight ? this.#midnight(this.#due, -this.#interval / DAY_S) : this.#due - this.#interval;
    return strftime(this.#suffix, new Date(begin * 1000), this.#isUtc);
  }

  /** The oldest first, since their names sort by time. */
  #rotatedFiles(path: string): string[] {
    const prefix = `${basename(path)}.`;
    const shape = new RegExp(`^${this.#suffix.replace(/%Y/, '\\d{4}').replace(/%[mdHMS]/g, '\\d{2}')}(?:\\.\\w+)?$`);
    return readdirSync(dirname(path))
      .filter((name) => name.startsWith(prefix) && shape.test(name.slice(prefix.length)))
      .sort()
      .map((name) => join(dirname(path), name));
  }
}

// --- the lock: a file that contains the process ID of its owner

/**
 * Does the work under the lock, unless another living process has it. No process waits for the lock. A lock whose owner has ended,
 * or that is older than the work can take, is removed.
 *
 * @returns whether the work is done
 */
function withLock(lock: string, work: () => void): boolean {
  if (!takeLock(lock)) return false;
  try {
    work();
  } finally {
    // Another process may have found the lock stale, and removed it.
    if (ownerOf(lock) === process.pid) rmSync(lock, { force: true });
  }
  return true;
}

function takeLock(lock: string): boolean {
  try {
    const fd = openSync(lock, 'wx', 0o640);
    try {
      writeSync(fd, String(process.pid));
    } catch (error) {
      rmSync(lock, { force: true });
      throw error;
    } finally {
      closeSync(fd);
    }
    return true;
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
    // The process that had the lock was killed. The next lines that are written find no lock.
    if (isStale(lock)) removeStale(lock);
    return false;
  }
}

/** Renames the lock and checks again: in the meantime another process may have removed it and taken a new one. */
function removeStale(lock: string): void {
  const renamed = `${lock}.${process.pid}`;
  renameIfThere(lock, renamed);
  try {
    if (!isStale(renamed)) linkSync(renamed, lock);
  } catch (error) {
    if (errorCode(error) !== 'EEXIST' && errorCode(error) !== 'ENOENT') throw error;
  } finally {
    rmSync(renamed, { force: true });
  }
}

/** Longer than any rotation takes. A lock that has just been created holds no process ID yet. */
const LOCK_MS = 5000;
const LONGEST_PID = 20;

function isStale(lock: string): boolean {
  const found = lstatSync(lock, { throwIfNoEntry: false });
  if (!found) return false;
  const pid = ownerOf(lock);
  return (pid !== undefined && !isAlive(pid)) || Date.now() - found.mtimeMs > LOCK_MS;
}

/** The ID of the process that has the lock, if it can be read. */
function ownerOf(lock: string): number | undefined {
  let fd: number | undefined;
  try {
    fd = openToRead(lock);
    const bytes = Buffer.alloc(LONGEST_PID);
    const pid = Number(bytes.toString('latin1', 0, readSync(fd, bytes)));
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** A process of another user, which this one may not signal, is alive too. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) !== 'ESRCH';
  }
}

/** Renames a file that another process may have renamed or removed already. */
function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}
