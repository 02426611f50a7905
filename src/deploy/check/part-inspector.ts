/**
 * Inspects resolved parts for `check`: imports their modules and validates their settings. It reports errors to the session.
 * It does not call factories, except those of built-in parts that have no effects.
 */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { asList } from '../../config/settings/convert.ts';
import type { SettingsSchema } from '../../config/settings/setting.ts';
import { type Location, type PasterError, RunError } from '../../errors.ts';
import type { Address } from '../../net/address.ts';
import { toApp } from '../../protocol/app.ts';
import { toFilter } from '../../protocol/filter.ts';
import { workingDirectory } from '../../working-directory.ts';
import { checkMade } from '../background/loaded-process.ts';
import { checkMachine, readBackgroundSettings } from '../background/process-settings.ts';
import { requestedApp } from '../background/request-task.ts';
import { readTaskSettings } from '../background/task-settings.ts';
import { createServer, factoryFunction, loadTarget, runPartCode } from '../compose.ts';
import { checkConnect } from '../connect/options.ts';
import {
  type Context,
  describePart,
  type FactoryContext,
  isComposite,
  placeOfKey,
  type SectionRef,
  sectionPlace,
} from '../context.ts';
import type { PreloadedModule } from '../instrumentation.ts';
import { loadFunction } from '../modules/module-target.ts';
import { isBackground, type PartKind } from '../part-kinds.ts';
import { builtinCheck, declaredSchema, namesApp, schemaOf } from '../schema.ts';
import { takeApplicationSettings } from '../sections/application-settings.ts';
import { brokenBy } from '../sections/broken-context.ts';
import { LoadedServer } from '../server/loaded-server.ts';
import { addressesOf, validateServer } from '../server/server-section.ts';
import { validateSettings, warnOfObsolete } from '../validate.ts';
import type { CheckSession } from './check-session.ts';
import { checkVariableFiles } from './variable-files.ts';

/** Called for each section that a part is composed of. */
type Visit = (section: SectionRef) => void;

/** Limits on imports, and callbacks. */
export interface InspectOptions {
  /** How long an import may take, in milliseconds. */
  readonly importTimeout: number;
  readonly passOver?: ReadonlySet<string> | undefined;
  readonly onImport?: ((module: string) => Promise<() => void>) | undefined;
  /** Called for each built-in server with its settings; returns further errors. */
  readonly onServer?: ((server: LoadedServer, settings: unknown) => readonly PasterError[]) | undefined;
  /** Called for each server that is not built in. */
  readonly onForeignServer?: ((context: FactoryContext) => void) | undefined;
  /** Called for each part. */
  readonly onPart?: ((context: Context) => void) | undefined;
}

export class PartInspector {
  readonly #session: CheckSession;
  readonly #importTimeout: number;
  readonly #onImport: InspectOptions['onImport'];
  readonly #onServer: InspectOptions['onServer'];
  readonly #onForeignServer: InspectOptions['onForeignServer'];
  readonly #onPart: InspectOptions['onPart'];
  /** Modules whose import did not finish; they are not imported again. */
  readonly #hanging: Set<string>;
  readonly #imported = new Set<string>();

  constructor(session: CheckSession, options: InspectOptions) {
    const { importTimeout, passOver, onImport, onServer, onForeignServer, onPart } = options;
    this.#session = session;
    this.#importTimeout = importTimeout;
    this.#hanging = new Set(passOver);
    this.#onImport = onImport;
    this.#onServer = onServer;
    this.#onForeignServer = onForeignServer;
    this.#onPart = onPart;
  }

  /** Imports what `preload` names, before all code of the application. */
  async importFirst(modules: readonly PreloadedModule[], directory: string): Promise<void> {
    const [first] = modules;
    if (!first) return;
    const { name, section, location } = first;
    const run = async () => {
      const { importPreloaded } = await import('../instrumentation.ts');
      await importPreloaded(modules, { directory, worker: undefined });
    };
    await this.#import(name, `${section}preload`, location, run).catch((error) => this.#session.report(error));
  }

  /** Inspects a part and the parts that it is composed of, and calls `visit` for their sections. */
  async inspect(context: Context, visit: Visit): Promise<void> {
    for (const section of context.sections) visit(section);
    this.#onPart?.(context);
    switch (context.form) {
      case 'factory':
        return this.#inspectFactory(context, visit);
      case 'filter-with':
      case 'filter-app':
        await this.inspect(context.filter, visit);
        return this.inspect(context.next, visit);
      case 'pipeline':
        for (const filter of context.filters) await this.inspect(filter, visit);
        return this.inspect(context.app, visit);
    }
  }

