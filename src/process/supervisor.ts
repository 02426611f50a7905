/**
 * The supervisor: runs in the parent, holds the sockets, and keeps a number of workers alive behind them. It does not
 * know what they do. Every change of workers is made in the order successor ready, predecessor drains, so that there
 * is always somebody to answer; where no worker is left for a moment, connections wait in the kernel's queue.
 *
 * What is asked from outside (reload, more, fewer, a worker that wants a successor) is done one after the other, so
 * that workers are never all exchanged at once. A worker that dies is replaced beside that.
 */
import { errorMessage, formatError, PasterError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { HeldSocket } from '../net/held-socket.ts';
import { backoffMs, HEALTHY_AFTER_MS } from './backoff.ts';
import { describeExit, type Exit } from './exit-codes.ts';
import { REPORT_MODULES, type WorkerLimits } from './messages.ts';
import { Reload, type ReloadOptions } from './reload.ts';
import { WorkerHandle, type WorkerState } from './worker-handle.ts';

export interface SupervisorOptions<Boot> {
  /** The worker's script; it calls `runWorker`. */
  readonly entry: string;
  /** What each worker is sent, or what makes it, anew for each worker. */
  readonly boot: Boot | (() => Boot | Promise<Boot>);
  /** Closed by `stop`. */
  readonly sockets: readonly HeldSocket[];
  readonly workers: number;
  /** Seconds that a worker may take to finish what is in flight. */
  readonly gracefulTimeout: number;
  /** Seconds that an event loop may stand still. Undefined or 0: for ever. */
  readonly workerTimeout?: number | undefined;
  readonly maxRequests?: number | undefined;
  readonly maxRequestsJitter?: number | undefined;
  /** MiB. */
  readonly maxMemory?: number | undefined;
  /** Present: reload when a file changes. */
  readonly reload?: ReloadOptions | undefined;
  readonly log: Logger;
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly execArgv?: readonly string[] | undefined;
  /** The descriptor that the standard output and error of the next worker go to. Default: this process's own. */
  readonly output?: (() => number) | undefined;
}

/** How a reload went. */
export type ReloadResult = { readonly ok: true } | { readonly ok: false; readonly error: unknown };

export interface WorkerStatus {
  readonly id: number;
  readonly pid: number | undefined;
  readonly state: WorkerState;
}

/** The place of one worker in the pool, whichever process fills it. */
interface Slot<Boot> {
  worker: WorkerHandle<Boot> | undefined;
  deaths: number;
  removed: boolean;
}

const DEFAULT_DRAIN_S = 1;
/** How long a predecessor may take to say that it accepts nothing more before it is no longer waited for. */
const RETIRE_LIMIT_MS = 2000;

export class Supervisor<Boot> {
  /** Resolves when it has stopped and no worker is left. */
  readonly finished: Promise<void>;
  readonly #options: SupervisorOptions<Boot>;
  readonly #log: Logger;
  readonly #limits: WorkerLimits;
  readonly #reload: Reload | undefined;
  readonly #slots: Slot<Boot>[] = [];
  /** Every process that lives, those that drain included. */
  readonly #alive = new Set<WorkerHandle<Boot>>();
  readonly #spares: WorkerHandle<Boot>[] = [];
  readonly #revivals = new Set<NodeJS.Timeout>();
  readonly #asking = new Set<WorkerHandle<Boot>>();
  /** Booting, not ready yet. */
  readonly #starting = new Set<WorkerHandle<Boot>>();
  #interrupted = false;
  #turn: Promise<unknown> = Promise.resolve();
  #lastId = 0;
  #stopping = false;
  #watchdog: NodeJS.Timeout | undefined;
  #setFinished = () => {};

  constructor(options: SupervisorOptions<Boot>) {
    this.#options = options;
    this.#log = options.log;
    const { workerTimeout = 0, maxRequests, maxRequestsJitter, maxMemory } = options;
    this.#limits = {
      heartbeatMs: workerTimeout > 0 ? Math.min(1000, (workerTimeout * 1000) / 4) : undefined,
      stallMs: workerTimeout > 0 ? workerTimeout * 1000 : undefined,
      maxRequests,
      maxRequestsJitter,
      maxMemory,
    };
    this.finished = new Promise((resolve) => {
      this.#setFinished = resolve;
    });
    if (options.reload) {
      this.#reload = new Reload(
        options.reload,
        options.log,
        () => this.#exchangeAll(),
        () => this.#interrupt(),
      );
    }
  }

  /** Resolves when the workers are ready. Rejects with a worker's own reason if none of them can start. */
  async start(): Promise<void> {
    for (let count = 0; count < this.#options.workers; count++) this.#slots.push(newSlot());
    const started = await Promise.allSettled(this.#slots.map((slot) => this.#fill(slot)));
    const failed = started.filter((each) => each.status === 'rejected');
    const [first] = failed;
    if (first && failed.length === started.length) {
      if (!this.#reload || this.#stopping || !(await this.#exchangeForFailure(first.reason))) {
        await this.stop({ graceful: false });
        throw first.reason;
      }
    } else if (first) {
      this.#log.error(`a worker did not start: ${describe(first.reason)}`);
      for (const slot of this.#slots) if (!slot.worker) this.#revive(slot);
    }
    if (this.#limits.heartbeatMs !== undefined) this.#watch(this.#limits.heartbeatMs);
    await this.#reload?.start();
    this.#warmSpares();
  }

  /** Exchanges the workers one by one. The first that does not start ends it, and the others go on as they are. */
  reload(reason: string): Promise<ReloadResult> {
    return this.#inTurn(async (): Promise<ReloadResult> => {
      this.#log.info(`reloading (${reason})`);
      // What is warm may be older than the code that is to be loaded now.
      for (const spare of this.#spares.splice(0)) spare.kill();
      try {
        for (const slot of [...this.#slots]) await this.#exchange(slot);
        this.#log.info('reloaded');
        return { ok: true };
      } catch (error) {
        if (!this.#stopping) {
          this.#log.error(`the new version does not start, the old one goes on: ${describe(error)}`);
        }
        return { ok: false, error };
      } finally {
        this.#warmSpares();
      }
    }, STOPPED);
  }

  addWorker(): Promise<void> {
    return this.#inTurn(async () => {
      const slot = newSlot<Boot>();
      try {
        await this.#fill(slot);
        this.#slots.push(slot);
        this.#log.info(`${this.#slots.length} workers`);
      } catch (error) {
        this.#log.error(`one more worker does not start: ${describe(error)}`);
      }
    }, undefined);
  }

  /** The last worker stays. */
  removeWorker(): Promise<void> {
    return this.#inTurn(async () => {
      const slot = this.#slots.length > 1 ? this.#slots.pop() : undefined;
      if (!slot) return;
      slot.removed = true;
      this.#log.info(`${this.#slots.length} workers`);
      if (slot.worker) await this.#retire(slot.worker);
    }, undefined);
  }

  reopenLogs(): void {
    for (const worker of this.#alive) worker.reopenLogs();
  }

  status(): WorkerStatus[] {
    return [...this.#alive].map(({ id, pid, state }) => ({ id, pid, state }));
  }

  /** Ends all workers; a second call that is not graceful cuts a graceful one short. */
  async stop({ graceful }: { graceful: boolean }): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#watchdog);
    for (const timer of this.#revivals) clearTimeout(timer);
    const unwatched = this.#reload?.close();
    // New connections are refused from now on, instead of waiting for somebody who will never come.
    const closed = Promise.all(this.#options.sockets.map((socket) => socket.close()));
    const timeout = graceful ? this.#options.gracefulTimeout : 0;
    await Promise.all([...this.#alive].map((worker) => worker.stop({ graceful, timeout })));
    await Promise.all([closed, unwatched]);
    this.#setFinished();
  }

  /** Does what is asked one after the other; nothing more once it stops. */
  #inTurn<T>(action: () => Promise<T>, stopped: T): Promise<T> {
    const result = this.#turn.then(() => (this.#stopping ? stopped : action()));
    this.#turn = result.catch(() => {});
    return result;
  }

  #spawn(): WorkerHandle<Boot> {
    const { entry, sockets, env = process.env, execArgv = [], output } = this.#options;
    const worker: WorkerHandle<Boot> = new WorkerHandle<Boot>({
      id: ++this.#lastId,
      entry,
      sockets,
      limits: this.#limits,
      env: this.#reload ? { ...env, ...REPORT_MODULES } : env,
      execArgv,
      output: output?.() ?? 'inherit',
      onWatch: (files) => this.#reload?.watch(files),
      onPatterns: (patterns) => this.#reload?.watchPatterns(patterns),
      onReplace: (reason) => this.#replace(worker, reason),
    });
    this.#alive.add(worker);
    void worker.exited.then((exit) => {
      this.#alive.delete(worker);
      const slot = this.#slots.find((each) => each.worker === worker);
      if (slot) this.#mourn(slot, worker, exit);
    });
    return worker;
  }

  /** Gives a worker its place, unless it has died between being ready and now. */
  #place(slot: Slot<Boot>, worker: WorkerHandle<Boot>): void {
    slot.worker = worker;
    if (worker.state === 'exited') void worker.exited.then((exit) => this.#mourn(slot, worker, exit));
  }

  #mourn(slot: Slot<Boot>, worker: WorkerHandle<Boot>, exit: Exit): void {
    if (slot.worker !== worker || this.#stopping) return;
    slot.worker = undefined;
    slot.deaths = worker.served >= HEALTHY_AFTER_MS ? 1 : slot.deaths + 1;
    const reason = worker.failure ? `: ${describe(worker.failure)}` : '';
    this.#log.error(`worker ${worker.pid} ended ${describeExit(exit)}${reason}`);
    this.#revive(slot);
  }

  /** A worker that serves, or an exception with the reason why not. */
  async #bootOne(failure?: Error): Promise<WorkerHandle<Boot>> {
    const { boot } = this.#options;
    const worker = this.#takeSpare() ?? this.#spawn();
    try {
      this.#starting.add(worker);
      await worker.boot(typeof boot === 'function' ? await (boot as () => Boot | Promise<Boot>)() : boot, failure);
    } catch (error) {
      worker.kill();
      throw error;
    } finally {
      this.#starting.delete(worker);
    }
    if (this.#stopping) {
      // Too late for the round of orders that `stop` has sent.
      await worker.stop({ graceful: false, timeout: 0 });
      throw new Error('stopped');
    }
    return worker;
  }

  /** With `reload`, what does not start answers with the reason until the next good save; else it is tried again. */
  async #bootFailure(reason: unknown): Promise<WorkerHandle<Boot>> {
    if (!this.#reload || this.#stopping) throw reason;
    const failure = reason instanceof Error ? reason : new Error(String(reason));
    this.#log.error(describe(failure));
    return await this.#bootOne(failure);
  }

  #takeSpare(): WorkerHandle<Boot> | undefined {
    for (;;) {
      const spare = this.#spares.shift();
      if (spare?.state !== 'exited') return spare;
    }
  }

  #warmSpares(): void {
    if (!this.#reload || this.#stopping) return;
    while (this.#spares.length < this.#slots.length) this.#spares.push(this.#spawn());
  }

  async #fill(slot: Slot<Boot>): Promise<void> {
    const worker = await this.#bootOne();
    this.#place(slot, worker);
    this.#log.debug(`worker ${worker.pid} is ready`);
  }

  /** Puts a successor in a worker's place. */
  async #exchange(slot: Slot<Boot>): Promise<void> {
    const successor = await this.#bootOne();
    const predecessor = slot.worker;
    this.#place(slot, successor);
    this.#log.debug(`worker ${successor.pid} takes over from ${predecessor?.pid ?? 'none'}`);
    if (predecessor) await this.#retire(predecessor);
  }

  /** Resolves when it accepts nothing more; it finishes what it holds by itself. */
  async #retire(worker: WorkerHandle<Boot>): Promise<void> {
    const reload = this.#options.reload;
    const timeout = reload ? (reload.drain ?? DEFAULT_DRAIN_S) : this.#options.gracefulTimeout;
    void worker.stop({ graceful: true, timeout });
    let limit: NodeJS.Timeout | undefined;
    const waited = new Promise<void>((resolve) => {
      limit = setTimeout(resolve, RETIRE_LIMIT_MS);
    });
    await Promise.race([worker.drained, waited]);
    clearTimeout(limit);
  }

  /** Starts a worker where one has died, and again until one lives. */
  #revive(slot: Slot<Boot>): void {
    const attempt = async () => {
      if (this.#stopping || slot.removed || slot.worker) return;
      try {
        const worker = await this.#bootOne().catch((error: unknown) => this.#bootFailure(error));
        // In the meantime a reload may have filled the place, or a TTOU taken it away.
        if (slot.removed || slot.worker) void worker.stop({ graceful: true, timeout: this.#options.gracefulTimeout });
        else this.#place(slot, worker);
        this.#warmSpares();
      } catch (error) {
        if (this.#stopping) return;
        slot.deaths++;
        this.#log.error(`a worker does not start: ${describe(error)}`);
        this.#revive(slot);
      }
    };
    // Not `unref`: with its only worker dead, this is all that keeps this process alive.
    const timer = setTimeout(() => {
      this.#revivals.delete(timer);
      void attempt();
    }, backoffMs(slot.deaths));
    this.#revivals.add(timer);
  }

  #replace(worker: WorkerHandle<Boot>, reason: string): void {
    if (this.#asking.has(worker)) return;
    this.#asking.add(worker);
    void this.#inTurn(async () => {
      const slot = this.#slots.find((each) => each.worker === worker);
      if (!slot) return;
      this.#log.info(`worker ${worker.pid} ${reason} and is replaced`);
      try {
        await this.#exchange(slot);
      } catch (error) {
        if (!this.#stopping) this.#log.error(`its successor does not start, it goes on: ${describe(error)}`);
      }
    }, undefined).finally(() => this.#asking.delete(worker));
  }

  /** For a change of files: all at once, so that one version serves at a time, and its error if it does not load. */
  #exchangeAll(): Promise<ReloadResult> {
    return this.#inTurn(async () => {
      this.#interrupted = false;
      try {
        await this.#swap(await this.#bootAll());
        return { ok: true };
      } catch (error) {
        if (!this.#stopping && !this.#interrupted) await this.#exchangeForFailure(error);
        return { ok: false, error };
      } finally {
        this.#warmSpares();
      }
    }, STOPPED);
  }

  /** Gives up the versions that are being started: another one is on disk by now, and some never come to an end. */
  #interrupt(): void {
    this.#interrupted = true;
    for (const worker of this.#starting) worker.kill();
  }

  async #exchangeForFailure(reason: unknown): Promise<boolean> {
    const failure = reason instanceof Error ? reason : new Error(String(reason));
    this.#log.error(describe(failure));
    try {
      await this.#swap(await this.#bootAll(failure));
      return true;
    } catch (error) {
      if (!this.#stopping) this.#log.debug(`nor can its error be served: ${describe(error)}`);
      return false;
    }
  }

  async #bootAll(failure?: Error): Promise<WorkerHandle<Boot>[]> {
    const booted = await Promise.allSettled(this.#slots.map(() => this.#bootOne(failure)));
    const ready = booted.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    const bad = booted.find((each) => each.status === 'rejected');
    if (!bad) return ready;
    for (const worker of ready) void worker.stop({ graceful: true, timeout: DEFAULT_DRAIN_S });
    throw bad.reason;
  }

  async #swap(successors: readonly WorkerHandle<Boot>[]): Promise<void> {
    const predecessors = this.#slots.map((slot, index) => {
      const { worker } = slot;
      const successor = successors[index];
      if (successor) this.#place(slot, successor);
      return worker;
    });
    await Promise.all(predecessors.map((worker) => worker && this.#retire(worker)));
  }

  /** Kills what stands still. */
  #watch(heartbeatMs: number): void {
    const limit = (this.#options.workerTimeout ?? 0) * 1000;
    let last = performance.now();
    this.#watchdog = setInterval(() => {
      const now = performance.now();
      // If this process itself stood still (a suspended machine), nobody can be blamed for silence.
      const blameless = now - last > heartbeatMs * 2;
      last = now;
      for (const { worker } of this.#slots) {
        if (worker?.state !== 'ready') continue;
        if (blameless) worker.excuse();
        else if (worker.silence > limit) {
          this.#log.error(`worker ${worker.pid} has stood still for ${this.#options.workerTimeout} s and is killed`);
          worker.excuse();
          worker.kill();
        }
      }
    }, heartbeatMs);
  }
}

const STOPPED: ReloadResult = { ok: false, error: new Error('the supervisor is stopping') };

function newSlot<Boot>(): Slot<Boot> {
  return { worker: undefined, deaths: 0, removed: false };
}

function describe(error: unknown): string {
  return error instanceof PasterError ? formatError(error) : errorMessage(error);
}
