/**
 * The supervisor's view of one worker: the orders to it, its reports, and the state that follows from both. One handle stands for
 * one process, which `WorkerProcess` runs and which is never started again.
 */
import { RunError } from '../../errors.ts';
import type { AskStatus, ProcessReport, RestartReason, WorkerStatus } from '../../metrics/server-status.ts';
import { timerMs } from '../../timer.ts';
import { describeExit, type Exit, KILL_MARGIN_S, WORKER_DONE } from '../ipc/child-exit.ts';
import { ConnectionChannel, type PassedConnection } from '../ipc/connection-handover.ts';
import { packError, unpackError } from '../ipc/error-transfer.ts';
import type { Load, PreloadMessage, PreloadReport, StopMessage, WorkerLimits } from '../ipc/messages.ts';
import type { Inspection } from '../worker/inspection.ts';
import { type ProcessOptions, type WorkerMessage, WorkerProcess } from './workers/worker-process.ts';
import { WorkerReports } from './workers/worker-reports.ts';

export type WorkerState = WorkerStatus['state'];

export interface WorkerOptions extends ProcessOptions {
  /** Gets the files, and URLs of modules, that the application consists of, and when the worker began to load. */
  readonly onWatch: (files: readonly string[], loaded: number) => void;
  /** The same for the files that configure the application. */
  readonly onConfiguration: (files: readonly string[], loaded: number) => void;
  readonly onPatterns: (patterns: readonly string[], loaded: number) => void;
  /** Gets what a spare worker reports about the packages that it imports. */
  readonly onPreload: (report: PreloadReport) => void;
  /** Gets modules that were loaded before the application. */
  readonly onEarlyModules: (modules: readonly string[]) => void;
  /** Whether a worker that has loaded, and had to ask, may accept connections. Otherwise it is killed. */
  readonly onOpening: () => boolean;
  /** Called when a browser has opened a page that it loads again after a reload. */
  readonly onPage: () => void;
  readonly onReplace: (reason: string, kind: RestartReason) => void;
  /** Gets the status of the whole server, for a worker that asks. */
  readonly onAsk: AskStatus;
  /** Called with each report. */
  readonly onReport: () => void;
  /** Gets a connection that the worker hands over. */
  readonly onConnection: (connection: PassedConnection) => void;
  /** Called before it is killed, because it did not end within the seconds that `stop` gave it. */
  readonly onOverdue: (seconds: number) => void;
}

type StopOptions = Pick<StopMessage, 'graceful' | 'timeout'> & Partial<Pick<StopMessage, 'handOver'>>;

export interface HowToBoot {
  readonly isFirst: boolean;
  readonly failure: Error | undefined;
  readonly asksToOpen: boolean;
  readonly isConfigurationSame: boolean;
}

/** What is known of a worker that has died. */
export interface DeadWorker {
  /** Why it did not start, or what it died of, if it could send the error. */
  readonly failure: Error | undefined;
  /** Its report at the end, if it could send one. */
  readonly lastReport: ProcessReport | undefined;
  /** Its last report, and how many milliseconds ago that was. */
  readonly report: ProcessReport | undefined;
  readonly reportAge: number;
  /** Why the supervisor killed it. */
  readonly killedFor: RestartReason | undefined;
}

