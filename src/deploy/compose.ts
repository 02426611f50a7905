/** Contexts to objects: the only place where factories run. */
import { ConfigError, errorMessage, type Location, locate, PasterError, RunError } from '../errors.ts';
import { attributed } from '../metrics/attributed.ts';
import { toApp } from '../protocol/app.ts';
import { describeValue } from '../protocol/describe.ts';
import { withExpressFace } from '../protocol/express-face.ts';
import { applyFilter, onceOnly, toFilter, withLifecycle } from '../protocol/filter.ts';
import { ERROR_MIDDLEWARE_HINT, isErrorMiddleware, type Middleware, middlewareFilter } from '../protocol/middleware.ts';
import type { App, Filter, Server, Settings } from '../protocol/types.ts';
import { concealed } from '../secrets.ts';
import { type Context, type FactoryContext, settingsOf } from './context.ts';
import type { PartKind } from './kinds.ts';
import { asStep } from './unsettled.ts';
import { secretsOfContext, validateSettings } from './validate.ts';

/**
 * What a composite factory is given to reach other parts with: `(loader, globalConf, localConf) => App`. A name is that
 * of a section in the composite's own file; a URI is one of `config:`, `npm:`, `egg:`, `call:`, `module:`, `connect:`.
 * Each method makes a new part, and throws as `loadApp` does; a name that leads nowhere is reported at the line of the
 * composite's section that has it as a value.
 *
 * @see `paste.deploy.loadwsgi`, `_Loader`: as there, no globals are passed on unless `globalConf` is given, be it the
 *   composite's own.
 */
export interface Loader {
  /** The application of this name or URI. Its `ready` and `close` are carried: the composite need not call them. */
  getApp(nameOrUri: string, globalConf?: Settings): Promise<App>;
  /** The filter of this name or URI. What it makes of an application carries that one's upgrade, ready and close. */
  getFilter(nameOrUri: string, globalConf?: Settings): Promise<Filter>;
  /** The server of this name or URI; listeners are the caller's to open. A `paste.server_runner` is a ConfigError. */
  getServer(nameOrUri: string, globalConf?: Settings): Promise<Server>;
}

/** What one load has mounted, so that an application in several places is readied and closed once. */
type Mounted = WeakMap<App, App>;

/** Runs the factories of an application. */
export async function createApp(context: Context, mounted: Mounted = new WeakMap()): Promise<App> {
  switch (context.form) {
    case 'factory':
      return createOneApp(context, mounted);
    case 'filter-with': {
      const filter = await createFilter(context.filter);
      return filtered(context.filter, filter, await createPart(context.next, mounted));
    }
    case 'filter-app': {
      const next = await createPart(context.next, mounted);
      return filtered(context.filter, await createFilter(context.filter), next);
    }
    case 'pipeline': {
      let app = await createPart(context.app, mounted);
      const filters: [Context, Filter][] = [];
      for (const each of context.filters) filters.push([each, await createFilter(each)]);
      for (const [each, filter] of filters.reverse()) app = await filtered(each, filter, app);
      return app;
    }
  }
}

/** The same, and what it is given counts for its section. */
export async function createPart(context: Context, mounted?: Mounted): Promise<App> {
  return attributed(await createApp(context, mounted), sectionOf(context));
}

/** The section that an application is from, or the URI of one without: what its requests are counted by. */
function sectionOf(context: Context): string {
  return context.sections[0]?.name ?? nameOfPart(context);
}

/** Runs the factories of a filter; a filter that is filtered itself is one filter. */
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
    const make = callable(made, factory);
    const settings = await validateSettings(made, factory);
    return (app) => guarded(factory, async () => toApp(await make(app, globalConf, settings)));
  }
  return guarded(factory, async () => {
    if (factory.protocol === 'object') return toFilter(made);
    const make = callable(made, factory);
    if (factory.protocol === 'connect') {
      const { makeMiddleware } = await import('./connect-options.ts');
      return connectFilter(factory, await makeMiddleware(make, factory));
    }
    return toFilter(await make(globalConf, await validateSettings(made, factory)));
  });
}

/** A filter for somebody who applies it himself: what it makes carries upgrade, ready and close all the same. */
export function carryingFilter(filter: Filter): Filter {
  return (app) => applyFilter(filter, app);
}

/** A server that runs itself and the application, sockets included (`paste.server_runner`). */
export type Runner = (app: App) => unknown;

export type CreatedServer = { readonly server: Server } | { readonly runner: Runner };

/** Runs the factory of a server. `settings` are its own: what the process layer reads has been taken out. */
export async function createServer(context: Context, made: unknown, settings: unknown): Promise<CreatedServer> {
  const factory = factoryContext(context);
  const { globalConf } = factory;
  if (factory.protocol === 'paste.server_runner') {
    const run = callable(made, factory);
    return { runner: (app) => guarded(factory, async () => run(app, globalConf, settings)) };
  }
  return guarded(factory, async () => {
    const server = factory.protocol === 'object' ? made : await callable(made, factory)(globalConf, settings);
    if (isServer(server)) return { server };
    throw new ConfigError('PASTER_NOT_A_SERVER', `this is not a server: ${describeValue(server)}`, {
      hint: 'a server is an object with a method serve(app, listeners) and a scheme',
    });
  });
}

