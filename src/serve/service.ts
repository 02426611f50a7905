/**
 * The server of one process, alone or with workers: what was requested and loaded, and what the server deals with besides requests:
 * the terminal, the pid file, the log file, systemd, and the parent process that waits.
 */
import { relative } from 'node:path';
import type { LoadedServer } from '../deploy/load.ts';
import type { ConfiguredEnvironment } from '../deploy/server/environment.ts';
import type { NamedServers } from '../deploy/server/server-group.ts';
import type { LoadSession } from '../deploy/session.ts';
import { errorMessage } from '../errors.ts';
import { findUser, groupId } from '../files/passwd.ts';
import type { Logger, LogLevel } from '../log.ts';
import { type Address, type Endpoint, isLoopback, type TcpAddress } from '../net/address.ts';
import { withoutOptions } from '../net/bind-errors.ts';
import { type BoundSocket, closeInherited, type ListenElsewhere } from '../net/held-socket.ts';
import type { BindOptions } from '../net/listener.ts';
import { type OpenSocket, openAddresses } from '../net/open-addresses.ts';
import { printable } from '../printable.ts';
import type { LogFile } from '../process/daemon/logfile.ts';
import type { SystemdNotify } from '../process/daemon/notify.ts';
import type { PidFileContent } from '../process/daemon/pidfile.ts';
import type { Controllable } from '../process/ipc/control-socket.ts';
import { reportToParent } from '../process/program/self-spawn.ts';
import type { SignalOptions } from '../process/program/signals.ts';
import type { LauncherPipe } from '../process/upgrade/launcher.ts';
import type { Predecessor } from '../process/upgrade/predecessor.ts';
import { workingDirectory } from '../working-directory.ts';
import { announcement, listenerUrl } from './announce.ts';
import { hidesErrors } from './development/development.ts';
import { type ConfiguredLogging, type RedirectedLogger, redirectedLogger, setUpLogging } from './logging.ts';
import type { Ownership, ServePlan } from './plan.ts';
import type { ServedParts } from './processes/served-parts.ts';
import { addressNames, type OpenedSockets, type OpenOne, passedSocketsByServer } from './server-sockets.ts';
import { isDevelopment } from './terminal/developer-output.ts';
import { OwnPidFile } from './upgrade/own-pid-file.ts';

/** What the command line asks for. */
export interface ServeRequest {
  readonly plan: ServePlan;
  /** Reload on changes. */
  readonly reload: boolean;
  /** Milliseconds of `--reload-interval`. */
  readonly reloadInterval: number | undefined;
  readonly logLevel: LogLevel;
  readonly pidFile: string | undefined;
  readonly logFile: string | undefined;
  readonly ownership: Ownership;
  readonly monitorRestart: boolean;
  readonly open: boolean;
  /** Where a debugger connects to one of the processes. */
  readonly inspect: TcpAddress | undefined;
}

/** A request that has been checked, with its servers. If only background processes run, there is one that is never opened. */
export interface PreparedServer {
  /** Its `reload` takes `autoreload` in [DEFAULT] into account. */
  readonly request: ServeRequest;
  readonly servers: NamedServers;
  readonly parts: ServedParts;
  readonly session: LoadSession;
  /** The variables of the INI file, which are set in this process. */
  readonly environment: ConfiguredEnvironment;
}

/** Which other processes this server is for. */
export interface Place {
  /** It runs in the background, and no process waits for its end. */
  readonly isDaemon: boolean;
  /** A monitor starts it again when it dies. */
  readonly isMonitored: boolean;
  /** The pipe to the process that was started in the foreground, if that is another one. */
  readonly launcher: LauncherPipe | undefined;
}

/** What the process has prepared, and who waits for it. */
export interface ServiceResources {
  /** Sockets that systemd has opened. */
  readonly passed: readonly Address[];
  readonly out: (line: string) => void;
  readonly log: RedirectedLogger;
  /** Gets the messages while the INI file has no logging sections. */
  readonly terminalLog: Logger;
  readonly logging: ConfiguredLogging | undefined;
  readonly logFile: LogFile | undefined;
  readonly notify: SystemdNotify | undefined;
  /** Called when the server listens and the parent has the report. */
  readonly onListening: (endpoints: readonly Endpoint[]) => void;
  /** The server that this process takes over from. */
  readonly predecessor: Predecessor | undefined;
  /** The place of this process among others. */
  readonly place: Place;
  /** Set at a terminal: the lines for people, instead of those that scripts read. */
  readonly banner: ((endpoints: readonly Endpoint[]) => readonly string[]) | undefined;
}

