/**
 * What a worker hears and says: the IPC channel to its supervisor, and the signals that concern it. Orders wait until they
 * are asked for, connections and the rest are dealt with as they come.
 */
import type { ProcessReport, ServerStatus } from '../metrics/server-status.ts';
import type { PassedConnection } from '../net/passed-connection.ts';
import { packError } from './error-transfer.ts';
import { WORKER_CRASHED } from './exit-codes.ts';
import { type BootMessage, type FromWorker, isWord, type StopMessage, type ToWorker } from './messages.ts';
import { asSendHandle, Passage } from './passage.ts';

/** Says how this process is. */
export interface Reporter {
  report(): ProcessReport;
  /** Whether somebody counts: it is said now and then, lest all of it is lost with a worker that is killed. */
  readonly isCounting: boolean;
}

/** What a worker is to do. */
export type Order<Boot> = BootMessage<Boot> | StopMessage | { readonly paster: 'orphaned' };

/** For a TERM that somebody sends to this process directly. */
const TERM_TIMEOUT_S = 30;
/** How long the supervisor may take to say how the whole server is. */
const ASK_LIMIT_MS = 5000;

/** The IPC channel, and the signals that concern a worker. */
export class Channel<Boot> {
  /** Resolves with the exit status when this process is to end of an error that nobody has caught. */
  readonly crashed: Promise<number>;
  /** It serves: what ends it from now on is written down by its supervisor. */
  isServing = false;
  readonly reporter: Reporter;
  readonly #orders: Order<Boot>[] = [];
  readonly #asked = new Map<number, (status: ServerStatus) => void>();
  #lastAsked = 0;
  #wake = () => {};
  #reopen: () => void = () => {};
  #receive = (connection: PassedConnection): void => connection.close();
  readonly #passage = new Passage(
    (word, connection) => void this.say(word, connection),
    (connection) => this.#receive(connection),
  );

  constructor(reporter: Reporter) {
    this.reporter = reporter;
    if (!process.send) throw new Error('a worker is started by its supervisor, not by hand');
    let setCrashed: (status: number) => void = () => {};
    this.crashed = new Promise((resolve) => {
      setCrashed = resolve;
    });
    process.on('message', (message: unknown, handle: unknown) => {
      if (!isWord<ToWorker<Boot>>(message)) return;
      switch (message.paster) {
        case 'report':
          return this.report();
        case 'status':
          this.#asked.get(message.id)?.(message.status);
          return;
        case 'reopen':
          return this.#reopen();
        case 'connection':
        case 'taken':
          return this.#passage.hear(message, handle);
        default:
          this.#order(message);
      }
    });
    process.on('disconnect', () => this.#order({ paster: 'orphaned' }));
    // The last words of a process that dies of an error outside any request.
    process.on('uncaughtExceptionMonitor', (error) => {
      // An application that catches it may survive it: whatever ends the process later is something else.
      if (this.isServing && process.listenerCount('uncaughtException') > 0) return;
      void this.say({ paster: 'failed', error: packError(error) });
      // Node would write it down once more, without what was in hand.
      if (this.isServing && process.connected) process.once('uncaughtException', () => setCrashed(WORKER_CRASHED));
    });
    // However it ends, short of a signal that cannot be caught.
    process.on('exit', () => this.isServing && this.report(true));
    process.on('SIGTERM', () =>
      this.#order({ paster: 'stop', graceful: true, timeout: TERM_TIMEOUT_S, handOver: true, cause: 'signal' }),
    );
    process.on('SIGUSR1', () => this.#reopen());
    // The terminal sends these to every process of the group; the supervisor says what is to be done.
    for (const signal of ['SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR2'] as const) process.on(signal, () => {});
    if (!process.connected) this.#order({ paster: 'orphaned' });
  }

  onReopen(callback: () => void): void {
    this.#reopen = callback;
  }

  /** Takes the connections that the supervisor passes to this worker. */
  onConnection(callback: (connection: PassedConnection) => void): void {
    this.#receive = callback;
  }

  /** Passes a connection to the supervisor; closes it where there is none any more. */
  pass(connection: PassedConnection): void {
    if (process.connected) this.#passage.pass(connection);
    else connection.close();
  }

  /** Resolves when the supervisor has all connections that were passed to it. */
  passed(): Promise<void> {
    return this.#passage.settled();
  }

  /** Resolves when the message is out, or can never be. */
  say(message: FromWorker, connection?: PassedConnection): Promise<void> {
    return new Promise((resolve) => {
      if (!process.connected || !process.send) resolve();
      else process.send(message, asSendHandle(connection), {}, () => resolve());
    });
  }

  /** Says how this process is. */
  report(isLast = false): void {
    void this.say({ paster: 'report', report: this.reporter.report(), isLast });
  }

  /** How the whole server is. @throws Error where there is no supervisor any more, or it does not answer. */
  async ask(): Promise<ServerStatus> {
    const id = ++this.#lastAsked;
    let late: NodeJS.Timeout | undefined;
    try {
      return await new Promise((resolve, reject) => {
        late = setTimeout(() => reject(new Error('the supervisor does not answer')), ASK_LIMIT_MS);
        this.#asked.set(id, resolve);
        if (process.connected) void this.say({ paster: 'ask', id });
        else reject(new Error('the supervisor is gone'));
      });
    } finally {
      clearTimeout(late);
      this.#asked.delete(id);
    }
  }

  /** The next thing to do. */
  async next(): Promise<Order<Boot>> {
    for (;;) {
      const order = this.#orders.shift();
      if (order) return order;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #order(order: Order<Boot>): void {
    this.#orders.push(order);
    this.#wake();
  }
}
