/**
 * The content of an INI file, each piece with its place. Values are joined over their lines, but neither interpolated nor
 * inherited.
 */
import type { Location } from '../../errors.ts';
import { skipSpace, trimEnd } from '../whitespace.ts';
import { LineCursor, type Source } from './source.ts';

/** A key with its value. */
export interface IniEntry {
  readonly key: string;
  /** As configparser's `get(raw=True)`: the stripped lines of the value, joined by line feeds. */
  readonly value: string;
  /** The place of the key. */
  readonly location: Location;
  /** The place of the value's character at `offset`; for an offset outside the value, of its nearer end. */
  locate(offset: number): Location;
}

/** A section with its own entries (without those of [DEFAULT]), in the order of the file. */
export interface IniSection {
  readonly name: string;
  /** The place of the header. */
  readonly location: Location;
  readonly entries: ReadonlyMap<string, IniEntry>;
}

/** An INI file. */
export interface IniDocument {
  readonly file: string;
  /** The sections in the order of the file, without [DEFAULT]. */
  readonly sections: ReadonlyMap<string, IniSection>;
  /** All [DEFAULT] sections of the file as one; without entries if there is none. */
  readonly defaults: IniSection;
}

/** The name of the section that all others inherit from. */
export const DEFAULT_SECTION = 'DEFAULT';

/**
 * Visits the lines of a value, each stripped, without comment lines. The first line of a value is never a comment: in
 * `key = # x` the hash sign is part of the value.
 */
function forEachRow(region: string, visit: (start: number, end: number) => void): void {
  for (const line = new LineCursor(region); line.advance(); ) {
    const start = skipSpace(region, line.start, line.end);
    const first = region[start];
    if (line.start > 0 && start < line.end && (first === '#' || first === ';')) continue;
    visit(start, trimEnd(region, start, line.end));
  }
}

/** The value in a region of several lines. The last of them is not blank, so the value has no trailing line feeds. */
export function joinRows(region: string): string {
  const rows: string[] = [];
  forEachRow(region, (start, end) => rows.push(region.slice(start, end)));
  return rows.join('\n');
}

/** An entry from the parser. It keeps offsets into the source and computes places on demand. */
export class ParsedEntry implements IniEntry {
  readonly key: string;
  readonly value: string;
  readonly #source: Source;
  readonly #keyStart: number;
  readonly #valueStart: number;
  readonly #valueEnd: number;

  /** @param valueEnd the end of the value's last line; comments may be between its lines */
  constructor(source: Source, key: string, keyStart: number, valueStart: number, valueEnd: number, value: string) {
    this.key = key;
    this.value = value;
    this.#source = source;
    this.#keyStart = keyStart;
    this.#valueStart = valueStart;
    this.#valueEnd = valueEnd;
  }

  get location(): Location {
    return this.#source.at(this.#keyStart);
  }

  locate(offset: number): Location {
    let left = Math.max(0, Math.min(offset, this.value.length));
    let found = 0;
    let searching = true;
    forEachRow(this.#source.text.slice(this.#valueStart, this.#valueEnd), (start, end) => {
      if (!searching) return;
      found = start + Math.min(left, end - start);
      // The line feed after a row is at the end of the row's text.
      if (left <= end - start) searching = false;
      else left -= end - start + 1;
    });
    return this.#source.at(this.#valueStart + found);
  }
}

/** A section from the parser, which adds the entries. */
export class ParsedSection implements IniSection {
  readonly name: string;
  readonly entries = new Map<string, ParsedEntry>();
  readonly #source: Source;
  readonly #start: number;

  constructor(source: Source, name: string, start: number) {
    this.name = name;
    this.#source = source;
    this.#start = start;
  }

  get location(): Location {
    return this.#source.at(this.#start);
  }
}
