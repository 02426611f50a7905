/**
 * How many workers a load needs, within a range. It grows fast and shrinks slowly: a number that was needed within the last
 * `idleMs` stays, so a load that comes and goes does not start and end workers all the time.
 */
import type { Load } from '../../ipc/messages.ts';

export interface ScalingLimits {
  readonly minimum: number;
  readonly maximum: number;
  /** For how long a worker must not have been needed before it ends. */
  readonly idleMs: number;
  /** Workers beyond those that the load needs: flup's `minSpare` and `maxSpare`. */
  readonly leastSpare: number;
  readonly mostSpare: number;
}

export interface ScalingChange {
  readonly count: number;
  /** For the log. */
  readonly reason: string;
}

/** The utilization that each worker should have, which leaves room for bursts. */
const TARGET = 0.5;
/** More workers start when the existing ones are busier than this on average. */
const HIGH = 0.75;
/** More workers start only if this many checks in a row have found the workers busy. A short burst is over sooner. */
const BUSY_CHECKS = 3;
/** The shortest time between the ends of two workers. */
const SHRINK_PAUSE_MS = 1000;

export class ScalingPolicy {
  readonly limits: ScalingLimits;
  /** How many checks in a row have found too few workers. */
  #busyChecks = 0;
  /** The element at index n is the time at which n + 1 workers were last needed. */
  readonly #neededAt: number[] = [];
  #shrunkAt: number;
  readonly #since: number;

  /** @param now as for `decide` */
  constructor(limits: ScalingLimits, now: number) {
    this.limits = limits;
    this.#since = now;
    this.#shrunkAt = now;
  }

  /**
   * To be called at short intervals.
   * @param loads of all workers; at least one
   * @param now milliseconds
   * @returns what should change
   */
  decide(loads: readonly Load[], now: number): ScalingChange | undefined {
    const size = loads.length;
    const sum = loads.reduce((total, { utilization }) => total + utilization, 0);
    // Without requests, only the application's own timers keep the event loops busy, and more workers would multiply those timers.
    const isActive = loads.some((load) => load.isActive);
    const needed = isActive ? Math.max(1, Math.ceil(sum / TARGET)) : 0;
    const { minimum, maximum, leastSpare, mostSpare, idleMs } = this.limits;
    this.#note(Math.max(minimum, needed + mostSpare), now);
    const least = Math.max(minimum, Math.min(maximum, needed + leastSpare));
    const isBusy = isActive && sum / size > HIGH;
    this.#busyChecks = size < maximum && (isBusy || (leastSpare > 0 && size < least)) ? this.#busyChecks + 1 : 0;
    if (this.#busyChecks >= BUSY_CHECKS) {
      this.#busyChecks = 0;
      const count = Math.min(maximum, Math.max(size + 1, least));
      this.#note(count, now);
      return { count, reason: isBusy ? busyText(sum / size) : `minSpare = ${leastSpare}` };
    }
    const isUnneeded = size > minimum && now - (this.#neededAt[size - 1] ?? this.#since) >= idleMs;
    if (!isUnneeded || now - this.#shrunkAt < SHRINK_PAUSE_MS) return undefined;
    this.#shrunkAt = now;
    return { count: size - 1, reason: `not needed for ${idleMs / 1000} s` };
  }

  #note(needed: number, now: number): void {
    for (let index = 0; index < Math.min(needed, this.limits.maximum); index++) this.#neededAt[index] = now;
  }
}

function busyText(utilization: number): string {
  return `event loops are busy for ${Math.round(utilization * 100)} % of the time`;
}
