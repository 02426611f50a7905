/** Builds objects from contexts; the only module that runs factories. */
import { dirname } from 'node:path';
import { ConfigError, type Location, locate, PasterError } from '../errors.ts';
import { countBySection } from '../metrics/count-by-section.ts';
import { isOwnFile } from '../own-files.ts';
import { describeValue, isHandler } from '../protocol/shapes/describe.ts';
import { withSocketServer } from '../protocol/shapes/server-app.ts';
import type { App, Filter, Server, Settings } from '../protocol/types.ts';
import { workingDirectory } from '../working-directory.ts';
import { type Context, describePart, type FactoryContext, placeOfKey, sectionPlace, settingsOf } from './context.ts';
import { asLoadingStep } from './loading-step.ts';
import { isBackground, type PartKind } from './part-kinds.ts';
import { refuseListening } from './programs/listening/refusal.ts';
import { schemaOf } from './schema.ts';
import { ENVIRONMENT, MOUNT } from './sections/section-config.ts';

/**
 * Gives a composite factory access to other parts: `(loader, globalConf, localConf) => App`. A name is the name of a
 * section in the composite's own file; a URI has the scheme `config:`, `npm:`, `egg:`, `call:`, `module:` or `connect:`.
 * Each method makes a new part and throws as `loadApp` does. An unknown name is reported at the line of the composite's
 * section that has it as a value.
 *
 * @see `paste.deploy.loadwsgi`, `_Loader`: as there, no globals are passed on unless `globalConf` is given, not even
 *   the composite's own.
 */
export interface Loader {
  /** The application of this name or URI. paster calls its `ready` and `close`; the composite need not. */
  getApp(nameOrUri: string, globalConf?: Settings): Promise<App>;
  /** The filter of this name or URI. The filtered application includes the upgrade, ready and close of the application. */
  getFilter(nameOrUri: string, globalConf?: Settings): Promise<Filter>;
  /** The server of this name or URI; the caller opens the listeners. A `paste.server_runner` is a ConfigError. */
  getServer(nameOrUri: string, globalConf?: Settings): Promise<Server>;
}

// What an application that is a plain function does not need is imported late: such an INI file loads faster.

const filters = () => import('../protocol/filter.ts');

async function toApp(value: unknown, owner?: string): Promise<App> {
  if (isHandler(value)) return value;
  return (await import('../protocol/app.ts')).toApp(value, owner);
}

/** As `validateSettings`, which is loaded only for a factory with a schema. */
async function settingsFor(made: unknown, context: FactoryContext): Promise<unknown> {
  if (!schemaOf(made)) return settingsOf(context.localConf);
  return (await import('./validate.ts')).validateSettings(made, context);
}

/** The applications that one load has mounted, so that one mounted several times gets `ready` and `close` once. */
type Mounted = WeakMap<App, App>;

/** Runs the factories of an application. */
export async function createApp(context: Context, mounted: Mounted = new WeakMap()): Promise<App> {
  switch (context.form) {
    case 'factory':
      return createOneApp(context, mounted);
    case 'filter-with': {
      const filter = await createFilter(context.filter);
      return filtered(context.filter, filter, await createSectionApp(context.next, mounted));
    }
    case 'filter-app': {
      const next = await createSectionApp(context.next, mounted);
      return filtered(context.filter, await createFilter(context.filter), next);
    }
    case 'pipeline': {
      let app = await createSectionApp(context.app, mounted);
      const filters: [Context, Filter][] = [];
      for (const each of context.filters) filters.push([each, await createFilter(each)]);
      for (const [each, filter] of filters.reverse()) app = await filtered(each, filter, app);
      return app;
    }
  }
}

/** Runs the factories of an application and counts its requests for its section. */
export async function createSectionApp(context: Context, mounted?: Mounted): Promise<App> {
  return countBySection(await createApp(context, mounted), sectionOf(context));
}

/** The name that an application's requests are counted under: its section, or its URI if it has none. */
function sectionOf(context: Context): string {
  return context.sections[0]?.name ?? describePart(context);
}

