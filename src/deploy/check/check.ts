/**
 * Finds every error in an INI file without serving it: resolves its sections as the loader does and imports their modules.
 * It calls no factories, except those of built-in servers and of other built-in parts that only read their settings.
 */
import { dirname } from 'node:path';
import type { IniDocument, IniSection } from '../../config/ini/ini.ts';
import { ConfigError, ErrorList, type Location, PasterError } from '../../errors.ts';
import type { Settings } from '../../protocol/types.ts';
import { type Context, type FactoryContext, settingsOf } from '../context.ts';
import type { PreloadedModule } from '../instrumentation.ts';
import { IMPORT_TIMEOUT_MS } from '../loading-step.ts';
import { checkLogging } from '../logging.ts';
import { isBackground, kindOfSection, nameOfSection, type PartKind } from '../part-kinds.ts';
import { resolveUri } from '../schemes.ts';
import { brokenBy } from '../sections/broken-context.ts';
import { ConfigFile } from '../sections/config-file.ts';
import { misspeltSections } from '../sections/find-section.ts';
import { applyEnvironment, withEnvironment } from '../server/environment.ts';
import type { LoadedServer } from '../server/loaded-server.ts';
import { conflictsOf, MAIN, type NamedServer, type ServerNames, serverNames } from '../server/server-group.ts';
import type { LoadSession } from '../session.ts';
import { CheckSession } from './check-session.ts';
import { warnOfLocalClients } from './local-clients.ts';
import { PartInspector } from './part-inspector.ts';
import { warnOfReaders } from './variable-files.ts';

/** An error or a warning about a file. */
export interface Finding {
  readonly severity: 'error' | 'warning';
  readonly error: PasterError;
}

export interface CheckOptions {
  /** How long the import of a module may take, in milliseconds. Default: 10,000. */
  readonly importTimeout?: number;
  /** Absolute paths of the files of environment variables. */
  readonly envFiles?: readonly string[];
  /** Modules that are not imported, since their import never finishes. */
  readonly passOver?: ReadonlySet<string>;
  /** Awaited before a module is imported, since its import may hang or end the process; returns a function to call after it. */
  readonly onImport?: (module: string) => Promise<() => void>;
  /** Called for each built-in server with its settings; returns further errors. */
  readonly onServer?: ((server: LoadedServer, settings: unknown) => readonly PasterError[]) | undefined;
  /** Called for each server that is not built in. */
  readonly onForeignServer?: ((context: FactoryContext) => void) | undefined;
  /** Called for each part. It may warn. */
  readonly onPart?: ((context: Context, document: IniDocument, session: LoadSession) => void) | undefined;
}

/**
 * Checks an INI file and the files that it refers to.
 *
 * @param file an absolute path
 * @param callerGlobals `name=value` of the command line
 * @returns the findings in the order of files and lines, without duplicates
 * @throws ConfigError if the file cannot be read
 */
export async function checkFile(file: string, callerGlobals: Settings, options: CheckOptions = {}): Promise<Finding[]> {
  const session = new CheckSession(callerGlobals);
  for (const each of options.envFiles ?? []) warnOfReaders(each, session);
  let document: IniDocument;
  try {
    document = await session.read(file);
  } catch (error) {
    // An error without a place is about the file that was given, not about a line in it.
    if (!(error instanceof ErrorList) && !(error instanceof PasterError && error.location)) throw error;
    session.report(error);
    return inOrder(findings(session));
  }
  const environment = await applyEnvironment({ file }, session).catch((error: unknown) => {
    // The inspection of the server and of the applications reports what is wrong in their sections.
    if (error instanceof PasterError && error.code === 'PASTER_ENVIRONMENT') session.report(error);
  });
  await new FileCheck(document, session, options).run(environment?.preload ?? []);
  return inOrder(findings(session));
}

interface PartSection {
  readonly section: IniSection;
  readonly kind: PartKind;
}

class FileCheck {
  readonly #document: IniDocument;
  readonly #session: CheckSession;
  readonly #inspector: PartInspector;
  readonly #globals: Settings;
  /** The sections that describe parts. */
  readonly #partSections: readonly PartSection[];
  /** The names of the sections that the served parts are composed of. */
  readonly #reached = new Set<string>();
  /** The built-in servers, by the names of their sections. */
  readonly #loaded = new Map<string, LoadedServer>();

