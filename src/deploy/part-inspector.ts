/**
 * Looks into resolved parts, for `check`: imports what they name and compares their settings with what is declared.
 * What is wrong goes to the session; factories are not called, unless a built-in part says that nothing comes of it.
 */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { asList } from '../config/convert.ts';
import type { SettingsSchema } from '../config/setting.ts';
import { type Location, type PasterError, RunError } from '../errors.ts';
import type { Address } from '../net/address.ts';
import { toApp } from '../protocol/app.ts';
import { toFilter } from '../protocol/filter.ts';
import { workingDirectory } from '../working-directory.ts';
import { brokenBy } from './broken-context.ts';
import type { CheckSession } from './check-session.ts';
import { callable, createServer, guarded, loadTarget } from './compose.ts';
import { checkConnect } from './connect-options.ts';
import { type Context, type FactoryContext, isComposite, type SectionRef } from './context.ts';
import type { PartKind } from './kinds.ts';
import { LoadedServer } from './loaded-server.ts';
import { loadFunction } from './named-function.ts';
import { warnOfObsolete } from './obsolete.ts';
import { namesApp } from './own-part.ts';
import { addressesOf, validateServer } from './server-settings.ts';
import { declaredSchema, ownCheck, placeOfKey, schemaOf, validateSettings } from './validate.ts';

/** Told of each section that a part is made of. */
type Visit = (section: SectionRef) => void;

/** What is imported, and for how long. */
export interface InspectOptions {
  /** How long an import may take, in milliseconds. */
  readonly importTimeout: number;
  readonly passOver?: ReadonlySet<string> | undefined;
  readonly onImport?: ((module: string) => Promise<() => void>) | undefined;
  /** Given each of paster's own servers, with its own settings; returns what else is wrong with it. */
  readonly onServer?: ((server: LoadedServer, settings: unknown) => readonly PasterError[]) | undefined;
  /** Told of each server of others. */
  readonly onForeignServer?: ((context: FactoryContext) => void) | undefined;
}

export class PartInspector {
  readonly #session: CheckSession;
  readonly #importTimeout: number;
  readonly #onImport: InspectOptions['onImport'];
  readonly #onServer: InspectOptions['onServer'];
  readonly #onForeignServer: InspectOptions['onForeignServer'];
  /** Modules that did not finish; nobody waits for them a second time. */
  readonly #hanging: Set<string>;
  readonly #imported = new Set<string>();

  constructor(session: CheckSession, { importTimeout, passOver, onImport, onServer, onForeignServer }: InspectOptions) {
    this.#session = session;
    this.#importTimeout = importTimeout;
    this.#hanging = new Set(passOver);
    this.#onImport = onImport;
    this.#onServer = onServer;
    this.#onForeignServer = onForeignServer;
  }

  /** Inspects a part and all that it is composed of. */
  async inspect(context: Context, visit: Visit): Promise<void> {
    for (const section of context.sections) visit(section);
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
    const made = brokenBy(context) === undefined ? await this.#loadOrNote(context) : undefined;
    // Without its module nothing is known of a composite's keys; they may still name applications.
    if (isMeantAsComposite(context)) await this.#inspectParts(context, declaredSchema(made?.value), visit);
    try {
      if (made) await this.#inspectSettings(context, made.value);
      // Its address is not the factory's business, so it can be looked at without.
      else if (context.kind === 'server') await this.#inspectServer(context, undefined);
    } catch (error) {
      this.#session.mistake(error);
    }
  }

