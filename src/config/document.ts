/**
 * What an INI file says, each piece with its place: the values as written, joined over their lines, nothing interpolated
 * and nothing inherited.
 */
import type { Location } from '../errors.ts';
import { LineCursor, type Source } from './source.ts';
import { skipSpace, trimEnd } from './whitespace.ts';

/** A key with its value. */
export interface IniEntry {
  readonly key: string;
  /** As configparser's `get(raw=True)`: the lines of the value, each stripped, joined by line feeds. */
  readonly value: string;
  /** Where the key stands. */
  readonly location: Location;
  /** Where the value's character at `offset` stands in the file. An offset outside the value means its nearer end. */
  locate(offset: number): Location;
}

/** A section with the entries written in it (those of [DEFAULT] are not among them), in the order of the file. */
export interface IniSection {
  readonly name: string;
  /** Where the header stands. */
  readonly location: Location;
  readonly entries: ReadonlyMap<string, IniEntry>;
}

/** An INI file. */
export interface IniDocument {
  readonly file: string;
  /** The sections in the order of the file, without [DEFAULT]. */
  readonly sections: ReadonlyMap<string, IniSection>;
  /** [DEFAULT]; all of them, if it is written several times. Without entries, if it is not written at all. */
  readonly defaults: IniSection;
}

/** The name of the section that all others inherit from. */
export const DEFAULT_SECTION = 'DEFAULT';

/**
 * The lines that a stretch of the file, from the start of a value on, contributes to the value: stripped, comment lines
 * left out. The first line of a value is never a comment: in `key = # x` the hash sign is its text.
 */
function forEachRow(region: string, visit: (start: number, end: number) => void): void {
  for (const line = new LineCursor(region); line.advance(); ) {
    const start = skipSpace(region, line.start, line.end);
    const first = region[start];
    if (line.start > 0 && start < line.end && (first === '#' || first === ';')) continue;
    visit(start, trimEnd(region, start, line.end));
  }
}

/** The value that a stretch of several lines holds. The last of them is not blank, so no line feeds trail. */
export function joinRows(region: string): string {
  const rows: string[] = [];
  forEachRow(region, (start, end) => rows.push(region.slice(start, end)));
  return rows.join('\n');
}

/** An entry as the parser found it; it keeps offsets into the source and turns them into places when asked. */
export class ParsedEntry implements IniEntry {
  readonly key: string;
  readonly value: string;
  readonly #source: Source;
  readonly #keyStart: number;
  readonly #valueStart: number;
  readonly #valueEnd: number;

  /** @param valueEnd the end of the value's last line, comments between the lines included */
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
      // The line feed after a row belongs to it: it stands where the row's text ends.
      if (left <= end - start) searching = false;
      else left -= end - start + 1;
    });
    return this.#source.at(this.#valueStart + found);
  }
}

/** A section while the parser fills it, and afterwards. */
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
