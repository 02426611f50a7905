/** A server made from its section: where it listens, and how an application is served there from ready to close. */
import type { Server as NetServer } from 'node:net';
import { blameOption, ConfigError, locate, PasterError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { type CpuCapacity, cpuCapacity, workersFor } from '../../machine/capacity.ts';
import { meter } from '../../metrics/meter.ts';
import type { Address } from '../../net/address.ts';
import type { ConnectionObserver } from '../../net/direct/accept.ts';
import type { BindOptions } from '../../net/listener.ts';
import { Peers } from '../../net/peers.ts';
import type { App, OneShot, Running, ServeOptions, Server } from '../../protocol/types.ts';
import { type CreatedServer, createServer, factoryContext, loadTarget, type Runner } from '../compose.ts';
import type { Context, FactoryContext } from '../context.ts';
import { placeOfKey, sectionPrefix } from '../context.ts';
import { isBackground, kindOfSection } from '../part-kinds.ts';
import type { LoadSession } from '../session.ts';
import { exemptPaths, type OverloadLimits } from './overload.ts';
import { measureQueueTime } from './queue-time.ts';
import { type AddressOverrides, addressesOf, checkWorkerLimits, validateServer } from './server-section.ts';
import type { ProcessSettings } from './server-settings.ts';
import { type ServedListener, type ServingOptions, type ServingServer, serveTogether } from './serving.ts';
import { isRange, upperBound, type WorkersSetting } from './workers-setting.ts';

/**
 * A server as its section describes it, with addresses and process settings. It serves in this process; `workers` and
 * similar settings are for `paster serve`, which manages processes.
 */
export class LoadedServer implements ServingServer {
  /** The section, resolved: the factory with its configuration. */
  readonly context: FactoryContext;
  /** The settings that all servers have, such as host, port and workers. Times are in seconds. */
  readonly settings: ProcessSettings;
  /** Where `serve` listens by default; empty for a server that does not listen, such as CGI. */
  readonly addresses: readonly Address[];
  readonly #created: CreatedServer;
  readonly #overrides: AddressOverrides;
  #capacity: CpuCapacity | undefined;

  /** @param overrides the settings from the command line */
  constructor(
    context: FactoryContext,
    settings: ProcessSettings,
    made: CreatedServer,
    overrides: AddressOverrides = {},
  ) {
    this.context = context;
    this.settings = settings;
    this.#created = made;
    this.#overrides = overrides;
    this.addresses = 'server' in made ? addressesOf(settings, context, made.server.defaultAddress) : [];
    for (const address of this.addresses) this.checkAddress(address);
    checkWorkerLimits(settings, context);
  }

  /** @throws ConfigError if it would be unsafe to listen there. */
  checkAddress(address: Address): void {
    try {
      if ('server' in this.#created) this.#created.server.checkAddress?.(address);
    } catch (error) {
      throw this.locateAddress(error);
    }
  }

  /** Adds the server's own warnings to those of its INI file. */
  async warn(session: LoadSession): Promise<void> {
    const { context } = this;
    const isSupervised =
      this.workers !== undefined || (session.hasSupervisor ?? (await hasBackground(context, session)));
    for (const name of isSupervised ? [] : REPLACING_KEYS) {
      const location = placeOfKey(context, name);
      const reason = 'one process without workers is not replaced';
      if (location) session.warn(`${sectionPrefix(context)}${name} has no effect: ${reason}`, location);
    }
    const { canary, reload_exclusive: isExclusive } = this.settings;
    const noCanary = isExclusive
      ? 'reload_exclusive ends the old workers before the new version loads'
      : !isSupervised && 'one process without workers does not reload';
    const place = placeOfKey(context, 'canary');
    if (canary > 0 && noCanary && place) {
      session.warn(`${sectionPrefix(context)}canary has no effect: ${noCanary}`, place);
    }
    for (const name of this.scaling ? [] : SCALING_KEYS) {
      const location = placeOfKey(context, name);
      const reason = 'workers is not a range such as 1-8';
      if (location) session.warn(`${sectionPrefix(context)}${name} has no effect: ${reason}`, location);
    }
    const limitPlace = placeOfKey(context, 'maxChildren');
    if (limitPlace && (typeof this.settings.workers === 'number' || this.settings.workers === undefined)) {
      const ignored = 'workers is neither auto nor a range such as 1-8';
      session.warn(`${sectionPrefix(context)}maxChildren has no effect: ${ignored}`, limitPlace);
    }
    for (const { setting, message } of ('server' in this.#created && this.#created.server.warnings?.()) || []) {
      const location = placeOfKey(context, setting) ?? context.sections[0]?.location;
      if (location) session.warn(`${sectionPrefix(context)}${message}`, location);
    }
  }

  /** The scheme of its addresses: `http`, `fastcgi`, `scgi`, ...; empty for a server runner, which listens by itself. */
  get scheme(): string {
    return 'server' in this.#created ? this.#created.server.scheme : '';
  }

  /** Present for a server that serves a single request per process. */
  get oneShot(): OneShot | undefined {
    return 'server' in this.#created ? this.#created.server.oneShot : undefined;
  }

  /** The function of a `paste.server_runner`, which listens by itself; undefined for other servers. */
  get runner(): Runner | undefined {
    return 'runner' in this.#created ? this.#created.runner : undefined;
  }

  /**
   * The number of workers that the section sets, or one with `spare_workers`; with `auto`, what the processors allow; with a
   * range, the most. Undefined: one process and no supervisor.
   */
  get workers(): number | undefined {
    const setting = this.#workersSetting;
    const most = setting === undefined ? undefined : upperBound(setting, this.settings.maxChildren);
    return most ?? this.automaticWorkers?.count;
  }

  /** With flup's names for the workers that wait, `auto` is the upper bound of a range. */
  get #workersSetting(): WorkersSetting | undefined {
    const { workers, minSpare, maxSpare, spare_workers: spares } = this.settings;
    if (workers === undefined) return spares > 0 ? 1 : undefined;
    const isFlups = workers === 'auto' && (minSpare !== undefined || maxSpare !== undefined);
    return isFlups ? { min: Math.max(1, minSpare ?? 1), max: 'auto' } : workers;
  }

  /** In development a range is a fixed number, its lower bound. */
  get workersWithReload(): number | undefined {
    return this.scaling ? Math.max(1, this.scaling.minimum) : this.workers;
  }

  /** Present if the number of workers follows the load. */
  get scaling(): WorkerScaling | undefined {
    const range = this.#workersSetting;
    if (!isRange(range)) return undefined;
    const { idle_timeout: idle, minSpare: leastSpare = 0, maxSpare: mostSpare = leastSpare } = this.settings;
    const minimum = Math.min(range.min, this.workers ?? 1);
    return { minimum, idleMs: idle * 1000, leastSpare, mostSpare };
  }

  /** With `workers = auto`, and with a range up to `auto`: how many, and why. */
  get automaticWorkers(): AutomaticWorkers | undefined {
    const { maxChildren = Number.POSITIVE_INFINITY } = this.settings;
    const workers = this.#workersSetting;
    if (workers === undefined || upperBound(workers) !== undefined) return undefined;
    this.#capacity ??= cpuCapacity();
    const capacity = this.#capacity;
    const count = workersFor(capacity.cpus);
    if (maxChildren < count) return { count: maxChildren, reason: 'maxChildren', isLimited: false };
    return { ...capacity, count };
  }

  /** How to create its sockets. */
  get bindOptions(): BindOptions {
    const { backlog, umask, mode, socket_owner, socket_group } = this.settings;
    return {
      backlog,
      ...(umask === undefined ? {} : { umask }),
      ...(mode === undefined ? {} : { mode }),
      ...(socket_owner === undefined ? {} : { owner: socket_owner }),
      ...(socket_group === undefined ? {} : { group: socket_group }),
    };
  }

  /**
   * Serves an application: awaits its `ready()` first, and its `close()` when the server is closed or cannot start.
   *
   * @param listeners Listening `net.Server`s to serve on; they are closed with the server. Default: the section's own
   *   addresses, opened here.
   * @param log The logger of the server. Default: none.
   * @returns The running server, with `addresses` and `close()`.
   * @throws RunError if the application's `ready()` fails or an address cannot be opened; ConfigError for a server runner.
   */
  serve(app: App, listeners?: readonly NetServer[], log?: Logger): Promise<Running> {
    const given = listeners?.map((server) => ({
      server,
      observe: (onConnection: ConnectionObserver) => void server.on('connection', onConnection),
      close: async () => {},
    }));
    return this.serveOn(app, given ? async () => given : () => this.#openAddresses(), { log, isFirst: true });
  }

  /** Serves on the listeners that `open` returns; calls `open` only once the application is ready. */
  async serveOn(
    app: App,
    open: () => Promise<readonly ServedListener[]>,
    options: ServingOptions = { isFirst: true },
  ): Promise<Running> {
    const server = { name: this.context.sections[0]?.name ?? '', server: this };
    const { endpoints, ...serving } = await serveTogether([server], app, async () => [await open()], options);
    return { ...serving, addresses: endpoints.map(({ address }) => address) };
  }

  refuseRunner(): void {
    this.#listeningServer();
  }

  start(app: App, listeners: readonly ServedListener[], options: ServeOptions): Promise<Running> {
    return this.#listeningServer().serve(
      app,
      listeners.map((listener) => listener.server),
      options,
    );
  }

  #listeningServer(): Server {
    if ('server' in this.#created) return this.#created.server;
    throw new ConfigError('PASTER_SERVER_RUNNER', 'a server runner listens by itself: call its runner(app)');
  }

  async overloadLimits(context: Context | undefined): Promise<OverloadLimits> {
    const { max_requests_in_flight: inFlight, overload_lag: seconds = 0, overload_except: listed } = this.settings;
    const lag = seconds > 0 ? seconds * 1000 : undefined;
    const isLimited = inFlight !== undefined || lag !== undefined;
    return { inFlight, lag, exempt: await exemptPaths(isLimited ? context : undefined, listed) };
  }

  metered(app: App, listeners: readonly ServedListener[]): App {
    const current = meter();
    if (!current.isCounting && !current.isWatching) return app;
    current.begin();
    if (!current.isCounting) return current.watch(app);
    for (const listener of listeners) listener.observe(current.connected);
    // A gateway shows the client's address, and has judged the web server's itself.
    const peers = isGateway(this.scheme) ? undefined : new Peers(this.settings.queue_time);
    return measureQueueTime(current.observe(app), peers);
  }

  async #openAddresses(): Promise<readonly ServedListener[]> {
    // Imported late: loading an application needs no sockets, and their modules are half of what there is to import.
    const [{ openListener }, { openAddresses }] = await Promise.all([
      import('../../net/listener.ts'),
      import('../../net/open-addresses.ts'),
    ]);
    try {
      return [...(await openAddresses(this.addresses, this.bindOptions, openListener)).values()];
    } catch (error) {
      throw this.locateAddress(error);
    }
  }

  /** Adds the place to an error about an address: the command-line option, or the line of the setting. */
  locateAddress(error: unknown): unknown {
    if (!(error instanceof PasterError) || error.location) return error;
    const { context } = this;
    const given = ADDRESS_KEYS.filter((key) => this.#overrides[key] !== undefined);
    const option = given.find((key) => key === error.setting) ?? given[0];
    const own = placeOfKey(context, error.setting);
    if (option !== undefined && (own === undefined || option === error.setting)) return blameOption(error, option);
    const written = [...ADDRESS_KEYS, 'listen'].findLast((key) => context.origins.has(key));
    return locate(
      error,
      own ?? placeOfKey(context, written) ?? context.sections[0]?.location,
      context.sections[0]?.name,
    );
  }
}

/** How many workers `auto` means, and why. */
export interface AutomaticWorkers {
  readonly count: number;
  readonly reason: string;
  readonly isLimited: boolean;
}

/** How the number of workers follows the load, up to `workers`. */
export interface WorkerScaling {
  readonly minimum: number;
  /** For how long a worker must not have been needed before it ends. */
  readonly idleMs: number;
  /** How many more workers there are than the load needs. */
  readonly leastSpare: number;
  readonly mostSpare: number;
}

/** Whether the file has background processes or tasks: with them, a supervisor runs the web server too, in one worker. */
async function hasBackground(context: Context, session: LoadSession): Promise<boolean> {
  const file = context.sections[0]?.location.file;
  // An error in the file is reported where it is loaded.
  const document = file === undefined ? undefined : await session.read(file).catch(() => undefined);
  return [...(document?.sections.keys() ?? [])].some((section) => {
    const kind = kindOfSection(section);
    return kind !== undefined && isBackground(kind);
  });
}

/** Without effect unless a supervisor replaces workers. */
const REPLACING_KEYS = ['max_memory', 'max_requests', 'maxRequests', 'worker_timeout', 'spare_workers'] as const;

/** Without effect unless the number of workers follows the load. */
const SCALING_KEYS = ['idle_timeout', 'minSpare', 'maxSpare'] as const;

/** The command-line options of an address, those that most often are the cause of an error first. */
const ADDRESS_KEYS = ['host', 'port', 'socket'] as const;

function isGateway(scheme: string): boolean {
  return scheme !== 'http' && scheme !== 'https';
}

/** Runs a server's factory. @throws ConfigError for its settings and addresses; RunError when the factory fails. */
export async function makeServer(
  context: Context,
  overrides: AddressOverrides,
  session: LoadSession,
): Promise<LoadedServer> {
  const described = factoryContext(context);
  const factory = await loadTarget(described);
  const settings = await validateServer(factory, described, overrides, session);
  const created = await createServer(described, factory, settings.own);
  const server = new LoadedServer(described, settings.process, created, overrides);
  await server.warn(session);
  return server;
}
