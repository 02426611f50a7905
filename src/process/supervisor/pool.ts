/**
 * The workers of a supervisor, in slots that hold one at a time: fills and empties the slots, replaces their workers, and starts
 * another one when one dies. The supervisor decides what happens and when.
 */
import { asError, describeError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { ListenElsewhere } from '../../net/held-socket.ts';
import { backoffMs, describeExit, type Exit, HEALTHY_AFTER_MS } from '../ipc/child-exit.ts';
import { ConnectionRelay, type Recipient } from '../ipc/connection-handover.ts';
import { WorkerTitles } from '../program/title.ts';
import { type CanarySettings, tryCanary } from './canary.ts';
import { Spares } from './spares.ts';
import type { BootAllOptions, PoolOptions, Slot, WorkerSettings } from './supervisor-options.ts';
import { startLog } from './turns.ts';
import type { WorkerHandle } from './worker-handle.ts';
import { type StartAllOptions, WorkerStarts } from './worker-starts.ts';
import { LiveWorkers } from './workers/live-workers.ts';

export class Pool<Boot> {
  /** For workers that start from now on. */
  settings: WorkerSettings<Boot>;
  readonly spares: Spares<Boot>;
  readonly #options: PoolOptions<Boot>;
  readonly #log: Logger;
  /** Passes connections of workers that end to workers that stay. */
  readonly relay = new ConnectionRelay(() => this.#recipients());
  readonly #slots: Slot<Boot>[] = [];
  readonly #titles: WorkerTitles<WorkerHandle<Boot>>;
  readonly live: LiveWorkers<Boot>;
  readonly #starts: WorkerStarts<Boot>;
  readonly #revivals = new Set<NodeJS.Timeout>();
  /** Settles when the new version that is being tried is withdrawn or accepted. */
  #trial: Promise<unknown> | undefined;
  /** Whether `vacate` has ended the workers, and none has taken their place yet. */
  isVacated = false;
  #stopping = false;

  constructor(options: PoolOptions<Boot>) {
    this.#options = options;
    this.#log = options.log;
    this.settings = options.settings;
    this.#titles = new WorkerTitles(options.served, this.#slots, options.role);
    this.spares = new Spares<Boot>({
      spawn: () => this.#titles.name(this.live.spawn(), 'spare worker'),
      count: () => (this.#stopping ? 0 : options.reload ? this.#slots.length : this.settings.spareWorkers),
      boot: () => this.settings.boot,
      isStarting: () => this.#starts.areInProgress,
      plan: options.preload,
      log: options.log,
    });
    this.live = new LiveWorkers<Boot>({
      options,
      settings: () => this.settings,
      spares: this.spares,
      titles: this.#titles,
      onConnection: (connection) => this.relay.pass(connection),
      onExit: (worker, exit) => this.#handleExit(worker, exit),
    });
    this.#starts = new WorkerStarts<Boot>({
      options,
      settings: () => this.settings,
      spares: this.spares,
      live: this.live,
      isStopping: () => this.#stopping,
    });
  }

  /** The number of slots. */
  get size(): number {
    return this.#slots.length;
  }

  /** The workers in the slots. */
  get workers(): WorkerHandle<Boot>[] {
    return this.#slots.flatMap(({ worker }) => worker ?? []);
  }

  slotOf(worker: WorkerHandle<Boot>): Slot<Boot> | undefined {
    return this.#slots.find((slot) => slot.worker === worker);
  }

  /** Starts `count` processes for `fill`. @returns what makes a socket listen, if it can */
  warm(count: number): ListenElsewhere {
    return this.#starts.warm(count);
  }

  /**
   * Creates and fills `count` slots more. Resolves when each worker serves or has failed; a slot whose worker has failed is
   * tried again.
   * @throws The first error if there is no worker then.
   */
  async fill(count: number): Promise<void> {
    const isEmpty = this.size === 0;
    const started = await Promise.allSettled(
      Array.from({ length: count }, (_each, index) => this.#starts.bootOne({ isFirst: isEmpty && index === 0 })),
    );
    const failed = started.find((each) => each.status === 'rejected');
    if (failed && isEmpty && started.every((each) => each.status === 'rejected')) throw failed.reason;
    for (const each of started) {
      const slot = this.#addSlot();
      if (each.status === 'fulfilled') this.#place(slot, each.value);
      else this.#revive(slot);
    }
    if (failed) startLog(this.#log, failed.reason).error(`a worker does not start: ${describeError(failed.reason)}`);
  }

  /** Adds a slot with a worker. @throws The reason if it does not start. */
  async add(): Promise<void> {
    const worker = await this.#starts.bootOne({ isFirst: this.size === 0 });
    this.#place(this.#addSlot(), worker);
  }

  /** Adds slots with workers, each as soon as it serves. @returns the first error, if some do not start */
  async grow(count: number): Promise<unknown> {
    const added = await Promise.allSettled(Array.from({ length: count }, () => this.add()));
    return added.find((each) => each.status === 'rejected')?.reason;
  }

  /** Adds a slot, and starts workers for it until one serves. */
  open(): void {
    this.#revive(this.#addSlot(), true);
  }

  /** Resolves when a worker serves, which is starting already or starts now. Resolves too if it fails, which is logged. */
  async serveOnce(): Promise<void> {
    for (const timer of this.#revivals) clearTimeout(timer);
    try {
      if (!(await this.#starts.latestServes())) await this.#starts.bootOne({ isFirst: true });
    } catch (error) {
      if (!this.#stopping) startLog(this.#log, error).error(`a worker does not start: ${describeError(error)}`);
    }
  }

  /** Removes a slot, the last one by default. Resolves when its worker accepts no more connections. */
  async remove(slot: Slot<Boot> | undefined = this.#slots.at(-1)): Promise<void> {
    if (!slot) return;
    this.#slots.splice(this.#slots.indexOf(slot), 1);
    slot.removed = true;
    this.#titles.number();
    if (slot.worker) await this.live.retire(slot.worker);
  }

  /** Replaces the worker of a slot. @throws The reason if the new one does not start; the old one keeps serving. */
  async replace(slot: Slot<Boot>): Promise<void> {
    const { exclusive } = this.settings;
    const predecessor = slot.worker;
    if (exclusive) await this.#end([slot]);
    const successor = await this.#starts.bootOne({ isFirst: this.#isFirst(slot) }).catch((error: unknown) => {
      if (exclusive) this.#revive(slot);
      throw error;
    });
    this.#place(slot, successor);
    this.#log.debug(`worker ${successor.pid} takes over from ${predecessor?.pid ?? 'none'}`);
    if (predecessor) await this.live.retire(predecessor);
  }

  /** Ends all workers and resolves when they are gone. The slots stay, and connections wait in the kernel's queue. */
  vacate(): Promise<void> {
    this.isVacated = true;
    return this.#end(this.#slots);
  }

  /** Starts workers for the slots that `vacate` has left empty, again and again until they serve. */
  reviveVacated(): void {
    this.isVacated = false;
    for (const slot of this.#slots) if (!slot.worker) this.#revive(slot);
  }

  async #end(slots: readonly Slot<Boot>[]): Promise<void> {
    const workers = slots.flatMap(({ worker }) => worker ?? []);
    for (const slot of slots) slot.worker = undefined;
    const { drain } = this.settings;
    // One that starts again after a crash is not in its slot yet.
    const killed = this.#starts.kill();
    await Promise.all([killed, ...workers.map((worker) => worker.stop({ graceful: true, timeout: drain }))]);
  }

  /**
   * Starts workers for `count` slots, beside those that serve.
   * @param how as for `WorkerStarts.bootAll`; `canary`: with `oneByOne`, how the first one is judged before the others start
   * @throws as `WorkerStarts.bootAll`
   */
  bootAll(count: number, { canary, ...how }: BootAllOptions): Promise<WorkerHandle<Boot>[]> {
    const judge: StartAllOptions<Boot>['judge'] = canary && ((...first) => this.#judge(canary, ...first));
    return this.#starts.bootAll(count, { ...how, judge });
  }

  /** Compares the first worker of a new version with those that serve. @throws as `tryCanary` */
  async #judge(
    canary: CanarySettings,
    worker: WorkerHandle<Boot>,
    boot: () => Promise<WorkerHandle<Boot>>,
    isOver: () => boolean,
  ): Promise<void> {
    this.#titles.name(worker, 'canary worker');
    const onDeath = (dead: WorkerHandle<Boot>, exit: Exit) => this.#reportDeath(dead, exit);
    const trial = tryCanary(worker, canary, { old: this.workers, boot, onDeath, isOver, log: this.#log });
    this.#trial = trial.catch(() => {});
    await trial;
  }

  /** Puts these workers in the slots. Resolves when the earlier ones accept no more connections. */
  async swap(successors: readonly WorkerHandle<Boot>[]): Promise<void> {
    this.isVacated = false;
    const predecessors = this.workers;
    for (const slot of this.#slots.splice(successors.length)) slot.removed = true;
    for (const [index, successor] of successors.entries()) {
      const slot = this.#slots[index] ?? this.#addSlot();
      this.#log.debug(`worker ${successor.pid} takes over from ${slot.worker?.pid ?? 'none'}`);
      this.#place(slot, successor);
    }
    await Promise.all(predecessors.map((worker) => this.live.retire(worker)));
  }

  /** Gives up the workers that are starting, and those that `bootAll` would start after them. */
  interrupt(): void {
    this.#starts.interrupt();
  }

  /** Ends all workers; a second call that is not graceful cuts a graceful one short. */
  async stop({ graceful, timeout }: { graceful: boolean; timeout: number }): Promise<void> {
    const isFirst = !this.#stopping;
    this.#stopping = true;
    for (const timer of this.#revivals) clearTimeout(timer);
    this.relay.close();
    const handOver = this.relay.isRedirected;
    await this.live.stop({ graceful, timeout, handOver });
    if (isFirst) this.live.close();
  }

  #isFirst(slot: Slot<Boot>): boolean {
    return slot === this.#slots[0];
  }

  #addSlot(): Slot<Boot> {
    const slot: Slot<Boot> = { worker: undefined, deaths: 0, removed: false };
    this.#slots.push(slot);
    return slot;
  }

  #handleExit(worker: WorkerHandle<Boot>, exit: Exit): void {
    const slot = this.slotOf(worker);
    if (slot && !this.#stopping) this.#handleDeath(slot, worker, exit);
    else if (worker.diedWhileDraining(exit)) this.#reportEnd(worker, exit, ' while it finished its last requests');
    for (const connection of worker.takeUnconfirmed()) this.relay.pass(connection);
  }

  #recipients(): Recipient[] {
    return this.workers.flatMap((worker) => {
      if (worker.state !== 'ready') return [];
      return { connections: this.live.connections(worker), pass: (connection) => worker.pass(connection) };
    });
  }

  /** Puts a worker in a slot, even if it has died since it was ready: then its death is handled. */
  #place(slot: Slot<Boot>, worker: WorkerHandle<Boot>): void {
    slot.worker = worker;
    if (worker.state === 'exited') void worker.exited.then((exit) => this.#handleDeath(slot, worker, exit));
    else this.relay.flush();
    this.#titles.number();
  }

  #handleDeath(slot: Slot<Boot>, worker: WorkerHandle<Boot>, exit: Exit): void {
    if (slot.worker !== worker || this.#stopping) return;
    slot.worker = undefined;
    slot.deaths = worker.servedMs >= HEALTHY_AFTER_MS ? 1 : slot.deaths + 1;
    this.#reportDeath(worker, exit);
    // A version that has served will probably serve again, so a spare worker takes over at once: it has started already. Only
    // the next spare one waits.
    this.#revive(slot, worker.servedMs > 0 && this.spares.isReady);
  }

  #reportDeath(worker: WorkerHandle<Boot>, exit: Exit): void {
    const how = this.#reportEnd(worker, exit);
    const cause = worker.failure ? `: ${describeError(worker.failure)}` : '';
    this.#options.onDeath(worker.killedFor ?? worker.leftFor ?? 'crash', how + cause);
  }

  /** @returns the first part of the line in the log */
  #reportEnd(worker: WorkerHandle<Boot>, exit: Exit, when = ''): string {
    const how = `worker ${worker.pid} ended ${describeExit(exit)}${when}`;
    this.#log.error(`${how}${this.#options.describeDeath(worker, exit)}`);
    return how;
  }

  async #bootFailure(slot: Slot<Boot>, reason: unknown): Promise<WorkerHandle<Boot>> {
    if (!this.#options.reload || this.#stopping) throw reason;
    this.#log.error(describeError(reason));
    return await this.#starts.bootOne({ isFirst: this.#isFirst(slot), failure: asError(reason) });
  }

  /** Starts a worker for a slot whose worker has died, until one serves. `atOnce`: without a pause, by a spare worker. */
  #revive(slot: Slot<Boot>, atOnce = false): void {
    const wait = backoffMs(slot.deaths);
    if (wait > 0) this.#log.debug(`the next ${atOnce ? 'spare ' : ''}worker starts in ${wait} ms`);
    const attempt = async () => {
      // A new worker would load what is on disk: the version on trial.
      await this.#trial;
      // `reviveVacated` starts it later.
      if (this.#stopping || this.isVacated || slot.removed || slot.worker) return;
      try {
        const isFirst = this.#isFirst(slot);
        const worker = await this.#starts
          .bootOne({ isFirst })
          .catch((error: unknown) => this.#bootFailure(slot, error));
        // A reload may have filled the slot in the meantime, or a TTOU may have removed it.
        if (slot.removed || slot.worker)
          void worker.stop({ graceful: true, timeout: this.settings.drain, handOver: true });
        else this.#place(slot, worker);
        this.spares.warmLater(atOnce ? wait : 0);
      } catch (error) {
        if (this.#stopping || this.isVacated) return;
        slot.deaths++;
        startLog(this.#log, error).error(`a worker does not start: ${describeError(error)}`);
        this.#revive(slot);
      }
    };
    // No `unref`: if the only worker is dead, this timer alone keeps the process alive.
    const timer = setTimeout(
      () => {
        this.#revivals.delete(timer);
        void attempt();
      },
      atOnce ? 0 : wait,
    );
    this.#revivals.add(timer);
  }
}
