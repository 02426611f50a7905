/**
 * Starts and ends workers by load, within the range that `workers` sets. With 0 as its lower bound the last worker ends too: then
 * connections wait in the kernel's queue, and the first one starts a worker, which accepts it.
 */
import { describeError } from '../../../errors.ts';
import type { Logger } from '../../../log.ts';
import type { ScalingStatus } from '../../../metrics/server-status.ts';
import { canWaitForConnections } from '../../../net/node-internals/handles.ts';
import { backoffMs } from '../../ipc/child-exit.ts';
import { LOAD_MS, type Load, QUIET_MS } from '../../ipc/messages.ts';
import { workersText } from '../memory-budget.ts';
import type { Pool } from '../pool.ts';
import { Interrupted, startLog } from '../turns.ts';
import type { WorkerHandle } from '../worker-handle.ts';
import { type ScalingChange, type ScalingLimits, ScalingPolicy } from './scaling-policy.ts';

/** What scaling needs of the supervisor. */
export interface ScalingOwner<Boot> {
  readonly pool: Pool<Boot>;
  readonly log: Logger;
  /** Runs an action when no other one that starts workers is running; never if the supervisor is stopping. */
  readonly inTurn: (action: () => Promise<void>) => Promise<void>;
}

/** A worker that is silent for longer than this is busy. One that waits for a processor may be late by a second. */
const SILENT_MS = QUIET_MS + 1000;
const REPORT_LIMIT_MS = 1000;

export class WorkerScaler<Boot> {
  readonly #owner: ScalingOwner<Boot>;
  #policy: ScalingPolicy | undefined;
  /** Whether the number was set by hand: it holds until the next reload. */
  #isFixed = false;
  readonly #spread = new ConnectionSpread();
  #isChanging = false;
  #failures = 0;
  #retryAt = 0;
  #checkedAt = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Each stops waiting for a connection on one socket. */
  #waits: (() => void)[] = [];

  constructor(owner: ScalingOwner<Boot>) {
    this.#owner = owner;
    owner.pool.relay.onWaiting = () => this.#wake();
  }

  /** To be called when the first workers serve, and after each reload. @param limits undefined: the number is fixed */
  configure(limits: ScalingLimits | undefined): void {
    this.stop();
    this.#isFixed = false;
    if (!limits) return;
    const { log } = this.#owner;
    const minimum = limits.minimum === 0 && !canWaitForConnections() ? 1 : limits.minimum;
    if (minimum !== limits.minimum)
      log.warn(`one worker stays: Node ${process.version} cannot tell whether a connection waits`);
    this.#policy = new ScalingPolicy({ ...limits, minimum }, performance.now());
    this.#watch();
  }

  #watch(): void {
    clearInterval(this.#timer);
    this.#checkedAt = performance.now();
    this.#timer = setInterval(() => this.#check(), LOAD_MS);
    this.#timer.unref();
  }

