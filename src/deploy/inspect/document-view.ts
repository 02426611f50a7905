/** The values of an INI file: every section with [DEFAULT] merged in, interpolated or raw, and the errors. */
import type { IniDocument, IniEntry, IniSection } from '../../config/ini/ini.ts';
import { ConfigError, type Location } from '../../errors.ts';
import type { Settings } from '../../protocol/types.ts';
import { SectionScope } from '../sections/section-scope.ts';

export interface ViewedEntry {
  readonly key: string;
  readonly value: string;
  /** Whether it comes from [DEFAULT], with the same value there. */
  readonly inherited?: boolean;
  /** Undefined for values that are in no file: `here`, `__file__` and the caller's globals. */
  readonly location: Location | undefined;
}

/** An entry whose value differs from its text in the file. */
class DerivedEntry implements ViewedEntry {
  readonly key: string;
  readonly value: string;
  readonly inherited: boolean;
  readonly #entry: IniEntry | undefined;

  constructor(key: string, value: string, inherited: boolean, entry: IniEntry | undefined) {
    this.key = key;
    this.value = value;
    this.inherited = inherited;
    this.#entry = entry;
  }

  /** Computed on demand, since few are read. */
  get location(): Location | undefined {
    return this.#entry?.location;
  }
}

export interface ViewedSection {
  readonly name: string;
  readonly entries: readonly ViewedEntry[];
}

/** A value that could not be interpolated, which is shown as written. */
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
 * @param callerGlobals overrides [DEFAULT]
 * @param raw whether values are left as written
 */
export function viewDocument(document: IniDocument, callerGlobals: Settings, raw: boolean): DocumentView {
  const errors: ViewError[] = [];
  let sectionName = '';
  let keyName = '';
  const scope = new SectionScope(document, callerGlobals, callerGlobals, (error) => {
    if (!(error instanceof ConfigError)) throw error;
    errors.push({ section: sectionName, key: keyName, error });
  });
  // [DEFAULT] as sections inherit it, with the caller's globals.
  const written = document.defaults;
  const defaults: IniSection = {
    name: written.name,
    entries: new Map(),
    // Computed only for errors: it counts the lines of the whole file.
    get location() {
      return written.location;
    },
  };
  // Inherited entries share one object: in a large file they are most entries.
  const inherited = new Map<string, ViewedEntry>();
  const viewed = [defaults, ...document.sections.values()].map((section) => {
    sectionName = section.name;
    const isFormatter = sectionName.startsWith('formatter_');
    const entries: ViewedEntry[] = [];
    for (const entry of section.entries.values()) {
      const { key } = entry;
      keyName = key;
      const value = raw || (isFormatter && isReadRaw(key)) ? entry.value : scope.written(section, entry);
      // Most entries need no second object.
      entries.push(value === entry.value ? entry : new DerivedEntry(key, value, false, entry));
    }
    for (const key of scope.defaultNames()) {
      if (section.entries.has(key)) continue;
      keyName = key;
      const value = raw || (isFormatter && isReadRaw(key)) ? scope.raw(section, key) : scope.get(section, key);
      const shared = inherited.get(key);
      const entry = callerGlobals[key] === undefined ? written.entries.get(key) : undefined;
      if (section === defaults) inherited.set(key, new DerivedEntry(key, value, true, entry));
      entries.push(shared?.value === value ? shared : new DerivedEntry(key, value, false, entry));
    }
    return { name: section.name, entries };
  });
  return { sections: viewed, errors };
}

/** Keys of [formatter_*] that Python's logging reads raw: a `%(message)s` in them is not a reference. */
function isReadRaw(key: string): boolean {
  return key === 'format' || key === 'datefmt';
}
