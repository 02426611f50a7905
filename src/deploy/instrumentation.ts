/**
 * Modules that `preload` names: each process of the application imports them before all of its code, as `node --import` does. They
 * trace or measure it, and have data to send when the process ends.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, realpathSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { ConfigError, errorMessage, type Location, locate, PasterError, RunError } from '../errors.ts';
import { partLogger } from '../log.ts';
import { requireOwn } from '../own-files.ts';
import { isDoneWithin } from '../timer.ts';
import { asLoadingStep } from './loading-step.ts';
import { importModule } from './modules/import-module.ts';
import { findModule } from './modules/module-target.ts';
import { readManifest } from './programs/manifest.ts';

/** A module to import. Plain data, which is sent to workers. */
export interface PreloadedModule {
  /** An absolute path, or the name of a package's module. */
  readonly name: string;
  /** The directory of the file that names it. */
  readonly directory: string;
  /** `[server:main] ` for messages. */
  readonly section: string;
  readonly location: Location | undefined;
}

/** Lets the modules send what they have; resolves after `limit` milliseconds at the latest. */
export type EndPreloaded = (limit: number) => Promise<void>;

/** Packages whose name is known, so that the command to install them can be shown. */
const KNOWN =
  /^(?:@opentelemetry\/[\w.-]+|@sentry\/[\w.-]+|@splunk\/otel|@instana\/collector|dd-trace|newrelic|elastic-apm-node|applicationinsights)(?=\/|$)/;

let done: { readonly modules: readonly PreloadedModule[]; readonly end: Promise<EndPreloaded> } | undefined;

/**
 * Describes the process in OTEL_RESOURCE_ATTRIBUTES, then imports the modules in their order, once for a process.
 * @throws ConfigError for a module that does not exist, RunError for one that fails, with the place of the setting or in the module
 */
export function importPreloaded(
  modules: readonly PreloadedModule[],
  description: ProcessDescription,
): Promise<EndPreloaded> {
  if (done && !isDeepStrictEqual(done.modules, modules)) {
    // This happens in a spare worker, which is replaced by another one.
    return Promise.reject(
      new RunError('PASTER_PRELOAD', 'preload has changed after this worker had imported its modules'),
    );
  }
  if (done) describeProcess(description);
  done ??= { modules, end: importAll(modules, description) };
  return done.end;
}

async function importAll(modules: readonly PreloadedModule[], description: ProcessDescription): Promise<EndPreloaded> {
  describeProcess(description);
  const ends: { readonly name: string; readonly handlers: EndHandlers }[] = [];
  for (const module of modules) {
    const handlers = new EndHandlers();
    handlers.exported = await importOne(module);
    handlers.collect();
    ends.push({ name: module.name, handlers });
  }
  // A tracing module patches node:http when it is next required, and paster required it before the tracing module was loaded.
  for (const builtin of ['node:http', 'node:https']) requireOwn(builtin);
  return async (limit) => {
    await Promise.all(
      ends.map(async ({ name, handlers }) => {
        try {
          if (!(await handlers.end(limit))) partLogger.warn(`preload: ${name} did not finish within ${limit / 1000} s`);
        } catch (error) {
          partLogger.warn(`preload: ${name} failed at shutdown: ${errorMessage(error)}`);
        }
      }),
    );
  };
}

async function importOne(module: PreloadedModule): Promise<Readonly<Record<string, unknown>>> {
  const { name, directory, section, location } = module;
  try {
    const file = await findModule(name, directory);
    return await asLoadingStep({ what: `${section}preload: ${name}`, location }, () => importModule(file, directory));
  } catch (error) {
    if (error instanceof ConfigError && error.code === 'PASTER_MODULE_MISSING') {
      const [known] = KNOWN.exec(name) ?? [];
      throw new ConfigError(error.code, `${section}preload: ${error.message}`, {
        location,
        hint: known === undefined ? error.hint : `npm install ${known}`,
        path: isAbsolute(name) && !existsSync(name) ? name : undefined,
      });
    }
    throw error instanceof PasterError ? locate(error, location) : error;
  }
}

type Handler = (...args: unknown[]) => unknown;

/** In this order: the handlers of the first event that has any are called. */
const EVENTS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'beforeExit'] as const;

/** For a handler that neither returns a promise nor calls `process.exit()`. */
const UNKNOWN_END_MS = 1000;

/**
 * What a preloaded module does when its process ends: its export `shutdown`, or else the handlers that it has added for signals or for
 * `beforeExit`. paster calls them when the last request has ended. Without this, a handler of TERM would stop tracing
 * while requests are in flight, since systemd sends TERM to every process, and after HUP it would never be called.
 */
