/** The process that takes over from this server: starts it, waits until it is ready, and passes it the connections that clients keep. */
import type { ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import { asError, EXIT_OK, RunError } from '../../errors.ts';
import type { TaskRun } from '../../metrics/server-status.ts';
import { FIRST_DESCRIPTOR, type ShareableSocket } from '../../net/inherited-sockets.ts';
import { timerMs } from '../../timer.ts';
import { describeExit } from '../ipc/child-exit.ts';
import { asSendHandle, ConnectionChannel, type PassedConnection } from '../ipc/connection-handover.ts';
import { unpackError } from '../ipc/error-transfer.ts';
import { isPasterMessage } from '../ipc/messages.ts';
import {
  type Report,
  type ServerFiles,
  type SpawnOtherOptions,
  type SpawnSelfOptions,
  spawnProgram,
} from '../program/self-spawn.ts';
import { type FromSuccessor, type Inheritance, type ToSuccessor, UPGRADE_PROTOCOL } from './inheritance.ts';

export interface SuccessorOptions extends SpawnSelfOptions, Omit<SpawnOtherOptions, 'inherited'> {
  readonly files: ServerFiles;
  /** By the address in the configuration. */
  readonly sockets: ReadonlyMap<string, ShareableSocket>;
  /** Whether systemd has opened them. */
  readonly arePassed: boolean;
  readonly notifyFd: number | undefined;
  /** `pipe`: this process is the one that was started in the foreground. */
  readonly launcher: number | 'pipe' | undefined;
  readonly isDaemon: boolean;
  readonly isMonitored: boolean;
}

/** What a successor is. */
export interface SuccessorProgram {
  readonly version: string;
  readonly node: string;
}

/** How long to wait for the last messages of a process that has ended. */
const LAST_MESSAGES_MS = 500;
const ENDING_MS = 5000;

export class Successor {
  /** The other end of the pipe to it, if this process is the one that was started in the foreground. */
  readonly pipe: Socket | undefined;
  readonly exited: Promise<void>;
  readonly #child: ChildProcess;
  readonly #connections: ConnectionChannel;
  readonly #failed: Promise<Error>;
  readonly #ready: Promise<SuccessorProgram>;
  readonly #listening: Promise<void>;
  #hasEnded = false;

  /** @throws RunError if this Node does not say which descriptor a socket has */
  constructor(options: SuccessorOptions) {
    const { inherited, inheritance } = inheritanceOf(options);
    this.#child = spawnProgram({ name: 'successor', files: options.files, inheritance }, options, {
      ...options,
      inherited,
    });
    const child = this.#child;
    const { launcherFd } = inheritance;
    this.pipe =
      options.launcher === 'pipe' && launcherFd !== undefined ? (child.stdio[launcherFd] as Socket) : undefined;
    this.pipe?.on('error', () => {});
    this.#connections = new ConnectionChannel(
      (message, connection) => this.#send(message, connection),
      (connection) => connection.close(),
    );
    this.exited = new Promise((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => child.pid === undefined && resolve());
    });
    void this.exited.then(() => {
      this.#hasEnded = true;
    });
    let setReady: (program: SuccessorProgram) => void = () => {};
    let setListening = (): void => {};
    this.#ready = new Promise((resolve) => {
      setReady = resolve;
    });
    this.#listening = new Promise((resolve) => {
      setListening = resolve;
    });
    this.#failed = new Promise((resolve) => {
      child.on('message', (message, handle) => {
        if (!isPasterMessage<FromSuccessor | Report>(message)) return;
        if (message.paster === 'ready') setReady(message);
        else if (message.paster === 'listening') setListening();
        else if (message.paster === 'failed') resolve(unpackError(message.error));
        else this.#connections.handle(message, handle);
      });
      child.once('error', (error) => resolve(asError(error)));
      child.once('exit', (code, signal) => {
        const end = () => resolve(upgradeError(`ended ${describeExit({ code, signal })} before it could serve`));
        setTimeout(end, LAST_MESSAGES_MS);
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Whether it has ended in order, as after TERM. */
  get hasStopped(): boolean {
    return this.#child.exitCode === EXIT_OK;
  }

  /**
   * Resolves when it is ready to take over.
   * @param limit seconds; 0: any time
   * @throws its own error, or RunError if it ends or takes longer
   */
  ready(limit: number): Promise<SuccessorProgram> {
    return this.#inTime(this.#ready, limit, `is not serving after ${limit} s`);
  }

  /**
   * Resolves when it has taken over.
   * @param tasksBegunUntil it begins the tasks that are due later
   * @throws as `ready`
   */
  takeOver(tasksBegunUntil: Date): Promise<void> {
    this.#send({ paster: 'take-over', tasksBegunUntil: tasksBegunUntil.getTime() });
    return this.#inTime(this.#listening, TAKING_OVER_S, 'does not take over');
  }

  /** Tells it how the last run of a task went. */
  passTaskRun(task: string, run: TaskRun): void {
    this.#send({ paster: 'task-run', task, run });
  }

  /** Passes a connection to it. */
  pass(connection: PassedConnection): void {
    this.#connections.pass(connection);
  }

  /** Resolves when it has received all of them, or has ended. */
  async allPassed(): Promise<void> {
    await Promise.race([this.#connections.allConfirmed(), this.exited]);
  }

  /** Ends it, by force if need be. Resolves when it is gone. */
  async end(): Promise<void> {
    if (this.#hasEnded) return;
    this.#child.kill('SIGTERM');
    const killer = setTimeout(() => this.#child.kill('SIGKILL'), ENDING_MS);
    await this.exited;
    clearTimeout(killer);
  }

  async #inTime<T>(expected: Promise<T>, limit: number, problem: string): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<Error>((resolve) => {
      if (limit > 0) timer = setTimeout(() => resolve(upgradeError(problem)), timerMs(limit));
    });
    const failed = Promise.race([this.#failed, late]).then((error) => {
      throw error;
    });
    try {
      return await Promise.race([expected, failed]);
    } finally {
      clearTimeout(timer);
    }
  }

  #send(message: ToSuccessor, connection?: PassedConnection): void {
    if (this.#child.connected) this.#child.send(message, asSendHandle(connection), () => {});
  }
}

const TAKING_OVER_S = 10;

function upgradeError(problem: string): RunError {
  return new RunError('PASTER_UPGRADE', `the new process ${problem}`, { hint: 'its output is in the log' });
}

/** What the child inherits after the standard descriptors, and the description of it. */
function inheritanceOf({ sockets, arePassed, notifyFd, launcher, isDaemon, isMonitored }: SuccessorOptions) {
  const inherited: (number | 'pipe')[] = [];
  const add = (each: number | 'pipe'): number => FIRST_DESCRIPTOR + inherited.push(each) - 1;
  const shared = [...sockets].map(([name, socket]) => {
    const { fd, address, backlog } = socket;
    if (fd === undefined) {
      throw new RunError(
        'PASTER_UPGRADE',
        `Node ${process.version} does not say which descriptor ${name} has: restart the server`,
      );
    }
    return [name, { address, backlog, fd: add(fd), file: socket.ownedFile()?.claim }] as const;
  });
  const inheritance: Inheritance = {
    protocol: UPGRADE_PROTOCOL,
    sockets: arePassed ? {} : Object.fromEntries(shared),
    passed: arePassed ? shared.map(([, { fd }]) => fd) : [],
    notifyFd: notifyFd === undefined ? undefined : add(notifyFd),
    launcherFd: launcher === undefined ? undefined : add(launcher),
    isDaemon,
    isMonitored,
  };
  return { inherited, inheritance };
}