/** Imports what a context names. Failures carry the section's place, or that of the code at fault. */
export function loadTarget(context: FactoryContext): Promise<unknown> {
  return guarded(context, () => context.target.load());
}

/** The factory behind a context that cannot be a composition. */
export function factoryContext(context: Context): FactoryContext {
  if (context.form === 'factory') return context;
  throw new Error(`a ${context.kind} cannot be a ${context.form}`);
}

async function createOneApp(context: FactoryContext, mounted: Mounted): Promise<App> {
  const made = await loadTarget(context);
  if (context.protocol === 'object') return guarded(context, () => toApp(made));
  const make = callable(made, context);
  const settings = await validateSettings(made, context);
  if (context.protocol === 'paste.app_factory') {
    return guarded(context, async () => toApp(await make(context.globalConf, settings)));
  }
  const parts: App[] = [];
  const loader = compositeLoader(context, parts, mounted);
  const front = await guarded(context, async () => toApp(await make(loader, context.globalConf, settings)));
  return withLifecycle(front, parts);
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
      const found = await find('app', name, globalConf);
      const made = await createApp(found, mounted);
      const app = mounted.get(made) ?? onceOnly(made);
      mounted.set(made, app);
      parts.push(app);
      return attributed(app, sectionOf(found));
    },
    async getFilter(name, globalConf) {
      return carryingFilter(await createFilter(await find('filter', name, globalConf)));
    },
    async getServer(name, globalConf) {
      const found = factoryContext(await find('server', name, globalConf));
      const made = await loadTarget(found);
      const created = await createServer(found, made, await validateSettings(made, found));
      if ('server' in created) return created.server;
      throw new ConfigError('PASTER_NOT_A_SERVER', `"${name}" is a server runner: it has no serve(app, listeners)`);
    },
  };
}

/** Where a composite's section mentions a name, so that a wrong one is reported on its own line. */
function placeOfValue(context: FactoryContext, value: string): Location | undefined {
  for (const [key, entry] of context.origins) if (context.localConf[key] === value) return entry.locate(0);
  return context.sections[0]?.location;
}

function filtered(context: Context, filter: Filter, app: App): Promise<App> {
  return guarded(context, () => applyFilter(filter, app));
}

function connectFilter(context: FactoryContext, middleware: unknown): Filter {
  if (typeof middleware === 'function' && !isErrorMiddleware(middleware)) {
    return middlewareFilter(withExpressFace(middleware as Middleware));
  }
  throw new ConfigError(
    'PASTER_NOT_MIDDLEWARE',
    `${context.target.description} made no middleware: ${describeValue(middleware)}`,
    {
      hint: isErrorMiddleware(middleware)
        ? ERROR_MIDDLEWARE_HINT
        : 'connect: expects a function of one options object that returns (req, res, next)',
    },
  );
}

/** The factory that a context names. @throws ConfigError if it is no function. */
export function callable(value: unknown, context: FactoryContext): (...args: unknown[]) => unknown {
  if (typeof value === 'function') return value as (...args: unknown[]) => unknown;
  const ready = context.kind === 'app' ? ', or use module: if it is the application itself' : '';
  throw new ConfigError(
    'PASTER_NOT_A_FACTORY',
    `${prefix(context)}${context.target.description} is not a function but ${describeValue(value)}`,
    { location: place(context), hint: `a ${context.protocol} is called to make the ${context.kind}${ready}` },
  );
}

function isServer(value: unknown): value is Server {
  return typeof value === 'object' && value !== null && 'serve' in value && typeof value.serve === 'function';
}

/** Runs a part's own code; what it throws comes out as an error of ours that says which section and which line. */
export async function guarded<T>(context: Context, run: () => T | Promise<T>): Promise<T> {
  try {
    return await asStep({ what: `${prefix(context)}${nameOfPart(context)}`, location: place(context) }, run);
  } catch (error) {
    if (error instanceof PasterError)
      throw locate(error, placeOfSetting(context, error.setting) ?? place(context), context.sections[0]?.name);
    const { placeInStack } = await import('./error-place.ts');
    const message = concealed(errorMessage(error), secretsOfContext(context));
    throw new RunError(
      'PASTER_FACTORY_FAILED',
      `${prefix(context)}${nameOfPart(context)} failed: ${nameOf(error)}${message}`,
      {
        cause: error,
        location: placeInStack(error) ?? place(context),
      },
    );
  }
}

function nameOfPart(context: Context): string {
  return context.form === 'factory' ? context.target.description : context.form;
}

function nameOf(error: unknown): string {
  return error instanceof Error && error.name !== 'Error' ? `${error.name}: ` : '';
}

function prefix(context: Context): string {
  const [section] = context.sections;
  return section ? `[${section.name}] ` : '';
}

function placeOfSetting({ origins }: Context, setting: string | undefined): Location | undefined {
  return setting === undefined ? undefined : origins.get(setting)?.location;
}

function place(context: Context): Location | undefined {
  return context.sections[0]?.location;
}
