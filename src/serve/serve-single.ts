/** `serve` in one process: no supervisor, no workers, no reload. */
import { existsSync } from 'node:fs';
import type { Socket } from 'node:net';
import { dirname } from 'node:path';
import { isatty } from 'node:tty';
import { releaseVariables } from '../config/env-file.ts';
import { overdueError } from '../deploy/loading-step.ts';
import { refuseListeningLater } from '../deploy/programs/listening/refusal.ts';
import { type HandOver, type Serving, serveTogether } from '../deploy/server/serving.ts';
import { EXIT_FAILURE, EXIT_OK, formatError, RunError } from '../errors.ts';
import { meter } from '../metrics/meter.ts';
import type { ServerStatus } from '../metrics/server-status.ts';
import { statusLines } from '../metrics/status-lines.ts';
import { setServingAddress } from '../net/address.ts';
import { type Listener, openListener } from '../net/listener.ts';
import { dropPrivileges } from '../process/daemon/drop-privileges.ts';
import { KILL_MARGIN_S } from '../process/ipc/child-exit.ts';
import { attach, detach, type PassedConnection } from '../process/ipc/connection-handover.ts';
import type { Controllable, ControlRequest, SendPiece, UpgradeOutcome } from '../process/ipc/control-socket.ts';
import { endWithin, setLastTask } from '../process/program/last-task.ts';
import type { Program } from '../process/program/self-spawn.ts';
import { handleSignals, type Signal, type SignalTarget } from '../process/program/signals.ts';
import { after, isDoneWithin } from '../timer.ts';
import { serverIdentity } from './announce.ts';
import { ownDeathDetails } from './death-details.ts';
import { loadPlannedApp, plannedAppContext, servedContexts } from './plan.ts';
import { noSuchProcess } from './processes/served-parts.ts';
import { allSockets, endpointsOf, type OpenedSockets, serverAddresses } from './server-sockets.ts';
import type { Service } from './service.ts';
import { showFailures, shownRequests } from './terminal/developer-output.ts';
import type { DeveloperLog } from './terminal/terminal-log.ts';
import { type ReplacedServer, type Suspended, Upgrade } from './upgrade/upgrade.ts';

/** Serves until a signal ends it. @returns The exit status. */
export async function serveSingle(service: Service): Promise<number> {
  const single = new SingleServer(service);
  // From now on a signal must close the sockets.
  const stopped = handleSignals(
    single,
    service.signalOptions((signal) => single.takes(signal)),
  );
  const ended = Promise.race([single.serve(), stopped]).then(async () => (await single.upgraded()) ?? EXIT_OK);
  return Promise.race([ended, single.crashed]);
}

class SingleServer implements SignalTarget, Controllable, ReplacedServer {
  readonly finished: Promise<void>;
  /** Resolves with the exit status when an uncaught error ends this process. */
  readonly crashed: Promise<number>;
  readonly #service: Service;
  #opened: readonly OpenedSockets<Listener>[] = [];
  #running: Serving | undefined;
  #developer: DeveloperLog | undefined;
  #upgrade: Upgrade | undefined;
  #stopped: { readonly graceful: boolean } | undefined;
  #setFinished = () => {};
  #setCrashed: (status: number) => void = () => {};

  constructor(service: Service) {
    this.#service = service;
    this.finished = new Promise((resolve) => {
      this.#setFinished = resolve;
    });
    this.crashed = new Promise((resolve) => {
      this.#setCrashed = resolve;
    });
  }

