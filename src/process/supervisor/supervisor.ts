/**
 * The supervisor: runs in the parent, holds the sockets, and keeps a number of workers alive behind them. It does not know
 * what they serve. A worker drains only when its successor is ready, so there is always a worker to respond; if there is none
 * for a moment, connections wait in the kernel's queue.
 *
 * Requests from outside (reload, more workers, fewer, a worker that asks for a successor) are handled one after the other, so
 * that they do not replace all workers at the same time. A worker that dies is replaced independently of that.
 *
 * This file starts, stops and describes the supervisor. Its parts do the rest: `Pool` keeps the workers running,
 * `CurrentVersion` replaces all of them, `WorkerChanges` single ones, and `WorkerCount` decides how many there are.
 */
import type { Logger } from '../../log.ts';
import { History } from '../../metrics/history.ts';
import { ServerEvents } from '../../metrics/server-events.ts';
import type { ServerStatus } from '../../metrics/server-status.ts';
import { statusLines } from '../../metrics/status-lines.ts';
import { closeSockets, hasWaiting, type ListenElsewhere } from '../../net/held-socket.ts';
import { isDoneWithin } from '../../timer.ts';
import { PreloadPlan } from '../preload/preload-plan.ts';
import { CurrentVersion, type ReloadResult } from './current-version.ts';
import { Pool } from './pool.ts';
import { WorkerCount } from './scaling/worker-count.ts';
import { type SupervisorOptions, workerSettings, workersAtOnce } from './supervisor-options.ts';
import { Turns } from './turns.ts';
import { WorkerChanges } from './worker-changes.ts';
import type { WorkerHandle } from './worker-handle.ts';

export class Supervisor<Boot> {
  /** Resolves when it has stopped and no worker is left. */
  readonly finished: Promise<void>;
  /** Passes connections of workers that end to workers that stay. */
  readonly relay: Pool<Boot>['relay'];
  /** Changes of single workers. */
  readonly changes: WorkerChanges<Boot>;
  readonly #options: SupervisorOptions<Boot>;
  readonly #log: Logger;
  readonly #pool: Pool<Boot>;
  readonly #count: WorkerCount<Boot>;
  readonly #version: CurrentVersion<Boot>;
  readonly #started = Date.now();
  readonly #events = new ServerEvents();
  /** Filled only while workers report at intervals. */
  readonly #history = new History();
  readonly #turns = new Turns(() => this.#stopping);
  #stopping = false;
  /** How many seconds requests get when the supervisor stops. Resolves when no connection waits for a worker to start. */
  #timeLeft: number | Promise<number> | undefined;
  #watchdog: NodeJS.Timeout | undefined;
  #setFinished = () => {};