/** Runs the factories of a filter. A filter with a `filter-with` of its own becomes one filter. */
export async function createFilter(context: Context): Promise<Filter> {
  if (context.form === 'filter-with') {
    const outer = await createFilter(context.filter);
    const inner = await createFilter(context.next);
    return async (app) => filtered(context.filter, outer, await filtered(context.next, inner, app));
  }
  const { globalConf } = context;
  const factory = factoryContext(context);
  const made = await loadTarget(factory);
  if (factory.protocol === 'paste.filter_app_factory') {
    const make = factoryFunction(made, factory);
    const settings = await settingsFor(made, factory);
    return (app) => runPartCode(factory, async () => toApp(returned(await make(app, globalConf, settings), factory)));
  }
  const { toFilter } = await filters();
  return runPartCode(factory, async () => {
    if (factory.protocol === 'object') return toFilter(made);
    const make = factoryFunction(made, factory);
    if (factory.protocol === 'connect') return (await import('./connect/options.ts')).connectFilter(make, factory);
    return toFilter(returned(await make(globalConf, await settingsFor(made, factory)), factory));
  });
}

/** A filter for callers that apply it themselves: the result includes the application's upgrade, ready and close. */
export function filterWithLifecycle(filter: Filter): Filter {
  return async (app) => (await filters()).applyFilter(filter, app);
}

/** A server that runs itself and the application, sockets included (`paste.server_runner`). */
export type Runner = (app: App) => unknown;

export type CreatedServer = { readonly server: Server } | { readonly runner: Runner };

/** Runs the factory of a server. `settings` excludes what the process layer reads. */
export async function createServer(context: Context, made: unknown, settings: unknown): Promise<CreatedServer> {
  const factory = factoryContext(context);
  const { globalConf } = factory;
  if (factory.protocol === 'paste.server_runner') {
    const run = factoryFunction(made, factory);
    return { runner: (app) => runPartCode(factory, async () => run(app, globalConf, settings)) };
  }
  return runPartCode(factory, async () => {
    const server =
      factory.protocol === 'object'
        ? made
        : returned(await factoryFunction(made, factory)(globalConf, settings), factory);
    if (isServer(server)) return { server };
    throw new ConfigError('PASTER_NOT_A_SERVER', `this is not a server: ${describeValue(server)}`, {
      hint: 'a server is an object with a method serve(app, listeners) and a scheme',
    });
  });
}

/** Imports the target of a context. Errors have the place of the section, or of the failing code. */
export function loadTarget(context: FactoryContext): Promise<unknown> {
  return runPartCode(context, () => context.target.load());
}

/** Narrows a context that cannot be a composition. */
export function factoryContext(context: Context): FactoryContext {
  if (context.form === 'factory') return context;
  throw new Error(`a ${context.kind} cannot be a ${context.form}`);
}

async function createOneApp(described: FactoryContext, mounted: Mounted): Promise<App> {
  const made = await loadTarget(described);
  if (![MOUNT, ENVIRONMENT].some((key) => key in described.localConf)) return makeApp(described, made, mounted);
  const { takeApplicationSettings, withConvention } = await import('./sections/application-settings.ts');
  const { mount, context } = await takeApplicationSettings(described, made);
  return withConvention(await makeApp(context, made, mounted), mount);
}

async function makeApp(context: FactoryContext, made: unknown, mounted: Mounted): Promise<App> {
  if (context.protocol === 'object')
    return runPartCode(context, async () => withSocketServer(await toApp(made, describePart(context))));
  const make = factoryFunction(made, context);
  const settings = await settingsFor(made, context);
  if (context.protocol === 'paste.app_factory') {
    return runPartCode(context, async () =>
      withSocketServer(await toApp(returned(await make(context.globalConf, settings), context), describePart(context))),
    );
  }
  const parts: App[] = [];
  const loader = compositeLoader(context, parts, mounted);
  const front = await runPartCode(context, async () =>
    toApp(returned(await make(loader, context.globalConf, settings), context), describePart(context)),
  );
  return (await filters()).withLifecycle(front, parts, front.upgrade);
}

