/** What the program of a worker can ask of its supervisor, and what a worker reports on its own. */
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { AskStatus, RestartReason } from '../../metrics/server-status.ts';
import { OWN_CODE } from '../../own-files.ts';
import { unpackError } from '../ipc/error-transfer.ts';
import { type BootMessage, LOAD_MS, type Load, QUIET_MS, type WorkerLimits } from '../ipc/messages.ts';
import type { ConnectionShare } from './accept-balancer.ts';
import type { InspectionThreadData } from './inspection-thread.ts';
import { StallTable } from './stall-table.ts';
import type { SupervisorChannel } from './supervisor-channel.ts';

const INSPECTION_THREAD = join(OWN_CODE, 'process/worker/inspection-thread.js');
const MEMORY_CHECK_MS = 2000;
/** When a worker is killed, the counts since its last report are lost: this much time at most. */
const REPORT_MS = 1000;
const REPLACE_AGAIN_MS = 10_000;
const MIB = 1024 * 1024;

/** What the program of a worker gets from its supervisor, and can send to it. */
export interface WorkerControl {
  /** Aborted when this worker is stopped, or its supervisor is gone. */
  readonly stopped: AbortSignal;
  /** Resolves when loading has taken longer than allowed, with the seconds that it may take. An error after that may say why. */
  readonly overdue: Promise<number>;
  /** The error to serve instead of the application, if the version on disk does not load. */
  readonly failure: Error | undefined;
  /** Whether the files of the configuration are the same as when this worker was prepared. */
  readonly isConfigurationSame: boolean;
  /** Whether this is the first worker or its successor. It gets what only one worker can have, such as the port of a debugger. */
  readonly isFirst: boolean;
  /** The number of this worker since the server was started. */
  readonly number: number;
  /** Adds files to those whose change causes a reload. */
  watch(files: readonly string[]): void;
  /** The same for what absolute patterns match. They replace the earlier ones. */
  watchPatterns(patterns: readonly string[]): void;
  /**
   * Notes a request: if the supervisor has to kill this worker, its log names the request. Returns a function to call when the
   * request is done. Absent without a `worker_timeout`.
   */
  readonly trackRequest: ((what: string) => () => void) | undefined;
  /** Must be called when a module that the configuration names has been evaluated, with all modules that it imports. */
  evaluated(): void;
  /** Must be called when a browser has opened a page that it loads again after a reload. */
  notePage(): void;
  /** Must be called once for each request, for `max_requests`. */
  countRequest(): void;
  /** Asks for a successor; this worker serves until the successor is ready. `kind` is the reason under which it is counted. */
  replace(reason: string, kind: RestartReason): void;
  /** The status of the whole server. @throws Error if the supervisor is gone or does not respond. */
  readonly ask: AskStatus;
  /** The callback is called on USR1. It returns the new descriptor of standard error, if there is one. */
  onReopenLogs(callback: () => number | undefined): void;
  /** To be called when it runs what must be stopped gracefully, even before it has started. */
  begun(): void;
  /** Names a process group that this worker has started, and that must not outlive it. */
  ownGroup(pid: number): void;
}

export class SupervisedWorkerControl<Boot> implements WorkerControl {
  readonly stopped: AbortSignal;
  readonly overdue: Promise<number>;
  readonly failure: Error | undefined;
  readonly isFirst: boolean;
  readonly isConfigurationSame: boolean;
  readonly number: number;
  readonly trackRequest: ((what: string) => () => void) | undefined;
  readonly #stalls: StallTable | undefined;
  readonly #channel: SupervisorChannel<Boot>;
  readonly #limits: WorkerLimits;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #lastRequest: number;
  readonly #inspectionFd: number;
  readonly #onEvaluated: () => void;
  hasBegun = false;
  #isInspected = false;
  #requests = 0;
  #replaceSentAt = Number.NEGATIVE_INFINITY;

