/**
 * The environment variables that an INI file gives to the processes of its application: `env_file` in the section of the server,
 * `environment` there, in the sections of applications and in [DEFAULT], and NODE_ENV. Every value of the file can refer to them as
 * `%(ENV_NAME)s`.
 */
import { dirname } from 'node:path';
import { debugFlags } from '../../config/debug.ts';
import { applySettingVariables, mergeVariables, readEnvFile, type Variables } from '../../config/env-file.ts';
import type { IniDocument, IniEntry } from '../../config/ini/ini.ts';
import { defineSettings } from '../../config/settings/setting.ts';
import { ConfigError, errorMessage, type Location, PasterError } from '../../errors.ts';
import type { Settings } from '../../protocol/types.ts';
import { workingDirectory } from '../../working-directory.ts';
import { type Context, type FactoryContext, placeOfKey, sectionPrefix, settingsOf } from '../context.ts';
import { innerContexts } from '../inspect/outline.ts';
import type { PreloadedModule } from '../instrumentation.ts';
import { loadContext } from '../load.ts';
import type { PackageInfo } from '../modules/packages.ts';
import type { PartKind } from '../part-kinds.ts';
import { builtinSchema } from '../schema.ts';
import { namesVariables } from '../sections/application-settings.ts';
import { brokenBy } from '../sections/broken-context.ts';
import { ENVIRONMENT } from '../sections/section-config.ts';
import { SectionScope } from '../sections/section-scope.ts';
import { LoadSession } from '../session.ts';
import { configUri } from '../uri.ts';
import { validateWith } from '../validate.ts';
import { servedNames } from './paster-section.ts';
import { type ProcessSettings, processSettings } from './server-settings.ts';

const { environment, env_file, preload } = processSettings.declarations;
const environmentSettings = defineSettings({ environment, env_file, preload });

/** Whose environment to set up. */
export interface EnvironmentRequest {
  /** The INI file, an absolute path; undefined if the application is in none. */
  readonly file: string | undefined;
  /** The sections of the servers; the first one has the environment. Default: those that `[paster]` lists, or main. */
  readonly serverNames?: readonly string[];
  /** The section of the application; undefined: main. */
  readonly appName?: string | undefined;
  /** The section of a background process or a task, whose environment it is instead. */
  readonly background?: { readonly kind: PartKind; readonly name: string } | undefined;
  /** The files are watched, as in development: NODE_ENV has no default. */
  readonly reload?: boolean;
}

export interface ConfiguredEnvironment {
  /** The files that were read, as absolute paths. */
  readonly files: readonly string[];
  /** The variables that they and `environment` set. */
  readonly variables: Variables;
  /** What each process of the application imports first. */
  readonly preload: readonly PreloadedModule[];
}

/**
 * Sets the variables in this process, instead of those of an earlier call. The rest of the file may have errors: only those in
 * `environment`, `env_file` and `preload` are reported.
 *
 * @param session reads the files; it gets no warnings
 * @throws ConfigError for an error in these settings or files; then no variable has changed
 */
export async function applyEnvironment(
  request: EnvironmentRequest,
  session: LoadSession,
): Promise<ConfiguredEnvironment> {
  // Removes the variables of an earlier call, since the settings could refer to them.
  const restore = applySettingVariables({});
  try {
    const { server: before } = await readServer(request, session, 'env_file');
    const files = (before && (await parse('env_file', before.localConf['env_file'], before))) ?? [];
    const setting = before && { section: sectionPrefix(before), location: placeOfKey(before, 'env_file') };
    const fromFiles = mergeVariables(files.map((file) => readEnvFile(file, setting)));
    applySettingVariables(fromFiles);
    // Its values can refer to the variables of the files, and so can [DEFAULT].
    const { server, globalConf } = await readServer(request, session, 'environment');
    const variables = { ...fromFiles, ...(await readVariables(request, server, session)) };
    const isDevelopment = request.reload || isDebugging(globalConf);
    applySettingVariables(variables, isDevelopment ? {} : { NODE_ENV: 'production' });
    return { files, variables, preload: server ? await preloadedBy(server) : [] };
  } catch (error) {
    restore();
    throw error;
  }
}

/** Does some work with the variables of a request set in this process. Those that were set before are set again afterwards. */
export async function withEnvironment<T>(
  request: EnvironmentRequest,
  session: LoadSession,
  work: (environment: ConfiguredEnvironment) => Promise<T>,
): Promise<T> {
  const restore = applySettingVariables({});
  try {
    return await work(await applyEnvironment(request, session));
  } finally {
    restore();
  }
}

/**
 * `environment` of [DEFAULT], then of the sections of the applications from the outside to the inside, then of the server's: later
 * ones win. `set environment` in a section counts as `environment` there.
 */
async function readVariables(
  { file, appName, background }: EnvironmentRequest,
  server: FactoryContext | undefined,
  session: LoadSession,
): Promise<Variables> {
  if (file === undefined) return {};
  const reading = new EnvironmentSession(session, ENVIRONMENT);
  const defaults = await readDefaults(file, reading);
  const sources: Variables[] = [parseDefaults(defaults)];
  const apps = background === undefined ? await applications(file, appName, reading) : [];
  for (const context of [...apps, ...(server ? [server] : [])]) {
    const { globalConf, localConf } = context;
    const inherited = globalConf[ENVIRONMENT] === defaults.value ? undefined : globalConf[ENVIRONMENT];
    for (const value of [inherited, localConf[ENVIRONMENT]]) {
      if (value === undefined || !(await isForProcess(value, context))) continue;
      sources.push((await parse(ENVIRONMENT, value, context)) ?? {});
    }
  }
  if (reading.failure !== undefined) throw reading.failure;
  return mergeVariables(sources);
}