class EndHandlers {
  /** The exports of the module. */
  exported: Readonly<Record<string, unknown>> = {};
  readonly #before = new Map(EVENTS.map((event) => [event, new Set(listenersOf(event))]));
  readonly #own = new Map<(typeof EVENTS)[number], Handler[]>();

  /** Removes the handlers that were added to the process since this object was created, and keeps them for `end`. */
  collect(): void {
    for (const event of EVENTS) {
      const added = listenersOf(event).filter((handler) => !this.#before.get(event)?.has(handler));
      if (added.length > 0) this.#own.set(event, added);
      for (const handler of added) process.removeListener(event, handler);
    }
  }

  /** Calls them. @returns whether they have finished within `limit` milliseconds */
  async end(limit: number): Promise<boolean> {
    const shutdown = functionIn(this.exported, 'shutdown') ?? functionIn(this.exported['default'], 'shutdown');
    const event = EVENTS.find((name) => this.#own.has(name));
    const handlers = shutdown ? [shutdown] : event === undefined ? [] : (this.#own.get(event) ?? []);
    if (handlers.length === 0) return true;
    const { exit } = process;
    const exited = new Promise<void>((resolve) => {
      process.exit = (() => resolve()) as unknown as typeof process.exit;
    });
    try {
      return await isDoneWithin(limit / 1000, () => {
        const results = handlers.map((handler) => handler(...(shutdown ? [] : [event])));
        const isKnown = shutdown !== undefined || results.every(isPromise);
        const settled = Promise.all(results).then(() => (isKnown ? undefined : sleep(UNKNOWN_END_MS)));
        return Promise.race([settled, exited]);
      });
    } finally {
      process.exit = exit;
    }
  }
}

function listenersOf(event: string): Handler[] {
  return process.rawListeners(event as 'SIGTERM') as unknown as Handler[];
}

function functionIn(holder: unknown, name: string): Handler | undefined {
  const value = typeof holder === 'object' && holder !== null ? Reflect.get(holder, name) : undefined;
  return typeof value === 'function' ? (...args) => value.apply(holder, args) : undefined;
}

function isPromise(value: unknown): boolean {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, 'then') === 'function';
}

interface ProcessDescription {
  /** The directory of the INI file, or the working directory; symbolic links in it lead to the release. */
  readonly directory: string;
  /** The number of the worker since the server was started. Undefined: this process serves alone, or serves nothing. */
  readonly worker: number | undefined;
}

const VARIABLE = 'OTEL_RESOURCE_ATTRIBUTES';

/** The same for as long as the process lives. */
const instance = randomUUID();

/**
 * Describes this process to tracing tools: resource attributes of OpenTelemetry, in the variable OTEL_RESOURCE_ATTRIBUTES.
 * Attributes that the user has set there are kept.
 *
 * To be called whenever the variables of the INI file have been set.
 */
function describeProcess({ directory, worker }: ProcessDescription): void {
  const given = process.env[VARIABLE] ?? '';
  const names = new Set(given.split(',').map((each) => each.split('=', 1)[0]?.trim()));
  // This variable overrides the attribute.
  if (process.env['OTEL_SERVICE_NAME']) names.add('service.name');
  const { name, version, release } = enclosingPackage(realDirectory(directory));
  const attributes: Readonly<Record<string, string | undefined>> = {
    'service.name': name,
    'service.version': version,
    'service.instance.id': instance,
    'paster.worker': worker?.toString(),
    'paster.release': release,
  };
  const added = Object.entries(attributes).flatMap(([key, value]) =>
    value === undefined || value === '' || names.has(key) ? [] : `${key}=${encodeURIComponent(value)}`,
  );
  process.env[VARIABLE] = [...(given.trim() === '' ? [] : [given]), ...added].join(',');
}

/** The name and version in the nearest package.json that has either, and its directory, which is the release. */
function enclosingPackage(directory: string): {
  readonly name?: string | undefined;
  readonly version?: string | undefined;
  readonly release: string;
} {
  for (let at = directory; ; at = dirname(at)) {
    const { name, version } = readManifest(at);
    if (name !== undefined || version !== undefined) return { name, version, release: at };
    if (at === dirname(at)) return { release: directory };
  }
}

function realDirectory(directory: string): string {
  try {
    return realpathSync(join(directory, '.'));
  } catch {
    // The directory has been removed since the start.
    return directory;
  }
}
