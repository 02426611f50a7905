/**
 * The process of a worker: spawns it, passes messages in both directions, and kills what it leaves behind when it has ended. It
 * handles the messages about the process itself; `WorkerHandle` gets the others.
 *
 * The child inherits the sockets as descriptors from 3 on, then the table of connections, then the IPC channel. A handle
 * sent over IPC would need a round trip before the worker can accept, and a running event loop on both sides. A descriptor
 * works the same for TCP, Unix and systemd's sockets, on Linux and on macOS, and is there from the start. The channel comes
 * last, so that the numbers of the sockets do not depend on it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { type Exit, onEnd } from '../../ipc/child-exit.ts';
import { asSendHandle, type PassedConnection } from '../../ipc/connection-handover.ts';
import { unpackError } from '../../ipc/error-transfer.ts';
import { addLogSource, takeLogLine } from '../../ipc/log-lines.ts';
import { type FromWorker, isPasterMessage, reportedModules, type ToWorker, WORKER_NUMBER } from '../../ipc/messages.ts';
import { ChildGroups } from '../../program/child-groups.ts';
import type { Inspection } from '../../worker/inspection.ts';
import { InspectionPipe } from '../../worker/inspection-pipe.ts';
import { InheritedDescriptors, type InheritedParts } from './inherited-descriptors.ts';

export interface ProcessOptions extends InheritedParts {
  readonly id: number;
  readonly entry: string;
  readonly env: NodeJS.ProcessEnv;
  readonly execArgv: readonly string[];
  /** Where its standard output and error go. */
  readonly output: number | 'inherit';
}

/** A message that is not about the process itself. */
export type WorkerMessage = Exclude<FromWorker, { readonly paster: 'group' | 'listening' | 'log' }>;

interface ProcessListener {
  /** `handle`: what came with the message. */
  readonly onMessage: (message: WorkerMessage, handle: unknown) => void;
  /** Gets URLs of modules that it has loaded, as Node reports them. */
  readonly onModules: (modules: readonly string[]) => void;
  /** Gets why it could not be spawned. */
  readonly onError: (error: Error) => void;
  /** Called before `exited` resolves. */
  readonly onEnd: () => void;
}

export class WorkerProcess<Boot> {
  /** Resolves when it has ended, and the process groups that it has started. */
  readonly exited: Promise<Exit>;
  readonly inherited: InheritedDescriptors;
  readonly #child: ChildProcess;
  readonly #listener: ProcessListener;
  readonly #inspection: InspectionPipe | undefined;
  readonly #groups = new ChildGroups();
  /** Callbacks of `listen`, by the descriptor in the worker. */
  readonly #listening = new Map<number, (error: Error | undefined) => void>();
  #lastMessageAt = performance.now();

  constructor(options: ProcessOptions, listener: ProcessListener) {
    this.#listener = listener;
    this.inherited = new InheritedDescriptors(options);
    this.#child = spawn(process.execPath, [...options.execArgv, options.entry], {
      stdio: ['ignore', options.output, options.output, ...this.inherited.fds, 'pipe', 'ipc'],
      env: { ...options.env, [WORKER_NUMBER]: String(options.id) },
      serialization: 'advanced',
    });
    const pipe = this.#child.stdio[this.inherited.next];
    this.#inspection = pipe ? new InspectionPipe(pipe as Socket) : undefined;
    const removeSource = addLogSource((level) => this.send({ paster: 'follow', level }));
    this.exited = new Promise((resolve) => {
      const end = (exit: Exit) => {
        removeSource();
        listener.onEnd();
        resolve(exit);
      };
      onEnd(this.#child, (exit) => this.#groups.end(() => end(exit)));
      this.#child.on('error', (error) => {
        listener.onError(error);
        // A process that did not start does not exit either.
        if (this.#child.pid === undefined) end({ code: null, signal: null });
      });
    });
    this.#child.on('message', (message, handle) => this.#receive(message, handle));
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Milliseconds since its last message. */
  get silence(): number {
    return performance.now() - this.#lastMessageAt;
  }

  /** Starts to count its silence again. */
  resetSilence(): void {
    this.#lastMessageAt = performance.now();
  }

  send(message: ToWorker<Boot>, connection?: PassedConnection): void {
    // If it has just died, its exit says so.
    if (this.#child.connected) this.#child.send(message, asSendHandle(connection), () => {});
  }

  /** Makes it listen on one of its sockets without accepting. @throws as `listen(2)` */
  listen(fd: number, backlog: number): Promise<void> {
    const copy = this.inherited.copyOf(fd);
    return new Promise((resolve, reject) => {
      this.#listening.set(copy, (error) => (error ? reject(error) : resolve()));
      this.send({ paster: 'listen', fd: copy, backlog });
    });
  }

  /** Looks into it, also while it is blocked. As `InspectionPipe.ask`. */
  async inspect(what: Inspection, send: (piece: string) => Promise<void>, gone: AbortSignal): Promise<unknown> {
    this.send({ paster: 'inspect' });
    return this.#inspection?.ask(this.pid ?? 0, what, send, gone);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #receive(message: unknown, handle: unknown): void {
    this.resetSilence();
    if (!isPasterMessage<FromWorker>(message)) {
      const modules = reportedModules(message);
      if (modules.length > 0) this.#listener.onModules(modules);
      return;
    }
    switch (message.paster) {
      case 'group':
        this.#groups.add(message.pid);
        return;
      case 'listening':
        this.#listening.get(message.fd)?.(message.error && unpackError(message.error));
        return;
      case 'log':
        takeLogLine(message.line);
        return;
      default:
        this.#listener.onMessage(message, handle);
    }
  }
}
