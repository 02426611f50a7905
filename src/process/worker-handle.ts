/**
 * The supervisor's view of one worker: starts the child, speaks with it, and knows how it ended. One handle is one
 * process; it is never started again.
 *
 * Sockets are handed over at spawn, as the descriptors from 3 on, then the table of connections, with the IPC channel behind them. The other way, a
 * handle sent over IPC, needs a round trip before the worker can accept, and a running event loop on both sides; a
 * descriptor works the same for TCP, Unix and systemd's sockets, on Linux and on macOS, and is there when the process
 * is. The channel comes last, so that the numbers of the sockets do not depend on it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { RunError } from '../errors.ts';
import type { ProcessReport, RestartReason, ServerStatus, WorkerStatus } from '../metrics/server-status.ts';
import type { HeldSocket } from '../net/held-socket.ts';
import type { PassedConnection } from '../net/passed-connection.ts';
import { timerMs } from '../timer.ts';
import type { TablePlace } from './balance.ts';
import { packError, unpackError } from './error-transfer.ts';
import { describeExit, type Exit } from './exit-codes.ts';
import { type FromWorker, isWord, reportedModules, type ToWorker, type WorkerLimits } from './messages.ts';
import { asSendHandle, Passage } from './passage.ts';

export type WorkerState = WorkerStatus['state'];

export interface WorkerOptions {
  readonly id: number;
  readonly entry: string;
  readonly sockets: readonly HeldSocket[];
  /** Its place in the table of connections. */
  readonly place: TablePlace | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly execArgv: readonly string[];
  /** Where its standard output and error go. */
  readonly output: number | 'inherit';
  /** Files, and URLs of modules, that the worker is made of. */
  readonly onWatch: (files: readonly string[], loaded: number) => void;
  readonly onPatterns: (patterns: readonly string[]) => void;
  readonly onReplace: (reason: string, kind: RestartReason) => void;
  /** It asks how the whole server is. */
  readonly onAsk: () => Promise<ServerStatus>;
  /** A connection that it had, and that somebody else is to have. */
  readonly onConnection: (connection: PassedConnection) => void;
}

/** A worker, as far as its death is concerned. */
export interface Deceased {
  /** Why it could not start, or what it died of, if it had time to say so. */
  readonly failure: Error | undefined;
  /** How it was at its end, if it had time to say so. */
  readonly lastWords: ProcessReport | undefined;
  /** What it said before, and how many milliseconds ago. */
  readonly report: ProcessReport | undefined;
  readonly reportAge: number;
  /** Set by who kills it for it. */
  readonly killedFor: RestartReason | undefined;
}

const FIRST_INHERITED = 3;
/** A worker that has not ended so long after its own limit is killed. */
const KILL_MARGIN_S = 2;
/** How long the channel of a dead worker may stay open: something that it started may hold it. */
const LAST_WORDS_MS = 500;

