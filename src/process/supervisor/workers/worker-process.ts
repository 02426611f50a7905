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
import { killGroups } from '../../../machine/process-group.ts';
import type { HeldSocket } from '../../../net/held-socket.ts';
import { type Exit, onEnd } from '../../ipc/child-exit.ts';
import { asSendHandle, type PassedConnection } from '../../ipc/connection-handover.ts';
import { unpackError } from '../../ipc/error-transfer.ts';
import { addLogSource, takeLogLine } from '../../ipc/log-lines.ts';
import {
  type FromWorker,
  type InheritedSocket,
  isPasterMessage,
  reportedModules,
  type ToWorker,
  WORKER_NUMBER,
} from '../../ipc/messages.ts';
import type { TablePlace } from '../../worker/connection-table.ts';
import type { Inspection } from '../../worker/inspection.ts';
import { InspectionPipe } from '../../worker/inspection-pipe.ts';

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
  /** The leaders of process groups that it has started. They end with it, also if it is killed. */
  readonly #groups: number[] = [];
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
      onEnd(this.#child, (exit) => {
        if (this.#groups.length === 0) end(exit);
        else void killGroups(this.#groups).then(() => end(exit));
      });
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
        this.#groups.push(message.pid);
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

const FIRST_INHERITED = 3;

interface InheritedParts {
  readonly sockets: readonly HeldSocket[];
  /** Its slot in the table of connections. */
  readonly place: TablePlace | undefined;
  /** Whether it can make the sockets listen: it inherits twice those that do not listen yet. */
  readonly listens: boolean;
}

/** The descriptors that a worker inherits from its supervisor, after standard input, output and error. */
class InheritedDescriptors {
  /** The supervisor's descriptors, in the order in which the worker gets them. */
  readonly fds: readonly number[];
  /** In the worker: the slot in the table of connections. */
  readonly place: TablePlace | undefined;
  readonly #sockets: readonly HeldSocket[];
  /** The sockets that it inherits twice. */
  readonly #listenable: readonly HeldSocket[];
  readonly #firstCopy: number;

  constructor({ sockets, place, listens }: InheritedParts) {
    const fds = sockets.map(({ fd }) => fd);
    const places = place ? [place.fd] : [];
    // It closes the second copy when it has made the socket listen.
    this.#listenable = listens ? sockets.filter(({ wasListening }) => !wasListening) : [];
    this.fds = [...fds, ...places, ...this.#listenable.map(({ fd }) => fd)];
    this.place = place && { fd: FIRST_INHERITED + sockets.length, slot: place.slot };
    this.#sockets = sockets;
    this.#firstCopy = FIRST_INHERITED + sockets.length + places.length;
  }

  /** In the worker: the first descriptor after the inherited ones. */
  get next(): number {
    return FIRST_INHERITED + this.fds.length;
  }

  /** In the worker: the sockets that it accepts on. */
  get sockets(): InheritedSocket[] {
    return this.#sockets.map(({ address, backlog }, index) => ({ fd: FIRST_INHERITED + index, address, backlog }));
  }

  /** In the worker: the second copy of a socket, by its descriptor in the supervisor. */
  copyOf(fd: number): number {
    return this.#firstCopy + this.#listenable.findIndex((socket) => socket.fd === fd);
  }
}
