/**
 * Starts the workers of a pool: takes a process that has started already, or spawns one, has it load the application, and waits
 * until it serves. The pool decides which slot the worker gets.
 */
import { describeError, type RunError, startTimeoutError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { ListenElsewhere } from '../../net/held-socket.ts';
import { after } from '../../timer.ts';
import type { Spares } from './spares.ts';
import type { BootAllOptions, BootOptions, PoolOptions, WorkerSettings } from './supervisor-options.ts';
import { Interrupted } from './turns.ts';
import type { WorkerHandle } from './worker-handle.ts';
import type { LiveWorkers } from './workers/live-workers.ts';

/** What starting workers needs of their pool. */
export interface StartsOwner<Boot> {
  readonly options: Pick<PoolOptions<Boot>, 'reload' | 'onServes' | 'log' | 'role'>;
  /** For a worker that starts now. */
  readonly settings: () => WorkerSettings<Boot>;
  readonly spares: Spares<Boot>;
  readonly live: LiveWorkers<Boot>;
  readonly isStopping: () => boolean;
}

/** `BootAllOptions`, with the trial of the first worker as a function. */
export interface StartAllOptions<Boot> extends Omit<BootAllOptions, 'canary'> {
  /**
   * With `oneByOne`: judges the first worker before the others start. Rejects if they must not.
   * @param boot starts another worker of the same version
   * @param isOver whether the result is no longer needed
   */
  readonly judge?:
    | ((worker: WorkerHandle<Boot>, boot: () => Promise<WorkerHandle<Boot>>, isOver: () => boolean) => Promise<void>)
    | undefined;
}

export class WorkerStarts<Boot> {
  readonly #owner: StartsOwner<Boot>;
  readonly #log: Logger;
  readonly #first = new FirstWorkers<Boot>();
  /** Workers that boot and are not ready yet, each with a function that ends the wait for it. */
  readonly #starting = new Map<WorkerHandle<Boot>, () => void>();
  /** The latest start of a worker. */
  #latest: Promise<unknown> | undefined;
  #interruptions = 0;

  constructor(owner: StartsOwner<Boot>) {
    this.#owner = owner;
    this.#log = owner.options.log;
  }

  /** Whether workers boot and are not ready yet. */
  get areInProgress(): boolean {
    return this.#starting.size > 0;
  }

  /** Resolves when the latest start has ended, with whether its worker serves. False if no worker is starting. */
  async latestServes(): Promise<boolean> {
    return this.areInProgress && (await this.#latest?.then(Boolean, () => false)) === true;
  }

  /** Starts the processes of the first workers, which load nothing yet. @returns what makes a socket listen, if it can */
  warm(count: number): ListenElsewhere {
    const { settings, live } = this.#owner;
    return this.#first.start(count, settings().boot, (how) => live.spawn(how));
  }

  /**
   * Starts a worker. Resolves when it serves.
   * @param how `isFirst`: whether it is for the first slot; `isCold`: without packages that were imported ahead
   * @throws The reason if it does not start.
   */
  bootOne(how: BootOptions): Promise<WorkerHandle<Boot>> {
    const booted = this.#boot(how);
    this.#latest = booted;
    return booted;
  }

  /**
   * Starts `count` workers.
   * @param failure what they serve instead of the application
   * @param oneByOne whether to start them one after the other, which loads the machine less
   * @param confirm called when all are ready
   * @throws The first error, or that of `judge` or `confirm`; then none of them stays.
   */
  async bootAll(count: number, how: StartAllOptions<Boot>): Promise<WorkerHandle<Boot>[]> {
    const { failure, oneByOne, judge, confirm } = how;
    const { live, isStopping } = this.#owner;
    const booted = new Map<number, WorkerHandle<Boot>>();
    const interruptions = this.#interruptions;
    const isInterrupted = () => isStopping() || this.#interruptions !== interruptions;
    const boot = async (index: number) => {
      if (isInterrupted()) throw new Interrupted();
      const worker = await this.bootOne({ isFirst: index === 0, failure });
      booted.set(index, worker);
      return worker;
    };
    const bootAndJudge = async (index: number) => {
      const worker = await boot(index);
      if (index === 0) await judge?.(worker, () => boot(index), isInterrupted);
    };
    const reason =
      (await (oneByOne ? inSequence : atOnce)(count, bootAndJudge)) ??
      (confirm && (await inSequence(1, () => confirm())));
    // In the order of their slots, not in the order in which they became ready.
    if (!reason) return [...booted].sort(([one], [other]) => one - other).map(([, worker]) => worker);
    // They may have requests in flight: each has served since it became ready.
    for (const worker of booted.values()) void live.retire(worker);
    throw reason.error;
  }

  /** Gives up the workers that are starting, and those that `bootAll` would start after them. */
  interrupt(): void {
    const { options, settings, live } = this.#owner;
    this.#interruptions++;
    // A worker that has just become ready may have requests in flight. In development it is killed nevertheless, because the
    // next version needs the processors.
    const mayServe = !options.reload && !settings().exclusive;
    for (const [worker, giveUp] of this.#starting) {
      if (mayServe) void live.retire(worker);
      else worker.kill();
      giveUp();
    }
  }

  /** Kills the workers that are starting. Resolves when they are gone. */
  async kill(): Promise<void> {
    await Promise.all(
      [...this.#starting.keys()].map((worker) => {
        worker.kill();
        return worker.exited;
      }),
    );
  }

  async #boot(how: BootOptions): Promise<WorkerHandle<Boot>> {
    const { isFirst, failure, isCold = false } = how;
    const { options, settings, spares, live, isStopping } = this.#owner;
    if (isStopping()) throw new Error('stopped');
    const worker = this.#first.take() ?? spares.take(isCold) ?? live.spawn();
    const interruptions = this.#interruptions;
    const { boot, limits, startTimeout } = settings();
    const loaded = options.role === undefined ? 'the application' : 'the process';
    const limit = new StartLimit(startTimeout, worker, loaded, this.#log);
    const givenUp = new Promise<never>((_resolve, reject) => {
      this.#starting.set(worker, () => reject(new Interrupted()));
    });
    try {
      const asksToOpen = failure === undefined && spares.isToldToImport(worker);
      const isConfigurationSame = options.reload && spares.hasSameConfiguration(worker);
      const ready = worker.boot(boot, limits, { isFirst, failure, asksToOpen, isConfigurationSame });
      // Reads the states of many files, so it runs while the worker loads.
      if (asksToOpen) spares.checkFiles(worker);
      await Promise.race([ready, givenUp]);
    } catch (error) {
      const isInterrupted = this.#interruptions !== interruptions;
      if (!isInterrupted) worker.kill();
      if (settings().exclusive) await worker.exited;
      const mayBePackages = spares.hasBegunToImport(worker) && !limit.error && !failure;
      if (!mayBePackages || isStopping() || isInterrupted) throw limit.error ? (worker.failure ?? limit.error) : error;
      // If the application itself has an error, a worker without these packages reports it.
      if (!spares.isRejected(worker)) {
        this.#log.debug(`the application is loaded again without packages imported ahead: ${describeError(error)}`);
      }
      return await this.bootOne({ ...how, isCold: true });
    } finally {
      limit.clear();
      this.#starting.delete(worker);
    }
    if (isStopping()) {
      // `stop` of the pool has already sent its order to the others.
      await worker.stop({ graceful: false, timeout: 0 });
      throw new Error('stopped');
    }
    this.#log.debug(`worker ${worker.pid} is ready`);
    if (!failure) spares.served(worker);
    options.onServes(failure);
    return worker;
  }
}

interface BootFailure {
  readonly error: unknown;
}

/** Stops at the first failure and returns it. */
async function inSequence(count: number, action: (index: number) => Promise<void>): Promise<BootFailure | undefined> {
  for (let index = 0; index < count; index++) {
    try {
      await action(index);
    } catch (error) {
      return { error };
    }
  }
  return undefined;
}

/** Waits for all and returns the first failure. */
async function atOnce(count: number, action: (index: number) => Promise<void>): Promise<BootFailure | undefined> {
  const all = await Promise.allSettled(Array.from({ length: count }, (_each, index) => action(index)));
  const failed = all.find((each) => each.status === 'rejected');
  return failed && { error: failed.reason };
}

/** A worker that takes longer to listen waits for a debugger, or in a module that NODE_OPTIONS imports. */
const LISTEN_LIMIT_MS = 3000;

/**
 * The processes of the first workers. They start before the sockets listen, and load nothing of the application until then. The
 * first of them makes the sockets listen: in the supervisor, Node would begin to accept on them.
 */
export class FirstWorkers<Boot> {
  readonly #workers: WorkerHandle<Boot>[] = [];
  #listening: WorkerHandle<Boot> | undefined;

  /**
   * @param spawn starts a process; `listens`: one that can make its sockets listen
   * @returns a function that makes a socket listen, if it can. It throws as `listen(2)`.
   */
  start(count: number, boot: Boot, spawn: (how: { readonly listens: boolean }) => WorkerHandle<Boot>): ListenElsewhere {
    for (let index = 0; index < count; index++) {
      const worker = spawn({ listens: index === 0 });
      this.#listening ??= worker;
      worker.warm(boot, { rehearses: false });
      this.#workers.push(worker);
    }
    return (fd, backlog) => this.#listen(fd, backlog);
  }

  take(): WorkerHandle<Boot> | undefined {
    return this.#workers.shift();
  }

  async #listen(fd: number, backlog: number): Promise<boolean> {
    const worker = this.#listening;
    if (!worker) return false;
    let late: NodeJS.Timeout | undefined;
    const givenUp = new Promise<false>((resolve) => {
      late = setTimeout(resolve, LISTEN_LIMIT_MS, false);
      void worker.exited.then(() => resolve(false));
    });
    try {
      return await Promise.race([worker.listen(fd, backlog).then(() => true), givenUp]);
    } finally {
      clearTimeout(late);
    }
  }
}

