/** Shared by the tests of the INI reader: catching its errors, finding a place in a text, and a plain scope. */

import type { IniDocument, IniSection } from '../../../src/config/ini/ini.ts';
import type { Scope, ScopeValue } from '../../../src/config/ini/interpolate.ts';
import { ConfigError, ErrorList, type Location, type PasterError } from '../../../src/errors.ts';

/** The errors that a function throws, as a list; any other kind of error is rethrown. */
export function errorsOf(run: () => unknown): PasterError[] {
  try {
    run();
  } catch (error) {
    if (error instanceof ErrorList) return [...error.errors];
    if (error instanceof ConfigError) return [error];
    throw error;
  }
  return [];
}

/** The text from a place on, found in the slow and obvious way. */
export function textAt(text: string, { line, column }: Location): string {
  let rest = text;
  for (let left = line - 1; left > 0; left--) {
    const lineEnd = /\r\n?|\n/.exec(rest);
    if (lineEnd === null) throw new Error(`the text has no line ${line}`);
    rest = rest.slice(lineEnd.index + lineEnd[0].length);
  }
  return rest.slice(column - 1);
}

/** The names of a section and its defaults, as configparser sees them. */
export function scopeOf(ini: IniDocument, section: IniSection, builtIn: ReadonlyMap<string, string>): Scope {
  return (name): ScopeValue | undefined => {
    const entry = section.entries.get(name) ?? ini.defaults.entries.get(name);
    if (entry !== undefined) return entry;
    const value = builtIn.get(name);
    return value === undefined ? undefined : { value };
  };
}
