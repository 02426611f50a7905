/**
 * The supervisor: runs in the parent, holds the sockets, and keeps a number of workers alive behind them. It does not know
 * what they serve. A worker drains only when its successor is ready, so there is always a worker to respond; if there is none
 * for a moment, connections wait in the kernel's queue.
 *
 * Requests from outside (reload, more workers, fewer, a worker that asks for a successor) are handled one after the other, so
 * that they do not replace all workers at the same time. A worker that dies is replaced independently of that.
 */
import { isDeepStrictEqual } from 'node:util';
import { asError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { History } from '../../metrics/history.ts';
import { ServerEvents } from '../../metrics/server-events.ts';
import type { ServerStatus } from '../../metrics/server-status.ts';
import { statusLines } from '../../metrics/status-lines.ts';
import { closeSockets, type ListenElsewhere } from '../../net/held-socket.ts';
import { describeError } from '../ipc/error-transfer.ts';
import { isModuleFile } from '../preload/loaded-module.ts';
import { PreloadPlan } from '../preload/preload-plan.ts';
import { describeChanges } from '../reload/path-changes.ts';
import { Reload } from '../reload/reload.ts';
import { isWithdrawal } from './canary.ts';
import { MemoryBudget, NO_OTHERS, workersText } from './memory-budget.ts';
import { Pool } from './pool.ts';
import { WorkerScaler } from './scaling/worker-scaler.ts';
import { serveWaiting } from './start/last-worker.ts';
import {
  type Supervision,
  type SupervisorOptions,
  workerSettings,
  workersAtFirst,
  workersAtOnce,
} from './supervision.ts';
import { Interrupted, Turns } from './turns.ts';
import { watchHeartbeats } from './watchdog.ts';
import { type Failure, STOPPED, SUPERSEDED, WorkerChanges } from './worker-changes.ts';
import type { WorkerHandle } from './worker-handle.ts';

/** How a reload went. */
export type ReloadResult = { readonly ok: true } | Failure;

/** After this time, files are watched although no worker is ready yet. */
const SLOW_START_MS = 500;

export class Supervisor<Boot> {
  /** Resolves when it has stopped and no worker is left. */
  readonly finished: Promise<void>;
  /** Passes connections of workers that end to those that stay. */
  readonly relay: Pool<Boot>['relay'];
  /** Changes of single workers. */
  readonly changes: WorkerChanges<Boot>;
  readonly #options: SupervisorOptions<Boot>;
  readonly #log: Logger;
  readonly #reload: Reload | undefined;
  readonly #pool: Pool<Boot>;
  readonly #preload: PreloadPlan;
  readonly #memory: MemoryBudget<Boot>;
  readonly #scaler: WorkerScaler<Boot>;
  /** Files that configure the application. */
  readonly #configuration: Set<string>;
  /** Whether the workers have loaded the configuration as it was when a file of it changed last. */
  #isConfigurationLoaded = false;
  #current: Supervision<Boot>;
  readonly #started = Date.now();
  readonly #events = new ServerEvents();
  /** Filled only while workers report at intervals. */
  readonly #history = new History();
  #isStarting = false;
  /** The number of the newest reload: of several that wait, only that one is done. */
  #lastReload = 0;
  readonly #turns = new Turns(() => this.#stopping);
  #stopping = false;
  /** Seconds for requests when it stops, once no connection waits for a worker to start. */
  #timeLeft: number | Promise<number> | undefined;
  #watchdog: NodeJS.Timeout | undefined;
  #setFinished = () => {};

  constructor(options: SupervisorOptions<Boot>) {
    this.#options = options;
    this.#current = options;
    this.#log = options.log;
    this.#configuration = new Set(options.reload?.files);
    this.finished = new Promise((resolve) => {
      this.#setFinished = resolve;
    });
    if (options.reload) {
      this.#reload = new Reload(
        options.reload,
        options.log,
        (changed) => this.#reloadChanges(changed),
        () => this.#interrupt(),
      );
      if (options.isIgnored) this.#reload.isIgnored = options.isIgnored;
    }
    this.#preload = new PreloadPlan(options.log);
    this.#configurePreload(options);
    this.#pool = new Pool<Boot>({
      entry: options.entry,
      settings: workerSettings(options, options.reload),
      log: options.log,
      served: options.served,
      role: options.role,
      execArgv: options.execArgv ?? [],
      output: () => options.output?.() ?? 'inherit',
      reload: options.reload !== undefined,
      preload: this.#preload,
      onWatch: (files, loaded) => this.#reload?.watch(files, loaded),
      onConfiguration: (files, loaded) => {
        for (const file of files) this.#configuration.add(file);
        this.#reload?.watchNamed(files, loaded);
      },
      onPatterns: (patterns, loaded) => this.#reload?.watchPatterns(patterns, loaded),
      onReplace: (worker, reason, kind) => this.changes.request(worker, reason, kind),
      onServes: (failure) => this.#reload?.serves(failure),
      onAsk: (options) => this.status(options),
      onReport: () =>
        this.#history.note(() => ({ counts: this.#pool.live.totals(), reports: this.#pool.live.reports() })),
      onDeath: (kind, text) => this.#events.restarted(kind, text),
      describeDeath: options.describeDeath ?? (() => ''),
    });
    this.relay = this.#pool.relay;
    this.#scaler = new WorkerScaler<Boot>({
      pool: this.#pool,
      log: options.log,
      inTurn: (action) => this.#turns.change(action, undefined),
    });
    this.changes = new WorkerChanges<Boot>({
      pool: this.#pool,
      events: this.#events,
      log: options.log,
      isStopping: () => this.#stopping,
      onNumberSet: () => this.#scaler.fix(),
      inTurn: (action, stopped) => this.#turns.change(action, stopped),
    });
    this.#memory = new MemoryBudget<Boot>({
      workers: () => this.#pool.workers,
      spares: () => this.#current.spareWorkers ?? 0,
      others: options.otherProcesses ?? (() => NO_OTHERS),
      replace: (worker, reason) => this.changes.request(worker, reason, 'max_memory'),
      log: options.log,
    });
  }

  /** Starts the processes of the first workers, which load nothing before `start`. @returns see `FirstWorkers.start` */
  warm(): ListenElsewhere {
    return this.#pool.warm(workersAtOnce(this.#current));
  }

  /** Resolves when the workers are ready. Rejects with a worker's own error if none of them can start. */
  async start(): Promise<void> {
    // An application that never gets ready needs a save.
    const slow = setTimeout(() => void this.#reload?.start(), SLOW_START_MS);
    this.#isStarting = true;
    try {
      await this.#startFirst();
    } finally {
      clearTimeout(slow);
      this.#isStarting = false;
    }
    this.#startWatchdog();
    // What was saved since the workers began to load counts.
    await this.#reload?.start();
    this.#pool.spares.warmLater();
  }

  /**
   * Replaces all workers, or none: if one does not start, the old ones keep serving. A newer reload takes precedence: what
   * starts is out of date then, and may never become ready.
   * @param confirm called when the new workers are ready; if it rejects, the old ones keep serving too
   */
  reload(reason: string, confirm?: () => Promise<void>): Promise<ReloadResult> {
    const number = ++this.#lastReload;
    this.interruptChange();
    return this.#turns.change(async (): Promise<ReloadResult> => {
      if (number !== this.#lastReload) return SUPERSEDED;
      const { onReload } = this.#options.reload ?? {};
      if (!onReload) this.#log.info(`reloading (${reason})`);
      this.#pool.spares.drop();
      // The packages may be those of another release.
      this.#preload.forget();
      const begun = performance.now();
      try {
        const replaced = await this.#replaceAllFor(await this.#revised(false), { oneByOne: true, confirm });
        this.#events.reloaded(reason, begun, replaced);
        if (onReload) onReload([], performance.now() - begun);
        else this.#log.info('reloaded');
        return { ok: true };
      } catch (error) {
        if (this.#stopping) return STOPPED;
        const hasEnded = this.#pool.isVacated;
        if (hasEnded) this.#pool.reviveVacated();
        if (this.#turns.isInterrupted) {
          this.#log.info('starting over: a newer reload was asked for');
          return SUPERSEDED;
        }
        this.#events.reloadFailed(reason, describeError(error));
        if (hasEnded)
          this.#log.error(`the new version does not start, and the old one has ended: ${describeError(error)}`);
        else if (isWithdrawal(error)) this.#log.error(describeError(error));
        else this.#log.error(`the new version does not start, the old one keeps running: ${describeError(error)}`);
        return { ok: false, error, hasEnded };
      } finally {
        this.#pool.spares.warm();
      }
    }, STOPPED);
  }

  /** Gives up a change that is in progress: a newer reload makes the workers that it starts out of date. */
  interruptChange(): void {
    if (this.#turns.isChanging) this.#interrupt();
  }

  /** Whether a worker ends before its successor loads. */
  get isExclusive(): boolean {
    return this.#current.exclusive === true;
  }

  /** The number of workers, those included that start again. */
  get size(): number {
    return this.#pool.size;
  }

  get workers(): readonly WorkerHandle<Boot>[] {
    return this.#pool.workers;
  }

  reopenLogs(): void {
    this.#pool.live.reopenLogs();
  }

  /** The status of the server, from the current reports of the workers. */
  async status({ history = false } = {}): Promise<ServerStatus> {
    const [workers, background] = await Promise.all([this.#pool.live.status(), this.#options.describeProcesses?.()]);
    return {
      pid: process.pid,
      started: this.#started,
      workers,
      scaling: this.#scaler.status(),
      totals: this.#pool.live.totals(),
      restarts: this.#events.restarts,
      reloads: this.#events.reloads,
      events: this.#events.latest,
      ...background,
      ...(history ? { history: this.#history.samples } : {}),
    };
  }

  /** Logs the status of the server. */
  async report(): Promise<void> {
    // One message for each line: some loggers put a message on one line.
    for (const line of statusLines(await this.status())) this.#log.info(line);
  }

  /** Ends all workers; a second call that is not graceful cuts a graceful one short. */
  async stop({ graceful }: { graceful: boolean }): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#watchdog);
    this.#memory.stop();
    this.#scaler.stop();
    const unwatched = this.#reload?.close();
    const { sockets, gracefulTimeout } = this.#current;
    const servesWaiting = graceful && !this.#isStarting;
    this.#timeLeft ??= servesWaiting ? serveWaiting(this.#pool, gracefulTimeout, this.#log) : gracefulTimeout;
    const timeout = graceful ? await this.#timeLeft : 0;
    // New connections are refused from now on: they would wait in vain.
    const closed = closeSockets(sockets);
    await this.#pool.stop({ graceful, timeout });
    await Promise.all([closed, unwatched]);
    this.#setFinished();
  }

  /** Runs an action while no worker is replaced on request. Undefined: the supervisor is stopping. */
  alone<T>(action: () => Promise<T>): Promise<T | undefined> {
    return this.#turns.run<T | undefined>(action, undefined);
  }

  /** With `reload`, workers serve the error of a version that does not start until the next good save. */
  #startFirst(): Promise<void> {
    return this.#turns.run(async () => {
      for (;;) {
        this.#turns.isInterrupted = false;
        try {
          await this.#fill(this.#current);
          this.#isConfigurationLoaded = true;
          return;
        } catch (error) {
          if (this.#turns.isInterrupted && !this.#stopping) continue;
          if (this.#reload && !this.#stopping && (await this.#serveFailure(error))) return;
          await this.stop({ graceful: false });
          throw error;
        }
      }
    }, undefined);
  }

  async #fill(supervision: Supervision<Boot>): Promise<void> {
    const { workers, automatic, scaling } = supervision;
    const before = workersAtOnce(supervision);
    await this.#pool.fill(before);
    this.#memory.measure();
    const { count, reason } = this.#affordable(supervision);
    const atFirst = workersAtFirst(supervision, count);
    if (atFirst > before) await this.#pool.fill(atFirst - before);
    this.#scale(supervision, count);
    if (!automatic) return;
    const most = `${scaling ? 'at most ' : ''}${workersText(count)}: ${reason}`;
    this.#log[automatic.isLimited || count < workers ? 'info' : 'debug'](most);
  }

  /** How many workers the configuration, the processors and the memory limit allow, and why not more. */
  #affordable({ workers, automatic, memoryLimit }: Supervision<Boot>): { count: number; reason: string } {
    const fitting = automatic && memoryLimit ? this.#memory.fitting(memoryLimit) : undefined;
    return fitting && fitting.count < workers ? fitting : { count: workers, reason: automatic?.reason ?? '' };
  }

  /** Reloads after a change of files: all workers at once, so that one version serves at a time, or its error if it does not load. */
  #reloadChanges(changed: readonly string[]): Promise<ReloadResult> {
    if (this.#isStarting) this.#interrupt();
    return this.#turns.change(async () => {
      this.#pool.spares.changed(changed, (file) => this.#configuration.has(file));
      const begun = performance.now();
      try {
        const onlyCode = changed.every((file) => isModuleFile(file) && !this.#configuration.has(file));
        const replaced = await this.#replaceAllFor(await this.#revised(onlyCode), { oneByOne: false });
        this.#events.reloaded(describeChanges(changed), begun, replaced);
        return { ok: true };
      } catch (error) {
        if (!this.#stopping && !this.#turns.isInterrupted) {
          this.#events.reloadFailed(describeChanges(changed), describeError(error));
          await this.#serveFailure(error);
        }
        return { ok: false, error };
      } finally {
        // A browser with the page navigates now, on the same processors.
        this.#pool.spares.warmLater();
      }
    }, STOPPED);
  }

  #revised(onlyCode: boolean): Promise<Supervision<Boot>> {
    this.#isConfigurationLoaded &&= onlyCode;
    return this.#options.revise?.(this.#current, this.#isConfigurationLoaded) ?? Promise.resolve(this.#current);
  }

  /** @returns the number of workers that it has replaced. @throws The first error; then nothing has changed. */
  async #replaceAllFor(
    next: Supervision<Boot>,
    { oneByOne, confirm }: { oneByOne: boolean; confirm?: (() => Promise<void>) | undefined },
  ): Promise<number> {
    const before = this.#current;
    const settings = this.#pool.settings;
    const { count, maximum, reason } = this.#countFor(next);
    const replaced = this.#pool.workers.length;
    if (this.#reload && next.isIgnored) this.#reload.isIgnored = next.isIgnored;
    const changed = next.sockets !== before.sockets || !isDeepStrictEqual(next.env, before.env);
    if (changed) this.#pool.spares.drop();
    this.#pool.settings = workerSettings(next, this.#options.reload);
    this.#configurePreload(next);
    try {
      if (this.#turns.isInterrupted) throw new Interrupted();
      if (next.exclusive) await this.#pool.vacate();
      const canary = oneByOne && !this.#reload && !next.exclusive ? next.canary : undefined;
      const ready = await this.#pool.bootAll(count, { oneByOne, canary, confirm });
      this.#current = next;
      this.#isConfigurationLoaded = true;
      await this.#pool.swap(ready);
      this.#scale(next, maximum);
    } catch (error) {
      this.#pool.settings = settings;
      this.#configurePreload(before);
      if (changed) this.#pool.spares.drop();
      await closeSockets(next.sockets, before.sockets);
      throw error;
    }
    if (next.sockets !== before.sockets) this.#options.onSockets?.(next.sockets, before.sockets);
    await closeSockets(before.sockets, next.sockets);
    this.#memory.measure();
    this.#startWatchdog();
    if (reason !== undefined) this.#log.info(`${workersText(count)}${reason && `: ${reason}`}`);
    return replaced;
  }

  /** How many workers a new version gets, and the maximum for scaling. `reason` says why, if the number may have changed. */
  #countFor(next: Supervision<Boot>): { count: number; maximum: number; reason: string | undefined } {
    const before = this.#current;
    const { size } = this.#pool;
    const { count: maximum, reason } = this.#affordable(next);
    if (next.scaling) {
      const count = Math.min(maximum, Math.max(size, workersAtFirst(next, maximum)));
      return { count, maximum, reason: count === size ? undefined : 'reloaded' };
    }
    // The number that TTIN and TTOU have set holds until the configuration changes its own.
    const isSame = next.workers === before.workers && next.memoryLimit?.bytes === before.memoryLimit?.bytes;
    const count = isSame && !before.scaling ? Math.max(1, size) : maximum;
    return { count, maximum, reason: isSame && !before.scaling ? undefined : reason };
  }

  /** The number of workers follows the load from now on, if the configuration says so. */
  #scale({ scaling }: Supervision<Boot>, maximum: number): void {
    this.#scaler.configure(scaling && { ...scaling, minimum: Math.min(scaling.minimum, maximum), maximum });
  }

  #configurePreload({ preload, env = process.env }: Supervision<Boot>): void {
    const { execArgv = [] } = this.#options;
    this.#preload.configure(preload, [env['NODE_OPTIONS'] ?? '', ...execArgv].join(' '));
  }

  async #serveFailure(reason: unknown): Promise<boolean> {
    if (this.#options.onFailure) this.#options.onFailure(reason);
    else this.#log.error(describeError(reason));
    try {
      const count = this.#pool.size || this.#current.workers;
      await this.#pool.swap(await this.#pool.bootAll(count, { failure: asError(reason), oneByOne: false }));
      return true;
    } catch (error) {
      if (!this.#stopping) this.#log.debug(`nor can its error be served: ${describeError(error)}`);
      return false;
    }
  }

  /** Gives up the workers that are starting: there is a newer version, and the old one may never become ready. */
  #interrupt(): void {
    this.#turns.isInterrupted = true;
    this.#pool.interrupt();
  }

  /** Kills workers whose event loop is blocked, and replaces those that take too much memory. */
  #startWatchdog(): void {
    clearInterval(this.#watchdog);
    const { workerTimeout = 0, maxMemory, memoryLimit } = this.#current;
    if (!this.#stopping) this.#memory.watch(maxMemory === undefined ? memoryLimit : undefined);
    const { heartbeatMs } = this.#pool.settings.limits;
    if (heartbeatMs === undefined || this.#stopping) return;
    this.#watchdog = watchHeartbeats(() => this.#pool.workers, heartbeatMs, workerTimeout, this.#log);
  }
}
