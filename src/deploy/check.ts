/**
 * Looks for every mistake that an INI file would fail with, without serving: its sections are resolved as the loader
 * resolves them and the modules behind them imported, but no factory of anybody's is called except those of paster's
 * own servers and of other parts of its own, where they only read their settings.
 */
import { statSync } from 'node:fs';
import type { IniDocument } from '../config/ini.ts';
import { ConfigError, ErrorList, type Location, PasterError } from '../errors.ts';
import type { Settings } from '../protocol/types.ts';
import { brokenBy } from './broken-context.ts';
import { CheckSession } from './check-session.ts';
import { ConfigFile } from './config-file.ts';
import { type Context, type FactoryContext, settingsOf } from './context.ts';
import { misspeltSections } from './find-section.ts';
import { kindOfSection, type PartKind } from './kinds.ts';
import type { LoadedServer } from './loaded-server.ts';
import { warnOfLocalClients } from './local-clients.ts';
import { checkLogging } from './logging.ts';
import { PartInspector } from './part-inspector.ts';
import { resolveUri } from './resolve.ts';

/** How long the import of a module may take, in milliseconds. */
export const IMPORT_TIMEOUT_MS = 10_000;

/** Something to say about a file. */
export interface Finding {
  readonly severity: 'mistake' | 'warning';
  readonly error: PasterError;
}

export interface CheckOptions {
  /** How long the import of a module may take, in milliseconds. Default: 10,000. */
  readonly importTimeout?: number;
  /** Files of environment variables that go with it, absolute. */
  readonly envFiles?: readonly string[];
  /** Modules whose import is known never to finish: they are not imported. */
  readonly passOver?: ReadonlySet<string>;
  /** Awaited before a module is imported, from whose import there may be no way back; returns what to call after it. */
  readonly onImport?: (module: string) => Promise<() => void>;
  /** Given each server section's server, one of paster's own, with its own settings; returns what else is wrong with it. */
  readonly onServer?: ((server: LoadedServer, settings: unknown) => readonly PasterError[]) | undefined;
  /** Told of each server section whose server is none of paster's own. */
  readonly onForeignServer?: ((context: FactoryContext) => void) | undefined;
}

/**
 * Checks an INI file and whatever it refers to.
 *
 * @param file an absolute path
 * @param caller `name=value` of the command line
 * @returns what was found, in the order of files and lines; nothing twice
 * @throws ConfigError if the file cannot be read
 */
export async function checkFile(file: string, caller: Settings, options: CheckOptions = {}): Promise<Finding[]> {
  const session = new CheckSession(caller);
  for (const each of options.envFiles ?? []) warnOfReaders(each, session);
  let document: IniDocument;
  try {
    document = await session.read(file);
  } catch (error) {
    // What has no place in the file is about the argument.
    if (!(error instanceof ErrorList) && !(error instanceof PasterError && error.location)) throw error;
    session.mistake(error);
    return inOrder(findings(session));
  }
  await new FileCheck(document, session, options).run();
  return inOrder(findings(session));
}

/** A file of secrets is its owner's, and perhaps a group's. */
function warnOfReaders(file: string, session: CheckSession): void {
  const mode = statSync(file).mode & 0o777;
  if ((mode & 0o006) === 0) return;
  const location = { file, line: 1, column: 1 };
  const what = mode & 0o002 ? 'read and change' : 'read';
  session.warn(`every user of this machine may ${what} it: chmod ${(mode & 0o770).toString(8)} ${file}`, location);
}

class FileCheck {
  readonly #document: IniDocument;
  readonly #session: CheckSession;
  readonly #inspector: PartInspector;

  constructor(document: IniDocument, session: CheckSession, options: CheckOptions) {
    this.#document = document;
    this.#session = session;
    this.#inspector = new PartInspector(session, { importTimeout: IMPORT_TIMEOUT_MS, ...options });
  }

  async run(): Promise<void> {
    const { file, sections } = this.#document;
    const caller = settingsOf(this.#session.caller);
    const loader = await ConfigFile.open(file, this.#session, resolveUri, caller);
    checkLogging(this.#document, this.#session);
    const reached = new Set<string>();
    const missing = new Map<PartKind, ConfigError>();
    const mains = new Map<PartKind, Context>();
    for (const kind of ['app', 'server'] as const) {
      const { mark } = this.#session;
      const main = await loader.context(kind, undefined, caller, []);
      const absent = missingSection(main);
      if (absent) missing.set(kind, absent);
      if (absent) this.#session.forget(mark);
      else {
        mains.set(kind, main);
        await this.#inspect(main, reached);
      }
    }
    const app = mains.get('app');
    if (app) await warnOfLocalClients(app, mains.get('server'), this.#session);
    const parts = [...sections.values()].flatMap((section) => {
      const kind = kindOfSection(section.name);
      return kind === undefined || reached.has(section.name) ? [] : [{ section, kind }];
    });
    const referred = new Set<string>();
    for (const { section, kind } of parts) {
      if (referred.has(section.name)) continue;
      const inner = new Set<string>();
      await this.#inspect(await loader.sectionContext(kind, section, caller, []), inner);
      inner.delete(section.name);
      for (const name of inner) referred.add(name);
    }
    // A file with neither [app:main] nor [server:main] lends its parts to other files, or is for logging alone.
    const isLibrary =
      missing.size === 2 &&
      [...sections.keys()].some((name) => name === 'loggers' || kindOfSection(name) !== undefined);
    for (const [kind, error] of missing) this.#judgeMissing(kind, error, isLibrary);
    for (const { section, kind } of parts) {
      if (isLibrary || missing.has(kind) || referred.has(section.name)) continue;
      this.#session.warn(`[${section.name}] is not used: nothing refers to it`, section.location);
    }
  }

  /** Inspects a part and those that it refers to; `reached` gets the sections of this file among them. */
  #inspect(context: Context, reached: Set<string>): Promise<void> {
    return this.#inspector.inspect(context, ({ file, name }) => {
      if (file === this.#document.file) reached.add(name);
    });
  }

  /** `serve -n NAME` can do without a main section; one that is there with a slip in its name is a mistake. */
  #judgeMissing(kind: PartKind, error: ConfigError, isLibrary: boolean): void {
    const { message, hint, location } = error;
    // Already reported at the section that is meant.
    if (misspeltSections(this.#document).some((each) => each.hint?.endsWith(`[${kind}:main]`))) return;
    const option = kind === 'app' ? '--app-name' : '--server-name or --server';
    if (hint?.startsWith('rename')) this.#session.mistake(error);
    else if (!isLibrary)
      this.#session.warn(`${message}: serve needs ${option}`, location ?? this.#document.defaults.location);
  }
}

/** The error of a main section that is not there; undefined for one that is, right or wrong. */
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
  return [...session.mistakes.map((error): Finding => ({ severity: 'mistake', error })), ...warnings];
}

/** By file, line and column; what has no place goes first. */
function inOrder(found: readonly Finding[]): Finding[] {
  const unique = new Map(found.map((finding) => [keyOf(finding.error), finding]));
  return [...unique.values()].sort((one, other) => comparePlaces(one.error.location, other.error.location));
}

function keyOf({ location, message }: PasterError): string {
  return location ? `${location.file}:${location.line}:${location.column}:${message}` : message;
}

function comparePlaces(one: Location | undefined, other: Location | undefined): number {
  if (one === undefined || other === undefined) return Number(one !== undefined) - Number(other !== undefined);
  if (one.file !== other.file) return one.file < other.file ? -1 : 1;
  return one.line - other.line || one.column - other.column;
}
