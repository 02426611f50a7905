/** Process groups: a program with all that it has started and not put into another group. */
import { readdirSync, readFileSync } from 'node:fs';
import { errorCode } from '../errors.ts';

/** Sends a signal to all processes of a group, as far as there are some. */
export function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal);
  } catch {
    // Nothing is left of it, or it belongs to another user.
  }
}

/** Whether a process of a group has not ended yet. */
export function isGroupAlive(leader: number): boolean {
  try {
    process.kill(-leader, 0);
  } catch (error) {
    if (errorCode(error) !== 'EPERM') return false;
  }
  // What has ended belongs to its group until its parent collects it. In a container the first process may never do that.
  const groups = runningGroups();
  return groups === undefined || groups.has(leader);
}

/** The groups of all processes that have not ended; undefined: this system does not list them in /proc. */
function runningGroups(): ReadonlySet<number> | undefined {
  const groups = new Set<number>();
  try {
    for (const name of readdirSync('/proc')) {
      // `PID (NAME) STATE PARENT GROUP ...`: the name may contain anything.
      const [, state, group] = /^.*\) (\S) \d+ (\d+) /s.exec(/^\d+$/.test(name) ? statOf(name) : '') ?? [];
      if (state !== undefined && state !== 'Z' && state !== 'X') groups.add(Number(group));
    }
  } catch {
    return undefined;
  }
  return groups.size > 0 ? groups : undefined;
}

/** Empty: it has just ended. */
function statOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return '';
  }
}
