/**
 * What one `serve` has to do, as plain data, and loading it. The supervisor sends the plan to its workers, which load what the
 * command line named.
 */
import { dirname, resolve } from 'node:path';
import { nearest } from '../config/nearest.ts';
import { escapedWords } from '../config/settings/convert.ts';
import { warnOfLocalClients } from '../deploy/check/local-clients.ts';
import { createSectionApp } from '../deploy/compose.ts';
import type { Context } from '../deploy/context.ts';
import { innerContexts } from '../deploy/inspect/outline.ts';
import type { PreloadedModule } from '../deploy/instrumentation.ts';
import { type LoadedServer, loadContext, loadServer } from '../deploy/load.ts';
import { ownPackage } from '../deploy/modules/packages.ts';
import { builtinSchema } from '../deploy/schema.ts';
import { RELOAD_FILES } from '../deploy/sections/section-config.ts';
import type { NamedServers } from '../deploy/server/server-group.ts';
import { loadServers, MAIN, type ServerNames, serverNames } from '../deploy/server/server-group.ts';
import type { AddressOverrides } from '../deploy/server/server-section.ts';
import { processSettings } from '../deploy/server/server-settings.ts';
import type { LoadSession } from '../deploy/session.ts';
import { configPath, configUri, parseUri } from '../deploy/uri.ts';
import { warnOfObsolete } from '../deploy/validate.ts';
import { errorMessage, PasterError, UsageError } from '../errors.ts';
import type { LogLevel } from '../log.ts';
import type { TcpAddress } from '../net/address.ts';
import { escapeGlob } from '../process/reload/glob.ts';
import type { App, Settings } from '../protocol/types.ts';
import { type Development, hasDeveloperTools, newDevelopment } from './development/development.ts';

export interface ServePlan {
  readonly appUri: string;
  readonly appName: string | undefined;
  readonly serverUri: string;
  /** The sections of `--server-name`. Default: those that the INI file says. */
  readonly serverNames: readonly string[];
  /** The directory that URIs are relative to. */
  readonly directory: string;
  readonly globalConf: Settings;
  readonly overrides: AddressOverrides;
  /** The INI file, if the application is in one. */
  readonly file: string | undefined;
  /** Which of the server and the background processes run. */
  readonly selection?: Selection;
  /** Absolute paths of the files of `--dotenv`. They are read at the start and at each reload. */
  readonly envFiles: readonly string[];
}

/** The names of `--only` and `--without`; undefined: all run. */
export interface Selection {
  readonly only?: readonly string[] | undefined;
  readonly without?: readonly string[] | undefined;
}

/** The user and group to become, if any. */
export interface Ownership {
  readonly user: string | undefined;
  readonly group: string | undefined;
}

/** How workers keep sessions together. */
export interface StickyPlan {
  /** Where they reach each other. */
  readonly directory: string;
  /** The name of the cookie that names a worker. */
  readonly cookie: string;
}

/** A server as the supervisor has opened it. */
export interface OpenedServer {
  readonly name: string;
  /** Its protocol: used when its section cannot be read. */
  readonly scheme: string;
  /** How many of the sockets are its own. The sockets are in the order of the servers. */
  readonly sockets: number;
}

/** What the supervisor sends to its workers. */
export interface WorkerPlan extends ServePlan {
  readonly servers: readonly OpenedServer[];
  /** The files of `--dotenv` and of `env_file`. */
  readonly envFiles: readonly string[];
  /** The variables of files and settings, as the supervisor has read them: a worker may not be able to. */
  readonly variables: Readonly<Record<string, string>>;
  /** The modules that a worker imports before all code of the application. */
  readonly preload: readonly PreloadedModule[];
  /** How many workers serve. */
  readonly workers: number;
  readonly countRequests: boolean;
  /** Set by `sticky = true`. */
  readonly sticky: StickyPlan | undefined;
  readonly reload: boolean;
  readonly logLevel: LogLevel;
  /** The user and group that a worker becomes before it loads anything. */
  readonly ownership: Ownership;
  /** The file that its output goes to; USR1 opens it again. */
  readonly logFile: string | undefined;
  /** Where a debugger connects to the first worker. */
  readonly inspect: TcpAddress | undefined;
  readonly development?: Development;
  /** The modules of the application are imported, and nothing of them is called or served. */
  readonly importsOnly?: boolean;
}

export interface PlanOptions {
  readonly appName?: string | undefined;
  readonly serverNames?: readonly string[];
  readonly serverType?: string | undefined;
  readonly overrides?: AddressOverrides;
  readonly selection?: Selection;
  readonly envFiles?: readonly string[];
}

