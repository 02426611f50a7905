/**
 * What a worker hears and says: the IPC channel to its supervisor, and the signals that concern it. Orders wait until they
 * are asked for, connections and the rest are dealt with as they come.
 */
import type { PassedConnection } from '../net/passed-connection.ts';
import { packError } from './error-transfer.ts';
import { type BootMessage, type FromWorker, isWord, type StopMessage, type ToWorker } from './messages.ts';
import { asSendHandle, Passage } from './passage.ts';

/** What a worker is to do. */
export type Order<Boot> = BootMessage<Boot> | StopMessage | { readonly paster: 'orphaned' };

/** For a TERM that somebody sends to this process directly. */
const TERM_TIMEOUT_S = 30;

/** The IPC channel, and the signals that concern a worker. */
export class Channel<Boot> {
  readonly #orders: Order<Boot>[] = [];
  #wake = () => {};
  #reopen: () => void = () => {};
  #receive = (connection: PassedConnection): void => connection.close();
  readonly #passage = new Passage(
    (word, connection) => void this.say(word, connection),
    (connection) => this.#receive(connection),
  );

  constructor() {
    if (!process.send) throw new Error('a worker is started by its supervisor, not by hand');
    process.on('message', (message: unknown, handle: unknown) => {
      if (!isWord<ToWorker<Boot>>(message)) return;
      switch (message.paster) {
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
    process.on('uncaughtExceptionMonitor', (error) => void this.say({ paster: 'failed', error: packError(error) }));
    process.on('SIGTERM', () =>
      this.#order({ paster: 'stop', graceful: true, timeout: TERM_TIMEOUT_S, handOver: true }),
    );
    process.on('SIGUSR1', () => this.#reopen());
    // The terminal sends these to every process of the group; the supervisor says what is to be done.
    for (const signal of ['SIGINT', 'SIGQUIT', 'SIGHUP'] as const) process.on(signal, () => {});
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