/** After how many seconds a warning says that a worker is still loading. */
const SLOW_START_S = 10;

/** How many seconds a worker that is given up has to report what it waits for. With a blocked event loop it cannot. */
const FINAL_REPORT_S = 1;

interface LimitedWorker {
  readonly pid: number | undefined;
  giveUp(seconds: number): void;
  kill(): void;
}

/** How long a worker may take until it serves. */
class StartLimit {
  /** Why the worker was given up; undefined as long as it is in time. */
  error: RunError | undefined;
  #kill: NodeJS.Timeout | undefined;
  readonly #slow: NodeJS.Timeout | undefined;
  readonly #limit: NodeJS.Timeout | undefined;

  /**
   * @param seconds 0: no limit
   * @param loaded what it loads: `the application`
   */
  constructor(seconds: number, worker: LimitedWorker, loaded: string, log: Logger) {
    this.#slow = after(SLOW_START_S, () => {
      log.warn(`worker ${worker.pid} has been loading ${loaded} for ${SLOW_START_S} s`);
    });
    this.#limit = after(seconds, () => {
      this.error = startTimeoutError(loaded, seconds, 'an endless loop, or a promise that never settles');
      worker.giveUp(seconds);
      this.#kill = after(FINAL_REPORT_S, () => worker.kill());
    });
  }

  clear(): void {
    clearTimeout(this.#slow);
    clearTimeout(this.#limit);
    clearTimeout(this.#kill);
  }
}