  constructor(document: IniDocument, session: CheckSession, options: CheckOptions) {
    this.#document = document;
    this.#session = session;
    this.#globals = settingsOf(session.callerGlobals);
    this.#partSections = [...document.sections.values()].flatMap((section) => {
      const kind = kindOfSection(section.name);
      return kind === undefined ? [] : [{ section, kind }];
    });
    this.#inspector = new PartInspector(session, {
      importTimeout: IMPORT_TIMEOUT_MS,
      ...options,
      onServer: (server, settings) => {
        const [section] = server.context.sections;
        if (section?.file === document.file) this.#loaded.set(section.name, server);
        return options.onServer?.(server, settings) ?? [];
      },
      onPart: (context) => options.onPart?.(context, document, session),
    });
  }

  async run(preload: readonly PreloadedModule[]): Promise<void> {
    const { file } = this.#document;
    await this.#inspector.importFirst(preload, dirname(file));
    const loader = await ConfigFile.open(file, this.#session, resolveUri, this.#globals);
    checkLogging(this.#document, this.#session);
    const names = await serverNames(file, [], this.#session);
    const missing = await this.#inspectMain(loader, names);
    await this.#inspectBackground(loader);
    const others = this.#partSections.filter(({ section }) => !this.#reached.has(section.name));
    const unused = (await this.#inspectOthers(loader, others)).filter(({ kind }) => !missing.has(kind));
    const hasBackground = this.#partSections.some(({ kind }) => isBackground(kind));
    // A file with neither [app:main] nor [server:main] has parts that other files use, or is for logging alone.
    const isLibrary =
      missing.size === 2 && !hasBackground && (this.#partSections.length > 0 || this.#document.sections.has('loggers'));
    const isOptional = isLibrary || hasBackground;
    for (const [kind, error] of missing) this.#reportMissing(kind, error, isOptional);
    if (!isLibrary) this.#warnOfUnused(unused, names);
  }

  /** Inspects what `serve` serves. @returns the errors for main sections that do not exist, by their kinds */
  async #inspectMain(loader: ConfigFile, names: ServerNames): Promise<Map<PartKind, ConfigError>> {
    const missing = new Map<PartKind, ConfigError>();
    const mains: Context[] = [];
    for (const [kind, name] of [['app', undefined], ...names.map((each) => ['server', each] as const)] as const) {
      const { mark } = this.#session;
      const main = await loader.context(kind, name, this.#globals, []);
      const absent = missingSection(main);
      if (absent) {
        missing.set(kind, absent);
        this.#session.forget(mark);
      } else {
        mains.push(main);
        await this.#inspect(main, this.#reached);
      }
    }
    for (const error of conflictsOf(this.#servers(names))) this.#session.report(error);
    const app = mains.find(({ kind }) => kind === 'app');
    const servers = mains.filter(({ kind }) => kind === 'server');
    if (app) await warnOfLocalClients(app, servers, this.#session);
    return missing;
  }

  /** Inspects background processes and tasks, each with its own environment variables. */
  async #inspectBackground(loader: ConfigFile): Promise<void> {
    const { file } = this.#document;
    for (const { section, kind } of this.#partSections) {
      if (!isBackground(kind)) continue;
      const own = { kind, name: nameOfSection(section.name) };
      await withEnvironment({ file, background: own }, this.#session, async () =>
        this.#inspect(await loader.sectionContext(kind, section, this.#globals, []), this.#reached),
      );
    }
  }

  /** Inspects sections that nothing served refers to. @returns those that none of the others refers to either */
  async #inspectOthers(loader: ConfigFile, others: readonly PartSection[]): Promise<PartSection[]> {
    const referred = new Set<string>();
    for (const { section, kind } of others) {
      if (referred.has(section.name)) continue;
      const inner = new Set<string>();
      await this.#inspect(await loader.sectionContext(kind, section, this.#globals, []), inner);
      inner.delete(section.name);
      for (const name of inner) referred.add(name);
    }
    return others.filter(({ section }) => !referred.has(section.name));
  }

  #warnOfUnused(unused: readonly PartSection[], names: ServerNames): void {
    for (const { section, kind } of unused) {
      const served = [...names.map((each = MAIN) => each), nameOfSection(section.name)].join(', ');
      const reason =
        kind === 'server' ? `to serve it too, write serve = ${served} in [paster]` : 'nothing refers to it';
      this.#session.warn(`[${section.name}] is not used: ${reason}`, section.location);
    }
  }

  /** The servers of `serve`, as far as they are built in. */
  #servers(names: ServerNames): NamedServer[] {
    return names.flatMap((name = MAIN) => {
      const server = this.#loaded.get(`server:${name}`) ?? (name === MAIN ? this.#loaded.get('server') : undefined);
      return server ? [{ name, server }] : [];
    });
  }

  /** Inspects a part and those that it refers to; `reached` gets the sections of this file among them. */
  #inspect(context: Context, reached: Set<string>): Promise<void> {
    return this.#inspector.inspect(context, ({ file, name }) => {
      if (file === this.#document.file) reached.add(name);
    });
  }

  /** A missing main section is a warning, since `serve -n NAME` works without it; a misspelt one is an error. */
  #reportMissing(kind: PartKind, error: ConfigError, isOptional: boolean): void {
    const { message, hint, location } = error;
    // Already reported at the misspelt section.
    if (misspeltSections(this.#document).some((each) => each.hint?.endsWith(`[${kind}:main]`))) return;
    const option = kind === 'app' ? '--app-name' : '--server-name or --server';
    if (hint?.startsWith('rename')) this.#session.report(error);
    else if (!isOptional)
      this.#session.warn(`${message}: serve needs ${option}`, location ?? this.#document.defaults.location);
  }
}

/** The error if the main section does not exist; undefined if it exists, even with errors. */
function missingSection(main: Context): ConfigError | undefined {
  const error = brokenBy(main);
  const isMissing = error instanceof ConfigError && error.code === 'PASTER_SECTION_MISSING';
  return isMissing && main.sections.length === 0 ? error : undefined;
}

function findings(session: CheckSession): Finding[] {
  const warnings = session.warnings.map(
    ({ message, location }): Finding => ({
      severity: 'warning',
      error: new ConfigError('PASTER_CHECK_WARNING', message, { location }),
    }),
  );
  return [...session.errors.map((error): Finding => ({ severity: 'error', error })), ...warnings];
}

/** Sorted by file, line and column; findings without a place first. */
function inOrder(found: readonly Finding[]): Finding[] {
  const unique = new Map(found.map((finding) => [findingKey(finding.error), finding]));
  return [...unique.values()].sort((one, other) => comparePlaces(one.error.location, other.error.location));
}

function findingKey({ location, message }: PasterError): string {
  return location ? `${location.file}:${location.line}:${location.column}:${message}` : message;
}

function comparePlaces(one: Location | undefined, other: Location | undefined): number {
  if (one === undefined || other === undefined) return Number(one !== undefined) - Number(other !== undefined);
  if (one.file !== other.file) return one.file < other.file ? -1 : 1;
  return one.line - other.line || one.column - other.column;
}
