/** Changes of single workers while the others serve: a worker gets a successor, there is one more, or one fewer. */
import { describeError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { ServerEvents } from '../../metrics/server-events.ts';
import type { RestartReason } from '../../metrics/server-status.ts';
import { workersText } from './memory-budget.ts';
import type { Pool } from './pool.ts';
import { startLog } from './turns.ts';
import type { WorkerHandle } from './worker-handle.ts';

export interface Failure {
  readonly ok: false;
  readonly error: unknown;
  /** Whether the old version has ended, and the new one is tried again. Default: false. */
  readonly hasEnded?: boolean;
}

/** How the replacement of a worker went, with the process that serves now. */
export type Succession = { readonly ok: true; readonly pid: number | undefined } | Failure;

/** What happens to a request that comes too late. */
export const STOPPED: Failure = { ok: false, error: new Error('the supervisor is stopping') };
/** What happens to a reload that a newer one replaces. */
export const SUPERSEDED: Failure = { ok: false, error: new Error('a newer reload was requested') };

/** What the changes need of the supervisor. */
export interface ChangesOwner<Boot> {
  readonly pool: Pool<Boot>;
  readonly events: ServerEvents;
  readonly log: Logger;
  readonly isStopping: () => boolean;
  /** Called when the number of workers is set on request. */
  readonly onNumberSet: () => void;
  /** Runs an action while no other worker is replaced on request; returns `stopped` if the supervisor stops. */
  readonly inTurn: <T>(action: () => Promise<T>, stopped: T) => Promise<T>;
}

export class WorkerChanges<Boot> {
  readonly #owner: ChangesOwner<Boot>;
  /** The workers that wait for their successors. */
  readonly #waiting = new Set<WorkerHandle<Boot>>();

  constructor(owner: ChangesOwner<Boot>) {
    this.#owner = owner;
  }

  /** The number of workers no longer follows the load. Resolves when no other change is in progress. */
  fixNumber(): Promise<void> {
    const { inTurn, onNumberSet } = this.#owner;
    return inTurn(async () => onNumberSet(), undefined);
  }

  /** @returns the error, if it does not start */
  add(): Promise<Failure | undefined> {
    const { pool, log, isStopping, onNumberSet, inTurn } = this.#owner;
    return inTurn<Failure | undefined>(async () => {
      try {
        await pool.add();
        onNumberSet();
        log.info(workersText(pool.size));
        pool.spares.warm();
        return undefined;
      } catch (error) {
        if (!isStopping()) startLog(log, error).error(`another worker does not start: ${describeError(error)}`);
        return { ok: false, error };
      }
    }, STOPPED);
  }

  /** The last worker stays. */
  remove(): Promise<void> {
    const { pool, log, onNumberSet, inTurn } = this.#owner;
    return inTurn(async () => {
      if (pool.size <= 1) return;
      const removed = pool.remove();
      onNumberSet();
      log.info(workersText(pool.size));
      await removed;
    }, undefined);
  }

  /** Has a worker replaced. If that is requested again before it has happened, the worker is still replaced only once. */
  request(worker: WorkerHandle<Boot>, reason: string, kind: RestartReason): void {
    if (this.#waiting.has(worker)) return;
    this.#waiting.add(worker);
    void this.#owner
      .inTurn(() => this.#succeed(worker, reason, kind), STOPPED)
      .finally(() => this.#waiting.delete(worker));
  }

  /** Replaces a worker. Resolves to the process of its successor; to undefined if there is no worker with that pid. */
  replace(pid: number, reason: string): Promise<Succession | undefined> {
    const { pool, inTurn } = this.#owner;
    return inTurn<Succession | undefined>(async () => {
      const worker = pool.workers.find((each) => each.pid === pid);
      return worker && this.#succeed(worker, reason, 'control');
    }, STOPPED);
  }

  async #succeed(worker: WorkerHandle<Boot>, reason: string, kind: RestartReason): Promise<Succession> {
    const { pool, events, log, isStopping } = this.#owner;
    const slot = pool.slotOf(worker);
    if (!slot) return { ok: true, pid: undefined };
    log.info(`worker ${worker.pid} ${reason} and is replaced`);
    try {
      await pool.replace(slot);
      events.restarted(kind, `worker ${worker.pid} ${reason}`);
      return { ok: true, pid: slot.worker?.pid };
    } catch (error) {
      if (!isStopping())
        startLog(log, error).error(`its successor does not start, so it keeps running: ${describeError(error)}`);
      return { ok: false, error };
    } finally {
      pool.spares.warm();
    }
  }
}
