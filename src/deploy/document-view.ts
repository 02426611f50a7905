/** An INI file as values: every section with [DEFAULT] merged in, interpolated or not, and what could not be. */
import type { IniDocument, IniEntry, IniSection } from '../config/ini.ts';
import { ConfigError, type Location } from '../errors.ts';
import type { Settings } from '../protocol/types.ts';
import { SectionScope } from './section-scope.ts';

export class ViewedEntry {
  readonly key: string;
  readonly value: string;
  /** It comes from [DEFAULT], and says here what it says there. */
  readonly inherited: boolean;
  readonly #entry: IniEntry | undefined;

  /** @param entry what the file says; undefined for what no file says: `here`, `__file__`, and what the caller passes */
  constructor(key: string, value: string, inherited: boolean, entry: IniEntry | undefined) {
    this.key = key;
    this.value = value;
    this.inherited = inherited;
    this.#entry = entry;
  }

  /** Where it is written, if it is. Worked out when asked: most are not. */
  get location(): Location | undefined {
    return this.#entry?.location;
  }
}

export interface ViewedSection {
  readonly name: string;
  readonly entries: readonly ViewedEntry[];
}

/** A value that could not be interpolated; it is shown as it is written. */
export interface ViewError {
  readonly section: string;
  readonly key: string;
  readonly error: ConfigError;
}

export interface DocumentView {
  readonly sections: readonly ViewedSection[];
  readonly errors: readonly ViewError[];
}

/**
 * The sections of a file in its order, [DEFAULT] first. Within a section its own keys come first, then `here` and
 * `__file__`, then those inherited.
 *
 * @param caller wins over [DEFAULT]
 * @param raw nothing is interpolated
 */
export function viewDocument(document: IniDocument, caller: Settings, raw: boolean): DocumentView {
  const errors: ViewError[] = [];
  let sectionName = '';
  let keyName = '';
  const scope = new SectionScope(document, caller, caller, (error) => {
    if (!(error instanceof ConfigError)) throw error;
    errors.push({ section: sectionName, key: keyName, error });
  });
  // The values of [DEFAULT] as any section inherits them, the caller's above the file's.
  const written = document.defaults;
  const defaults: IniSection = {
    name: written.name,
    entries: new Map(),
    // Asked for only where something is wrong: it makes the whole file's lines be counted.
    get location() {
      return written.location;
    },
  };
  const inDefault = new Map<string, string>();
  const viewed = [defaults, ...document.sections.values()].map((section) => {
    sectionName = section.name;
    const isFormatter = sectionName.startsWith('formatter_');
    const entries = scope.names(section).map((key) => {
      keyName = key;
      const own = section.entries.get(key);
      const value = raw || (isFormatter && isReadRaw(key)) ? scope.raw(section, key) : scope.get(section, key);
      const inherited = own === undefined && inDefault.get(key) === value;
      if (section === defaults) inDefault.set(key, value);
      const inherits = caller[key] === undefined ? written.entries.get(key) : undefined;
      return new ViewedEntry(key, value, inherited, own ?? inherits);
    });
    return { name: section.name, entries };
  });
  return { sections: viewed, errors };
}

/** Of a [formatter_*], as Python's logging reads them: a `%(message)s` there is none of ours. */
function isReadRaw(key: string): boolean {
  return key === 'format' || key === 'datefmt';
}
