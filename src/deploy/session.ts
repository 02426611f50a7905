/** The state of one load across all its files: the caller's globals, the documents read, the warnings. */
import { type IniDocument, type IniEntry, readIni } from '../config/ini/ini.ts';
import { formatLocation, type Location } from '../errors.ts';
import type { Logger } from '../log.ts';
import { printableLine } from '../printable.ts';
import type { Settings } from '../protocol/types.ts';
import { settingsOf } from './context.ts';
import type { PackageInfo } from './modules/packages.ts';

export interface Warning {
  readonly message: string;
  readonly location: Location;
}

export class LoadSession {
  /** `name=value` of the command line or the `globalConf` option: taken literally, and overrides every [DEFAULT]. */
  readonly callerGlobals: Settings;
  /** Whether `serve` runs a supervisor even without `workers`. Undefined: if the file has background processes or tasks. */
  hasSupervisor: boolean | undefined;
  readonly #documents = new Map<string, Promise<IniDocument>>();
  readonly #packages = new Map<string, Promise<PackageInfo>>();
  readonly #warnings = new Map<string, Warning>();

  constructor(callerGlobals: Readonly<Settings> = {}) {
    this.callerGlobals = settingsOf(callerGlobals);
  }

  read(file: string): Promise<IniDocument> {
    let document = this.#documents.get(file);
    if (!document) {
      document = readIni(file);
      this.#documents.set(file, document);
    }
    return document;
  }

  /**
   * The package that `find` finds. `find` runs once for all equal references: a large file has thousands.
   *
   * @param reference identifies what `find` looks for
   */
  package(reference: string, find: () => Promise<PackageInfo>): Promise<PackageInfo> {
    let found = this.#packages.get(reference);
    if (!found) {
      found = find();
      this.#packages.set(reference, found);
      // Each reference gets an error of its own, with its own place.
      found.catch(() => this.#packages.delete(reference));
    }
    return found;
  }

  /** Every INI file of the load, including those that could not be read: a reload watches them all. */
  get files(): string[] {
    return [...this.#documents.keys()];
  }

  get warnings(): Warning[] {
    return [...this.#warnings.values()];
  }

  /** Logs each warning as a line with its place. */
  logWarnings(log: Logger): void {
    for (const { message, location } of this.warnings) {
      log.warn(printableLine(`${formatLocation(location)}: ${message}`));
    }
  }

  /** Adds a warning, once however often its section is loaded. */
  warn(message: string, location: Location): void {
    this.#warnings.set(`${location.file}:${location.line}:${message}`, { message, location });
  }

  /**
   * Reports an error after which loading could go on. Here it is thrown; the session of `check` collects it, and loading
   * continues with the text as written, or with a broken part instead of the wrong one.
   *
   * @param _entry the entry whose value cannot be interpolated, if that is the error
   */
  report(error: unknown, _entry?: IniEntry): void {
    throw error;
  }
}
