/** The loading functions of the public API: an application, a filter, a server, a configuration, logging. */
import { type IniDocument, readIni } from '../config/ini/ini.ts';
import type { App, Filter, Settings } from '../protocol/types.ts';
import { fromWorkingDirectory, workingDirectory } from '../working-directory.ts';
import { createApp, createFilter, filterWithLifecycle } from './compose.ts';
import { type Context, settingsOf } from './context.ts';
import type { LoggingOptions } from './logging.ts';
import type { PartKind } from './part-kinds.ts';
import { resolveUri } from './schemes.ts';
import type { LoadedServer } from './server/loaded-server.ts';
import type { AddressOverrides } from './server/server-section.ts';
import { LoadSession } from './session.ts';

export type { LoadedServer };

/** Options of the load functions: Paste's `relative_to`, `name` and `global_conf`. */
export interface LoadOptions {
  /** The directory for relative URIs, an absolute path. Default: the working directory. */
  readonly relativeTo?: string | undefined;
  /** The part's name; it overrides the `#name` of the URI. Default: `main`, then a bare section such as `[app]`. */
  readonly name?: string | undefined;
  /**
   * Global configuration, names to texts. It overrides the [DEFAULT] of every file, in interpolation too, and is not
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
 * @param options The directory for relative URIs, the section's name, global configuration.
 * @returns The application with all its filters. It is not started: await `app.ready?.()` before the first
 *   request and `app.close?.()` after the last one.
 * @throws ConfigError for an error in the configuration, with file, line and column; ErrorList for several; RunError
 *   if a module or a factory fails, with the place of the failing code if it is known.
 */
export async function loadApp(uri: string, options: LoadOptions = {}): Promise<App> {
  return createApp(await loadContext('app', uri, options));
}

/**
 * Loads a filter, as `paste.deploy.loadfilter` does.
 *
 * @param uri A URI such as `config:etc/develop.ini#gzip` or `npm:package#name`.
 * @param options As for `loadApp`.
 * @returns A function that takes an application and returns the filtered one, whose `ready`, `close` and `upgrade` include
 *   those of the application. You can apply it several times.
 * @throws As `loadApp`; applying the filter throws RunError if the filter's own code fails.
 */
export async function loadFilter(uri: string, options: LoadOptions = {}): Promise<Filter> {
  return filterWithLifecycle(await createFilter(await loadContext('filter', uri, options)));
}

/** What `appConfig` returns: interpolated texts. Neither object has a prototype. */
export interface AppConfig {
  /** [DEFAULT] with `here`, `__file__`, the `globalConf` option and the changes by `set`. */
  readonly globalConf: Settings;
  /** The keys of the section and of the sections that it uses, not validated. */
  readonly localConf: Settings;
}

/**
 * Returns the configuration that an application's factory would get, as `paste.deploy.appconfig` does. Imports and runs
 * nothing.
 *
 * @param uri A URI such as `config:etc/develop.ini#main`.
 * @param options As for `loadApp`.
 * @throws ConfigError for an error in the configuration, with file, line and column; ErrorList for several.
 */
export async function appConfig(uri: string, options: LoadOptions = {}): Promise<AppConfig> {
  const { globalConf, localConf } = await loadContext('app', uri, options);
  return { globalConf, localConf };
}

/**
 * Loads a server by its section, as `paste.deploy.loadserver` does. It does not listen yet.
 *
 * @param uri A URI such as `config:etc/config.ini#main` or `npm:paster#http`.
 * @param options As for `loadApp`. `overrides` has texts that replace the section's `host`, `port`, `socket`, `workers` and
 *   `graceful_timeout`, as the command line does.
 * @param session Collects the files read and the warnings. Default: a new session.
 * @throws As `loadApp`; ConfigError for an address that is not safe to listen on.
 */
export async function loadServer(
  uri: string,
  options: LoadOptions & { readonly overrides?: AddressOverrides } = {},
  session: LoadSession = new LoadSession(options.globalConf),
): Promise<LoadedServer> {
  const context = await loadContext('server', uri, options, session);
  // Imported late: the settings of servers are a good part of what paster imports, and loadApp does not need them.
  const { makeServer } = await import('./server/loaded-server.ts');
  return makeServer(context, options.overrides ?? {}, session);
}

/**
 * Configures the loggers of this process from the `[loggers]`, `[handlers]` and `[formatters]` sections of an INI file, as
 * Python's `logging.config.fileConfig` does. It replaces the previous configuration. `serve` calls this; `loadApp` does
 * not.
 *
 * ```js
 * await configureLogging('etc/log_deploy.ini')
 * getLogger('shop').info('up')
 * ```
 *
 * @param source a path, relative to the working directory, or a document from `parseIni`
 * @throws ConfigError for an error in these sections, with file, line and column, ErrorList for several; RunError if a log
 *   file cannot be opened: then logging stays as it was
 */
export async function configureLogging(source: string | IniDocument, options: LoggingOptions = {}): Promise<void> {
  const document = typeof source === 'string' ? await readIni(fromWorkingDirectory(source)) : source;
  // Imported late: a program that logs only to standard error does not need it.
  const { configureLoggers } = await import('./logging.ts');
  configureLoggers(document, options);
}
