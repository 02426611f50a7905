/**
 * Looks into resolved parts, for `check`: imports what they name and compares their settings with what is declared.
 * What is wrong goes to the session; factories are not called.
 */
import { asList } from '../config/convert.ts';
import type { SettingsSchema } from '../config/setting.ts';
import { RunError } from '../errors.ts';
import { toApp } from '../protocol/app.ts';
import { toFilter } from '../protocol/filter.ts';
import { brokenBy } from './broken-context.ts';
import type { CheckSession } from './check-session.ts';
import { callable, createServer, guarded, loadTarget } from './compose.ts';
import { connectArguments } from './connect-options.ts';
import { type Context, type FactoryContext, isComposite, type SectionRef } from './context.ts';
import type { PartKind } from './kinds.ts';
import { LoadedServer } from './loaded-server.ts';
import { addressesOf, validateServer } from './server-settings.ts';
import { declaredSchema, placeOfKey, validateSettings } from './validate.ts';

/** Told of each section that a part is made of. */
type Visit = (section: SectionRef) => void;

/** What is imported, and for how long. */
export interface InspectOptions {
  /** How long an import may take, in milliseconds. */
  readonly importTimeout: number;
  readonly passOver?: ReadonlySet<string> | undefined;
  readonly onImport?: ((module: string) => Promise<() => void>) | undefined;
}

export class PartInspector {
  readonly #session: CheckSession;
  readonly #importTimeout: number;
  readonly #onImport: InspectOptions['onImport'];
  /** Modules that did not finish; nobody waits for them a second time. */
  readonly #hanging: Set<string>;
  readonly #imported = new Set<string>();

  constructor(session: CheckSession, { importTimeout, passOver, onImport }: InspectOptions) {
    this.#session = session;
    this.#importTimeout = importTimeout;
    this.#hanging = new Set(passOver);
    this.#onImport = onImport;
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
      if (made) await guarded(context, () => this.#inspectMade(context, made.value));
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
  async #load(context: FactoryContext): Promise<unknown> {
    const { description, file } = context.target;
    const module = file ?? description;
    const slow = () =>
      new RunError('PASTER_IMPORT_HANGS', `${description}: its import has not finished`, {
        location: context.origins.get('use')?.locate(0) ?? context.sections[0]?.location,
        hint: `${this.#importTimeout / 1000} s have passed; does ${module} wait for something at its top level, or loop there?`,
      });
    if (this.#hanging.has(module)) throw slow();
    const imported = this.#imported.has(module) ? undefined : await this.#onImport?.(module);
    this.#imported.add(module);
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        this.#hanging.add(module);
        reject(slow());
      }, this.#importTimeout);
    });
    try {
      return await Promise.race([loadTarget(context), timeout]);
    } finally {
      clearTimeout(timer);
      imported?.();
    }
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
      connectArguments(context);
    } else {
      this.#warnOfObsolete(context, declaredSchema(made));
      await validateSettings(made, context);
    }
  }

  async #inspectServer(context: FactoryContext, made: unknown): Promise<void> {
    const settings = await validateServer(made, context, {}, this.#session);
    if (declaredSchema(made) !== undefined) {
      // Reads certificates, knows the standard address, and refuses one that is not safe; listens to nothing.
      new LoadedServer(context, settings.process, await createServer(context, made, settings.own));
    } else if (context.protocol !== 'paste.server_runner') {
      // A stranger's standard address is known to its factory only: any will do here.
      addressesOf(settings.process, context, { kind: 'tcp', host: '127.0.0.1', port: 0 });
    }
  }

  #warnOfObsolete(context: FactoryContext, schema: SettingsSchema | undefined): void {
    for (const key of Object.keys(context.localConf)) {
      const reason = schema && Object.hasOwn(schema.obsolete, key) ? schema.obsolete[key] : undefined;
      const place = placeOfKey(context, key);
      const section = context.sections[0]?.name;
      if (reason !== undefined && place) this.#session.warn(`[${section}] ${key} has no effect: ${reason}`, place);
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

/** In a built-in composite, the keys that are no setting of its own name applications; so do settings named `..._app`. */
function namesApp(key: string, { declarations, others, obsolete }: SettingsSchema): boolean {
  if (Object.hasOwn(declarations, key)) return /(?:^|_)app$/.test(key);
  return !Object.hasOwn(obsolete, key) && (others?.accepts(key) ?? false);
}
