/**
 * Replaces the process of a server by another one that may run in another Node, be another version of paster and have another
 * configuration. The new process inherits the sockets and loads everything. When it is ready, it takes over, and this
 * process finishes its requests, hands over the connections that clients keep, and ends. If the new process fails, this one goes on.
 */
import { existsSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { outerEnvironment } from '../../config/env-file.ts';
import { describeError, errorMessage, RunError } from '../../errors.ts';
import type { TaskRun } from '../../metrics/server-status.ts';
import type { ShareableSocket } from '../../net/inherited-sockets.ts';
import { KILL_MARGIN_S } from '../../process/ipc/child-exit.ts';
import type { PassedConnection } from '../../process/ipc/connection-handover.ts';
import type { UpgradeOutcome } from '../../process/ipc/control-socket.ts';
import { runLastTask, setLastTask } from '../../process/program/last-task.ts';
import type { Program } from '../../process/program/self-spawn.ts';
import type { Signal } from '../../process/program/signals.ts';
import { setTitle, titleOf } from '../../process/program/title.ts';
import { Launcher } from '../../process/upgrade/launcher.ts';
import { Successor } from '../../process/upgrade/successor.ts';
import { inNewestRelease, workingDirectory } from '../../working-directory.ts';
import { servedName } from '../announce.ts';
import type { Service } from '../service.ts';

/** What an upgrade needs of the server that is replaced. */
export interface ReplacedServer {
  /** Its open sockets by their addresses in the configuration. */
  sockets(): ReadonlyMap<string, ShareableSocket>;
  /** Runs an action while nothing else changes the server. @returns undefined: the server is stopping */
  alone<T>(action: () => Promise<T>): Promise<T | undefined>;
  /**
   * Ends what must not run in two processes at the same time.
   * @param onTaskRun gets how the last run of each task went, and that of a run in progress when it has ended
   */
  suspend(onTaskRun: (task: string, run: TaskRun) => void): Promise<Suspended>;
  /**
   * Makes the server finish its requests, pass on each connection that a client keeps, and end. Resolves when it accepts no more
   * connections.
   */
  handOver(pass: (connection: PassedConnection) => void): Promise<void>;
}

/** What `suspend` has ended. */
export interface Suspended {
  /** Tasks that were due until then have begun. */
  readonly tasksBegunUntil: Date;
  /** Starts it again. */
  restore(): Promise<void>;
}

export class Upgrade {
  readonly #service: Service;
  readonly #server: ReplacedServer;
  // As they were before an application could change them.
  readonly #directory = workingDirectory();
  readonly #env = outerEnvironment();
  #isInProgress = false;
  #successor: Successor | undefined;
  #launcher: Launcher | undefined;
  #isDone = false;
  #isAborted = false;

  /** To be made before the application is loaded. */
  constructor(service: Service, server: ReplacedServer) {
    this.#service = service;
    this.#server = server;
  }

  /**
   * Resolves when the new process has taken over.
   * @throws RunError with the reason why this process goes on
   */
  async replace(program: Program = ownProgram()): Promise<UpgradeOutcome> {
    const reason = this.#obstacle(program);
    if (reason) throw this.#failure(...reason);
    this.#isInProgress = true;
    try {
      const outcome = await this.#server.alone(() => this.#replace(program));
      if (!outcome) throw stopping();
      return outcome;
    } finally {
      this.#isInProgress = false;
    }
  }

  /**
   * Whether this process has been replaced and must ignore a signal. SIGINT, SIGQUIT and SIGUSR1 still apply to it as well. A
   * launcher passes every signal on, since the sender may not know that another process serves.
   */
  takes(signal: Signal): boolean {
    if (!this.#isDone) return false;
    this.#launcher?.forward(signal);
    return !['SIGINT', 'SIGQUIT', 'SIGUSR1'].includes(signal);
  }

  /** The process that starts for an upgrade, and does not serve yet. */
  get startingPid(): number | undefined {
    return this.#isInProgress && !this.#isDone ? this.#successor?.pid : undefined;
  }

  /** For a reload that was requested during an upgrade: the new process may have read the configuration too early. */
  reloadInstead(): void {
    if (this.#isDone && this.#successor) process.kill(this.#successor.pid, 'SIGHUP');
  }

  /** For a server that is stopped: ends a process that has not taken over. */
  async abort(): Promise<void> {
    this.#isAborted = true;
    if (!this.#isDone) await this.#successor?.end();
  }

  /** Resolves when this process may end. @returns its exit status, if another one decides that */
  async ended(): Promise<number | undefined> {
    if (!this.#isDone) return undefined;
    await this.#successor?.allPassed();
    if (!this.#launcher) return undefined;
    // The application has ended, although this process has not.
    await runLastTask();
    setLastTask(() => Promise.resolve());
    setTitle(titleOf('launcher', servedName(this.#service.plan)));
    return this.#launcher.stay();
  }

  /** Why this server cannot be replaced, and what to do about it. */
  #obstacle({ node, script }: Program): readonly [reason: string, hint?: string] | undefined {
    const { request, server } = this.#service;
    if (this.#isDone) return [`process ${this.#successor?.pid} has taken over already`];
    if (this.#isInProgress) return ['an upgrade is in progress'];
    if (request.reload) return ['it reloads on changes, which is for development', 'restart it'];
    if (server.runner) return ['a server runner opens its sockets by itself', 'restart it'];
    if (server.oneShot) return ['it serves one request'];
    const missing = [node, script].find((file) => !isAbsolute(file) || !existsSync(file));
    if (missing === undefined) return undefined;
    return [`there is no file ${missing}`, 'use the command of the new version: paster upgrade CONFIG'];
  }

  #failure(reason: string, hint?: string): RunError {
    const failure = new RunError('PASTER_UPGRADE', `not upgraded, server ${process.pid} keeps running: ${reason}`, {
      hint,
    });
    this.#service.log.error(describeError(failure));
    return failure;
  }

  async #replace(program: Program): Promise<UpgradeOutcome> {
    const { log, notify, server } = this.#service;
    notify?.reloading();
    try {
      const successor = this.#start(program);
      this.#successor = successor;
      log.info(`upgrading: process ${successor.pid} starts`);
      const limit = server.settings.start_timeout;
      const { version, node } = await successor.ready(limit === 0 ? 0 : limit + KILL_MARGIN_S);
      const { tasksBegunUntil, restore } = await this.#server.suspend((task, run) => successor.passTaskRun(task, run));
      await successor.takeOver(tasksBegunUntil).catch(async (error: unknown) => {
        if (successor.hasStopped) this.#stopToo();
        else {
          await successor.end();
          await restore();
        }
        throw error;
      });
      await this.#finish(successor);
      log.info(`upgraded: process ${successor.pid} serves, with paster ${version} and Node ${node}`);
      return { pid: successor.pid, version, node };
    } catch (error) {
      if (this.#isAborted) throw stopping();
      const failure = this.#failure(describeError(error), this.#hint());
      await this.#goOn();
      throw failure;
    }
  }

  /** From the moment in which it takes over, the new process gets the signals to the server: the TERM that ended it is for this one too. */
  #stopToo(): void {
    this.#isAborted = true;
    process.kill(process.pid, 'SIGTERM');
  }

  #start(program: Program): Successor {
    const { request, logFile, notify, place, arePassed } = this.#service;
    const { pidFile } = request;
    // The first process of a container has to stay, too.
    const isWaitedFor = process.pid === 1 || !(place.isDaemon || notify);
    return new Successor({
      program,
      directory: existsSync(this.#directory) ? this.#directory : undefined,
      env: { ...this.#env, ...notify?.variables },
      output: logFile?.fd ?? 'inherit',
      detached: place.isDaemon,
      files: { pidFile, logFile: request.logFile },
      sockets: this.#server.sockets(),
      arePassed,
      notifyFd: notify?.descriptor,
      launcher: place.launcher ? place.launcher.fd : isWaitedFor ? 'pipe' : undefined,
      isDaemon: place.isDaemon,
      isMonitored: place.isMonitored,
    });
  }

  /** The new process has taken over. */
  async #finish(successor: Successor): Promise<void> {
    const service = this.#service;
    this.#isDone = true;
    for (const socket of this.#server.sockets().values()) socket.ownedFile()?.leave();
    if (successor.pipe) this.#launcher = new Launcher(successor.pipe, successor.pid);
    service.place.launcher?.leave();
    service.withdrawControl();
    await service.notify?.handOver(process.pid === 1 ? 1 : successor.pid);
    await this.#server.handOver((connection) => successor.pass(connection));
  }

  /** The new process has failed. */
  async #goOn(): Promise<void> {
    const service = this.#service;
    await this.#successor?.end();
    this.#successor = undefined;
    try {
      service.pidFile.reclaim();
    } catch (cause) {
      service.log.error(errorMessage(cause));
    }
    service.notify?.ready();
  }

  /** One process that has changed its user cannot start another one as root. */
  #hint(): string | undefined {
    const { user } = this.#service.request.ownership;
    if (user === undefined || process.getuid?.() === 0) return undefined;
    return (
      `the new process is user ${user} from the start, and may not read or write what only root may: ` +
      'set workers = 1 or more, then the supervisor stays root'
    );
  }
}

function stopping(): RunError {
  return new RunError('PASTER_UPGRADE', 'not upgraded: the server stops');
}

/** The Node of this process, and its paster by the path that it was started with: links in it may lead elsewhere now. */
function ownProgram(): Program {
  const { argv0, execPath, argv } = process;
  const node = isAbsolute(argv0) && existsSync(argv0) ? argv0 : execPath;
  return { node, script: inNewestRelease(argv[1] ?? '') };
}
