/**
 * The values of one INI file as Paste Deploy's loader sees them: [DEFAULT], `here`, `__file__`, the globals that an
 * outer file hands in, and the caller's own on top.
 */
import { dirname } from 'node:path';
import type { IniDocument, IniEntry, IniSection } from '../config/ini.ts';
import { interpolate, type ScopeValue } from '../config/interpolate.ts';
import type { Settings } from '../protocol/types.ts';
import { settingsOf } from './context.ts';

/** The names that no caller can change in interpolation: they say where the file itself is. */
const OWN_NAMES = ['here', '__file__'] as const;

/** What becomes of a value that cannot be interpolated: throws, or takes note of it. */
type TakeMistake = (error: unknown, entry?: IniEntry) => void;

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
    for (const name of [...this.#defaultNames()]) {
      const value = this.#defaultValue(name);
      // An empty result falls back to the text as written, as NicerConfigParser.defaults() does.
      values[name] =
        value === undefined || value.literal
          ? (value?.text ?? '')
          : this.#interpolate(defaults.name, name, value, (each) => this.#defaultValue(each)) || value.text;
    }
    this.#defaults = values;
    return values;
  }

  /** The keys of a section in Paste's order: its own, then those it inherits from [DEFAULT]. */
  names(section: IniSection): string[] {
    const names = [...section.entries.keys()];
    for (const name of this.#defaultNames()) if (!section.entries.has(name)) names.push(name);
    return names;
  }

  /** A value of a section, interpolated. */
  get(section: IniSection, name: string): string {
    const written = section.entries.get(name);
    // Most values are as they are written.
    if (written && !written.value.includes('%')) return written.value;
    const value = this.#lookup(section, name);
    if (value === undefined) return '';
    if (value.literal || !value.text.includes('%')) return value.text;
    const scope = (each: string) => this.#lookup(section, each);
    return this.#interpolate(section.name, name, value, scope, section);
  }

  /** A value of a section, as it is written. */
  raw(section: IniSection, name: string): string {
    return this.#lookup(section, name)?.text ?? '';
  }

  #lookup(section: IniSection, name: string): ScopeValue | undefined {
    const entry = section.entries.get(name);
    return entry ? { text: entry.value, entry } : this.#defaultValue(name);
  }

  /** The entry behind a name as a section sees it, for its place in the file. */
  entry(section: IniSection, name: string): IniEntry | undefined {
    return section.entries.get(name) ?? this.document.defaults.entries.get(name);
  }

  #defaultNames(): ReadonlySet<string> {
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
    if (called !== undefined && !isOwn) return { text: called, literal: true };
    const entry = this.document.defaults.entries.get(name);
    if (entry) return { text: entry.value, entry };
    const own = this.#own[name];
    if (own !== undefined) return { text: own, literal: true };
    const outer = this.#outer[name];
    return outer === undefined ? undefined : { text: outer };
  }

  #interpolate(
    sectionName: string,
    key: string,
    value: ScopeValue,
    scope: (name: string) => ScopeValue | undefined,
    section: IniSection = this.document.defaults,
  ): string {
    const { entry } = value;
    const locate = (offset: number) => entry?.locate(offset) ?? section.location;
    const names = () => [...section.entries.keys(), ...this.#defaultNames(), ...Object.keys(this.#caller)];
    try {
      return interpolate({ section: sectionName, key, text: value.text, locate }, scope, process.env, names);
    } catch (error) {
      this.#mistake(error, entry);
      return value.text;
    }
  }
}