/** @throws UsageError for an unknown server type, or options that are mutually exclusive. */
export async function planOf(
  spec: string,
  globalConf: Settings,
  directory: string,
  options: PlanOptions,
): Promise<ServePlan> {
  const { appName, serverNames = [], serverType, overrides = {}, selection = {}, envFiles = [] } = options;
  const uri = parseUri(spec);
  const appUri = uri ? spec : configUri(resolve(directory, spec));
  const isConfig = uri === undefined || uri.scheme === 'config';
  if (serverType !== undefined) {
    if (serverNames.length > 0) {
      throw new UsageError('PASTER_USAGE', '--server and --server-name are mutually exclusive', {
        hint: 'a server by its type has no section',
      });
    }
    await checkServerType(serverType);
  }
  if (serverNames.length > 0 && !isConfig) {
    throw new UsageError('PASTER_USAGE', '--server-name names a section, but there is no INI file');
  }
  const twice = serverNames.find((name, index) => serverNames.indexOf(name) !== index);
  if (twice !== undefined) throw new UsageError('PASTER_USAGE', `--server-name: ${twice} is named twice`);
  checkOverrides(overrides);
  return {
    appUri,
    appName,
    serverUri:
      isConfig && serverType === undefined ? (appUri.split('#')[0] ?? appUri) : `npm:paster#${serverType ?? 'http'}`,
    serverNames: isConfig && serverType === undefined ? serverNames : [],
    directory,
    globalConf,
    overrides,
    selection,
    file: isConfig ? specifiedFile(spec, directory) : undefined,
    envFiles,
  };
}

/** The file that a specification names: an INI file or a program. A URI of another part is taken as a path that does not exist. */
export function specifiedFile(spec: string, directory: string): string {
  const uri = parseUri(spec);
  return uri?.scheme === 'config' ? configPath(uri, directory) : resolve(directory, spec);
}

/** Errors in options name the option, not the section that it overrides. */
function checkOverrides(overrides: AddressOverrides): void {
  for (const name of ['host', 'port', 'socket', 'workers', 'graceful_timeout'] as const) {
    const text = overrides[name];
    const { type } = processSettings.declarations[name];
    try {
      if (text !== undefined) type.parse(text);
    } catch (error) {
      throw new UsageError('PASTER_USAGE', `--${name.replace('_', '-')}: ${errorMessage(error)}`, {
        hint: `allowed: ${type.allowed}`,
      });
    }
  }
  const [tcp] = (['host', 'port'] as const).filter((name) => overrides[name] !== undefined);
  if (tcp !== undefined && overrides.socket !== undefined) {
    throw new UsageError('PASTER_USAGE', `--socket and --${tcp} are mutually exclusive`, { hint: 'keep one of them' });
  }
}

/** `--server` takes a server from paster's own entry points. */
async function checkServerType(type: string): Promise<void> {
  const types = [...((await ownPackage()).entryPoints.get('paste.server_factory')?.keys() ?? [])];
  if (types.includes(type)) return;
  const meant = nearest(type, types);
  throw new UsageError('PASTER_USAGE', `--server: there is no built-in server "${type}"`, {
    hint: meant === undefined ? `there are: ${types.join(', ')}` : `did you mean "${meant}"?`,
  });
}

/**
 * The names of a plan's servers; those of a worker are the ones that its supervisor has opened. Undefined: the main section, or a
 * server without a section.
 */
export async function plannedServerNames(
  { serverUri, serverNames: given, file, servers }: ServePlan & Partial<Pick<WorkerPlan, 'servers'>>,
  session: LoadSession,
): Promise<ServerNames> {
  const [first, ...others] = (servers ?? []).map(({ name }) => (name === MAIN ? undefined : name));
  if (servers) return [first, ...others];
  return serverNames(serverUri.startsWith('config:') ? file : undefined, given, session);
}

/** The contexts of the servers, resolved but not built. */
export async function plannedServerContexts(plan: ServePlan, session: LoadSession): Promise<Context[]> {
  const { serverUri: uri, directory: relativeTo, globalConf } = plan;
  const names = await plannedServerNames(plan, session);
  return Promise.all(names.map((name) => loadContext('server', uri, { relativeTo, name, globalConf }, session)));
}

/** Loads the servers of a plan. As in Paste, they are loaded before the application. */
export async function loadPlannedServers(plan: ServePlan, session: LoadSession): Promise<NamedServers> {
  const { serverUri, directory: relativeTo, globalConf, overrides } = plan;
  const names = await plannedServerNames(plan, session);
  return loadServers(serverUri, names, { relativeTo, globalConf, overrides }, session);
}