  async #inspectFactory(context: FactoryContext, visit: Visit): Promise<void> {
    const made = brokenBy(context) === undefined ? await this.#loadOrReport(context) : undefined;
    // Keys of a composite may name applications even if its module cannot be imported.
    if (isMeantAsComposite(context)) await this.#inspectParts(context, declaredSchema(made?.value), visit);
    try {
      if (made) await this.#inspectSettings(context, made.value, visit);
      // Its address can be checked without the factory.
      else if (context.kind === 'server') await this.#inspectServer(context, undefined);
    } catch (error) {
      this.#session.report(error);
    }
  }

  #loadOrReport(context: FactoryContext): Promise<{ readonly value: unknown } | undefined> {
    return this.#load(context).then(
      (value) => ({ value }),
      (error) => {
        this.#session.report(error);
        return undefined;
      },
    );
  }

  /** Imports the module of a part, with a time limit. */
  #load(context: FactoryContext): Promise<unknown> {
    const { description, file } = context.target;
    const module = file ?? description;
    return this.#import(module, description, context.origins.get('use')?.locate(0) ?? sectionPlace(context), () =>
      loadTarget(context),
    );
  }

  /** Loads the functions that settings name; does not call them. */
  async #loadFunctions(context: FactoryContext, { declarations }: SettingsSchema): Promise<void> {
    const { localConf, globalConf, origins } = context;
    const { here = workingDirectory() } = globalConf;
    for (const [key, { type }] of Object.entries(declarations)) {
      const value = localConf[key];
      if (!type.namesFunctions || value === undefined) continue;
      const from = origins.get(key)?.locate(0) ?? sectionPlace(context);
      for (const expression of asList(value)) {
        const load = () => loadFunction(key, expression, globalConf, from);
        // Paths are relative to the INI file, so the same expression names another module in another directory.
        const module = `${expression} from ${here}`;
        await runPartCode(context, () => this.#import(module, expression, from, load)).catch((error) =>
          this.#session.report(error),
        );
      }
    }
  }

  async #import<T>(
    module: string,
    description: string,
    location: Location | undefined,
    run: () => Promise<T>,
  ): Promise<T> {
    const late = () =>
      new RunError('PASTER_IMPORT_HANGS', `${description}: its import has not finished`, {
        location,
        hint: `${this.#importTimeout / 1000} s have passed; does ${module} wait for something at its top level, or loop there?`,
      });
    const isFirst = !this.#imported.has(module);
    this.#imported.add(module);
    return this.#withTimeout(module, isFirst, late, run);
  }

  /**
   * Runs code that may block this process or never settle.
   *
   * @param code identifies the code: after a timeout it is not run again
   * @param isReported whether to call `onImport`, which tells the process that watches this one
   */
  async #withTimeout<T>(code: string, isReported: boolean, late: () => RunError, run: () => Promise<T>): Promise<T> {
    if (this.#hanging.has(code)) throw late();
    const left = isReported ? await this.#onImport?.(code) : undefined;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        this.#hanging.add(code);
        reject(late());
      }, this.#importTimeout);
    });
    try {
      return await Promise.race([run(), timeout]);
    } finally {
      clearTimeout(timer);
      left?.();
    }
  }

  /** The schema of a factory from another package is foreign code, which gets a time limit too. */
  #inspectSettings(context: FactoryContext, made: unknown, visit: Visit): Promise<void> {
    const what = describePart(context);
    const late = () =>
      new RunError('PASTER_VALIDATION_HANGS', `${what}: the validation of its settings has not finished`, {
        location: sectionPlace(context),
        hint: `${this.#importTimeout / 1000} s have passed; does it wait for something, or loop?`,
      });
    const isForeign = schemaOf(made) !== undefined && declaredSchema(made) === undefined;
    const work = () => runPartCode(context, () => this.#inspectMade(context, made, visit));
    return isForeign ? this.#withTimeout(`the settings of ${what}`, true, late, work) : work();
  }

  async #inspectMade(described: FactoryContext, made: unknown, visit: Visit): Promise<void> {
    const { context } = await takeApplicationSettings(described, made);
    if (isBackground(context.kind)) return this.#inspectProcess(context, made, visit);
    const isObject = context.protocol === 'object';
    if (!isObject) factoryFunction(made, context);
    if (context.kind === 'server') {
      if (isObject) await createServer(context, made, undefined);
      await this.#inspectServer(context, made);
    } else if (isObject) {
      if (context.kind === 'app') await toApp(made);
      else toFilter(made);
    } else if (context.protocol === 'connect') {
      await checkConnect(factoryFunction(made, context), context);
    } else {
      const schema = declaredSchema(made);
      warnOfObsolete(context, schema, this.#session);
      const settings = await validateSettings(made, context);
      if (schema) await this.#loadFunctions(context, schema);
      await builtinCheck(made)?.(context.globalConf, settings);
    }
  }

  async #inspectProcess(context: FactoryContext, made: unknown, visit: Visit): Promise<void> {
    const settings = await checkMade(made, context);
    const read = context.kind === 'task' ? await readTaskSettings(context) : await readBackgroundSettings(context);
    checkVariableFiles(read.env_file ?? [], context, this.#session);
    await builtinCheck(made)?.(context.globalConf, settings);
    checkMachine(read, context);
    const app = requestedApp(made, settings);
    if (app !== undefined) await this.inspect(await this.#part(context, 'app', 'app', app), visit);
  }

  /** A warning only: a directory below /run is often created when the service starts, on another machine. */
  #warnOfMissingDirectories(addresses: readonly Address[], context: FactoryContext): void {
    const location = placeOfKey(context, 'socket') ?? placeOfKey(context, 'listen') ?? sectionPlace(context);
    for (const address of addresses) {
      const directory = address.kind === 'unix' ? dirname(address.path) : undefined;
      if (directory === undefined || location === undefined || existsSync(directory)) continue;
      this.#session.warn(
        `serve needs the directory of the socket ${directory}, which does not exist here (mkdir -p)`,
        location,
      );
    }
  }

  async #inspectServer(context: FactoryContext, made: unknown): Promise<void> {
    const settings = await validateServer(made, context, {}, this.#session);
    checkVariableFiles(settings.process.env_file ?? [], context, this.#session);
    if (declaredSchema(made) !== undefined) {
      // Creating the server reads certificates and refuses an unsafe address; it does not listen.
      const server = new LoadedServer(context, settings.process, await createServer(context, made, settings.own));
      await server.warn(this.#session);
      this.#warnOfMissingDirectories(server.addresses, context);
      for (const error of this.#onServer?.(server, settings.own) ?? []) this.#session.report(error);
      return;
    }
    if (made !== undefined) this.#onForeignServer?.(context);
    // Only the factory knows the default address of a foreign server: use any.
    if (context.protocol !== 'paste.server_runner') {
      addressesOf(settings.process, context, { kind: 'tcp', host: '127.0.0.1', port: 0 });
    }
  }

  /**
   * Inspects the parts of a composite. Built-in composites declare which values name applications; in others every word
   * that leads to a part counts as a reference.
   */
  async #inspectParts(context: FactoryContext, schema: SettingsSchema | undefined, visit: Visit): Promise<void> {
    const { localConf, globalConf } = context;
    // The settings of a built-in composite may be in [DEFAULT] too.
    const own = Object.keys(schema?.declarations ?? {}).filter((key) => !(key in localConf) && key in globalConf);
    for (const [key, value] of [
      ...Object.entries(localConf),
      ...own.map((key) => [key, globalConf[key] ?? ''] as const),
    ]) {
      if (schema === undefined) await this.#inspectGuesses(context, key, value, visit);
      else if (namesApp(key, schema) && value !== '')
        await this.inspect(await this.#part(context, 'app', key, value), visit);
    }
  }

  async #inspectGuesses(context: FactoryContext, key: string, value: string, visit: Visit): Promise<void> {
    for (const word of new Set([value, ...asList(value)])) {
      for (const kind of ['app', 'filter', 'server'] as const) {
        const { mark } = this.#session;
        const part = await this.#part(context, kind, key, word).catch(() => undefined);
        if (part === undefined || leadsNowhere(part)) this.#session.forget(mark);
        else await this.inspect(part, visit);
      }
    }
  }

  #part(context: FactoryContext, kind: PartKind, key: string, name: string): Promise<Context> {
    const from = context.origins.get(key)?.locate(0) ?? sectionPlace(context);
    return context.loader.context(kind, name, context.globalConf, context.trail, from);
  }
}

/** A context that could not be resolved has no factory, but the prefix of its section tells whether it is a composite. */
function isMeantAsComposite(context: FactoryContext): boolean {
  if (brokenBy(context) !== undefined) return /^composite?:/.test(context.sections[0]?.name ?? '');
  return isComposite(context);
}

/** Whether a reference leads to no section and no package. */
function leadsNowhere(part: Context): boolean {
  return brokenBy(part) !== undefined && part.sections.length === 0;
}
