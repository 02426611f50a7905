/** Process groups: a program and what it has started, except what it has put into another group. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorCode } from '../errors.ts';

/** A killed process that has not ended by then waits for the system, and nothing can end it. */
const MAX_KILL_MS = 2000;
/** How long to wait before the next check whether a group has ended: at first, and at most. A check may read every process's state. */
const POLL_MS = { first: 5, most: 200 };

/** Sends a signal to all processes of a group, if there are any. */
export function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal);
  } catch {
    // Nothing is left of it, or it belongs to another user.
  }
}

/** Whether a process of a group has not ended yet. */
function isGroupAlive(leader: number): boolean {
  try {
    process.kill(-leader, 0);
  } catch (error) {
    if (errorCode(error) !== 'EPERM') return false;
  }
  // What has ended belongs to its group until its parent collects it. In a container the first process may never do that.
  const groups = runningGroups();
  return groups === undefined || groups.has(leader);
}

/** Resolves when all processes of a group have ended, or after `limit` milliseconds. */
export async function groupEnd(leader: number, limit = Number.POSITIVE_INFINITY): Promise<void> {
  const end = performance.now() + limit;
  for (let pause = POLL_MS.first; isGroupAlive(leader); pause = Math.min(2 * pause, POLL_MS.most)) {
    if (performance.now() >= end) return;
    await sleep(pause);
  }
}

/** Kills groups. Resolves when nothing is left of them. */
export async function killGroups(leaders: readonly number[]): Promise<void> {
  for (const leader of leaders) signalGroup(leader, 'SIGKILL');
  await Promise.all(leaders.map((leader) => groupEnd(leader, MAX_KILL_MS)));
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
