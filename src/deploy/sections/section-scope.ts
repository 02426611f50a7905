/**
 * The values of one INI file as Paste Deploy's loader sees them: [DEFAULT], `here`, `__file__`, the globals of a referring
 * file, and the caller's globals, which override all.
 */
import { dirname } from 'node:path';
import type { IniDocument, IniEntry, IniSection } from '../../config/ini/ini.ts';
import {
  type Interpolated,
  interpolate,
  referenceEnvironment,
  type Scope,
  type ScopeValue,
} from '../../config/ini/interpolate.ts';
import type { Location } from '../../errors.ts';
import type { Settings } from '../../protocol/types.ts';
import { settingsOf } from '../context.ts';

/** The names of the file's own location, which the caller cannot override in interpolation. */
const OWN_NAMES = ['here', '__file__'] as const;

/** Handles the error of a value that cannot be interpolated: throws it, or notes it and returns. */
type OnError = (error: unknown, entry?: IniEntry) => void;

/** The interpolated value of a [DEFAULT] key; it holds for every section that does not define any of `names`. */
interface InheritedValue {
  readonly value: string;
  readonly names: ReadonlySet<string>;
}

export class SectionScope {
  readonly document: IniDocument;
  readonly #callerGlobals: Settings;
  readonly #outer: Settings;
  readonly #own: Settings;
  readonly #onError: OnError;
  #defaults: Settings | undefined;
  // The same for every section, and looked up often in a large file.
  #names: ReadonlySet<string> | undefined;
  readonly #values = new Map<string, ScopeValue | undefined>();
  readonly #inherited = new Map<string, InheritedValue>();
  #last: { readonly section: IniSection; readonly lookup: Scope } | undefined;

  /**
   * @param outer The globals of the referring file; this file's [DEFAULT] overrides them.
   * @param callerGlobals The caller's globals; they override [DEFAULT] in every file.
   * @param onError Called with the error of a value; if it returns, the value is used as written.
   */
  constructor(
    document: IniDocument,
    callerGlobals: Settings,
    outer: Settings | undefined,
    onError: OnError = (error) => {
      throw error;
    },
  ) {
    this.document = document;
    this.#callerGlobals = callerGlobals;
    this.#outer = settingsOf(outer);
    this.#onError = onError;
    this.#own = settingsOf({ here: dirname(document.file), __file__: document.file });
  }

  /** [DEFAULT], interpolated with itself: the global configuration of a part. */
  defaults(): Settings {
    if (this.#defaults) return this.#defaults;
    const { defaults } = this.document;
    const values = settingsOf(this.#own);
    for (const name of [...this.defaultNames()]) {
      const value = this.#defaultValue(name);
      // An empty result falls back to the text as written, as NicerConfigParser.defaults() does.
      values[name] =
        value === undefined || value.literal
          ? (value?.value ?? '')
          : this.#interpolate(defaults.name, name, value, (each) => this.#defaultValue(each)) || value.value;
    }
    this.#defaults = values;
    return values;
  }

  /** The keys of a section in Paste's order: its own, then those it inherits from [DEFAULT]. */
  names(section: IniSection): string[] {
    const names = [...section.entries.keys()];
    for (const name of this.defaultNames()) if (!section.entries.has(name)) names.push(name);
    return names;
  }

  /** A value of a section, interpolated. */
  get(section: IniSection, name: string): string {
    const entry = section.entries.get(name);
    return entry ? this.written(section, entry) : this.#getInherited(section, name);
  }

  /** The value of one of the section's own entries, interpolated. */
  written(section: IniSection, entry: IniEntry): string {
    // Most values have no references.
    if (!entry.value.includes('%')) return entry.value;
    return this.#interpolate(section.name, entry.key, entry, this.#lookupIn(section), section) ?? entry.value;
  }

  /** The scope of a section; kept for the next call, since a section's values are read one after the other. */
  #lookupIn(section: IniSection): Scope {
    if (this.#last?.section !== section) {
      this.#last = { section, lookup: (name) => this.#lookup(section, name) };
    }
    return this.#last.lookup;
  }

  #getInherited(section: IniSection, name: string): string {
    const known = this.#inherited.get(name);
    if (known && !hasAny(section, known.names)) return known.value;
    const found = this.#defaultValue(name);
    if (found === undefined) return '';
    if (found.literal || !found.value.includes('%')) return found.value;
    const names = new Set<string>();
    const scope = (each: string) => {
      names.add(each);
      return this.#lookup(section, each);
    };
    const value = this.#interpolate(section.name, name, found, scope, section);
    if (value !== undefined && !hasAny(section, names)) this.#inherited.set(name, { value, names });
    return value ?? found.value;
  }

  /** A value of a section as written. */
  raw(section: IniSection, name: string): string {
    return this.#lookup(section, name)?.value ?? '';
  }

  #lookup(section: IniSection, name: string): ScopeValue | undefined {
    return section.entries.get(name) ?? this.#defaultValue(name);
  }

  /** The entry that defines a name for a section. */
  entry(section: IniSection, name: string): IniEntry | undefined {
    return section.entries.get(name) ?? this.document.defaults.entries.get(name);
  }

  /** The keys that every section inherits unless it has them itself. */
  defaultNames(): ReadonlySet<string> {
    this.#names ??= new Set([...OWN_NAMES, ...this.document.defaults.entries.keys(), ...Object.keys(this.#outer)]);
    return this.#names;
  }

  #defaultValue(name: string): ScopeValue | undefined {
    const known = this.#values.get(name);
    if (known !== undefined || this.#values.has(name)) return known;
    const value = this.#findDefault(name);
    this.#values.set(name, value);
    return value;
  }

  #findDefault(name: string): ScopeValue | undefined {
    const isOwn = (OWN_NAMES as readonly string[]).includes(name);
    const given = this.#callerGlobals[name];
    if (given !== undefined && !isOwn) return { value: given, literal: true };
    const entry = this.document.defaults.entries.get(name);
    if (entry) return entry;
    const own = this.#own[name];
    if (own !== undefined) return { value: own, literal: true };
    const outer = this.#outer[name];
    return outer === undefined ? undefined : { value: outer };
  }

  /** Undefined if the value has an error and loading goes on. */
  #interpolate(
    sectionName: string,
    key: string,
    value: ScopeValue,
    scope: Scope,
    section: IniSection = this.document.defaults,
  ): string | undefined {
    try {
      return interpolate(new ScopedValue(sectionName, key, value, section), scope, referenceEnvironment(), () => [
        ...section.entries.keys(),
        ...this.defaultNames(),
        ...Object.keys(this.#callerGlobals),
      ]);
    } catch (error) {
      this.#onError(error, this.entry(section, key));
      return undefined;
    }
  }
}

/** A value and the section that it is read in, whose place is used for a value that is in no file. */
class ScopedValue implements Interpolated {
  readonly section: string;
  readonly key: string;
  readonly #value: ScopeValue;
  readonly #readIn: IniSection;

  constructor(section: string, key: string, value: ScopeValue, readIn: IniSection) {
    this.section = section;
    this.key = key;
    this.#value = value;
    this.#readIn = readIn;
  }

  get text(): string {
    return this.#value.value;
  }

  locate(offset: number): Location {
    return this.#value.locate?.(offset) ?? this.#readIn.location;
  }
}

function hasAny(section: IniSection, names: ReadonlySet<string>): boolean {
  for (const name of names) if (section.entries.has(name)) return true;
  return false;
}
