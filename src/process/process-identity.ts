/** Which process has a number: when it was started, which tells it from a later one of the same number, and whose it is. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface ProcessIdentity {
  /**
   * Only good for comparing. On Linux the clock ticks since the machine was started, with the id of that start; elsewhere
   * what `ps` says.
   */
  readonly start: string;
  /** Its real, effective and saved user: they differ in a set-uid program, which is not its caller's to speak for. */
  readonly users: ReadonlySet<number>;
}

/** Undefined where there is no such process, or it has ended. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const stat = readProc(`${pid}/stat`);
  if (stat === undefined) return process.platform === 'linux' ? undefined : askPs(pid);
  // The name of the program, in parentheses, may hold anything; field 22 is the 20th after it.
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
