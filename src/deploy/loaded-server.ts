/** A server made from its section: where it listens, and how an application is served there from ready to close. */
import type { Server as NetServer, Socket } from 'node:net';
import { availableParallelism } from 'node:os';
import { blameOption, ConfigError, errorMessage, locate, PasterError, RunError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { meter } from '../metrics/meter.ts';
import type { Address } from '../net/address.ts';
import type { BindOptions } from '../net/listener.ts';
import type { App, CloseOptions, OneShot, Running, Server } from '../protocol/types.ts';
import { type CreatedServer, createServer, factoryContext, loadTarget, type Runner } from './compose.ts';
import type { Context, FactoryContext } from './context.ts';
import { placeInStack } from './error-place.ts';
import { type AddressOverrides, addressesOf, type ProcessSettings, validateServer } from './server-settings.ts';
import type { LoadSession } from './session.ts';
import { asStep } from './unsettled.ts';
import { placeOfKey } from './validate.ts';

/**
 * A server as its section describes it, addresses and processes included. It serves in this process; `workers` and the
 * like are for whoever keeps processes (`paster serve`).
 */
export class LoadedServer {
  /** The section, resolved: the factory with its configuration. */
  readonly context: FactoryContext;
  /** What is not the server's own: host, port, workers and their kind, converted. Times are in seconds. */
  readonly settings: ProcessSettings;
  /** Where `serve` listens unless it is given listeners; empty for a server that listens nowhere, such as CGI. */
  readonly addresses: readonly Address[];
  readonly #made: CreatedServer;
  readonly #overrides: AddressOverrides;

  /** @param overrides what of the settings was said in place of the section */
  constructor(
    context: FactoryContext,
    settings: ProcessSettings,
    made: CreatedServer,
    overrides: AddressOverrides = {},
  ) {
    this.context = context;
    this.settings = settings;
    this.#made = made;
    this.#overrides = overrides;
    this.addresses = 'server' in made ? addressesOf(settings, context, made.server.defaultAddress) : [];
    for (const address of this.addresses) this.checkAddress(address);
  }

  /** @throws ConfigError where it would be unsafe to listen there. */
  checkAddress(address: Address): void {
    try {
      if ('server' in this.#made) this.#made.server.checkAddress?.(address);
    } catch (error) {
      throw this.locateAddress(error);
    }
  }

  /** What the addresses begin with: `http`, `fastcgi`, `scgi`, ...; empty for a server runner, which listens by itself. */
  get scheme(): string {
    return 'server' in this.#made ? this.#made.server.scheme : '';
  }

  /** Present for a server that serves the one request of its process and ends. */
  get oneShot(): OneShot | undefined {
    return 'server' in this.#made ? this.#made.server.oneShot : undefined;
  }

  /** A `paste.server_runner`'s function, which listens by itself; undefined for every other server. */
  get runner(): Runner | undefined {
    return 'runner' in this.#made ? this.#made.runner : undefined;
  }

  /** How many workers the section asks for; undefined: one process and no supervisor. */
  get workers(): number | undefined {
    const { workers, maxChildren } = this.settings;
    if (workers !== 'auto') return workers;
    return Math.min(availableParallelism(), maxChildren ?? Number.POSITIVE_INFINITY);
  }

  /** How its sockets are to be made. */
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
   * @param log Where the server writes what it has to say. Default: nowhere.
   * @returns What is running: `addresses`, and `close()`.
   * @throws RunError when the application is not ready or an address cannot be had; ConfigError for a server runner.
   */
  serve(app: App, listeners?: readonly NetServer[], log?: Logger): Promise<Running> {
    const given = listeners?.map((server) => ({
      server,
      observe: (onConnection: (socket: Socket) => void) => void server.on('connection', onConnection),
      close: async () => {},
    }));
    return this.serveOn(app, given ? async () => given : () => this.#openOwn(), log);
  }

  /** Serves on what `open` gives, which is asked only when the application is ready. */
  async serveOn(app: App, open: () => Promise<readonly ServedListener[]>, log?: Logger): Promise<Running> {
    if ('runner' in this.#made) {
      throw new ConfigError('PASTER_SERVER_RUNNER', 'a server runner listens by itself: call its runner(app)');
    }
    await ready(app);
    const { listeners, running } = await this.#start(this.#made.server, app, open, log);
    let closed: Promise<void> | undefined;
    return {
      addresses: listeners.map((listener, index) => listener.address ?? running.addresses[index]).filter(isDefined),
      ...(running.finished ? { finished: running.finished } : {}),
      ...(running.adopt ? { adopt: (socket) => adopt(running, socket) } : {}),
      close(how) {
        if (!closed) void tellDraining(app, log);
        const drained = running.close(how && { ...how, ...handingOver(how) });
        closed ??= drained.then(async () => {
          await Promise.all(listeners.map((listener) => listener.close()));
          await app.close?.();
        });
        return closed;
      },
    };
  }

  /** An application that is ready but cannot be served is closed, lest what it holds keeps the process alive. */
  async #start(
    server: Server,
    app: App,
    open: () => Promise<readonly ServedListener[]>,
    log: Logger | undefined,
  ): Promise<{ listeners: readonly ServedListener[]; running: Running }> {
    let listeners: readonly ServedListener[] = [];
    try {
      listeners = await open();
      const servers = listeners.map((listener) => listener.server);
      const observed = metered(app, listeners);
      return { listeners, running: await server.serve(observed, servers, log ? { log } : {}) };
    } catch (error) {
      await Promise.allSettled([...listeners.map((listener) => listener.close()), (async () => app.close?.())()]);
      throw error;
    }
  }

  async #openOwn(): Promise<readonly ServedListener[]> {
    // Only now: loading an application has no use for sockets, and what they need is half of what there is to import.
    const [{ openListener }, { openAddresses }] = await Promise.all([
      import('../net/listener.ts'),
      import('../net/open-addresses.ts'),
    ]);
    try {
      return [...(await openAddresses(this.addresses, this.bindOptions, openListener)).values()];
    } catch (error) {
      throw this.locateAddress(error);
    }
  }

  /** Gives an error about where it listens its place: the command-line option, or the line of the setting. */
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

/** What the command line can say of an address; what comes first is what an address is refused for more often. */
const ADDRESS_KEYS = ['host', 'port', 'socket'] as const;

/** @throws RunError when the application says that it cannot serve. */
async function ready(app: App): Promise<void> {
  try {
    if (app.ready) await asStep({ what: 'the application', location: undefined }, () => app.ready?.());
  } catch (error) {
    if (error instanceof PasterError) throw error;
    throw new RunError('PASTER_NOT_READY', `the application's ready() failed: ${errorMessage(error)}`, {
      cause: error,
      location: placeInStack(error),
    });
  }
}

/** The application with what it is given counted, and the connections where somebody wants to see that. */
function metered(app: App, listeners: readonly ServedListener[]): App {
  const current = meter();
  if (!current.isCounting && !current.isAttended) return app;
  current.begin();
  if (current.isCounting) for (const listener of listeners) listener.observe(current.connected);
  return current.isCounting ? current.observe(app) : current.watch(app);
}

/** A connection that another process has had. */
function adopt(running: Running, socket: Socket): void {
  if (meter().isCounting) meter().connected(socket);
  running.adopt?.(socket);
}

/** A connection that goes to another process is counted here as long as it can be. */
function handingOver({ handOver }: CloseOptions): CloseOptions {
  if (!handOver) return {};
  return {
    handOver(socket) {
      meter().left(socket);
      handOver(socket);
    },
  };
}

/** What an application makes of it keeps no server from ending. */
async function tellDraining(app: App, log: Logger | undefined): Promise<void> {
  try {
    await app.drain?.();
  } catch (error) {
    log?.error(`the application's drain() failed: ${errorMessage(error)}`);
  }
}

/** A listener to serve on; `address` is what it was opened as, where that is known. */
export interface ServedListener {
  readonly server: NetServer;
  readonly address?: Address;
  /** Has a function called for each connection, before the server's own handler. */
  observe(onConnection: (socket: Socket) => void): void;
  close(): Promise<void>;
}

function isDefined<T>(value: T | undefined): value is T {
  return value !== undefined;
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
  return new LoadedServer(described, settings.process, await createServer(described, factory, settings.own), overrides);
}