export class WorkerHandle<Boot> implements Deceased {
  readonly id: number;
  /** Resolves when the process is warm, or has ended. */
  readonly loaded: Promise<void>;
  /** Resolves when it accepts nothing more, or has ended. */
  readonly drained: Promise<void>;
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #options: WorkerOptions;
  readonly #passage: Passage;
  #state: WorkerState = 'starting';
  #lastSign = performance.now();
  #readyAt: number | undefined;
  #bootedAt = Number.POSITIVE_INFINITY;
  #failure: Error | undefined;
  #report: ProcessReport | undefined;
  #reportedAt = 0;
  #lastWords: ProcessReport | undefined;
  #left: RestartReason | undefined;
  /** It has been asked how it is, and has not said so yet. */
  #isAsked = false;
  readonly #listening = new Set<() => void>();
  /** Set by who kills it for it. */
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
    const sockets = options.sockets.map(({ fd }) => fd);
    const inherited = options.place ? [...sockets, options.place.fd] : sockets;
    this.#child = spawn(process.execPath, [...options.execArgv, options.entry], {
      stdio: ['ignore', options.output, options.output, ...inherited, 'ipc'],
      env: options.env,
      serialization: 'advanced',
    });
    this.exited = new Promise((resolve) => {
      const end = (exit: Exit) => {
        this.#state = 'exited';
        this.#setLoaded();
        this.#setDrained();
        this.#tellListening();
        resolve(exit);
      };
      // Its last words may still be in the channel when it is gone.
      this.#child.once('exit', (code, signal) => {
        if (!this.#child.connected) return end({ code, signal });
        const late = setTimeout(() => end({ code, signal }), LAST_WORDS_MS);
        this.#child.once('disconnect', () => {
          clearTimeout(late);
          setImmediate(() => end({ code, signal }));
        });
      });
      this.#child.on('error', (error) => {
        this.#failure ??= error;
        // A process that never was does not exit either.
        if (this.#child.pid === undefined) end({ code: null, signal: null });
      });
    });
    this.#passage = new Passage((word, connection) => this.#say(word, connection), options.onConnection);
    this.#child.on('message', (message, handle) => this.#hear(message, handle));
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get state(): WorkerState {
    return this.#state;
  }

  /** Why it could not start, or what it died of, if it had time to say so. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** How it was when it last said so. */
  get report(): ProcessReport | undefined {
    return this.#report;
  }

  /** Milliseconds since it said so. */
  get reportAge(): number {
    return performance.now() - this.#reportedAt;
  }

  /** How it was at its end, if it had time to say so. */
  get lastWords(): ProcessReport | undefined {
    return this.#lastWords;
  }

  /** Why it went although its supervisor has not told it to: somebody else has, or its server has ended. */
  get left(): RestartReason | undefined {
    return this.#left;
  }

  /** Milliseconds since it last said anything. */
  get silence(): number {
    return performance.now() - this.#lastSign;
  }

  /** Milliseconds that it has been serving. */
  get served(): number {
    return this.#readyAt === undefined ? 0 : performance.now() - this.#readyAt;
  }

  /** Where in the table of connections it says how many it holds. */
  get tableSlot(): number | undefined {
    return this.#options.place?.slot;
  }

  /** How many connections are under way to it. */
  get underWay(): number {
    return this.#passage.underWay;
  }

  /** Has it say how it is. Resolves when it has, when it is gone, or after so many milliseconds. */
  async askReport(limit: number): Promise<void> {
    if (this.#state !== 'ready' && this.#state !== 'draining') return;
    // One that stands still finds one order when it goes on, however many have wanted to know.
    if (!this.#isAsked) this.#say({ paster: 'report' });
    this.#isAsked = true;
    await new Promise<void>((resolve) => {
      const heard = () => {
        clearTimeout(late);
        this.#listening.delete(heard);
        resolve();
      };
      const late = setTimeout(heard, limit);
      this.#listening.add(heard);
    });
  }

  /** @param since of `performance.now()`: what it has not said by then is old. */
  status(since: number): WorkerStatus {
    const isLate = this.#report !== undefined && this.#reportedAt < since;
    const silent = isLate ? this.reportAge / 1000 : undefined;
    return { pid: this.pid, state: this.#state, report: this.#report, silent };
  }

  /** Gives it a connection; it is to be ready. */
  pass(connection: PassedConnection): void {
    this.#passage.pass(connection);
  }

  /** When it has ended: the connections that never reached it. */
  takeBack(): PassedConnection[] {
    return this.#passage.takeBack();
  }

  /** Takes it as heard from just now. */
  excuse(): void {
    this.#lastSign = performance.now();
  }

  /** Has it load and serve. Rejects with its own reason if it cannot. */
  async boot(boot: Boot, limits: WorkerLimits, isFirst: boolean, failure?: Error): Promise<void> {
    const ready = new Promise<void>((resolve) => {
      this.#setReady = resolve;
    });
    if (this.#state !== 'exited') this.#state = 'booting';
    this.#bootedAt = Date.now();
    const { sockets, place } = this.#options;
    this.#say({
      paster: 'boot',
      boot,
      failure: failure && packError(failure),
      sockets: sockets.map(({ address, backlog }, index) => ({
        fd: FIRST_INHERITED + index,
        address,
        backlog,
      })),
      place: place && { fd: FIRST_INHERITED + sockets.length, slot: place.slot },
      limits,
      isFirst,
    });
    const exit = await Promise.race([ready, this.exited]);
    if (exit) {
      throw (
        this.#failure ??
        new RunError('PASTER_WORKER_DIED', `a worker ended ${describeExit(exit)} before it could serve`)
      );
    }
  }

  /**
   * Ends it, with force if it does not go by itself. Resolves when the process is gone.
   * @param handOver somebody else serves: it is to give back the connections that are kept
   */
  async stop({
    graceful,
    timeout,
    handOver = false,
  }: {
    graceful: boolean;
    timeout: number;
    handOver?: boolean;
  }): Promise<void> {
    if (this.#state === 'exited') return;
    if (this.#state === 'starting' || this.#state === 'standby') {
      this.kill();
    } else {
      this.#state = 'draining';
      this.#say({ paster: 'stop', graceful, timeout, handOver, cause: 'order' });
    }
    const killer = setTimeout(() => this.kill(), timerMs((graceful ? timeout : 0) + KILL_MARGIN_S));
    await this.exited;
    clearTimeout(killer);
  }

  reopenLogs(): void {
    if (this.#state === 'ready' || this.#state === 'draining') this.#say({ paster: 'reopen' });
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #say(message: ToWorker<Boot>, connection?: PassedConnection): void {
    // One that has just died is noticed by its exit.
    if (this.#child.connected) this.#child.send(message, asSendHandle(connection), () => {});
  }

  #tellListening(): void {
    for (const heard of this.#listening) heard();
  }

  #hear(message: unknown, handle: unknown): void {
    this.#lastSign = performance.now();
    if (!isWord<FromWorker>(message)) {
      const modules = reportedModules(message);
      if (modules.length > 0) this.#options.onWatch(modules, this.#bootedAt);
      return;
    }
    switch (message.paster) {
      case 'loaded':
        if (this.#state === 'starting') this.#state = 'standby';
        this.#setLoaded();
        return;
      case 'ready':
        if (this.#state === 'booting') this.#state = 'ready';
        // It has survived that.
        this.#failure = undefined;
        this.#readyAt = performance.now();
        this.#setReady();
        return;
      case 'failed':
        this.#failure = unpackError(message.error);
        return;
      case 'watch':
        this.#options.onWatch(message.files, this.#bootedAt);
        return;
      case 'patterns':
        this.#options.onPatterns(message.patterns);
        return;
      case 'replace':
        this.#options.onReplace(message.reason, message.kind);
        return;
      case 'report':
        this.#report = message.report;
        this.#reportedAt = performance.now();
        this.#isAsked = false;
        if (message.isLast) this.#lastWords = message.report;
        this.#tellListening();
        return;
      case 'ask': {
        const { id } = message;
        void this.#options.onAsk().then((status) => this.#say({ paster: 'status', id, status }));
        return;
      }
      case 'connection':
      case 'taken':
        this.#passage.hear(message, handle);
        return;
      case 'draining':
        if (this.#state === 'ready') this.#state = 'draining';
        if (message.cause !== 'order') this.#left = message.cause;
        this.#setDrained();
        return;
      case 'beat':
    }
  }
}
