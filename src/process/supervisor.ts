/**
 * The supervisor: runs in the parent, holds the sockets, and keeps a number of workers alive behind them. It does not
 * know what they do. Every change of workers is made in the order successor ready, predecessor drains, so that there
 * is always somebody to answer; where no worker is left for a moment, connections wait in the kernel's queue.
 *
 * What is asked from outside (reload, more, fewer, a worker that wants a successor) is done one after the other, so
 * that workers are never all exchanged at once. A worker that dies is replaced beside that.
 */
import { asError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { NO_RELOADS, type Reloads, type RestartReason, type ServerStatus } from '../metrics/server-status.ts';
import { statusLines } from '../metrics/status-lines.ts';
import type { HeldSocket } from '../net/held-socket.ts';
import { describe } from './error-line.ts';
import type { Exit } from './exit-codes.ts';
import { Pool, type WorkerSettings } from './pool.ts';
import { Reload, type ReloadOptions } from './reload.ts';
import type { Deceased, WorkerHandle } from './worker-handle.ts';

/** What is supervised, as the configuration has it: a reload may bring another one. */
export interface Supervision<Boot> {
  /** What each worker is sent. */
  readonly boot: Boot;
  /** Closed when they are not needed any more, at the latest by `stop`. */
  readonly sockets: readonly HeldSocket[];
  readonly workers: number;
  /** Seconds that a worker may take to finish what is in flight. */
  readonly gracefulTimeout: number;
  /** Seconds that a worker may take until it serves; 0: no limit. Default: 60. */
  readonly startTimeout?: number | undefined;
  /** Seconds that an event loop may stand still. Undefined or 0: for ever. */
  readonly workerTimeout?: number | undefined;
  readonly maxRequests?: number | undefined;
  readonly maxRequestsJitter?: number | undefined;
  /** MiB. */
  readonly maxMemory?: number | undefined;
}

export interface SupervisorOptions<Boot> extends Supervision<Boot> {
  /** The worker's script; it calls `runWorker`. */
  readonly entry: string;
  /** Asked before each reload for what is to be from then on. Absent: all stays as it is. */
  readonly revise?: ((current: Supervision<Boot>) => Promise<Supervision<Boot>>) | undefined;
  /** Told when a reload has changed the sockets. */
  readonly onSockets?: ((sockets: readonly HeldSocket[], before: readonly HeldSocket[]) => void) | undefined;
  /** Present: reload when a file changes. */
  readonly reload?: ReloadOptions | undefined;
  /** What is written down of a worker that has died, behind how it ended. Default: nothing. */
  readonly describeDeath?: ((worker: Deceased, exit: Exit) => string) | undefined;
  readonly log: Logger;
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly execArgv?: readonly string[] | undefined;
  /** The descriptor that the standard output and error of the next worker go to. Default: this process's own. */
  readonly output?: (() => number) | undefined;
}

/** How a reload went. */
export type ReloadResult = { readonly ok: true } | { readonly ok: false; readonly error: unknown };

const DEFAULT_DRAIN_S = 1;
const DEFAULT_START_S = 60;
const LONGEST_HEARTBEAT_MS = 1000;

export class Supervisor<Boot> {
  /** Resolves when it has stopped and no worker is left. */
  readonly finished: Promise<void>;
  readonly #options: SupervisorOptions<Boot>;
  readonly #log: Logger;
  readonly #reload: Reload | undefined;
  readonly #pool: Pool<Boot>;
  readonly #asking = new Set<WorkerHandle<Boot>>();
  #current: Supervision<Boot>;
  readonly #started = Date.now();
  #reloads: Reloads = NO_RELOADS;
  #interrupted = false;
  #isStarting = false;
  #isReloading = false;
  /** Counts the reloads that were asked for: of several that wait, only the last one is done. */
  #lastReload = 0;
  #turn: Promise<unknown> = Promise.resolve();
  #stopping = false;
  #watchdog: NodeJS.Timeout | undefined;
  #setFinished = () => {};

  constructor(options: SupervisorOptions<Boot>) {
    this.#options = options;
    this.#current = options;
    this.#log = options.log;
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
    this.#pool = new Pool<Boot>({
      entry: options.entry,
      settings: workerSettings(options, options.reload),
      log: options.log,
      env: options.env ?? process.env,
      execArgv: options.execArgv ?? [],
      output: () => options.output?.() ?? 'inherit',
      reload: options.reload !== undefined,
      onWatch: (files, loaded) => this.#reload?.watch(files, loaded),
      onPatterns: (patterns) => this.#reload?.watchPatterns(patterns),
      onReplace: (worker, reason, kind) => this.#replace(worker, reason, kind),
      onServes: (failure) => this.#reload?.serves(failure),
      onAsk: () => this.status(),
      describeDeath: options.describeDeath ?? (() => ''),
    });
  }

  /** Resolves when the workers are ready. Rejects with a worker's own reason if none of them can start. */
  async start(): Promise<void> {
    // A save is what a version needs that never comes to an end.
    void this.#reload?.start();
    this.#isStarting = true;
    try {
      await this.#startFirst();
    } finally {
      this.#isStarting = false;
    }
    this.#watch();
    // Once more, for the files that the workers have named.
    await this.#reload?.start();
    this.#pool.warmSpares();
  }

  /**
   * Exchanges all workers, or none: one that does not start ends it, and those before go on as they are. A reload that is
   * asked for meanwhile takes its place: what is being started is out of date, and may never become ready.
   */
  reload(reason: string): Promise<ReloadResult> {
    const number = ++this.#lastReload;
    if (this.#isReloading) this.#interrupt();
    return this.#inTurn(async (): Promise<ReloadResult> => {
      if (number !== this.#lastReload) return SUPERSEDED;
      this.#isReloading = true;
      this.#interrupted = false;
      this.#log.info(`reloading (${reason})`);
      this.#pool.dropSpares();
      const begun = performance.now();
      try {
        await this.#exchangeFor(await this.#revised(), { oneByOne: true });
        this.#countReload(begun);
        this.#log.info('reloaded');
        return { ok: true };
      } catch (error) {
        if (this.#stopping) return STOPPED;
        if (this.#interrupted) {
          this.#log.info('starting over: a newer reload was asked for');
          return SUPERSEDED;
        }
        this.#countReload();
        this.#log.error(`the new version does not start, the old one goes on: ${describe(error)}`);
        return { ok: false, error };
      } finally {
        this.#isReloading = false;
        this.#pool.warmSpares();
      }
    }, STOPPED);
  }

  addWorker(): Promise<void> {
    return this.#inTurn(async () => {
      try {
        await this.#pool.add();
        this.#log.info(`${this.#pool.size} workers`);
      } catch (error) {
        if (!this.#stopping) this.#log.error(`one more worker does not start: ${describe(error)}`);
      }
    }, undefined);
  }

  /** The last worker stays. */
  removeWorker(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#pool.size <= 1) return;
      const removed = this.#pool.remove();
      this.#log.info(`${this.#pool.size} workers`);
      await removed;
    }, undefined);
  }

  reopenLogs(): void {
    this.#pool.reopenLogs();
  }

  /** How the server is, by what each worker says now. */
  async status(): Promise<ServerStatus> {
    const workers = await this.#pool.status();
    return {
      pid: process.pid,
      started: this.#started,
      workers,
      totals: this.#pool.totals(),
      restarts: { ...this.#pool.restarts },
      reloads: this.#reloads,
    };
  }

  /** Writes into the log how the server is. */
  async report(): Promise<void> {
    // A line each: where a message stays on one line, several in one could not be read.
    for (const line of statusLines(await this.status())) this.#log.info(line);
  }

  /** Ends all workers; a second call that is not graceful cuts a graceful one short. */
  async stop({ graceful }: { graceful: boolean }): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#watchdog);
    const unwatched = this.#reload?.close();
    const { sockets, gracefulTimeout } = this.#current;
    // New connections are refused from now on, instead of waiting for somebody who will never come.
    const closed = closeAll(sockets);
    await this.#pool.stop({ graceful, timeout: graceful ? gracefulTimeout : 0 });
    await Promise.all([closed, unwatched]);
    this.#setFinished();
  }

  /** Does what is asked one after the other; nothing more once it stops. */
  #inTurn<T>(action: () => Promise<T>, stopped: T): Promise<T> {
    const result = this.#turn.then(() => (this.#stopping ? stopped : action()));
    this.#turn = result.catch(() => {});
    return result;
  }

  /** With `reload`, what does not start answers with the reason until the next good save. */
  #startFirst(): Promise<void> {
    return this.#inTurn(async () => {
      for (;;) {
        this.#interrupted = false;
        try {
          await this.#pool.fill(this.#current.workers);
          return;
        } catch (error) {
          if (this.#interrupted && !this.#stopping) continue;
          if (this.#reload && !this.#stopping && (await this.#exchangeForFailure(error))) return;
          await this.stop({ graceful: false });
          throw error;
        }
      }
    }, undefined);
  }

  /** @param begun of one that was done */
  #countReload(begun?: number): void {
    const { done, failed, seconds } = this.#reloads;
    if (begun === undefined) {
      this.#reloads = { ...this.#reloads, failed: failed + 1 };
      return;
    }
    const lastSeconds = (performance.now() - begun) / 1000;
    this.#reloads = { done: done + 1, failed, seconds: seconds + lastSeconds, lastSeconds, lastAt: Date.now() };
  }

  #replace(worker: WorkerHandle<Boot>, reason: string, kind: RestartReason): void {
    if (this.#asking.has(worker)) return;
    this.#asking.add(worker);
    void this.#inTurn(async () => {
      const slot = this.#pool.slotOf(worker);
      if (!slot) return;
      this.#log.info(`worker ${worker.pid} ${reason} and is replaced`);
      try {
        await this.#pool.exchange(slot);
        this.#pool.restarts[kind]++;
      } catch (error) {
        if (!this.#stopping) this.#log.error(`its successor does not start, it goes on: ${describe(error)}`);
      }
    }, undefined).finally(() => this.#asking.delete(worker));
  }

  // --- exchanging all of them ----------------------------------------------------------------------------------------

  /** For a change of files: all at once, so that one version serves at a time, and its error if it does not load. */
  #exchangeAll(): Promise<ReloadResult> {
    if (this.#isStarting) this.#interrupt();
    return this.#inTurn(async () => {
      this.#interrupted = false;
      const begun = performance.now();
      try {
        await this.#exchangeFor(await this.#revised(), { oneByOne: false });
        this.#countReload(begun);
        return { ok: true };
      } catch (error) {
        if (!this.#stopping && !this.#interrupted) this.#countReload();
        if (!this.#stopping && !this.#interrupted) await this.#exchangeForFailure(error);
        return { ok: false, error };
      } finally {
        this.#pool.warmSpares();
      }
    }, STOPPED);
  }

  #revised(): Promise<Supervision<Boot>> {
    return this.#options.revise?.(this.#current) ?? Promise.resolve(this.#current);
  }

  /** @throws The first reason; then everything is as it was. */
  async #exchangeFor(next: Supervision<Boot>, { oneByOne }: { oneByOne: boolean }): Promise<void> {
    const before = this.#current;
    const settings = this.#pool.settings;
    // TTIN and TTOU hold until the configuration says something else.
    const count = next.workers === before.workers ? Math.max(1, this.#pool.size) : next.workers;
    if (next.sockets !== before.sockets) this.#pool.dropSpares();
    this.#pool.settings = workerSettings(next, this.#options.reload);
    try {
      const ready = await this.#pool.bootAll(count, { oneByOne });
      this.#current = next;
      this.#pool.restarts.reload += this.#pool.workers.length;
      await this.#pool.swap(ready);
    } catch (error) {
      this.#pool.settings = settings;
      if (next.sockets !== before.sockets) this.#pool.dropSpares();
      await closeAll(without(next.sockets, before.sockets));
      throw error;
    }
    if (next.sockets !== before.sockets) this.#options.onSockets?.(next.sockets, before.sockets);
    await closeAll(without(before.sockets, next.sockets));
    this.#watch();
    if (next.workers !== before.workers) this.#log.info(`${count} workers`);
  }

  async #exchangeForFailure(reason: unknown): Promise<boolean> {
    this.#log.error(describe(reason));
    try {
      const count = this.#pool.size || this.#current.workers;
      await this.#pool.swap(await this.#pool.bootAll(count, { failure: asError(reason), oneByOne: false }));
      return true;
    } catch (error) {
      if (!this.#stopping) this.#log.debug(`nor can its error be served: ${describe(error)}`);
      return false;
    }
  }

  /** Gives up the versions that are being started: another one is on disk by now, and some never come to an end. */
  #interrupt(): void {
    this.#interrupted = true;
    this.#pool.interrupt();
  }

  // --- those that stand still ----------------------------------------------------------------------------------------

  /** Kills what stands still. */
  #watch(): void {
    clearInterval(this.#watchdog);
    const { workerTimeout = 0 } = this.#current;
    const { heartbeatMs } = this.#pool.settings.limits;
    if (heartbeatMs === undefined || this.#stopping) return;
    const limit = workerTimeout * 1000;
    let last = performance.now();
    this.#watchdog = setInterval(() => {
      const now = performance.now();
      // If this process itself stood still (a suspended machine), nobody can be blamed for silence.
      const blameless = now - last > heartbeatMs * 2;
      last = now;
      for (const worker of this.#pool.workers) {
        if (worker.state !== 'ready') continue;
        if (blameless) worker.excuse();
        else if (worker.silence > limit) {
          this.#log.error(`worker ${worker.pid} has stood still for ${workerTimeout} s and is killed`);
          worker.excuse();
          worker.killedFor = 'stuck';
          worker.kill();
        }
      }
    }, heartbeatMs);
  }
}

