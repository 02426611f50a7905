/**
 * Modules that `preload` names: each process of the application imports them before all of its code, as `node --import` does. They
 * trace or measure it, and have data to send when the process ends.
 */
import { existsSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { ConfigError, errorMessage, type Location, locate, PasterError, RunError } from '../../errors.ts';
import { partLogger } from '../../log.ts';
import { requireOwn } from '../../own-files.ts';
import { asLoadingStep } from '../loading-step.ts';
import { importModule } from '../modules/import-module.ts';
import { findModule } from '../modules/module-target.ts';
import { EndHandlers } from './end-handlers.ts';
import { describeProcess, type ProcessDescription } from './resource.ts';

/** A module to import. Plain data, which is sent to workers. */
export interface PreloadedModule {
  /** An absolute path, or the name of a package's module. */
  readonly name: string;
  /** Of the file that names it. */
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
    // This happens in a spare worker, and another one takes its place.
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
          if (!(await handlers.end(limit)))
            partLogger.warn(`preload: ${name} has not finished within ${limit / 1000} s`);
        } catch (error) {
          partLogger.warn(`preload: ${name} has failed at the end: ${errorMessage(error)}`);
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