/** One of paster's own servers without settings: for an INI file that cannot be read. */
export function loadBuiltinServer(scheme: string, overrides: AddressOverrides): Promise<LoadedServer> {
  const isTls = scheme === 'https';
  // The sockets are open: where they are is no longer judged.
  return loadServer(`npm:paster#${isTls ? 'http' : scheme}`, {
    overrides: isTls ? { ssl_pem: overrides.ssl_pem } : {},
  });
}

/** What is around an application in development. Loaded late: production does not need it. */
export function loadDevelopment() {
  return Promise.all([import('./development/wrap-application.ts'), import('./development/first-page.ts')]);
}

/**
 * Loads the application of a plan from its context; in development with a page for its errors.
 * @param onPage as `withDeveloperTools` has it
 */
export async function loadPlannedApp(
  { reload = false, development }: Partial<Pick<WorkerPlan, 'reload' | 'development'>>,
  context: Context,
  onPage?: () => void,
): Promise<App> {
  const app = await createSectionApp(context);
  if (!hasDeveloperTools(context.globalConf, reload)) return app;
  const [{ withDeveloperTools, withErrorPage }, { withFirstPage }] = await loadDevelopment();
  const shown = withFirstPage(await withErrorPage(app, context), context);
  return withDeveloperTools(shown, development ?? newDevelopment(), onPage);
}

/** The application's own context, resolved but not built. */
export function plannedAppContext(plan: ServePlan, session: LoadSession): Promise<Context> {
  const { appUri: uri, appName: name, directory: relativeTo, globalConf } = plan;
  return loadContext('app', uri, { relativeTo, name, globalConf }, session);
}

/**
 * The contexts of the application and its servers, with all contexts inside them, resolved but not built. `session` collects
 * their warnings. What cannot be resolved is left out: building it reports the error.
 */
export async function servedContexts(plan: ServePlan, session: LoadSession): Promise<Context[]> {
  const { appUri, appName, serverUri, directory: relativeTo, globalConf } = plan;
  const contexts: Context[] = [];
  const visit = async (context: Context): Promise<void> => {
    contexts.push(context);
    // `loadServer` warns of a server's.
    if (context.form === 'factory' && context.kind !== 'server') {
      warnOfObsolete(context, await builtinSchema(context), session);
    }
    for (const inner of await innerContexts(context)) await visit(inner.context);
  };
  const mains: Context[] = [];
  for (const [kind, uri, name] of [
    ['app', appUri, appName],
    ...(await plannedServerNames(plan, session)).map((name) => ['server', serverUri, name] as const),
  ] as const) {
    try {
      const main = await loadContext(kind, uri, { relativeTo, name, globalConf }, session);
      mains.push(main);
      await visit(main);
    } catch (error) {
      if (!(error instanceof PasterError)) throw error;
    }
  }
  const app = mains.find(({ kind }) => kind === 'app');
  const servers = mains.filter(({ kind }) => kind === 'server');
  if (app) await warnOfLocalClients(app, servers, session);
  return contexts;
}

/**
 * The `reload_files` of [DEFAULT] and of every section that is served, as absolute patterns: they are relative to the INI file, or
 * to `directory` if there is none.
 */
export function reloadPatterns(contexts: readonly Context[], directory: string): string[] {
  const patterns = contexts.flatMap((context) => {
    const { own, global } = reloadPatternsOf(context, directory);
    return [...own, ...global];
  });
  return [...new Set(patterns)];
}

/** Those of one part: of its section, and of [DEFAULT] and the command line. */
export function reloadPatternsOf({ localConf, globalConf, origins }: Context, directory: string) {
  const file = globalConf['__file__'];
  const base = file ? dirname(file) : directory;
  // In an included file they are relative to that file.
  const written = origins.get(RELOAD_FILES)?.location.file;
  const from = written ? dirname(written) : base;
  return {
    own: absolutePatterns(from, localConf[RELOAD_FILES] ?? ''),
    global: absolutePatterns(base, globalConf[RELOAD_FILES] ?? ''),
  };
}

/** The directory is literal even if its name contains `[`, `{` or a space, also if a pattern begins with `%(here)s`. */
function absolutePatterns(directory: string, text: string): string[] {
  const literal = escapeGlob(directory).replace(/\s/g, '\\$&');
  const words = escapedWords(text.replaceAll(`${directory}/`, () => `${literal}/`));
  return words.map((pattern) => resolve(literal, pattern));
}
