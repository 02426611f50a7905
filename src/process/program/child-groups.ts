/** The process groups that a worker has started. They end with the worker, also if it is killed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isGroupAlive, signalGroup } from '../../machine/process-group.ts';

const LOOK_MS = 5;
/** A process that does not end by then waits for the system, and nothing can end it. */
const LONGEST_END_MS = 2000;

export class ChildGroups {
  readonly #leaders: number[] = [];

  add(leader: number): void {
    this.#leaders.push(leader);
  }

  /** Kills the groups, and calls back when nothing is left of them: at once, if there are none. */
  end(ended: () => void): void {
    if (this.#leaders.length === 0) ended();
    else void this.#kill().then(ended);
  }

  async #kill(): Promise<void> {
    const limit = performance.now() + LONGEST_END_MS;
    for (const leader of this.#leaders) {
      do signalGroup(leader, 'SIGKILL');
      while (isGroupAlive(leader) && (await sleep(LOOK_MS, true)) && performance.now() < limit);
    }
  }
}