function compositeLoader(context: FactoryContext, parts: App[], mounted: Mounted): Loader {
  const find = (kind: PartKind, name: string, globalConf: Settings | undefined) =>
    context.loader.context(
      kind,
      name,
      globalConf && settingsOf(globalConf),
      context.trail,
      placeOfValue(context, name),
    );
  return {
    async getApp(name, globalConf) {
      const { onceOnly } = await filters();
      const found = await find('app', name, globalConf);
      const made = await createApp(found, mounted);
      const app = mounted.get(made) ?? onceOnly(made);
      mounted.set(made, app);
      parts.push(app);
      return countBySection(app, sectionOf(found));
    },
    async getFilter(name, globalConf) {
      return filterWithLifecycle(await createFilter(await find('filter', name, globalConf)));
    },
    async getServer(name, globalConf) {
      const found = factoryContext(await find('server', name, globalConf));
      const made = await loadTarget(found);
      const created = await createServer(found, made, await settingsFor(made, found));
      if ('server' in created) return created.server;
      throw new ConfigError('PASTER_NOT_A_SERVER', `"${name}" is a server runner: it has no serve(app, listeners)`);
    },
  };
}

/** Where a composite's section mentions a name, to report a wrong name at its line. */
function placeOfValue(context: FactoryContext, value: string): Location | undefined {
  for (const [key, entry] of context.origins) if (context.localConf[key] === value) return entry.locate(0);
  return sectionPlace(context);
}

async function filtered(context: Context, filter: Filter, app: App): Promise<App> {
  const { applyFilter } = await filters();
  return runPartCode(context, () => applyFilter(filter, app));
}

/** @throws ConfigError if the export that a context names is not a function. */
export function factoryFunction(value: unknown, context: FactoryContext): (...args: unknown[]) => unknown {
  if (typeof value === 'function') return value as (...args: unknown[]) => unknown;
  const ready = context.kind === 'app' ? ', or use module: if it is the application itself' : '';
  throw new ConfigError(
    'PASTER_NOT_A_FACTORY',
    `${describePart(context)} is not a function but ${describeValue(value)}`,
    { location: sectionPlace(context), hint: `a ${context.protocol} is called to make the ${context.kind}${ready}` },
  );
}

/** @throws ConfigError if a factory returned nothing. */
export function returned(part: unknown, context: FactoryContext): unknown {
  if (part !== undefined) return part;
  const named = context.origins.get('use') ?? context.origins.get(context.protocol);
  throw new ConfigError('PASTER_FACTORY_RETURNED_NOTHING', `${context.target.description} returned undefined`, {
    location: named?.locate(0) ?? sectionPlace(context),
    hint: 'is a `return` missing?',
  });
}

function isServer(value: unknown): value is Server {
  return typeof value === 'object' && value !== null && 'serve' in value && typeof value.serve === 'function';
}

/** The module of a part, unless a package has it. */
function ownModule(context: Context): string | undefined {
  const file = context.form === 'factory' ? context.target.file : undefined;
  return file?.includes('/node_modules/') ? undefined : file;
}

/** A background process may listen, as paster has no socket for it. A built-in server listens only where its section says. */
function mayListen(context: Context): boolean {
  const isBuiltInServer =
    context.kind === 'server' && context.form === 'factory' && isOwnFile(context.target.file ?? '');
  return isBackground(context.kind) || isBuiltInServer;
}

/** Runs code of a part. What it throws becomes a PasterError with the section and the line. */
export async function runPartCode<T>(context: Context, run: () => T | Promise<T>): Promise<T> {
  try {
    const location = sectionPlace(context);
    const directory = location ? dirname(location.file) : workingDirectory();
    const step = () => asLoadingStep({ what: describePart(context), location }, run);
    return await (mayListen(context) ? step() : refuseListening({ directory, file: ownModule(context) }, step));
  } catch (error) {
    if (error instanceof PasterError)
      throw locate(error, placeOfKey(context, error.setting) ?? sectionPlace(context), context.sections[0]?.name);
    throw await (await import('./validate.ts')).partFailure(error, context);
  }
}