/** The applications that are served. Errors in other settings are reported when they are loaded. */
async function applications(file: string, name: string | undefined, session: LoadSession): Promise<FactoryContext[]> {
  const found: FactoryContext[] = [];
  const visit = async (context: Context): Promise<void> => {
    if (context.form === 'factory' && context.kind === 'app' && brokenBy(context) === undefined) found.push(context);
    for (const inner of await innerContexts(context)) await visit(inner.context);
  };
  try {
    await visit(await loadContext('app', configUri(file), { globalConf: session.callerGlobals, name }, session));
  } catch (error) {
    if (!(error instanceof PasterError)) throw error;
  }
  return found;
}

/** An application may have a setting of this name itself, as `cgi` does, or one that names an environment. */
async function isForProcess(value: string, context: FactoryContext): Promise<boolean> {
  if (context.kind !== 'app') return true;
  const schema = await builtinSchema(context);
  return namesVariables(value) && !(schema && ENVIRONMENT in schema.declarations);
}

interface Defaults {
  readonly value: string | undefined;
  readonly location: Location | undefined;
}

async function readDefaults(file: string, session: LoadSession): Promise<Defaults> {
  const document = await session.read(file);
  const scope = new SectionScope(document, session.callerGlobals, undefined, (error, entry) =>
    session.report(error, entry),
  );
  return { value: scope.defaults()[ENVIRONMENT], location: document.defaults.entries.get(ENVIRONMENT)?.location };
}

function parseDefaults({ value, location }: Defaults): Variables {
  if (value === undefined || !namesVariables(value)) return {};
  try {
    return environment.type.parse(value);
  } catch (cause) {
    throw new ConfigError('PASTER_ENVIRONMENT', `[DEFAULT] environment: ${errorMessage(cause)}`, {
      location,
      hint: `allowed: ${environment.type.allowed}`,
      cause,
    });
  }
}

async function preloadedBy(server: FactoryContext): Promise<PreloadedModule[]> {
  const text = server.localConf['preload'];
  const names = (await parse('preload', text, server)) ?? [];
  const written = server.origins.get('preload');
  const location = written?.location ?? server.sections[0]?.location;
  const directory = location === undefined ? workingDirectory() : dirname(location.file);
  const words = [...(text ?? '').matchAll(/[^\s,]+/g)];
  return names.map((name, index) => ({
    name,
    directory,
    section: sectionPrefix(server),
    location: written?.locate(words[index]?.index ?? 0) ?? location,
  }));
}

/** An error in these flags is reported when the application is loaded. */
function isDebugging(globalConf: Settings): boolean {
  try {
    const { debug, autoreload } = debugFlags(globalConf);
    return debug || autoreload;
  } catch {
    return false;
  }
}

interface ServerSection {
  /** Undefined if it cannot be resolved. */
  readonly server: FactoryContext | undefined;
  readonly globalConf: Settings;
}

/** @param key the setting whose errors are thrown */
async function readServer(
  { file, serverNames, appName, background }: EnvironmentRequest,
  session: LoadSession,
  key: keyof typeof environmentSettings.declarations,
): Promise<ServerSection> {
  const globalConf = session.callerGlobals;
  if (file === undefined) return { server: undefined, globalConf };
  const reading = new EnvironmentSession(session, key);
  const load = (kind: PartKind, name: string | undefined): Promise<Context> =>
    loadContext(kind, configUri(file), { globalConf, name }, reading);
  const own = background ?? { kind: 'server', name: serverNames?.[0] ?? (await servedNames(file, reading))[0] };
  const server = await load(own.kind, own.name);
  if (reading.failure !== undefined) throw reading.failure;
  if (server.form === 'factory' && brokenBy(server) === undefined) return { server, globalConf: server.globalConf };
  return { server: undefined, globalConf: (await load('app', appName)).globalConf };
}

/** One of these settings of a section, validated. */
async function parse<K extends keyof typeof environmentSettings.declarations>(
  key: K,
  value: string | undefined,
  context: FactoryContext,
): Promise<ProcessSettings[K] | undefined> {
  if (value === undefined) return undefined;
  const settings = await validateWith(environmentSettings, settingsOf({ [key]: value }), context);
  return (settings as Partial<Pick<ProcessSettings, K>>)[key];
}

/** Goes on after errors in the values of other settings: they may refer to the variables that are being read. */
class EnvironmentSession extends LoadSession {
  failure: unknown;
  readonly #session: LoadSession;
  readonly #key: string;

  constructor(session: LoadSession, key: string) {
    super(session.callerGlobals);
    this.#session = session;
    this.#key = key;
  }

  override read(file: string): Promise<IniDocument> {
    return this.#session.read(file);
  }

  override package(reference: string, find: () => Promise<PackageInfo>): Promise<PackageInfo> {
    return this.#session.package(reference, find);
  }

  override report(error: unknown, entry?: IniEntry): void {
    if (entry?.key === this.#key) this.failure ??= error;
  }
}