const STOPPED: ReloadResult = { ok: false, error: new Error('the supervisor is stopping') };
const SUPERSEDED: ReloadResult = { ok: false, error: new Error('a newer reload was asked for') };

function workerSettings<Boot>(of: Supervision<Boot>, reload: ReloadOptions | undefined): WorkerSettings<Boot> {
  const { boot, sockets, gracefulTimeout, startTimeout = DEFAULT_START_S, workerTimeout = 0 } = of;
  const { maxRequests, maxRequestsJitter, maxMemory } = of;
  const stallMs = workerTimeout > 0 ? workerTimeout * 1000 : undefined;
  return {
    boot,
    sockets,
    startTimeout,
    drain: reload ? (reload.drain ?? DEFAULT_DRAIN_S) : gracefulTimeout,
    limits: {
      heartbeatMs: stallMs && Math.min(LONGEST_HEARTBEAT_MS, stallMs / 4),
      stallMs,
      maxRequests,
      maxRequestsJitter,
      maxMemory,
    },
  };
}

function without(sockets: readonly HeldSocket[], others: readonly HeldSocket[]): HeldSocket[] {
  return sockets.filter((socket) => !others.includes(socket));
}

function closeAll(sockets: readonly HeldSocket[]): Promise<unknown> {
  return Promise.all(sockets.map((socket) => socket.close()));
}