  constructor(
    channel: SupervisorChannel<Boot>,
    boot: BootMessage<Boot>,
    { stopped, number, onEvaluated }: Pick<WorkerControl, 'stopped' | 'number'> & { readonly onEvaluated: () => void },
  ) {
    this.#onEvaluated = onEvaluated;
    const { failure, limits, isFirst, isConfigurationSame, inspectionFd } = boot;
    this.#inspectionFd = inspectionFd;
    channel.onInspect(() => this.#inspect());
    this.stopped = stopped;
    this.overdue = channel.overdue;
    this.number = number;
    this.failure = failure && unpackError(failure);
    this.#channel = channel;
    this.#limits = limits;
    this.isFirst = isFirst;
    this.isConfigurationSame = isConfigurationSame;
    const { maxRequests = 0, maxRequestsJitter = 0, stallMs } = limits;
    const stalls = stallMs === undefined ? undefined : new StallTable();
    this.#stalls = stalls;
    this.trackRequest = stalls && ((what) => stalls.add(what));
    // 0 means no limit, as in flup and gunicorn.
    this.#lastRequest =
      maxRequests > 0 ? maxRequests + Math.floor(Math.random() * (maxRequestsJitter + 1)) : Number.POSITIVE_INFINITY;
  }

  watch(files: readonly string[]): void {
    if (files.length > 0) void this.#channel.send({ paster: 'watch', files });
  }

  watchPatterns(patterns: readonly string[]): void {
    void this.#channel.send({ paster: 'patterns', patterns });
  }

  evaluated(): void {
    this.#onEvaluated();
    void this.#channel.send({ paster: 'evaluated' });
  }

  notePage(): void {
    void this.#channel.send({ paster: 'page' });
  }

  countRequest(): void {
    if (++this.#requests >= this.#lastRequest) {
      this.replace(`has served ${this.#lastRequest} requests`, 'max_requests');
    }
  }

  replace(reason: string, kind: RestartReason): void {
    // Sent again at intervals: the successor may have failed to start.
    const now = performance.now();
    if (now - this.#replaceSentAt < REPLACE_AGAIN_MS) return;
    this.#replaceSentAt = now;
    void this.#channel.send({ paster: 'replace', reason, kind });
  }

  readonly ask: AskStatus = (options) => this.#channel.ask(options);

  onReopenLogs(callback: () => number | undefined): void {
    this.#channel.onReopen(() => {
      const output = callback();
      if (this.#stalls && output !== undefined) this.#stalls.output = output;
    });
  }

  begun(): void {
    this.hasBegun = true;
  }

  ownGroup(pid: number): void {
    void this.#channel.send({ paster: 'group', pid });
  }

  begin(share: ConnectionShare | undefined): void {
    const { heartbeatMs, stallMs, maxMemory = 0, reportsLoad } = this.#limits;
    if (heartbeatMs !== undefined) {
      this.#every(heartbeatMs, () => {
        this.#stalls?.beat();
        void this.#channel.send({ paster: 'beat' });
      });
    }
    if (stallMs !== undefined) this.#inspect();
    this.#stalls?.beat();
    if (maxMemory > 0) {
      this.#every(MEMORY_CHECK_MS, () => {
        const used = Math.round((process.memoryUsage.rss() + this.#channel.childMemory()) / MIB);
        if (used > maxMemory) this.replace(`uses ${used} MiB of memory`, 'max_memory');
      });
    }
    if (reportsLoad) {
      const meter = new LoadMeter(share, () => this.#channel.reporter.isBusy());
      this.#every(LOAD_MS, () => {
        const load = meter.measure();
        if (load) void this.#channel.send({ paster: 'load', load });
      });
    }
    if (this.#channel.reporter.isCounting) this.#every(REPORT_MS, () => this.#channel.report());
  }

  /** Starts the thread that inspects this one, unless it has been started. */
  #inspect(): void {
    if (this.#isInspected) return;
    this.#isInspected = true;
    const { stallMs } = this.#limits;
    const stalls = this.#stalls && stallMs !== undefined ? { buffer: this.#stalls.buffer, limit: stallMs } : undefined;
    startInspectionThread({ fd: this.#inspectionFd, stalls });
  }

  end(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  #every(milliseconds: number, action: () => void): void {
    const timer = setInterval(action, milliseconds);
    timer.unref();
    this.#timers.push(timer);
  }
}

/** Without this thread the worker still serves, and the supervisor still kills it when it is blocked. */
function startInspectionThread(workerData: InspectionThreadData): void {
  const thread = new Worker(INSPECTION_THREAD, { workerData, execArgv: [] });
  thread.on('error', () => {});
  thread.unref();
}

/** At this utilization and above, each measurement is reported. */
const BUSY = 0.4;

/** Measures how busy a worker is, for a supervisor that starts and ends workers by load. */
class LoadMeter {
  readonly #share: ConnectionShare | undefined;
  readonly #isRefusing: () => boolean;
  #measured = performance.eventLoopUtilization();
  #taken = 0;
  #isActive = false;
  #wasBusy = false;
  #reportedAt = Number.NEGATIVE_INFINITY;

  /**
   * @param share counts the connections; without it the worker counts as active
   * @param isRefusing whether requests are refused now
   */
  constructor(share: ConnectionShare | undefined, isRefusing: () => boolean) {
    this.#share = share;
    this.#isRefusing = isRefusing;
  }

  /** To be called at intervals. @returns the load to report; undefined if it has hardly changed */
  measure(): Load | undefined {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#measured);
    this.#measured = now;
    const { connections, taken } = this.#share ?? { connections: 0, taken: 0 };
    this.#isActive ||= !this.#share || connections > 0 || taken !== this.#taken;
    this.#taken = taken;
    const load = { utilization: this.#isRefusing() ? 1 : utilization, connections, isActive: this.#isActive };
    const isBusy = load.utilization >= BUSY;
    const isDue = isBusy || this.#wasBusy || performance.now() - this.#reportedAt >= QUIET_MS;
    this.#wasBusy = isBusy;
    if (!isDue) return undefined;
    this.#reportedAt = performance.now();
    this.#isActive = false;
    return load;
  }
}
