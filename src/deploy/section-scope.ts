/**
 * The values of one INI file as Paste Deploy's loader sees them: [DEFAULT], `here`, `__file__`, the globals that an
 * outer file hands in, and the caller's own on top.
 */
import { dirname } from 'node:path';
import type { IniDocument, IniEntry, IniSection } from '../config/ini.ts';
import { type Interpolated, interpolate, type Scope, type ScopeValue } from '../config/interpolate.ts';
import type { Location } from '../errors.ts';
import type { Settings } from '../protocol/types.ts';
import { settingsOf } from './context.ts';

/** The names that no caller can change in interpolation: they say where the file itself is. */
const OWN_NAMES = ['here', '__file__'] as const;

/** What becomes of a value that cannot be interpolated: throws, or takes note of it. */
type TakeMistake = (error: unknown, entry?: IniEntry) => void;

/** A value of [DEFAULT] as every section has it that has none of these names itself. */
interface InheritedValue {
  readonly value: string;
  readonly names: ReadonlySet<string>;
}

export class SectionScope {
  readonly document: IniDocument;
  readonly #caller: Settings;
  readonly #outer: Settings;
  readonly #own: Settings;
  readonly #mistake: TakeMistake;
  #defaults: Settings | undefined;
  /** What does not change from section to section: a large file asks for these often. */
  #names: ReadonlySet<string> | undefined;
  readonly #values = new Map<string, ScopeValue | undefined>();
  readonly #inherited = new Map<string, InheritedValue>();
  #last: { readonly section: IniSection; readonly lookup: Scope } | undefined;

  /**
   * @param outer The globals of the file that refers to this one; weaker than this file's [DEFAULT].
   * @param caller What the user passed; stronger than [DEFAULT], in every file.
   * @param mistake Is given what is wrong with a value; if it returns, the value is taken as it is written.
   */
  constructor(
    document: IniDocument,
    caller: Settings,
    outer: Settings | undefined,
    mistake: TakeMistake = (error) => {
      throw error;
    },
  ) {
    this.document = document;
    this.#caller = caller;
    this.#outer = settingsOf(outer);
    this.#mistake = mistake;
    this.#own = settingsOf({ here: dirname(document.file), __file__: document.file });
  }

  /** [DEFAULT], interpolated with itself: what a part gets as its global configuration. */
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

  /** The value of an entry that stands in the section itself, interpolated. */
  written(section: IniSection, entry: IniEntry): string {
    // Most values are as they are written.
    if (!entry.value.includes('%')) return entry.value;
    return this.#interpolate(section.name, entry.key, entry, this.#lookupIn(section), section) ?? entry.value;
  }

  /** The names of a section, as one function for all of its values: they are asked for one after the other. */
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

  /** A value of a section, as it is written. */
  raw(section: IniSection, name: string): string {
    return this.#lookup(section, name)?.value ?? '';
  }

  #lookup(section: IniSection, name: string): ScopeValue | undefined {
    return section.entries.get(name) ?? this.#defaultValue(name);
  }

  /** The entry behind a name as a section sees it, for its place in the file. */
  entry(section: IniSection, name: string): IniEntry | undefined {
    return section.entries.get(name) ?? this.document.defaults.entries.get(name);
  }

  /** The keys that a section inherits, unless it has them itself. */
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
    const called = this.#caller[name];
    if (called !== undefined && !isOwn) return { value: called, literal: true };
    const entry = this.document.defaults.entries.get(name);
    if (entry) return entry;
    const own = this.#own[name];
    if (own !== undefined) return { value: own, literal: true };
    const outer = this.#outer[name];
    return outer === undefined ? undefined : { value: outer };
  }

  /** Undefined, if that is a mistake that loading goes on after. */
  #interpolate(
    sectionName: string,
    key: string,
    value: ScopeValue,
    scope: Scope,
    section: IniSection = this.document.defaults,
  ): string | undefined {
    try {
      return interpolate(new ScopedValue(sectionName, key, value, section), scope, process.env, () => [
        ...section.entries.keys(),
        ...this.defaultNames(),
        ...Object.keys(this.#caller),
      ]);
    } catch (error) {
      this.#mistake(error, this.entry(section, key));
      return undefined;
    }
  }
}

/** A value with the section that it is read in; the section's place is that of a value that no file says. */
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
