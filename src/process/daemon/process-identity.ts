/** Identifies a process by its pid and start time, which tells it from a later process with the same pid. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface ProcessIdentity {
  /**
   * When it was started; only for comparison. On Linux, clock ticks since boot and the boot id; elsewhere the output of `ps`.
   */
  readonly start: string;
  /** Its real, effective and saved user. They differ in a set-uid program, for which its caller may not write a pid file. */
  readonly users: ReadonlySet<number>;
}

/** Undefined if there is no such process, or it has ended. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const stat = readProc(`${pid}/stat`);
  if (stat === undefined) return process.platform === 'linux' ? undefined : askPs(pid);
  // The program's name, in parentheses, may contain anything; field 22 is the 20th after it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z') return undefined;
  const users = /^Uid:\s*([\d\s]+)$/m
    .exec(readProc(`${pid}/status`) ?? '')?.[1]
    ?.trim()
    .split(/\s+/);
  if (!users) return undefined;
  const boot = readProc('sys/kernel/random/boot_id')?.trim() ?? '';
  return { start: `${fields[19]} ${boot}`, users: new Set(users.map(Number)) };
}

function readProc(name: string): string | undefined {
  try {
    return readFileSync(`/proc/${name}`, 'utf8');
  } catch {
    return undefined;
  }
}

function askPs(pid: number): ProcessIdentity | undefined {
  try {
    const line = execFileSync('ps', ['-o', 'uid=,ruid=,lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [, effective, real, start] = /^\s*(\d+)\s+(\d+)\s+(\S.*?)\s*$/.exec(line) ?? [];
    return start === undefined ? undefined : { start, users: new Set([Number(effective), Number(real)]) };
  } catch {
    return undefined;
  }
}