export class WorkerHandle<Boot> implements DeadWorker {
  readonly id: number;
  /** Resolves when the process is warm, or has ended. */
  readonly loaded: Promise<void>;
  /** Resolves when it accepts no more connections, or has ended. */
  readonly drained: Promise<void>;
  /** The modules that it has loaded for the application, as Node reports them, until it was ready. */
  readonly modules: string[] = [];
  /** How many of them came before the application's own modules were evaluated. */
  evaluated = 0;
  readonly #process: WorkerProcess<Boot>;
  readonly #options: WorkerOptions;
  readonly #connections: ConnectionChannel;
  #state: WorkerState = 'starting';
  #readyAt: number | undefined;
  #bootedAt = Number.POSITIVE_INFINITY;
  #failure: Error | undefined;
  readonly #reports = new WorkerReports();
  #title = '';
  #isOverdue = false;
  #isKilled = false;
  #wasDraining = false;
  #leftFor: RestartReason | undefined;
  /** Set by the code that kills it. */
  killedFor: RestartReason | undefined;
  #setLoaded = () => {};
  #setDrained = () => {};
  #setReady = () => {};

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.id = options.id;
    this.loaded = new Promise((resolve) => {
      this.#setLoaded = resolve;
    });
    this.drained = new Promise((resolve) => {
      this.#setDrained = resolve;
    });
    this.#process = new WorkerProcess<Boot>(options, {
      onMessage: (message, handle) => this.#receive(message, handle),
      onModules: (modules) => this.#noteModules(modules),
      onError: (error) => {
        this.#failure ??= error;
      },
      onEnd: () => {
        this.#wasDraining = this.#state === 'draining';
        this.#state = 'exited';
        this.#setLoaded();
        this.#setDrained();
        this.#reports.release();
      },
    });
    this.#connections = new ConnectionChannel(
      (message, connection) => this.#process.send(message, connection),
      options.onConnection,
    );
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get exited(): Promise<Exit> {
    return this.#process.exited;
  }

  get state(): WorkerState {
    return this.#state;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  get report(): ProcessReport | undefined {
    return this.#reports.latest;
  }

  get reportAge(): number {
    return this.#reports.age;
  }

  get lastReport(): ProcessReport | undefined {
    return this.#reports.atEnd;
  }

  /** Why it ended without an order of its supervisor: a signal, or the end of its server. */
  get leftFor(): RestartReason | undefined {
    return this.#leftFor;
  }

  /** Undefined: it has not reported any, or does not serve. */
  get load(): Load | undefined {
    return this.#state === 'ready' ? this.#reports.load : undefined;
  }

  /** Milliseconds since it reported its load. */
  get loadAge(): number {
    return this.#reports.loadAge;
  }

  /** Milliseconds since its last message. */
  get silence(): number {
    return this.#process.silence;
  }

  /** Milliseconds for which it has been serving. */
  get servedMs(): number {
    return this.#readyAt === undefined ? 0 : performance.now() - this.#readyAt;
  }

  /** Whether it died before it had finished its last requests. Those that the supervisor kills have been reported. */
  diedWhileDraining({ code }: Exit): boolean {
    return this.#wasDraining && code !== WORKER_DONE && !this.#isKilled && !this.#isOverdue;
  }

  /** Its slot in the table of connections. */
  get tableSlot(): number | undefined {
    return this.#options.place?.slot;
  }

  /** How many connections are in transit to it. */
  get connectionsInTransit(): number {
    return this.#connections.inTransit;
  }

  /** Asks for a report. Resolves when it has come, when the worker is gone, or after `limit` milliseconds. */
  async requestReport(limit: number): Promise<void> {
    if (this.#state !== 'ready' && this.#state !== 'draining') return;
    await this.#reports.request(() => this.#process.send({ paster: 'report' }), limit);
  }

  /** @param since of `performance.now()`: a report from before then is marked as old */
  status(since: number): WorkerStatus {
    const { report } = this;
    const silent = report && !this.#reports.isFrom(since) ? this.reportAge / 1000 : undefined;
    return { pid: this.pid, state: this.#state, report, silent };
  }

  /** Passes a connection to it. It must be ready. */
  pass(connection: PassedConnection): void {
    this.#connections.pass(connection);
  }

  /** Makes it give up some kept connections, so that their clients move to other workers. */
  spread(count: number): void {
    this.#process.send({ paster: 'spread', count });
  }

  /** When it has ended: the connections that did not reach it. */
  takeUnconfirmed(): PassedConnection[] {
    return this.#connections.takeUnconfirmed();
  }

  /** Starts to count its silence again. */
  resetSilence(): void {
    this.#process.resetSilence();
  }

  /** Makes it listen on one of its sockets without accepting. @throws as `listen(2)` */
  listen(fd: number, backlog: number): Promise<void> {
    return this.#process.listen(fd, backlog);
  }

  /** Makes it load what every application needs. `rehearses`: as in the message. */
  warm(boot: Boot, { rehearses }: { readonly rehearses: boolean }): void {
    this.#process.send({ paster: 'warm', boot, rehearses });
  }

  /** Lets it accept connections when it has loaded, without asking. */
  open(): void {
    this.#process.send({ paster: 'open' });
  }

  /** Makes it import packages until `boot`. */
  preload(message: PreloadMessage<Boot>): void {
    this.#process.send(message);
  }

  /**
   * Makes it load and serve. Rejects with its own error if it cannot.
   * @param how `failure`: the error to serve instead of the application; `asksToOpen`: whether `onOpening` decides;
   *   `isConfigurationSame`: as in the message
   */
  async boot(boot: Boot, limits: WorkerLimits, { failure, ...how }: HowToBoot): Promise<void> {
    const ready = new Promise<void>((resolve) => {
      this.#setReady = resolve;
    });
    if (this.#state !== 'exited') this.#state = 'booting';
    this.#bootedAt = Date.now();
    const { sockets, place, next: inspectionFd } = this.#process.inherited;
    this.#process.send({
      paster: 'boot',
      boot,
      failure: failure && packError(failure),
      sockets,
      place,
      inspectionFd,
      limits,
      ...how,
    });
    const exit = await Promise.race([ready, this.exited]);
    if (exit) {
      throw (
        this.#failure ??
        new RunError('PASTER_WORKER_DIED', `a worker ended ${describeExit(exit)} before it could serve`)
      );
    }
  }

  /** Stops it, and kills it if it does not end. Resolves when the process is gone. */
  async stop({ graceful, timeout, handOver = false }: StopOptions): Promise<void> {
    if (this.#state === 'exited') return;
    if (this.#state === 'starting' || this.#state === 'standby') {
      this.kill();
    } else {
      this.#state = 'draining';
      this.#process.send({ paster: 'stop', graceful, timeout, handOver, cause: 'order' });
    }
    const kill = (): void => {
      if (graceful && !this.#isOverdue) this.#options.onOverdue(timeout);
      this.kill();
    };
    const killer = setTimeout(kill, timerMs((graceful ? timeout : 0) + KILL_MARGIN_S));
    await this.exited;
    clearTimeout(killer);
  }

  /** Sets what `ps` shows of it. */
  set title(title: string) {
    if (title !== this.#title) this.#process.send({ paster: 'title', title });
    this.#title = title;
  }

  /** Looks into it, also while it is blocked. As `InspectionPipe.ask`. */
  inspect(what: Inspection, send: (piece: string) => Promise<void>, gone: AbortSignal): Promise<unknown> {
    return this.#process.inspect(what, send, gone);
  }

  reopenLogs(): void {
    if (this.#state === 'ready' || this.#state === 'draining') this.#process.send({ paster: 'reopen' });
  }

  /** Lets it say why it has not loaded within these seconds. */
  giveUp(seconds: number): void {
    this.#process.send({ paster: 'overdue', seconds });
  }

  kill(): void {
    this.#isKilled = true;
    this.#process.kill();
  }

  #noteModules(modules: readonly string[]): void {
    this.#options.onWatch(modules, this.#bootedAt);
    if (this.#state === 'booting') this.modules.push(...modules);
    else if (this.#state === 'standby') this.#options.onEarlyModules(modules);
  }

  #receive(message: WorkerMessage, handle: unknown): void {
    switch (message.paster) {
      case 'loaded':
        if (this.#state === 'starting') this.#state = 'standby';
        this.#setLoaded();
        return;
      case 'ready':
        if (this.#state === 'booting') this.#state = 'ready';
        // It has survived an earlier error.
        this.#failure = undefined;
        this.#readyAt = performance.now();
        this.#setReady();
        return;
      case 'failed':
        this.#failure = unpackError(message.error);
        return;
      case 'watch':
        this.#options.onConfiguration(message.files, this.#bootedAt);
        return;
      case 'imported':
        // It was importing this when it was told to load the application.
        if (this.#state === 'booting') this.#options.onEarlyModules(this.modules.splice(0));
        this.#options.onPreload(message);
        return;
      case 'preloading':
      case 'conflict':
        this.#options.onPreload(message);
        return;
      case 'opening':
        if (this.#options.onOpening()) this.open();
        else this.kill();
        return;
      case 'unfinished':
        this.#isOverdue = true;
        this.#options.onOverdue(message.seconds);
        return;
      case 'evaluated':
        if (this.#state === 'booting') this.evaluated = this.modules.length;
        return;
      case 'patterns':
        this.#options.onPatterns(message.patterns, this.#bootedAt);
        return;
      case 'page':
        this.#options.onPage();
        return;
      case 'replace':
        this.#options.onReplace(message.reason, message.kind);
        return;
      case 'report':
        this.#reports.receive(message.report, message.isLast);
        this.#options.onReport();
        return;
      case 'load':
        this.#reports.receiveLoad(message.load);
        return;
      case 'ask': {
        const { id, history } = message;
        void this.#options.onAsk({ history }).then((status) => this.#process.send({ paster: 'status', id, status }));
        return;
      }
      case 'connection':
      case 'taken':
        this.#connections.handle(message, handle);
        return;
      case 'draining':
        if (this.#state === 'ready') this.#state = 'draining';
        if (message.cause !== 'order') this.#leftFor = message.cause;
        this.#setDrained();
        return;
      case 'beat':
    }
  }
}