  #loadOrNote(context: FactoryContext): Promise<{ readonly value: unknown } | undefined> {
    return this.#load(context).then(
      (value) => ({ value }),
      (error) => {
        this.#session.mistake(error);
        return undefined;
      },
    );
  }

  /** Imports the module; one that waits for ever at its top level would keep everybody waiting. */
  #load(context: FactoryContext): Promise<unknown> {
    const { description, file } = context.target;
    const module = file ?? description;
    return this.#import(module, description, context.origins.get('use')?.locate(0) ?? place(context), () =>
      loadTarget(context),
    );
  }

  /** The functions that settings name; they are not called. */
  async #loadFunctions(context: FactoryContext, { declarations }: SettingsSchema): Promise<void> {
    const { localConf, globalConf, origins } = context;
    const { here = workingDirectory() } = globalConf;
    for (const [key, { type }] of Object.entries(declarations)) {
      const value = localConf[key];
      if (!type.namesFunctions || value === undefined) continue;
      const from = origins.get(key)?.locate(0) ?? place(context);
      for (const expression of asList(value)) {
        const load = () => loadFunction(key, expression, globalConf, from);
        // A path is relative to its INI file: beside another one the same expression names another module.
        const module = `${expression} from ${here}`;
        await guarded(context, () => this.#import(module, expression, from, load)).catch((error) =>
          this.#session.mistake(error),
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
    return this.#within(module, isFirst, late, run);
  }

  /**
   * Runs code of others, which may never give this process back, or never come to an end.
   *
   * @param code tells it from other code: what has not come back once is not run again
   * @param isToTell whether it is worth telling the process that watches this one
   */
  async #within<T>(code: string, isToTell: boolean, late: () => RunError, run: () => Promise<T>): Promise<T> {
    if (this.#hanging.has(code)) throw late();
    const left = isToTell ? await this.#onImport?.(code) : undefined;
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

  /** The schema of a stranger's factory is a stranger's code too. */
  #inspectSettings(context: FactoryContext, made: unknown): Promise<void> {
    const what = `${context.sections[0] ? `[${context.sections[0].name}] ` : ''}${context.target.description}`;
    const late = () =>
      new RunError('PASTER_VALIDATION_HANGS', `${what}: the validation of its settings has not finished`, {
        location: place(context),
        hint: `${this.#importTimeout / 1000} s have passed; does it wait for something, or loop?`,
      });
    const isForeign = schemaOf(made) !== undefined && declaredSchema(made) === undefined;
    const work = () => guarded(context, () => this.#inspectMade(context, made));
    return isForeign ? this.#within(`the settings of ${what}`, true, late, work) : work();
  }

  async #inspectMade(context: FactoryContext, made: unknown): Promise<void> {
    const isReady = context.protocol === 'object';
    if (!isReady) callable(made, context);
    if (context.kind === 'server') {
      if (isReady) await createServer(context, made, undefined);
      await this.#inspectServer(context, made);
    } else if (isReady) {
      if (context.kind === 'app') await toApp(made);
      else toFilter(made);
    } else if (context.protocol === 'connect') {
      await checkConnect(callable(made, context), context);
    } else {
      const schema = declaredSchema(made);
      warnOfObsolete(context, schema, this.#session);
      const settings = await validateSettings(made, context);
      if (schema) await this.#loadFunctions(context, schema);
      await ownCheck(made)?.(context.globalConf, settings);
    }
  }

  /** A warning only: a directory below /run is often made when the service starts, on another machine than this one. */
  #warnOfMissingDirectories(addresses: readonly Address[], context: FactoryContext): void {
    const location = placeOfKey(context, 'socket') ?? placeOfKey(context, 'listen') ?? place(context);
    for (const address of addresses) {
      const directory = address.kind === 'unix' ? dirname(address.path) : undefined;
      if (directory === undefined || location === undefined || existsSync(directory)) continue;
      this.#session.warn(`serve needs the directory of the socket ${directory}, which does not exist here`, location);
    }
  }

  async #inspectServer(context: FactoryContext, made: unknown): Promise<void> {
    const settings = await validateServer(made, context, {}, this.#session);
    if (declaredSchema(made) !== undefined) {
      // Reads certificates, knows the standard address, and refuses one that is not safe; listens to nothing.
      const server = new LoadedServer(context, settings.process, await createServer(context, made, settings.own));
      this.#warnOfMissingDirectories(server.addresses, context);
      for (const error of this.#onServer?.(server, settings.own) ?? []) this.#session.mistake(error);
      return;
    }
    if (made !== undefined) this.#onForeignServer?.(context);
    // A stranger's standard address is known to its factory only: any will do here.
    if (context.protocol !== 'paste.server_runner') {
      addressesOf(settings.process, context, { kind: 'tcp', host: '127.0.0.1', port: 0 });
    }
  }

  /**
   * The parts of a composite. Which of its values name applications is its factory's business; those of paster's own
   * are known, and of a stranger's every word that leads to a part is taken for a reference.
   */
  async #inspectParts(context: FactoryContext, schema: SettingsSchema | undefined, visit: Visit): Promise<void> {
    const { localConf, globalConf } = context;
    // What a built-in composite's own settings name may be said in [DEFAULT] as well.
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
        if (part === undefined || isNowhere(part)) this.#session.forget(mark);
        else await this.inspect(part, visit);
      }
    }
  }

  #part(context: FactoryContext, kind: PartKind, key: string, name: string): Promise<Context> {
    const from = context.origins.get(key)?.locate(0) ?? context.sections[0]?.location;
    return context.loader.context(kind, name, context.globalConf, context.trail, from);
  }
}

/** What could not be resolved has no factory to tell; its section's prefix does. */
function isMeantAsComposite(context: FactoryContext): boolean {
  if (brokenBy(context) !== undefined) return /^composite?:/.test(context.sections[0]?.name ?? '');
  return isComposite(context);
}

/** A reference that leads to no section and to nothing installed. */
function isNowhere(part: Context): boolean {
  return brokenBy(part) !== undefined && part.sections.length === 0;
}

function place(context: FactoryContext): Location | undefined {
  return context.sections[0]?.location;
}
