/**
 * The workers of a supervisor: who there is, who is warm, who takes whose place, and who is started again. A slot is
 * the place of one worker, whichever process fills it. What is to happen, and when, is decided by the supervisor.
 */
import { asError, RunError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { addCounts, type Counts, NO_COUNTS } from '../metrics/counts.ts';
import { noRestarts, type RestartReason, type ServerStatus, type WorkerStatus } from '../metrics/server-status.ts';
import type { HeldSocket } from '../net/held-socket.ts';
import { timerMs } from '../timer.ts';
import { enterDirectory, inCurrentRelease, workingDirectory } from '../working-directory.ts';
import { backoffMs, HEALTHY_AFTER_MS } from './backoff.ts';
import { ConnectionTable } from './balance.ts';
import { describe } from './error-line.ts';
import { describeExit, type Exit } from './exit-codes.ts';
import { REPORT_MODULES, type WorkerLimits } from './messages.ts';
import { type Recipient, Relay } from './relay.ts';
import { type Deceased, WorkerHandle } from './worker-handle.ts';

/** How workers are started. */
export interface WorkerSettings<Boot> {
  /** What each of them is sent. */
  readonly boot: Boot;
  readonly sockets: readonly HeldSocket[];
  readonly limits: WorkerLimits;
  /** Seconds that a worker may take until it serves; 0: no limit. */
  readonly startTimeout: number;
  /** Seconds that a predecessor may take for what is in flight. */
  readonly drain: number;
}

export interface PoolOptions<Boot> {
  readonly entry: string;
  readonly settings: WorkerSettings<Boot>;
  readonly log: Logger;
  readonly env: NodeJS.ProcessEnv;
  readonly execArgv: readonly string[];
  readonly output: () => number | 'inherit';
  /**
   * For a developer: a warm process for each slot, modules are reported, and a worker that died and does not start
   * again is represented by its error. Otherwise it is tried again.
   */
  readonly reload: boolean;
  /** Told with the time at which the worker began to load. */
  readonly onWatch: (files: readonly string[], loaded: number) => void;
  readonly onPatterns: (patterns: readonly string[]) => void;
  readonly onReplace: (worker: WorkerHandle<Boot>, reason: string, kind: RestartReason) => void;
  /** Called when a worker serves: the application, or an error instead of it. */
  readonly onServes: (failure: Error | undefined) => void;
  /** A worker asks how the whole server is. */
  readonly onAsk: () => Promise<ServerStatus>;
  /** What is written down of a worker that has died, behind how it ended. */
  readonly describeDeath: (worker: Deceased, exit: Exit) => string;
}

export interface Slot<Boot> {
  worker: WorkerHandle<Boot> | undefined;
  deaths: number;
  removed: boolean;
}

/** How long a predecessor may take to say that it accepts nothing more before it is no longer waited for. */
const RETIRE_LIMIT_MS = 2000;
/** Seconds for a worker that was started in vain. */
const NEVER_USED_DRAIN_S = 1;
/** How long a worker may take to say how it is, before what it said last is good enough. */
const REPORT_LIMIT_MS = 1000;
/** When a person begins to wonder. */
const SLOW_START_S = 10;

export class Pool<Boot> {
  /** For workers that are started from now on. */
  settings: WorkerSettings<Boot>;
  readonly #options: PoolOptions<Boot>;
  readonly #log: Logger;
  readonly #table = ConnectionTable.open();
  /** Connections from workers that go to those that stay. */
  readonly #relay = new Relay(() => this.#recipients());
  readonly #slots: Slot<Boot>[] = [];
  /** Every process that lives, those that drain included. */
  readonly #alive = new Set<WorkerHandle<Boot>>();
  readonly #spares: WorkerHandle<Boot>[] = [];
  readonly #revivals = new Set<NodeJS.Timeout>();
  /** Booting, not ready yet. */
  readonly #starting = new Set<WorkerHandle<Boot>>();
  /** What workers have counted that are gone. */
  #gone: Counts = NO_COUNTS;
  /** How often workers were exchanged, or have died, by the reason. */
  readonly restarts = noRestarts();
  #round: Promise<WorkerStatus[]> | undefined;
  #lastId = 0;
  #interruptions = 0;
  #stopping = false;

  constructor(options: PoolOptions<Boot>) {
    this.#options = options;
    this.#log = options.log;
    this.settings = options.settings;
  }

  /** How many workers there are to be. */
  get size(): number {
    return this.#slots.length;
  }

  /** Those that have a place. */
  get workers(): WorkerHandle<Boot>[] {
    return this.#slots.flatMap(({ worker }) => worker ?? []);
  }

  slotOf(worker: WorkerHandle<Boot>): Slot<Boot> | undefined {
    return this.#slots.find((slot) => slot.worker === worker);
  }

  /** Those that live, each with what it says now; one that stands still, with what it said before. */
  status(): Promise<WorkerStatus[]> {
    this.#round ??= this.#askAll().finally(() => {
      this.#round = undefined;
    });
    return this.#round;
  }

  async #askAll(): Promise<WorkerStatus[]> {
    const since = performance.now();
    await Promise.all([...this.#alive].map((worker) => worker.askReport(REPORT_LIMIT_MS)));
    return [...this.#alive].map((worker) => worker.status(since));
  }

  /** What all workers have counted that there ever were, as far as they have said so: it never becomes less. */
  totals(): Counts {
    const counts = [...this.#alive].flatMap(({ report }) => report?.counts ?? []);
    return counts.reduce(addCounts, this.#gone);
  }

  reopenLogs(): void {
    for (const worker of this.#alive) worker.reopenLogs();
  }

  /**
   * Fills as many slots as there are to be. Resolves when each worker serves or has failed; a slot whose worker has
   * failed is tried again.
   * @throws The first reason if none of them starts.
   */
  async fill(count: number): Promise<void> {
    const started = await Promise.allSettled(
      Array.from({ length: count }, (_each, index) => this.bootOne({ isFirst: index === 0 })),
    );
    const failed = started.find((each) => each.status === 'rejected');
    if (failed && started.every((each) => each.status === 'rejected')) throw failed.reason;
    for (const each of started) {
      const slot = this.#addSlot();
      if (each.status === 'fulfilled') this.#place(slot, each.value);
      else this.#revive(slot);
    }
    if (failed) this.#log.error(`a worker did not start: ${describe(failed.reason)}`);
  }

  /** @throws The reason why it does not start. */
  async add(): Promise<void> {
    const worker = await this.bootOne({ isFirst: this.size === 0 });
    this.#place(this.#addSlot(), worker);
  }

  /** Takes the last slot away. */
  async remove(): Promise<void> {
    const slot = this.#slots.pop();
    if (!slot) return;
    slot.removed = true;
    if (slot.worker) await this.#retire(slot.worker);
  }

  /** Puts a successor in a worker's place. @throws The reason why it does not start; the worker goes on. */
  async exchange(slot: Slot<Boot>): Promise<void> {
    const successor = await this.bootOne({ isFirst: this.#isFirst(slot) });
    const predecessor = slot.worker;
    this.#place(slot, successor);
    this.#log.debug(`worker ${successor.pid} takes over from ${predecessor?.pid ?? 'none'}`);
    if (predecessor) await this.#retire(predecessor);
  }

  /**
   * Starts workers for all slots of a pool of `count`, beside those that serve.
   * @param failure what they are to answer with, in the application's place
   * @param oneByOne spares the machine; otherwise all at once
   * @throws The first reason; then none of them stays.
   */
  async bootAll(count: number, { failure, oneByOne }: { failure?: Error; oneByOne: boolean }) {
    const booted = new Map<number, WorkerHandle<Boot>>();
    const interruptions = this.#interruptions;
    const boot = async (index: number) => {
      if (this.#interruptions !== interruptions) throw new Error('interrupted');
      booted.set(index, await this.bootOne({ isFirst: index === 0, failure }));
    };
    const reason = oneByOne ? await inSequence(count, boot) : await atOnce(count, boot);
    // In the order of their slots, whoever was ready first.
    if (!reason) return [...booted].sort(([one], [other]) => one - other).map(([, worker]) => worker);
    for (const worker of booted.values())
      void worker.stop({ graceful: true, timeout: NEVER_USED_DRAIN_S, handOver: true });
    throw reason.error;
  }

  /** From now on these serve, and no others. Resolves when the others accept nothing more. */
  async swap(successors: readonly WorkerHandle<Boot>[]): Promise<void> {
    const predecessors = this.workers;
    for (const slot of this.#slots.splice(successors.length)) slot.removed = true;
    for (const [index, successor] of successors.entries()) {
      const slot = this.#slots[index] ?? this.#addSlot();
      this.#log.debug(`worker ${successor.pid} takes over from ${slot.worker?.pid ?? 'none'}`);
      this.#place(slot, successor);
    }
    await Promise.all(predecessors.map((worker) => this.#retire(worker)));
  }

  /** Gives up the workers that are being started, and those that `bootAll` would start after them. */
  interrupt(): void {
    this.#interruptions++;
    for (const worker of this.#starting) worker.kill();
  }

  /** Starts warm processes until there is one for each slot. */
  warmSpares(): void {
    if (!this.#options.reload || this.#stopping) return;
    while (this.#spares.length < this.#slots.length) this.#spares.push(this.#spawn());
  }

  /** What is warm may be older than the code, or the sockets, that the next one is to have. */
  dropSpares(): void {
    for (const spare of this.#spares.splice(0)) spare.kill();
  }

  /** Ends all workers; a second call that is not graceful cuts a graceful one short. */
  async stop({ graceful, timeout }: { graceful: boolean; timeout: number }): Promise<void> {
    const isFirst = !this.#stopping;
    this.#stopping = true;
    for (const timer of this.#revivals) clearTimeout(timer);
    this.#relay.close();
    await Promise.all([...this.#alive].map((worker) => worker.stop({ graceful, timeout })));
    if (isFirst) this.#table?.close();
  }

  #isFirst(slot: Slot<Boot>): boolean {
    return slot === this.#slots[0];
  }

  /**
   * A worker that serves.
   * @param how `isFirst`: it is to fill the first slot
   * @throws The reason why it does not start.
   */
  async bootOne({ isFirst, failure }: { isFirst: boolean; failure?: Error | undefined }): Promise<WorkerHandle<Boot>> {
    if (this.#stopping) throw new Error('stopped');
    const worker = this.#takeSpare() ?? this.#spawn();
    const { boot, limits, startTimeout } = this.settings;
    const slow = after(SLOW_START_S, () => {
      this.#log.warn(`worker ${worker.pid} has been loading the application for ${SLOW_START_S} s`);
    });
    let late: RunError | undefined;
    const limit = after(startTimeout, () => {
      late = new RunError('PASTER_START_TIMEOUT', `the application was not ready within ${startTimeout} s`, {
        hint: 'is there a promise that never settles? start_timeout in the server’s section gives it more time',
      });
      worker.kill();
    });
    try {
      this.#starting.add(worker);
      await worker.boot(boot, limits, isFirst, failure);
    } catch (error) {
      worker.kill();
      throw late ?? error;
    } finally {
      clearTimeout(slow);
      clearTimeout(limit);
      this.#starting.delete(worker);
    }
    if (this.#stopping) {
      // Too late for the round of orders that `stop` has sent.
      await worker.stop({ graceful: false, timeout: 0 });
      throw new Error('stopped');
    }
    this.#log.debug(`worker ${worker.pid} is ready`);
    this.#options.onServes(failure);
    return worker;
  }

  #addSlot(): Slot<Boot> {
    const slot: Slot<Boot> = { worker: undefined, deaths: 0, removed: false };
    this.#slots.push(slot);
    return slot;
  }

  #spawn(): WorkerHandle<Boot> {
    enterDirectory(workingDirectory());
    const { entry, env, execArgv, output, reload, onWatch, onPatterns, onReplace, onAsk } = this.#options;
    const slot = this.#table?.take();
    const worker: WorkerHandle<Boot> = new WorkerHandle<Boot>({
      id: ++this.#lastId,
      entry: inCurrentRelease(entry),
      sockets: this.settings.sockets,
      place: this.#table && slot !== undefined ? { fd: this.#table.fd, slot } : undefined,
      env: reload ? { ...env, ...REPORT_MODULES } : env,
      execArgv,
      output: output(),
      onWatch,
      onPatterns,
      onReplace: (reason, kind) => onReplace(worker, reason, kind),
      onAsk,
      onConnection: (connection) => this.#relay.pass(connection),
    });
    this.#alive.add(worker);
    void worker.exited.then((exit) => {
      this.#alive.delete(worker);
      if (worker.report) this.#gone = addCounts(this.#gone, worker.report.counts);
      this.#table?.release(slot);
      const place = this.slotOf(worker);
      if (place) this.#mourn(place, worker, exit);
      for (const connection of worker.takeBack()) this.#relay.pass(connection);
    });
    return worker;
  }

  #recipients(): Recipient[] {
    return this.workers.flatMap((worker) => {
      if (worker.state !== 'ready') return [];
      const counted = this.#table && worker.tableSlot !== undefined ? this.#table.connections(worker.tableSlot) : 0;
      return { connections: counted + worker.underWay, pass: (connection) => worker.pass(connection) };
    });
  }

  /** Gives a worker its place, unless it has died between being ready and now. */
  #place(slot: Slot<Boot>, worker: WorkerHandle<Boot>): void {
    slot.worker = worker;
    if (worker.state === 'exited') void worker.exited.then((exit) => this.#mourn(slot, worker, exit));
    else this.#relay.flush();
  }

  #mourn(slot: Slot<Boot>, worker: WorkerHandle<Boot>, exit: Exit): void {
    if (slot.worker !== worker || this.#stopping) return;
    slot.worker = undefined;
    slot.deaths = worker.served >= HEALTHY_AFTER_MS ? 1 : slot.deaths + 1;
    this.restarts[worker.killedFor ?? worker.left ?? 'crash']++;
    this.#log.error(`worker ${worker.pid} ended ${describeExit(exit)}${this.#options.describeDeath(worker, exit)}`);
    this.#revive(slot);
  }

  async #bootFailure(slot: Slot<Boot>, reason: unknown): Promise<WorkerHandle<Boot>> {
    if (!this.#options.reload || this.#stopping) throw reason;
    this.#log.error(describe(reason));
    return await this.bootOne({ isFirst: this.#isFirst(slot), failure: asError(reason) });
  }

  #takeSpare(): WorkerHandle<Boot> | undefined {
    for (;;) {
      const spare = this.#spares.shift();
      if (spare?.state !== 'exited') return spare;
    }
  }

  /** Resolves when it accepts nothing more; it finishes what it holds by itself. */
  async #retire(worker: WorkerHandle<Boot>): Promise<void> {
    void worker.stop({ graceful: true, timeout: this.settings.drain, handOver: true });
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
        const isFirst = this.#isFirst(slot);
        const worker = await this.bootOne({ isFirst }).catch((error: unknown) => this.#bootFailure(slot, error));
        // In the meantime a reload may have filled the place, or a TTOU taken it away.
        if (slot.removed || slot.worker)
          void worker.stop({ graceful: true, timeout: this.settings.drain, handOver: true });
        else this.#place(slot, worker);
        this.warmSpares();
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
}

interface Failed {
  readonly error: unknown;
}

/** Never, for 0 seconds. */
function after(seconds: number, action: () => void): NodeJS.Timeout | undefined {
  return seconds > 0 ? setTimeout(action, timerMs(seconds)) : undefined;
}

/** @returns The first failure, which ends it. */
async function inSequence(count: number, action: (index: number) => Promise<void>): Promise<Failed | undefined> {
  for (let index = 0; index < count; index++) {
    try {
      await action(index);
    } catch (error) {
      return { error };
    }
  }
  return undefined;
}

/** @returns The first failure, when all have come to an end. */
async function atOnce(count: number, action: (index: number) => Promise<void>): Promise<Failed | undefined> {
  const all = await Promise.allSettled(Array.from({ length: count }, (_each, index) => action(index)));
  const failed = all.find((each) => each.status === 'rejected');
  return failed && { error: failed.reason };
}
