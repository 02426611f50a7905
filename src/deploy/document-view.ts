/** An INI file as values: every section with [DEFAULT] merged in, interpolated or not, and what could not be. */
import type { IniDocument, IniEntry, IniSection } from '../config/ini.ts';
import { ConfigError, type Location } from '../errors.ts';
import type { Settings } from '../protocol/types.ts';
import { SectionScope } from './section-scope.ts';

export interface ViewedEntry {
  readonly key: string;
  readonly value: string;
  /** It comes from [DEFAULT], and says here what it says there. */
  readonly inherited?: boolean;
  /** Where it is written; undefined for what no file says: `here`, `__file__`, and what the caller passes. */
  readonly location: Location | undefined;
}

/** An entry whose value is not what the file says at its place. */
class ChangedEntry implements ViewedEntry {
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

  /** Worked out when asked: most are not. */
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
  // What a section only inherits is one object for all of them: in a large file, most of what there is to show.
  const inherited = new Map<string, ViewedEntry>();
  const viewed = [defaults, ...document.sections.values()].map((section) => {
    sectionName = section.name;
    const isFormatter = sectionName.startsWith('formatter_');
    const entries: ViewedEntry[] = [];
    for (const entry of section.entries.values()) {
      const { key } = entry;
      keyName = key;
      const value = raw || (isFormatter && isReadRaw(key)) ? entry.value : scope.written(section, entry);
      // Most entries say what is meant, and need no second object in a large file.
      entries.push(value === entry.value ? entry : new ChangedEntry(key, value, false, entry));
    }
    for (const key of scope.defaultNames()) {
      if (section.entries.has(key)) continue;
      keyName = key;
      const value = raw || (isFormatter && isReadRaw(key)) ? scope.raw(section, key) : scope.get(section, key);
      const shared = inherited.get(key);
      const entry = caller[key] === undefined ? written.entries.get(key) : undefined;
      if (section === defaults) inherited.set(key, new ChangedEntry(key, value, true, entry));
      entries.push(shared?.value === value ? shared : new ChangedEntry(key, value, false, entry));
    }
    return { name: section.name, entries };
  });
  return { sections: viewed, errors };
}

/** Of a [formatter_*], as Python's logging reads them: a `%(message)s` there is none of ours. */
function isReadRaw(key: string): boolean {
  return key === 'format' || key === 'datefmt';
}
