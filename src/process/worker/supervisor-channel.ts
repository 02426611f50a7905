/**
 * A worker's IPC channel to its supervisor, and its signals. Orders queue until the worker asks for the next one; connections
 * and other messages are handled as they arrive.
 */
import type { ProcessReport, ServerStatus } from '../../metrics/server-status.ts';
import { listenOnly } from '../../net/listener.ts';
import { WORKER_CRASHED } from '../ipc/child-exit.ts';
import { asSendHandle, ConnectionChannel, type PassedConnection } from '../ipc/connection-handover.ts';
import { packError } from '../ipc/error-transfer.ts';
import {
  type BootMessage,
  type FromWorker,
  isPasterMessage,
  type PreloadMessage,
  type StopMessage,
  type ToWorker,
  type WarmMessage,
} from '../ipc/messages.ts';
import { setTitle } from '../program/title.ts';

/** Describes the state of this process. */
export interface Reporter {
  report(): ProcessReport;
  /** Whether requests are counted: then the worker reports at intervals, so that little is lost when it is killed. */
  readonly isCounting: boolean;
  /** Whether this process refuses requests now, since it has no capacity for them. */
  isBusy(): boolean;
}

/** What a worker has to do. */
export type Order<Boot> =
  | BootMessage<Boot>
  | WarmMessage<Boot>
  | PreloadMessage<Boot>
  | StopMessage
  | { readonly paster: 'orphaned' };

/** For a TERM that is sent to this process directly. */
const TERM_TIMEOUT_S = 30;
/** How long the supervisor may take to send the status of the whole server. */
const ASK_LIMIT_MS = 5000;

