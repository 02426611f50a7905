/** The server that this process takes over from, which has started it. */
import { RunError } from '../../errors.ts';
import type { TaskRun } from '../../metrics/server-status.ts';
import type { InheritedListener } from '../../net/inherited-sockets.ts';
import { ownVersion } from '../../own-files.ts';
import { asSendHandle, ConnectionChannel, type PassedConnection } from '../ipc/connection-handover.ts';
import { isPasterMessage } from '../ipc/messages.ts';
import { predecessorGone } from '../program/self-spawn.ts';
import { type FromSuccessor, type Inheritance, type ToSuccessor, UPGRADE_PROTOCOL } from './inheritance.ts';

export class Predecessor {
  readonly pid = process.ppid;
  readonly inheritance: Inheritance;
  /** By the address in the configuration. Those that are used are removed. */
  readonly sockets: Map<string, InheritedListener>;
  /** Resolves when this process has taken over, with the time until which the predecessor has begun the tasks that were due. */
  readonly handedOver: Promise<Date>;
  isServing = true;
  #setHandedOver: (tasksBegunUntil: Date) => void = () => {};
  #receiveTaskRun = (_task: string, _run: TaskRun): void => {};
  #receive = (connection: PassedConnection): void => connection.close();
  #setResponded: (tasksBegunUntil: Date) => void = () => {};
  #setGone = (): void => {
    process.stderr.write(`paster: error: ${predecessorGone(this.pid).message}\n`);
    process.kill(process.pid, 'SIGTERM');
  };
  readonly #connections = new ConnectionChannel(
    (message, connection) => this.#send(message, connection),
    (connection) => this.#receive(connection),
  );

  /** To be made before the application is loaded. @throws RunError if the predecessor speaks another protocol */
  constructor(inheritance: Inheritance) {
    if (inheritance.protocol !== UPGRADE_PROTOCOL) {
      throw new RunError(
        'PASTER_UPGRADE_PROTOCOL',
        `paster ${ownVersion()} cannot take over from the running version`,
        { hint: 'restart the server' },
      );
    }
    this.inheritance = inheritance;
    this.handedOver = new Promise((resolve) => {
      this.#setHandedOver = resolve;
    });
    this.sockets = new Map(Object.entries(inheritance.sockets));
    process.on('message', (message, handle) => {
      if (!isPasterMessage<ToSuccessor>(message)) return;
      if (message.paster === 'take-over') this.#setResponded(new Date(message.tasksBegunUntil ?? Date.now()));
      else if (message.paster === 'task-run') this.#receiveTaskRun(message.task, message.run);
      else if (message.paster === 'connection' || message.paster === 'taken') this.#connections.handle(message, handle);
    });
    process.on('disconnect', () => this.#setGone());
    if (!process.connected) throw predecessorGone(this.pid);
    // While the program loads, the channel must not keep the process alive: then a program that waits for nothing is noticed.
    process.channel?.unref();
  }

  /**
   * Tells the predecessor that this process is ready. Resolves when this process may take over. That it has taken over, the
   * predecessor learns from its report that it listens.
   * @throws RunError if the predecessor has ended
   */
  async handOver(): Promise<void> {
    const responded = new Promise<Date | undefined>((resolve) => {
      this.#setResponded = resolve;
      this.#setGone = () => resolve(undefined);
    });
    process.channel?.ref();
    if (!process.connected) this.#setGone();
    this.#send({ paster: 'ready', version: ownVersion(), node: process.version });
    const tasksBegunUntil = await responded;
    if (!tasksBegunUntil) throw predecessorGone(this.pid);
    // From now on it ends when it has nothing left to do.
    this.#setGone = () => {};
    this.isServing = false;
    this.#setHandedOver(tasksBegunUntil);
  }

  /** Sets what receives the connections that the predecessor's clients keep. */
  onConnection(callback: (connection: PassedConnection) => void): void {
    this.#receive = callback;
  }

  /** Sets what receives how the last run of each task went, until the predecessor has ended. */
  onTaskRun(callback: (task: string, run: TaskRun) => void): void {
    this.#receiveTaskRun = callback;
  }

  #send(message: FromSuccessor, connection?: PassedConnection): void {
    if (process.connected) process.send?.(message, asSendHandle(connection), {}, () => {});
  }
}