  /** The number of workers has been set by hand. */
  fix(): void {
    if (!this.#policy) return;
    if (!this.#isFixed) this.#owner.log.info('the number of workers does not follow the load until the next reload');
    this.#isFixed = true;
    // Without a worker, a connection must still start one.
    if (this.#owner.pool.size > 0) this.#endWaits();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#policy = undefined;
    this.#endWaits();
  }

  /** Undefined: the number is fixed by the configuration. */
  status(): ScalingStatus | undefined {
    if (!this.#policy) return undefined;
    const { minimum, maximum } = this.#policy.limits;
    return { wanted: this.#owner.pool.size, minimum, maximum, isFixed: this.#isFixed };
  }

  #check(): void {
    const { pool } = this.#owner;
    const now = performance.now();
    // If this process was blocked too, silence says nothing.
    const wasBlocked = now - this.#checkedAt > 5 * LOAD_MS;
    this.#checkedAt = now;
    const policy = this.#policy;
    if (!policy || wasBlocked || this.#isChanging || this.#isFixed) return;
    const loads = pool.workers.flatMap((worker) => loadOf(worker) ?? []);
    // One that starts, or starts again after a crash, has to be measured before another one may follow.
    if (loads.length === 0 || loads.length < pool.size) return;
    this.#spread.check(pool.workers, now);
    const change = policy.decide(loads, now);
    if (!change || (change.count > pool.size && now < this.#retryAt)) return;
    this.#isChanging = true;
    void this.#owner
      .inTurn(async () => {
        if (this.#policy === policy && !this.#isFixed) await this.#change(change, policy);
      })
      .finally(() => {
        this.#isChanging = false;
      });
  }

  async #change(change: ScalingChange, policy: ScalingPolicy): Promise<void> {
    const { pool } = this.#owner;
    if (change.count > pool.size) await this.#grow(change);
    else if (change.count < pool.size) await this.#shrink(change, policy);
  }

  async #grow({ count, reason }: ScalingChange): Promise<void> {
    const { pool, log } = this.#owner;
    const before = pool.size;
    const failure = await pool.grow(count - before);
    if (pool.size > before) log.info(`${workersText(pool.size)} (${pool.size - before} more): ${reason}`);
    this.#failures = failure && !(failure instanceof Interrupted) ? this.#failures + 1 : 0;
    this.#retryAt = performance.now() + backoffMs(this.#failures);
    if (failure && this.#policy)
      startLog(log, failure).error(`another worker does not start: ${describeError(failure)}`);
    this.#spread.spread(pool.workers, performance.now());
    pool.spares.warmLater();
  }

  async #shrink({ reason }: ScalingChange, policy: ScalingPolicy): Promise<void> {
    const { pool, log } = this.#owner;
    const worker = await this.#idleWorker();
    const slot = worker && pool.slotOf(worker);
    if (!slot || this.#policy !== policy) return;
    const ended = pool.remove(slot);
    const { size } = pool;
    if (size > 0) log.info(`${workersText(size)} (1 fewer): ${reason}`);
    else log.info(`no worker: ${reason}; the next connection starts one`);
    await ended;
    if (pool.size === 0 && this.#policy === policy) this.#waitForConnection();
  }

  /** A worker without requests and WebSockets, and if it is the last one, without connections. The first one goes last. */
  async #idleWorker(): Promise<WorkerHandle<Boot> | undefined> {
    const { pool } = this.#owner;
    const { workers } = pool;
    const isLast = workers.length === 1;
    for (const worker of isLast ? workers : workers.slice(1).reverse()) {
      const since = performance.now();
      await worker.requestReport(REPORT_LIMIT_MS);
      const { report, silent } = worker.status(since);
      if (worker.state !== 'ready' || !report || silent !== undefined) continue;
      if (report.inFlightCount > 0 || report.upgraded > 0) continue;
      if (isLast && (worker.load?.isActive || pool.live.connections(worker) > 0)) continue;
      return worker;
    }
    return undefined;
  }

  #waitForConnection(): void {
    this.#endWaits();
    // No checks meanwhile: an idle server takes no processor time.
    clearInterval(this.#timer);
    const wake = () => this.#wake();
    this.#waits = this.#owner.pool.settings.sockets.map((socket) => socket.whenConnectionWaits(wake));
  }

  #endWaits(): void {
    for (const end of this.#waits.splice(0)) end();
  }

  /** A connection waits, in the kernel or in the relay. */
  #wake(): void {
    const policy = this.#policy;
    this.#endWaits();
    if (!policy || this.#owner.pool.size > 0) return;
    void this.#owner.inTurn(async () => {
      const { pool, log } = this.#owner;
      if (pool.size > 0 || this.#policy === undefined) return;
      log.info('1 worker (1 more): a connection waits');
      pool.open();
      this.#watch();
    });
  }
}

/** Undefined: it does not serve yet, or any more, or nothing is known yet. */
function loadOf<Boot>(worker: WorkerHandle<Boot>): Load | undefined {
  const { load } = worker;
  return load && worker.loadAge > SILENT_MS ? { ...load, utilization: 1, isActive: true } : load;
}

/** Loads that differ by this much are uneven, if one worker is as busy as `BUSY`. */
const UNEVEN = 0.4;
const BUSY = 0.75;
/** Connections move after this many checks in a row that have found uneven loads. */
const UNEVEN_CHECKS = 5;
/** Time for a move to show its effect before the next one. Connections that have not moved by then stay: the load may have changed. */
const PAUSE_MS = 2000;

/**
 * Moves clients from busy workers to others. A client that keeps its connection stays with the worker that has accepted it, so
 * without this a worker that starts under load would get new connections only.
 */
class ConnectionSpread {
  #unevenChecks = 0;
  #spreadAt = Number.NEGATIVE_INFINITY;

  /** To be called at short intervals. */
  check<Boot>(workers: readonly WorkerHandle<Boot>[], now: number): void {
    const utilizations = workers.map(({ load }) => load?.utilization ?? 0);
    const busiest = Math.max(...utilizations);
    const isUneven = busiest >= BUSY && busiest - Math.min(...utilizations) >= UNEVEN;
    this.#unevenChecks = isUneven ? this.#unevenChecks + 1 : 0;
    if (this.#unevenChecks >= UNEVEN_CHECKS && now - this.#spreadAt >= PAUSE_MS) this.spread(workers, now);
  }

  /** Each worker with more than the average gives up what it has beyond that. */
  spread<Boot>(workers: readonly WorkerHandle<Boot>[], now: number): void {
    this.#unevenChecks = 0;
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
