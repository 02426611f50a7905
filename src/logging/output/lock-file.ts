/**
 * A lock between processes: a file with the process ID of the one that has it. No process waits for it. A lock whose process has
 * ended, or that is older than the work can take, is removed.
 */
import { closeSync, linkSync, lstatSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { errorCode } from '../../errors.ts';
import { openToRead } from '../../files/user-files.ts';

/** Does the work unless another living process has the lock. @returns whether the work is done */
export function withLock(lock: string, work: () => void): boolean {
  if (!takeLock(lock)) return false;
  try {
    work();
  } finally {
    // Another process may have taken the lock for stale.
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
    // A killed process left it behind. The next lines find no lock.
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
export function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}
