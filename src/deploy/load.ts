/** The library's entrances: an application, a filter, a server or a configuration by URI. */
import type { App, Filter, Settings } from '../protocol/types.ts';
import { workingDirectory } from '../working-directory.ts';
import { carryingFilter, createApp, createFilter } from './compose.ts';
import { type Context, settingsOf } from './context.ts';
import type { PartKind } from './kinds.ts';
import type { LoadedServer } from './loaded-server.ts';
import { resolveUri } from './resolve.ts';
import type { AddressOverrides } from './server-settings.ts';
import { LoadSession } from './session.ts';

export type { LoadedServer };

/** Options of the load functions: Paste's `relative_to`, `name` and `global_conf`. */
export interface LoadOptions {
  /** The directory for relative URIs, an absolute path. Default: the working directory. */
  readonly relativeTo?: string | undefined;
  /** The part's name; it goes before the `#name` of the URI. Default: `main`, then a bare section such as `[app]`. */
  readonly name?: string | undefined;
  /**
   * Global configuration, names to texts; it wins over the [DEFAULT] of every file, in interpolation too, and is not
   * interpolated itself. `here` and `__file__` cannot be changed. Default: none.
   */
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
    relativeTo: options.relativeTo ?? workingDirectory(),
    globalConf: options.globalConf && settingsOf(options.globalConf),
    session,
    trail: [],
    from: undefined,
    name: options.name,
    resolve: resolveUri,
  });
}

/**
 * Loads an application, as `paste.deploy.loadapp` does: reads the INI file, imports the modules, runs the factories.
 *
 * ```js
 * const app = await loadApp('config:etc/develop.ini', { relativeTo: import.meta.dirname })
 * await app.ready?.()
 * const server = createServer(app).listen(0)
 * ```
 *
 * @param uri A URI such as `config:etc/develop.ini#main` or `module:./server.js`.
 * @param options Where relative URIs begin, the section's name, global configuration.
 * @returns The application with all its filters. Nothing has been started: await `app.ready?.()` before the first
 *   request and `app.close?.()` after the last one.
 * @throws ConfigError for a mistake in the configuration, with file, line and column; ErrorList for several; RunError
 *   when a module or a factory fails, with the place of the failing code where it is known.
 */
export async function loadApp(uri: string, options: LoadOptions = {}): Promise<App> {
  return createApp(await loadContext('app', uri, options));
}

/**
 * Loads a filter, as `paste.deploy.loadfilter` does.
 *
 * @param uri A URI such as `config:etc/develop.ini#gzip` or `npm:package#name`.
 * @param options As for `loadApp`.
 * @returns A function from an application to the filtered one, whose `ready`, `close` and `upgrade` include those of the
 *   application behind it. Apply it as often as you like.
 * @throws As `loadApp`; applying the filter throws RunError when the filter's own code fails.
 */
export async function loadFilter(uri: string, options: LoadOptions = {}): Promise<Filter> {
  return carryingFilter(await createFilter(await loadContext('filter', uri, options)));
}

/** What `appConfig` returns: texts, interpolated; neither object has a prototype. */
export interface AppConfig {
  /** [DEFAULT] with `here`, `__file__`, the `globalConf` option and what `set` changes. */
  readonly globalConf: Settings;
  /** The section's own keys, and those of the sections that it uses; not validated. */
  readonly localConf: Settings;
}

/**
 * The configuration that an application's factory would get, as `paste.deploy.appconfig`. Nothing is imported or run.
 *
 * @param uri A URI such as `config:etc/develop.ini#main`.
 * @param options As for `loadApp`.
 * @throws ConfigError for a mistake in the configuration, with file, line and column; ErrorList for several.
 */
export async function appConfig(uri: string, options: LoadOptions = {}): Promise<AppConfig> {
  const { globalConf, localConf } = await loadContext('app', uri, options);
  return { globalConf, localConf };
}

/**
 * Loads a server by its section, as `paste.deploy.loadserver` does. Nothing listens yet.
 *
 * @param uri A URI such as `config:etc/config.ini#main` or `npm:paster#http`.
 * @param options As for `loadApp`; besides, `overrides` has `host`, `port`, `socket`, `workers` and `graceful_timeout` as
 *   texts, as the command line gives them, in place of the section's.
 * @param session Collects the files read and the warnings. Default: one of its own.
 * @throws As `loadApp`; ConfigError for an address that is not safe to listen on.
 */
export async function loadServer(
  uri: string,
  options: LoadOptions & { readonly overrides?: AddressOverrides } = {},
  session: LoadSession = new LoadSession(options.globalConf),
): Promise<LoadedServer> {
  const context = await loadContext('server', uri, options, session);
  // Only now: what a server's section can say is a good part of what there is to import.
  const { makeServer } = await import('./loaded-server.ts');
  return makeServer(context, options.overrides ?? {}, session);
}
