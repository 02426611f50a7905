/** An INI file as values: every section with [DEFAULT] merged in, interpolated or not, and what could not be. */
import type { IniDocument, IniSection } from '../config/ini.ts';
import { ConfigError, type Location } from '../errors.ts';
import type { Settings } from '../protocol/types.ts';
import { SectionScope } from './section-scope.ts';

export interface ViewedEntry {
  readonly key: string;
  readonly value: string;
  /** Where it is written; undefined for what no file says: `here`, `__file__`, and what the caller passes. */
  readonly location: Location | undefined;
  /** It comes from [DEFAULT], and says here what it says there. */
  readonly inherited: boolean;
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
  let at = { section: '', key: '' };
  const scope = new SectionScope(document, caller, caller, (error) => {
    if (!(error instanceof ConfigError)) throw error;
    errors.push({ ...at, error });
  });
  // The values of [DEFAULT] as any section inherits them, the caller's above the file's.
  const { name, location } = document.defaults;
  const defaults: IniSection = { name, location, entries: new Map() };
  const inDefault = new Map<string, string>();
  const viewed = [defaults, ...document.sections.values()].map((section) => ({
    name: section.name,
    entries: scope.names(section).map((key) => {
      at = { section: section.name, key };
      const value = raw || isReadRaw(section.name, key) ? scope.raw(section, key) : scope.get(section, key);
      const inherited = !section.entries.has(key) && inDefault.get(key) === value;
      if (section === defaults) inDefault.set(key, value);
      return { key, value, location: placeOf(scope, section, caller, key), inherited };
    }),
  }));
  return { sections: viewed, errors };
}

/** As Python's logging reads them: a `%(message)s` there is none of ours. */
function isReadRaw(section: string, key: string): boolean {
  return section.startsWith('formatter_') && (key === 'format' || key === 'datefmt');
}

function placeOf(scope: SectionScope, section: IniSection, caller: Settings, key: string): Location | undefined {
  const isCallers = !section.entries.has(key) && caller[key] !== undefined;
  return isCallers ? undefined : scope.entry(section, key)?.location;
}