export class SupervisorChannel<Boot> {
  /** Resolves with the exit status when an uncaught error ends this process. */
  readonly crashed: Promise<number>;
  /** Resolves with the seconds that loading may take, once they are over. */
  readonly overdue: Promise<number>;
  /** Whether the worker serves: the supervisor logs an error that ends it from then on. */
  isServing = false;
  readonly reporter: Reporter;
  /** Bytes that child processes hold, which count as this process's own. */
  childMemory = (): number => 0;
  readonly #orders: Order<Boot>[] = [];
  readonly #statusRequests = new Map<number, (status: ServerStatus) => void>();
  #lastId = 0;
  #wake = () => {};
  #reopen: () => void = () => {};
  /** Resolves when the supervisor lets this worker accept connections, which may be before it asks. */
  readonly #mayOpen: Promise<void>;
  #isOpen = false;
  #setMayOpen = () => {};
  #setOverdue: (seconds: number) => void = () => {};
  #endFollowing: () => void = () => {};
  #inspect: () => void = () => {};
  #spread: (count: number) => void = () => {};
  #receive = (connection: PassedConnection): void => connection.close();
  readonly #connections = new ConnectionChannel(
    (message, connection) => void this.send(message, connection),
    (connection) => this.#receive(connection),
  );

  constructor(reporter: Reporter) {
    this.reporter = reporter;
    if (!process.send) throw new Error('a worker is started by its supervisor, not by hand');
    this.#mayOpen = new Promise((resolve) => {
      this.#setMayOpen = resolve;
    });
    this.overdue = new Promise((resolve) => {
      this.#setOverdue = resolve;
    });
    let setCrashed: (status: number) => void = () => {};
    this.crashed = new Promise((resolve) => {
      setCrashed = resolve;
    });
    process.on('message', (message: unknown, handle: unknown) => {
      if (!isPasterMessage<ToWorker<Boot>>(message)) return;
      switch (message.paster) {
        case 'report':
          return this.report();
        case 'status':
          this.#statusRequests.get(message.id)?.(message.status);
          return;
        case 'title':
          return setTitle(message.title);
        case 'follow':
          return void this.#follow(message.level);
        case 'listen':
          return void this.#listen(message.fd, message.backlog);
        case 'reopen':
          return this.#reopen();
        case 'open':
          this.#isOpen = true;
          return this.#setMayOpen();
        case 'overdue':
          return this.#setOverdue(message.seconds);
        case 'inspect':
          return this.#inspect();
        case 'spread':
          return this.#spread(message.count);
        case 'connection':
        case 'taken':
          return this.#connections.handle(message, handle);
        default:
          this.#addOrder(message);
      }
    });
    process.on('disconnect', () => this.#addOrder({ paster: 'orphaned' }));
    process.on('uncaughtExceptionMonitor', (error) => {
      // An application that catches the error may survive it: whatever ends the process later is something else.
      if (process.listenerCount('uncaughtException') > 0) return;
      void this.send({ paster: 'failed', error: packError(error) });
      // Node would print it again, without the requests in flight.
      if (this.isServing && process.connected) process.once('uncaughtException', () => setCrashed(WORKER_CRASHED));
    });
    // However the process ends, except by a signal that cannot be caught.
    process.on('exit', () => this.isServing && this.report(true));
    process.on('SIGTERM', () =>
      this.#addOrder({ paster: 'stop', graceful: true, timeout: TERM_TIMEOUT_S, handOver: true, cause: 'signal' }),
    );
    process.on('SIGUSR1', () => this.#reopen());
    // The terminal sends these to every process of the group; the supervisor decides what to do.
    for (const signal of ['SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR2'] as const) process.on(signal, () => {});
    if (!process.connected) this.#addOrder({ paster: 'orphaned' });
  }

  onReopen(callback: () => void): void {
    this.#reopen = callback;
  }

  /** Sets what is called when the supervisor wants to look into this process. */
  onInspect(callback: () => void): void {
    this.#inspect = callback;
  }

  /** Sets what moves clients to other workers. */
  onSpread(callback: (count: number) => void): void {
    this.#spread = callback;
  }

  /** Sets what receives the connections that the supervisor passes to this worker. */
  onConnection(callback: (connection: PassedConnection) => void): void {
    this.#receive = callback;
  }

  /** Passes a connection to the supervisor; closes it if there is no supervisor any more. */
  pass(connection: PassedConnection): void {
    if (process.connected) this.#connections.pass(connection);
    else connection.close();
  }

  /** Resolves when the supervisor has received all connections that were passed to it. */
  allPassed(): Promise<void> {
    return this.#connections.allConfirmed();
  }

  /** Resolves when the message is sent, or can never be sent. */
  send(message: FromWorker, connection?: PassedConnection): Promise<void> {
    return new Promise((resolve) => {
      if (!process.connected || !process.send) resolve();
      else process.send(message, asSendHandle(connection), {}, () => resolve());
    });
  }

  /** Resolves when the supervisor lets this worker accept connections; otherwise it ends this process. */
  async askToOpen(): Promise<void> {
    // While the application loads, the channel does not keep the process alive.
    process.channel?.ref();
    if (!this.#isOpen) void this.send({ paster: 'opening' });
    await this.#mayOpen;
    process.channel?.unref();
  }

  report(isLast = false): void {
    const report = this.reporter.report();
    const memory = { ...report.memory, resident: report.memory.resident + this.childMemory() };
    void this.send({ paster: 'report', report: { ...report, memory }, isLast });
  }

  /** The status of the whole server. @throws Error if the supervisor is gone or does not respond. */
  async ask({ history }: { readonly history: boolean }): Promise<ServerStatus> {
    const id = ++this.#lastId;
    let late: NodeJS.Timeout | undefined;
    try {
      return await new Promise((resolve, reject) => {
        late = setTimeout(() => reject(new Error('the supervisor does not respond')), ASK_LIMIT_MS);
        this.#statusRequests.set(id, resolve);
        if (process.connected) void this.send({ paster: 'ask', id, history });
        else reject(new Error('the supervisor is gone'));
      });
    } finally {
      clearTimeout(late);
      this.#statusRequests.delete(id);
    }
  }

  /** Whether there is an order that must not wait until this worker has prepared itself. */
  get hasUrgentOrder(): boolean {
    return this.#orders.some(({ paster }) => paster !== 'preload');
  }

  /** The next order, when there is one. */
  async next(): Promise<Order<Boot>> {
    for (;;) {
      const order = this.#orders.shift();
      if (order) return order;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async #follow(level: number | undefined): Promise<void> {
    // Loaded late: few servers are ever followed.
    const { droppingLines } = await import('../ipc/log-lines.ts');
    const { followOutput } = await import('../../logging/follow.ts');
    this.#endFollowing();
    this.#endFollowing =
      level === undefined
        ? () => {}
        : followOutput(
            level,
            droppingLines((line) => this.send({ paster: 'log', line })),
          );
  }

  async #listen(fd: number, backlog: number): Promise<void> {
    const error = await listenOnly(fd, backlog).then(() => undefined, packError);
    void this.send({ paster: 'listening', fd, error });
  }

  #addOrder(order: Order<Boot>): void {
    this.#orders.push(order);
    this.#wake();
  }
}
