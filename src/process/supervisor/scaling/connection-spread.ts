/**
 * Moves clients from busy workers to others. A client that keeps its connection stays with the worker that has accepted it, so
 * without this a worker that starts under load would get new connections only.
 */
import type { WorkerHandle } from '../worker-handle.ts';

/** Loads that differ by this much are uneven, if one worker is as busy as `BUSY`. */
const UNEVEN = 0.4;
const BUSY = 0.75;
/** Connections move after this many looks in a row at which loads are uneven. */
const UNEVEN_LOOKS = 5;
/** Time for a move to show its effect before the next one. Connections that have not moved by then stay: the load may have changed. */
const PAUSE_MS = 2000;

export class ConnectionSpread {
  #unevenLooks = 0;
  #spreadAt = Number.NEGATIVE_INFINITY;

  /** To be called at short intervals. */
  look<Boot>(workers: readonly WorkerHandle<Boot>[], now: number): void {
    const utilizations = workers.map(({ load }) => load?.utilization ?? 0);
    const busiest = Math.max(...utilizations);
    const isUneven = busiest >= BUSY && busiest - Math.min(...utilizations) >= UNEVEN;
    this.#unevenLooks = isUneven ? this.#unevenLooks + 1 : 0;
    if (this.#unevenLooks >= UNEVEN_LOOKS && now - this.#spreadAt >= PAUSE_MS) this.spread(workers, now);
  }

  /** Each worker with more than the average gives up what it has beyond that. */
  spread<Boot>(workers: readonly WorkerHandle<Boot>[], now: number): void {
    this.#unevenLooks = 0;
    this.#spreadAt = now;
    const connections = workers.map(({ load }) => load?.connections ?? 0);
    const average = Math.ceil(connections.reduce((sum, count) => sum + count, 0) / workers.length);
    for (const [index, worker] of workers.entries()) {
      const extra = (connections[index] ?? 0) - average;
      if (extra <= 0) continue;
      worker.spread(extra);
      setTimeout(() => worker.spread(0), PAUSE_MS).unref();
    }
  }
}