  constructor(options: SupervisorOptions<Boot>) {
    this.#options = options;
    this.#log = options.log;
    this.finished = new Promise((resolve) => {
      this.#setFinished = resolve;
    });
    const preload = new PreloadPlan(options.log);
    this.#pool = new Pool<Boot>({
      entry: options.entry,
      settings: workerSettings(options, options.reload),
      log: options.log,
      served: options.served,
      role: options.role,
      execArgv: options.execArgv ?? [],
      output: () => options.output?.() ?? 'inherit',
      reload: options.reload !== undefined,
      preload,
      onWatch: (files, loaded) => this.#version.noteFiles(files, loaded),
      onConfiguration: (files, loaded) => this.#version.noteConfiguration(files, loaded),
      onPatterns: (patterns, loaded) => this.#version.notePatterns(patterns, loaded),
      onReplace: (worker, reason, kind) => this.changes.request(worker, reason, kind),
      onServes: (failure) => this.#version.noteServes(failure),
      onAsk: (options) => this.status(options),
      onReport: () =>
        this.#history.note(() => ({ counts: this.#pool.live.totals(), reports: this.#pool.live.reports() })),
      onDeath: (kind, text) => this.#events.restarted(kind, text),
      describeDeath: options.describeDeath ?? (() => ''),
    });
    this.relay = this.#pool.relay;
    this.#count = new WorkerCount<Boot>({
      pool: this.#pool,
      current: () => this.#version.settings,
      otherProcesses: options.otherProcesses,
      replace: (worker, reason) => this.changes.request(worker, reason, 'max_memory'),
      inTurn: (action) => this.#turns.change(action, undefined),
      log: options.log,
    });
    this.#version = new CurrentVersion<Boot>({
      options,
      pool: this.#pool,
      count: this.#count,
      preload,
      events: this.#events,
      turns: this.#turns,
      isStopping: () => this.#stopping,
      onReplaced: () => this.#startWatchdog(),
    });
    this.changes = new WorkerChanges<Boot>({
      pool: this.#pool,
      events: this.#events,
      log: options.log,
      isStopping: () => this.#stopping,
      onNumberSet: () => this.#count.fix(),
      inTurn: (action, stopped) => this.#turns.change(action, stopped),
    });
  }

  /** Starts the processes of the first workers, which load nothing before `start`. @returns see `FirstWorkers.start` */
  warm(): ListenElsewhere {
    return this.#pool.warm(workersAtOnce(this.#version.settings));
  }

  /** Resolves when the workers are ready. Rejects with a worker's own error if none of them can start. */
  async start(): Promise<void> {
    await this.#version.start(() => this.stop({ graceful: false }));
    this.#startWatchdog();
    await this.#version.watchFiles();
    this.#pool.spares.warmLater();
  }

  /** As `CurrentVersion.reload`. */
  reload(reason: string, confirm?: () => Promise<void>): Promise<ReloadResult> {
    return this.#version.reload(reason, confirm);
  }

  /** Gives up a change that is in progress: a newer reload makes the workers that it starts out of date. */
  interruptChange(): void {
    this.#version.interruptChange();
  }

  /** Whether a worker ends before its successor loads. */
  get isExclusive(): boolean {
    return this.#version.settings.exclusive === true;
  }

  /** The number of workers, including those that are being started again. */
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
      scaling: this.#count.status(),
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
    // One message for each line: some loggers write each message on a single line.
    for (const line of statusLines(await this.status())) this.#log.info(line);
  }

  /** Ends all workers; a second call that is not graceful cuts a graceful one short. */
  async stop({ graceful }: { graceful: boolean }): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#watchdog);
    this.#count.stop();
    const unwatched = this.#version.unwatchFiles();
    const { sockets, gracefulTimeout } = this.#version.settings;
    const servesWaiting = graceful && !this.#version.isStarting;
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

  /** Kills workers whose event loop is blocked, and replaces those that take too much memory. */
  #startWatchdog(): void {
    clearInterval(this.#watchdog);
    if (this.#stopping) return;
    const { settings } = this.#version;
    this.#count.watchMemory(settings);
    const { heartbeatMs } = this.#pool.settings.limits;
    if (heartbeatMs === undefined) return;
    const { workerTimeout = 0 } = settings;
    this.#watchdog = watchHeartbeats(() => this.#pool.workers, heartbeatMs, workerTimeout, this.#log);
  }
}

/**
 * Before the sockets close: they would reset the connections that wait in the kernel's queue, so a worker starts for them if none
 * serves. Resolves when it serves, or does not start.
 * @param limit seconds
 * @returns the seconds that are left of it
 */
async function serveWaiting<Boot>(pool: Pool<Boot>, limit: number, log: Logger): Promise<number> {
  // With `isRedirected`, another server accepts on the sockets.
  if (limit === 0 || pool.relay.isRedirected || pool.workers.some(({ state }) => state === 'ready')) return limit;
  if (!(await hasWaiting(pool.settings.sockets))) return limit;
  log.info('a connection waits: a worker serves it before the server ends');
  const begun = performance.now();
  await isDoneWithin(limit, () => pool.serveOnce());
  return Math.max(0, limit - (performance.now() - begun) / 1000);
}

/**
 * Kills workers that send no heartbeats, since their event loop is blocked.
 * @param heartbeatMs how often workers send one
 * @param seconds how long they may be silent: `worker_timeout`
 * @returns a timer to clear
 */
function watchHeartbeats<Boot>(
  workers: () => readonly WorkerHandle<Boot>[],
  heartbeatMs: number,
  seconds: number,
  log: Logger,
): NodeJS.Timeout {
  let last = performance.now();
  return setInterval(() => {
    const now = performance.now();
    // If this process was blocked too, the machine was suspended.
    const wasSuspended = now - last > heartbeatMs * 2;
    last = now;
    for (const worker of workers()) {
      if (worker.state !== 'ready') continue;
      if (wasSuspended) worker.resetSilence();
      else if (worker.silence > seconds * 1000) {
        log.error(`worker ${worker.pid} has been blocked for ${seconds} s and is killed`);
        worker.resetSilence();
        worker.killedFor = 'stuck';
        worker.kill();
      }
    }
  }, heartbeatMs);
}
