/** What one load shares over all the files it goes through: the caller's globals, what was read, the warnings. */
import { type IniDocument, type IniEntry, readIni } from '../config/ini.ts';
import { formatLocation, type Location, printableLine } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Settings } from '../protocol/types.ts';
import { settingsOf } from './context.ts';
import type { PackageInfo } from './entry-points.ts';

export interface Warning {
  readonly message: string;
  readonly location: Location;
}

export class LoadSession {
  /** `name=value` of the command line or the `globalConf` option: taken literally, and stronger than any [DEFAULT]. */
  readonly caller: Settings;
  readonly #documents = new Map<string, Promise<IniDocument>>();
  readonly #packages = new Map<string, Promise<PackageInfo>>();
  readonly #warnings = new Map<string, Warning>();

  constructor(caller: Readonly<Settings> = {}) {
    this.caller = settingsOf(caller);
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
   * The package that `find` finds, looked for once for all references to it: a large file has thousands.
   *
   * @param reference tells what `find` looks for from anything else that it could
   */
  package(reference: string, find: () => Promise<PackageInfo>): Promise<PackageInfo> {
    let found = this.#packages.get(reference);
    if (!found) {
      found = find();
      this.#packages.set(reference, found);
      // Each reference has a mistake of its own, since it has a place of its own.
      found.catch(() => this.#packages.delete(reference));
    }
    return found;
  }

  /** Every INI file involved so far, those that could not be read included: all are worth watching. */
  get files(): string[] {
    return [...this.#documents.keys()];
  }

  get warnings(): Warning[] {
    return [...this.#warnings.values()];
  }

  /** What loading had to say, a line for each, with its place. */
  tellWarnings(log: Logger): void {
    for (const { message, location } of this.warnings) {
      log.warn(printableLine(`${formatLocation(location)}: ${message}`));
    }
  }

  /** Says a thing once, however often the section is loaded. */
  warn(message: string, location: Location): void {
    this.#warnings.set(`${location.file}:${location.line}:${message}`, { message, location });
  }

  /**
   * Takes a mistake after which loading could go on. Here nothing goes on after one; the session of `check` keeps it,
   * and loading continues with the text as it is written, or with a broken part in the place of the wrong one.
   *
   * @param _entry the entry whose value cannot be had, if that is the mistake
   */
  mistake(error: unknown, _entry?: IniEntry): void {
    throw error;
  }
}
