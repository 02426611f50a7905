/** Measures how busy a worker is, for a supervisor that starts and ends workers by load. */
import { type Load, QUIET_MS } from '../ipc/messages.ts';
import type { ConnectionShare } from './accept-balancer.ts';

/** From this utilization on each measurement is reported. */
const BUSY = 0.4;

export class LoadMeter {
  readonly #share: ConnectionShare | undefined;
  readonly #isRefusing: () => boolean;
  #measured = performance.eventLoopUtilization();
  #taken = 0;
  #isActive = false;
  #wasBusy = false;
  #reportedAt = Number.NEGATIVE_INFINITY;

  /**
   * @param share counts the connections; without it the worker counts as active
   * @param isRefusing whether requests are refused now
   */
  constructor(share: ConnectionShare | undefined, isRefusing: () => boolean) {
    this.#share = share;
    this.#isRefusing = isRefusing;
  }

  /** To be called at intervals. @returns what there is to report; undefined if it is much the same as before */
  measure(): Load | undefined {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#measured);
    this.#measured = now;
    const { connections, taken } = this.#share ?? { connections: 0, taken: 0 };
    this.#isActive ||= !this.#share || connections > 0 || taken !== this.#taken;
    this.#taken = taken;
    const load = { utilization: this.#isRefusing() ? 1 : utilization, connections, isActive: this.#isActive };
    const isBusy = load.utilization >= BUSY;
    const isDue = isBusy || this.#wasBusy || performance.now() - this.#reportedAt >= QUIET_MS;
    this.#wasBusy = isBusy;
    if (!isDue) return undefined;
    this.#reportedAt = performance.now();
    this.#isActive = false;
    return load;
  }
}
