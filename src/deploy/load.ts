/** The library's entrances: an application, a filter, a server or a configuration by URI. */
import type { Server as NetServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { ConfigError, errorMessage, type Location, locate, PasterError, RunError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Address } from '../net/address.ts';
import { type BindOptions, type Listener, openListener } from '../net/listener.ts';
import type { App, Filter, Running, Server, Settings } from '../protocol/types.ts';
import { createApp, createFilter, createServer, factoryContext, loadTarget, type Runner } from './compose.ts';
import { type Context, type FactoryContext, settingsOf } from './context.ts';
import { placeInStack } from './error-place.ts';
import type { PartKind } from './kinds.ts';
import { resolveUri } from './resolve.ts';
import { type AddressOverrides, addressesOf, type ProcessSettings, validateServer } from './server-settings.ts';
import { LoadSession } from './session.ts';
import { placeOfKey } from './validate.ts';

/** Options of the load functions. */
export interface LoadOptions {
  /** The directory for relative URIs. Default: the working directory. */
  readonly relativeTo?: string | undefined;
  /** The part's name; it goes before the `#name` of the URI. Default: `main`. */
  readonly name?: string | undefined;
  /** Global configuration; it wins over the file's [DEFAULT], in interpolation too, and is not interpolated itself. */
  readonly globalConf?: Readonly<Settings> | undefined;
}

/** Resolves a URI without running anything. `session` collects the files read and the warnings. */
export function loadContext(
  kind: PartKind,
  uri: string,
  options: LoadOptions,
  session: LoadSession = new LoadSession(options.globalConf),
): Promise<Context> {
  return resolveUri(uri, {
    kind,
    relativeTo: options.relativeTo ?? process.cwd(),
    globalConf: options.globalConf && settingsOf(options.globalConf),
    session,
    trail: [],
    from: undefined,
    name: options.name,
    resolve: resolveUri,
  });
}

/**
 * Loads an application, as `paste.deploy.loadapp` does.
 *
 * @param uri A URI such as `config:etc/develop.ini#main` or `module:./server.js`.
 * @returns The application with all its filters. Nothing has been started: await `app.ready?.()` before the first
 *   request and `app.close?.()` after the last one.
 * @throws ConfigError for a mistake in the configuration, with file, line and column; RunError when a module or a
 *   factory fails.
 */
export async function loadApp(uri: string, options: LoadOptions = {}): Promise<App> {
  return createApp(await loadContext('app', uri, options));
}

/** Loads a filter, as `paste.deploy.loadfilter` does. Options and errors as for `loadApp`. */
export async function loadFilter(uri: string, options: LoadOptions = {}): Promise<Filter> {
  return createFilter(await loadContext('filter', uri, options));
}

/** What `appConfig` returns. */
export interface AppConfig {
  readonly globalConf: Settings;
  readonly localConf: Settings;
}

/** The configuration that an application's factory would get, without running it, as `paste.deploy.appconfig`. */
export async function appConfig(uri: string, options: LoadOptions = {}): Promise<AppConfig> {
  const { globalConf, localConf } = await loadContext('app', uri, options);
  return { globalConf, localConf };
}

/** A server as its section describes it, addresses and processes included. */
export class LoadedServer {
  readonly context: FactoryContext;
  readonly settings: ProcessSettings;
  readonly addresses: readonly Address[];
  readonly #made: { readonly server: Server } | { readonly runner: Runner };

  constructor(
    context: FactoryContext,
    settings: ProcessSettings,
    made: { readonly server: Server } | { readonly runner: Runner },
  ) {
    this.context = context;
    this.settings = settings;
    this.#made = made;
    this.addresses = 'server' in made ? addressesOf(settings, context, made.server.defaultAddress) : [];
    if ('server' in made) for (const address of this.addresses) made.server.checkAddress?.(address);
  }

  /** What the addresses begin with: `http`, `fastcgi`, ...; empty for a server runner, which listens by itself. */
  get scheme(): string {
    return 'server' in this.#made ? this.#made.server.scheme : '';
  }

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
   * Serves an application: awaits its `ready()` first, and its `close()` when the server is closed.
   *
   * @param listeners Listening `net.Server`s to serve on. Default: the section's own addresses, opened here.
   * @returns What is running: `addresses`, and `close()`.
   * @throws RunError when an address cannot be had.
   */
  serve(app: App, listeners?: readonly NetServer[], log?: Logger): Promise<Running> {
    const given = listeners?.map((server) => ({ server, close: async () => {} }));
    return this.serveOn(app, given ? async () => given : () => this.#openOwn(), log);
  }

  /** Serves on what `open` gives, which is asked only when the application is ready. */
  async serveOn(app: App, open: () => Promise<readonly ServedListener[]>, log?: Logger): Promise<Running> {
    if ('runner' in this.#made) {
      throw new ConfigError('PASTER_SERVER_RUNNER', 'a server runner listens by itself: call its runner(app)');
    }
    await ready(app);
    const listeners = await open();
    const servers = listeners.map((listener) => listener.server);
    const running = await this.#made.server.serve(app, servers, log ? { log } : {});
    let closed: Promise<void> | undefined;
    return {
      addresses: listeners.map((listener, index) => listener.address ?? running.addresses[index]).filter(isDefined),
      ...(running.finished ? { finished: running.finished } : {}),
      close(how) {
        const drained = running.close(how);
        closed ??= drained.then(async () => {
          await Promise.all(listeners.map((listener) => listener.close()));
          await app.close?.();
        });
        return closed;
      },
    };
  }

  async #openOwn(): Promise<readonly ServedListener[]> {
    const opened: Listener[] = [];
    try {
      for (const address of this.addresses) opened.push(await openListener(address, this.bindOptions));
      return opened;
    } catch (error) {
      await Promise.all(opened.map((listener) => listener.close()));
      throw locate(error, this.placeOfAddress);
    }
  }

  /** Where the section says what it listens on. */
  get placeOfAddress(): Location | undefined {
    const key = ['listen', 'socket', 'port', 'host'].find((each) => this.context.origins.has(each));
    return placeOfKey(this.context, key) ?? this.context.sections[0]?.location;
  }
}

/** @throws RunError when the application says that it cannot serve. */
async function ready(app: App): Promise<void> {
  try {
    await app.ready?.();
  } catch (error) {
    if (error instanceof PasterError) throw error;
    throw new RunError('PASTER_NOT_READY', `the application's ready() failed: ${errorMessage(error)}`, {
      cause: error,
      location: placeInStack(error),
    });
  }
}

/** A listener to serve on; `address` is what it was opened as, where that is known. */
export interface ServedListener {
  readonly server: NetServer;
  readonly address?: Address;
  close(): Promise<void>;
}

function isDefined<T>(value: T | undefined): value is T {
  return value !== undefined;
}

/**
 * Loads a server by its section, as `paste.deploy.loadserver` does. Options and errors as for `loadApp`; the address
 * overrides are those of the command line.
 */
export async function loadServer(
  uri: string,
  options: LoadOptions & { readonly overrides?: AddressOverrides } = {},
  session: LoadSession = new LoadSession(options.globalConf),
): Promise<LoadedServer> {
  const context = factoryContext(await loadContext('server', uri, options, session));
  const factory = await loadTarget(context);
  const settings = await validateServer(factory, context, options.overrides ?? {}, session);
  return new LoadedServer(context, settings.process, await createServer(context, factory, settings.own));
}
