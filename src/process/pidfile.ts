/**
 * The pid file: says which process serves, in a way that can be checked. Its first line is the pid, for scripts; its
 * second line tells when that process was started, so that a number which now belongs to somebody else is noticed.
 * A file without the second line (written by another program) is never believed to be ours.
 */
import { execFileSync } from 'node:child_process';
import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { errorCode, errorMessage, RunError } from '../errors.ts';

/** What a pid file says, checked. */
export type PidState =
  | { readonly state: 'absent' }
  /** The process is there and is the one that wrote the file. */
  | { readonly state: 'running'; readonly pid: number }
  /** Nobody, or somebody else, has that number now. */
  | { readonly state: 'stale'; readonly pid: number | undefined };

export interface PidFile {
  /** Removes it, if it is still this process's. */
  remove(): void;
}

/**
 * Writes the pid of this process.
 * @throws RunError when another live server has the file, or when it cannot be written.
 */
export function writePidFile(file: string): PidFile {
  const { pid } = process;
  const content = `${pid}\n${startOf(pid) ?? ''}\n`;
  const temporary = `${file}.${pid}`;
  try {
    writeFileSync(temporary, content, { flag: 'wx', mode: 0o644 });
    place(temporary, file);
  } catch (cause) {
    if (cause instanceof RunError) throw cause;
    const missing = errorCode(cause) === 'ENOENT';
    throw new RunError('PASTER_PID_FILE', `cannot write the pid file ${file}: ${errorMessage(cause)}`, {
      hint: missing ? `create its directory: mkdir -p ${dirname(file)}` : undefined,
      cause,
    });
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
  const [first = '', start = ''] = text.split('\n');
  if (!/^[1-9]\d{0,9}$/.test(first)) return { state: 'stale', pid: undefined };
  const pid = Number(first);
  return start !== '' && startOf(pid) === start ? { state: 'running', pid } : { state: 'stale', pid };
}

function place(temporary: string, file: string): void {
  try {
    // Fails if the name is taken, whoever was quicker.
    linkSync(temporary, file);
    return;
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
  }
  const found = readPidFile(file);
  if (found.state === 'running' && found.pid !== process.pid) {
    throw new RunError('PASTER_PID_FILE', `a server runs already: ${file} names process ${found.pid}`, {
      hint: 'stop it first, or use another --pid-file',
    });
  }
  renameSync(temporary, file);
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