export class Service {
  readonly request: ServeRequest;
  readonly servers: NamedServers;
  readonly parts: ServedParts;
  readonly session: LoadSession;
  readonly environment: ConfiguredEnvironment;
  readonly log: Logger;
  readonly logFile: LogFile | undefined;
  readonly #resources: ServiceResources;
  #logging: ConfiguredLogging | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #inherited: readonly OpenSocket[] = [];
  #withdrawControl = (): void => {};
  readonly pidFile: OwnPidFile;

  constructor({ request, servers, parts, session, environment }: PreparedServer, resources: ServiceResources) {
    this.request = request;
    this.servers = servers;
    this.parts = parts;
    this.session = session;
    this.environment = environment;
    this.log = resources.log;
    this.logFile = resources.logFile;
    this.#resources = resources;
    this.#logging = resources.logging;
    this.pidFile = new OwnPidFile(
      request.pidFile,
      pidFileContent(request.plan, this.server),
      resources.predecessor?.pid,
    );
  }

  /** The first of the servers, with the settings of the processes. */
  get server(): LoadedServer {
    return this.servers[0].server;
  }

  get plan(): ServePlan {
    return this.request.plan;
  }

  get predecessor(): Predecessor | undefined {
    return this.#resources.predecessor;
  }

  get place(): Place {
    return this.#resources.place;
  }

  get notify(): SystemdNotify | undefined {
    return this.#resources.notify;
  }

  /** Whether systemd has opened the sockets. */
  get arePassed(): boolean {
    return this.#resources.passed.length > 0;
  }

  /** Reads configuration, one reader after the other: each sets its own environment variables in this process. */
  readonly inTurn = <T>(read: () => Promise<T>): Promise<T> => {
    const result = this.#turn.then(read);
    this.#turn = result.catch(() => {});
    return result;
  };

