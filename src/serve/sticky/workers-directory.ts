/** The directory where the workers of one server reach each other. Only the user that the workers run as can enter it. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errorMessage, RunError } from '../../errors.ts';
import { asUser } from '../../files/user-files.ts';
import { fileUser } from '../../process/daemon/drop-privileges.ts';
import type { Ownership } from '../plan.ts';
import { TABLE_BYTES } from './session-table.ts';

const TABLE = 'sessions';
const WORKERS = 'workers';
/** The shortest limit of a Unix socket's path, that of macOS, less the names below the directory of temporary files. */
const LONGEST_BASE = 50;

/** The file that says which worker has a session. */
export function tableIn(directory: string): string {
  return join(directory, TABLE);
}

/** The socket of a worker. */
export function socketIn(directory: string, worker: string): string {
  return join(directory, WORKERS, worker);
}

/**
 * Makes the directory with the rights of the workers' user, and removes it when this process ends.
 * @throws RunError if that is impossible
 */
export function makeWorkersDirectory(ownership: Ownership): string {
  const user = fileUser(ownership);
  const base = tmpdir();
  try {
    const directory = asUser(user, () => {
      const made = mkdtempSync(join(base.length > LONGEST_BASE ? '/tmp' : base, 'paster-workers-'));
      mkdirSync(join(made, WORKERS), { mode: 0o700 });
      writeFileSync(tableIn(made), '', { mode: 0o600 });
      // A sparse file: only the parts that are used take space.
      truncateSync(tableIn(made), TABLE_BYTES);
      return made;
    });
    process.once('exit', () => asUser(user, () => rmSync(directory, { recursive: true, force: true })));
    return directory;
  } catch (cause) {
    throw new RunError('PASTER_STICKY', `sticky = true needs a directory of its own: ${errorMessage(cause)}`, {
      hint: 'TMPDIR names the directory for temporary files, which the user of the workers must be able to write to',
      cause,
    });
  }
}

/**
 * Removes the directory when this worker ends, if the supervisor was killed and could not remove it, and no other worker is
 * still in it. A worker that was killed too leaves its socket, and so the directory stays.
 */
export function removeIfOrphaned(directory: string, worker: string): void {
  const supervisor = process.ppid;
  process.once('exit', () => {
    if (process.ppid === supervisor) return;
    try {
      rmSync(socketIn(directory, worker), { force: true });
      if (readdirSync(join(directory, WORKERS)).length > 0) return;
      rmSync(directory, { recursive: true, force: true });
    } catch {
      // Another worker has removed it.
    }
  });
}