  /** Without workers nothing ends an application that takes too long: what it waits for is logged. */
  async #inTime<T>(loading: Promise<T>): Promise<T> {
    const { server, log } = this.#service;
    const { start_timeout: limit } = server.settings;
    const timer = after(limit, () => {
      const error = overdueError(limit);
      if (error) log.warn(formatError(error));
    });
    // A program that waits for nothing is reported when the event loop is empty, which this timer must not delay.
    timer?.unref();
    return loading.finally(() => clearTimeout(timer));
  }

  /** Resolves when the server has ended by itself or has been stopped. */
  async serve(): Promise<void> {
    const { plan, request, server, session, log } = this.#service;
    const { user, group } = request.ownership;
    const changesUser = user !== undefined || group !== undefined;
    if (!server.oneShot && [0, 1, 2].some(isatty)) {
      const { endOnSecondInterrupt } = await import('../process/program/second-interrupt.ts');
      endOnSecondInterrupt();
    }
    try {
      if (changesUser) {
        // First what only root may do, then the change of user, then the application. Connections wait in the kernel meanwhile.
        // What a predecessor has opened is open already, and this process is not root.
        if (!server.runner && !this.#service.predecessor) await this.#open();
        this.#service.pidFile.reserve();
        if (!this.#service.predecessor) this.#service.pidFile.claim();
        dropPrivileges(user, group);
      } else this.#service.pidFile.reserve();
      // After the change, so that a configured HOME overrides the user's own.
      releaseVariables();
      this.#upgrade = new Upgrade(this.#service, this);
      if (request.inspect) await (await import('./inspector.ts')).openInspector(request.inspect, log);
      this.#warnOfNodeOptions();
      meter().isWatching = true;
      setServingAddress(this.#listeners[0]?.address ?? server.addresses[0]);
      await this.#preload();
      if (!this.#service.isLogConfigured) this.#developer = await showFailures({ ...request, ...plan }, server);
      const withLines = await shownRequests(request, server);
      // A runner listens by itself.
      if (!server.runner) refuseListeningLater(plan.directory, log);
      const context = await plannedAppContext(plan, session);
      const app = withLines(await this.#inTime(loadPlannedApp({}, context)));
      await servedContexts(plan, session);
      session.logWarnings(log);
      if (server.runner) {
        await app.ready?.();
        await server.runner(app);
        return;
      }
      const open = async () => (await this.#open()).map(({ sockets }) => [...sockets.values()]);
      this.#running = await serveTogether(this.#service.servers, app, open, { log, isFirst: true, context });
      this.#adoptConnections(this.#running);
      if (!this.#stopped) await this.#service.takeOver();
    } catch (error) {
      if (!this.#running) await server.oneShot?.fail();
      // A successor may have accepted connections.
      await this.#running?.close({ graceful: this.#service.predecessor !== undefined });
      await this.#close();
      throw error;
    }
    if (this.#stopped) return void this.#end(this.#stopped.graceful);
    if (!server.oneShot) await this.#service.offerControl(this);
    const { endpoints } = this.#running;
    meter().identity = serverIdentity(plan, endpoints);
    meter().keepHistory();
    this.#logCrash();
    this.#service.listening(endpoints);
    const { finished } = this.#running;
    if (!finished) return this.finished;
    try {
      await Promise.race([finished, this.finished]);
    } finally {
      // If the server has ended by itself, the application is still to be closed.
      if (!this.#stopped) await this.#running.close();
    }
  }

  /** Logs an uncaught error with the requests in flight, as a supervisor does for a worker. */
  #logCrash(): void {
    process.on('uncaughtExceptionMonitor', (error) => {
      // An application that catches the error may survive it.
      if (process.listenerCount('uncaughtException') > 0) return;
      const how = `process ${process.pid} ended with status ${EXIT_FAILURE}`;
      const developer = this.#developer;
      this.#service.log.error(`${how}${ownDeathDetails(error, meter().report(), developer !== undefined)}`);
      // Node would print it again, without the requests in flight.
      process.once('uncaughtException', () => {
        endWithin(0);
        void Promise.resolve(developer?.failed(error)).finally(() => this.#setCrashed(EXIT_FAILURE));
      });
    });
  }

  async stop({ graceful }: { graceful: boolean }): Promise<void> {
    this.#stopped = { graceful };
    endWithin(graceful ? this.#service.server.settings.graceful_timeout : 0);
    const notified = this.#service.stopping();
    await Promise.all([this.#upgrade?.abort(), this.#endInTime(graceful)]);
    this.#warnOfLeftovers();
    await notified;
    this.#setFinished();
  }

  async reload(): Promise<void> {
    this.#service.log.warn(
      'HUP: a server without workers cannot reload: set workers = 1 or more in the server’s ' +
        'section (or -w 1) to reload without a gap, or restart',
    );
  }

  async upgrade(program?: Program): Promise<UpgradeOutcome> {
    if (!this.#upgrade || !this.#running)
      throw new RunError('PASTER_UPGRADE', 'not upgraded: the server is still starting');
    return this.#upgrade.replace(program);
  }

  /** Whether a signal is left to the process that has taken over, which has got it too. */
  takes(signal: Signal): boolean {
    return this.#upgrade?.takes(signal) ?? false;
  }

  /** Resolves when this process may end. @returns its exit status, if a process that has taken over decides that */
  async upgraded(): Promise<number | undefined> {
    return this.#upgrade?.ended();
  }

  sockets(): ReadonlyMap<string, Listener> {
    return new Map(this.#opened.flatMap(({ sockets }) => [...sockets]));
  }

  alone<T>(action: () => Promise<T>): Promise<T | undefined> {
    return this.#stopped ? Promise.resolve(undefined) : action();
  }

  async suspend(): Promise<Suspended> {
    return { tasksBegunUntil: new Date(), restore: async () => {} };
  }

  async handOver(pass: (connection: PassedConnection) => void): Promise<void> {
    const handOver = (socket: Socket, server?: string) => {
      const connection = detach(socket, server);
      if (connection) pass(connection);
    };
    endWithin(this.#service.server.settings.graceful_timeout);
    void this.#endInTime(true, handOver).then(() => this.#setFinished());
  }

  /** Those that clients of the predecessor keep. */
  #adoptConnections(running: Serving): void {
    this.#service.predecessor?.onConnection((connection) => running.adopt(attach(connection), connection.server));
  }

  async addWorker(): Promise<void> {
    this.#service.log.warn('TTIN and TTOU have no effect on a server without workers');
  }

  removeWorker(): Promise<void> {
    return this.addWorker();
  }

  reopenLogs(): void {}

  async status(): Promise<ServerStatus> {
    return { ...(await meter().ask({ history: false })), addresses: serverAddresses(endpointsOf(this.#opened)) };
  }

  /** `paster control`. */
  async control(request: ControlRequest, send: SendPiece, gone: AbortSignal): Promise<unknown> {
    switch (request.command) {
      case 'requests':
        return { status: await this.status(), blocked: [] };
      case 'inspect': {
        if (request.pid !== process.pid) {
          throw new RunError(
            'PASTER_NO_WORKER',
            `process ${request.pid} is not server ${process.pid}, which has no workers`,
          );
        }
        const { FROM_MAIN, inspect } = await import('../process/worker/inspection.ts');
        return inspect(request.what, FROM_MAIN, send, gone);
      }
      case 'logs': {
        const { sendLogs } = await import('../process/ipc/log-lines.ts');
        return sendLogs(request.level, send, gone);
      }
      case 'upgrade':
        return this.upgrade(request.program);
      case 'start':
        throw await noSuchProcess(this.#service.plan, request.process, []);
      case 'stop':
        if (request.process !== undefined) throw await noSuchProcess(this.#service.plan, request.process, []);
        void this.stop({ graceful: true });
        // The connection of the client ends with this process.
        return new Promise(() => {});
      default:
        throw new RunError(
          'PASTER_NO_WORKERS',
          `${request.command}: server ${process.pid} is one process without workers`,
          {
            hint: 'set workers = 1 or more in the section of the server, and restart it',
          },
        );
    }
  }

  async report(): Promise<void> {
    for (const line of statusLines({ ...meter().alone(), addresses: serverAddresses(endpointsOf(this.#opened)) }))
      this.#service.log.info(line);
  }

  get #listeners(): readonly Listener[] {
    return allSockets(this.#opened);
  }

  async #open(): Promise<readonly OpenedSockets<Listener>[]> {
    if (this.#opened.length === 0) {
      this.#opened = await this.#service.openSockets(this.#service.servers, openListener);
      setServingAddress(this.#listeners[0]?.address);
    }
    return this.#opened;
  }

  /** An application whose `close()` never settles must not keep the process, as a supervisor would kill a worker. */
  async #endInTime(graceful: boolean, handOver?: HandOver): Promise<void> {
    const limit = (graceful ? this.#service.server.settings.graceful_timeout : 0) + KILL_MARGIN_S;
    if (await isDoneWithin(limit, () => this.#end(graceful, handOver))) return;
    this.#service.log.error(`the application has not closed after ${limit} s; the process ends without waiting for it`);
  }

  async #end(graceful: boolean, handOver?: HandOver): Promise<void> {
    // Still loading: there are no requests to wait for.
    if (!this.#running) return this.#close();
    const timeout = this.#service.server.settings.graceful_timeout;
    await this.#running.close({ graceful, timeout, ...(handOver ? { handOver } : {}) });
  }

  async #preload(): Promise<void> {
    const { environment, plan } = this.#service;
    if (environment.preload.length === 0) return;
    // Loaded late: most applications are not traced.
    const { importPreloaded } = await import('../deploy/instrumentation.ts');
    const directory = plan.file === undefined ? plan.directory : dirname(plan.file);
    setLastTask(await importPreloaded(environment.preload, { directory, worker: undefined }));
  }

  #warnOfNodeOptions(): void {
    const { environment, log } = this.#service;
    if (environment.variables['NODE_OPTIONS'] === undefined) return;
    log.warn(
      'NODE_OPTIONS of the INI file has no effect without workers, since Node has already started: set workers = 1 or more',
    );
  }

  /** Only root can remove a socket file from a directory that only root may write to. */
  #warnOfLeftovers(): void {
    const { user } = this.#service.request.ownership;
    if (user === undefined) return;
    for (const { address } of this.#listeners) {
      if (address.kind !== 'unix' || !existsSync(address.path)) continue;
      this.#service.log.warn(
        `${address.path} is left behind: user ${user} may not write to its directory; the next start replaces it`,
      );
    }
  }

  async #close(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.close()));
  }
}