  /**
   * Opens what servers listen on, all or nothing: the addresses of their sections, or systemd's sockets instead.
   * @param kept at a reload: as for `openAddresses`
   */
  async openSockets<T extends OpenSocket>(
    servers: NamedServers,
    open: OpenOne<T>,
    kept?: ReadonlyMap<string, T>,
  ): Promise<readonly OpenedSockets<T>[]> {
    const passed = passedSocketsByServer(this.#resources.passed, servers);
    const opened: OpenedSockets<T>[] = [];
    try {
      for (const each of servers) {
        const given = passed.get(each) ?? [];
        for (const address of given) each.server.checkAddress(address);
        const addresses = given.length > 0 ? given : each.server.addresses;
        const nameOf = addressNames(each, servers);
        const named = { kept: kept ?? new Map<string, T>(), nameOf };
        opened.push({ ...each, sockets: await this.#openOf(each.server, addresses, open, named) });
      }
      return opened;
    } catch (error) {
      const known = new Set(kept?.values());
      const sockets = opened.flatMap((each) => [...each.sockets.values()]);
      await Promise.all(sockets.filter((socket) => !known.has(socket)).map((socket) => socket.close()));
      throw kept ? withoutOptions(error) : error;
    }
  }

  async #openOf<T extends OpenSocket>(
    server: LoadedServer,
    addresses: readonly Address[],
    open: OpenOne<T>,
    named: { readonly kept: ReadonlyMap<string, T>; readonly nameOf: (address: Address) => string },
  ): Promise<Map<string, T>> {
    const { predecessor } = this.#resources;
    const options = { ...socketOwner(this.request.ownership), ...server.bindOptions };
    const openOrInherit = async (address: Address, how: BindOptions): Promise<T> => {
      const name = named.nameOf(address);
      const inherited = predecessor?.sockets.get(name);
      if (!inherited) return open(address, how);
      const socket = await open(address, { ...how, inherited });
      predecessor?.sockets.delete(name);
      this.#inherited = [...this.#inherited, socket];
      return socket;
    };
    try {
      return await openAddresses(addresses, options, openOrInherit, named);
    } catch (error) {
      throw this.#locateAddress(error, server);
    }
  }

  /** Makes sockets of `openSockets` listen. */
  async listen(opened: readonly OpenedSockets<BoundSocket>[], elsewhere: ListenElsewhere): Promise<void> {
    const each = ({ server, sockets }: OpenedSockets<BoundSocket>) =>
      Promise.all([...sockets.values()].map((socket) => socket.listen(elsewhere))).catch((error: unknown) => {
        throw this.#locateAddress(error, server);
      });
    await Promise.all(opened.map(each));
  }

  /** The error with its place, and with a hint that applies: options of the command line are for the start of one server. */
  #locateAddress(error: unknown, server: LoadedServer): unknown {
    const takesOptions = this.servers.length === 1 && !this.predecessor;
    return server.locateAddress(takesOptions ? error : withoutOptions(error));
  }

  /** To be called when this process is ready to serve: takes over from a predecessor. */
  async takeOver(): Promise<void> {
    const { predecessor, place } = this.#resources;
    await predecessor?.handOver();
    this.pidFile.claim();
    if (!predecessor) return;
    for (const socket of this.#inherited) socket.ownedFile()?.take();
    for (const inherited of predecessor.sockets.values()) await closeInherited(inherited);
    predecessor.sockets.clear();
    place.launcher?.take();
  }

  /** Announces that connections are accepted. */
  listening(endpoints: readonly Endpoint[]): void {
    const { out, banner, notify, onListening, predecessor } = this.#resources;
    const lines = announcement(process.pid, endpoints);
    for (const line of banner?.(endpoints) ?? lines) out(line);
    // If there is a predecessor, it is systemd's main process until now, and notifies systemd itself.
    if (predecessor) notify?.watch();
    else notify?.ready();
    this.#warnOfShownSources(endpoints);
    void reportToParent({ paster: 'listening', pid: process.pid, lines }).then(() => onListening(endpoints));
  }

  /** Not with `--reload`, which is only for development; but `debug = true` may have been left in the file by mistake. */
  #warnOfShownSources(endpoints: readonly Endpoint[]): void {
    const { globalConf } = this.server.context;
    if (this.request.reload || !isDevelopment(false, this.server) || hidesErrors(globalConf)) return;
    const open = endpoints.find(({ address }) => address.kind === 'tcp' && !isLoopback(address.host));
    if (!open) return;
    const url = printable(listenerUrl(open));
    this.log.warn(`debug = true: errors show source code to everyone who can reach ${url}`);
  }

  /** Whether the INI file says where messages go. */
  get isLogConfigured(): boolean {
    return this.#logging !== undefined;
  }

  /** After a reload: logs as the INI file says now. If a log file cannot be opened, everything stays as it was. */
  async configureLogging(session: LoadSession): Promise<void> {
    const { log, terminalLog } = this.#resources;
    try {
      const before = this.#logging;
      this.#logging = await setUpLogging(this.plan, session, this.request.ownership, false);
      if (!this.#logging) before?.close();
    } catch (error) {
      log.error(`this process keeps its log handlers: ${errorMessage(error)}`);
      return;
    }
    Object.assign(log, redirectedLogger(this.#logging?.log ?? terminalLog));
  }

  /** Lets `paster status` and `paster control` find this server by its INI file. */
  async offerControl(target: Controllable): Promise<void> {
    const { file } = this.plan;
    if (file === undefined) return;
    // Loaded late: the server listens by now.
    const { offerControl } = await import('../process/ipc/control-socket.ts');
    this.#withdrawControl = await offerControl(file, target, this.log);
  }

  /** Called when a successor serves, so that commands find it instead of this process. */
  withdrawControl(): void {
    this.#withdrawControl();
  }

  /** Tells systemd of a reload. */
  async reloading<T>(reload: () => Promise<T>): Promise<T> {
    this.#resources.notify?.reloading();
    try {
      return await reload();
    } finally {
      this.#resources.notify?.ready();
    }
  }

  /** Resolves when systemd knows. */
  stopping(): Promise<void> {
    return this.#resources.notify?.stopping() ?? Promise.resolve();
  }

  /** @param takes as in SignalOptions */
  signalOptions(takes: SignalOptions['takes']): SignalOptions {
    return {
      reopenLogs: () => this.#reopenLogs(),
      endsWithTerminal: isDevelopment(this.request.reload, this.server),
      takes,
    };
  }

  #reopenLogs(): void {
    this.#logging?.reopen();
    if (!this.logFile && !this.#logging) this.log.info('USR1: there is no log file to open again');
    try {
      this.logFile?.reopen();
    } catch (error) {
      this.log.error(errorMessage(error));
    }
  }
}

/** What the pid file of a server says about it. */
export function pidFileContent({ file }: ServePlan, { settings }: LoadedServer): PidFileContent {
  const serves = file === undefined ? undefined : relative(workingDirectory(), file);
  return { graceful: settings.graceful_timeout, serves };
}

/** A socket file that root creates belongs to the user of `--user`, unless the section says otherwise. */
function socketOwner({ user, group }: Ownership): BindOptions {
  if (process.getuid?.() !== 0) return {};
  const account = user === undefined ? undefined : findUser(user);
  const gid = group === undefined ? account?.gid : groupId(group);
  return { ...(account ? { owner: account.uid } : {}), ...(gid === undefined ? {} : { group: gid }) };
}
