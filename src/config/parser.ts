/**
 * The INI dialect: from the text of a file to sections and entries, as CPython 3.11's configparser reads it for Paste
 * Deploy. Values are not interpolated here. All mistakes of a file are found in one go.
 *
 * The rules, in the order in which a line is tried:
 *   1. white space only: an empty line of the value that is open, if one is
 *   2. first character `#` or `;`: a comment
 *   3. a value is open, and the line is indented deeper than the last header, key or mistake: it continues the value
 *   4. `[`, at least one character, `]`: a header, whose name reaches to the last `]`; what follows is ignored
 *   5. a `=` or `:` somewhere: a key and its value, divided by the first of them
 *   6. anything else is a mistake
 */
import { type ConfigError, ErrorList } from '../errors.ts';
import { DEFAULT_SECTION, type IniDocument, joinRows, ParsedEntry, ParsedSection } from './document.ts';
import {
  duplicateKey,
  duplicateSection,
  emptyKey,
  noSection,
  notAnEntry,
  tooManyMistakes,
  tooManyParts,
} from './mistakes.ts';
import { LineCursor, type Source } from './source.ts';
import { skipSpace, trimEnd } from './whitespace.ts';

const NUMBER_SIGN = 0x23;
const COLON = 0x3a;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const OPENING_BRACKET = 0x5b;
const CLOSING_BRACKET = 0x5d;

/** A file with more mistakes than this is no INI file at all; nobody reads on. */
const MISTAKES_SHOWN = 100;

/** Sections and settings of a file together. Each costs some 200 bytes and 4 µs; ten times as many, all of the memory. */
const MAX_PARTS = 2_500_000;

/** Reads one file; an instance serves once. */
export class IniParser {
  readonly #source: Source;
  readonly #text: string;
  readonly #sections = new Map<string, ParsedSection>();
  #defaults: ParsedSection | undefined;
  readonly #keys = new Map<string, string>();
  readonly #mistakes: ConfigError[] = [];
  #mistakesNotShown = 0;
  #parts = 0;

  /** What the entries belong to. After a duplicate header this is a section that is thrown away. */
  #section: ParsedSection | undefined;

  // The entry whose value may go on in the next line: an object for each would be one more to collect for every line.
  /** Where its key starts; -1 while there is none. */
  #keyStart = -1;
  #keyEnd = 0;
  #valueStart = 0;
  /** The end of the value's last line so far that is not blank. */
  #valueEnd = 0;
  #severalLines = false;

  #indent = 0;
  #headerMissed = false;

  constructor(source: Source) {
    this.#source = source;
    this.#text = source.text;
  }

  /** @throws ConfigError for one mistake, ErrorList for several */
  parse(): IniDocument {
    for (const line = new LineCursor(this.#text); line.advance(); ) this.#readLine(line.start, line.end);
    this.#closeEntry();
    this.#throwMistakes();
    return {
      file: this.#source.file,
      sections: this.#sections,
      defaults: this.#defaults ?? new ParsedSection(this.#source, DEFAULT_SECTION, 0),
    };
  }

  #readLine(lineStart: number, lineEnd: number): void {
    const start = skipSpace(this.#text, lineStart, lineEnd);
    // Blank lines count only if the value goes on after them; then they lie between its start and its end.
    if (start === lineEnd) return;
    const first = this.#text.charCodeAt(start);
    if (first === NUMBER_SIGN || first === SEMICOLON) return;
    const end = trimEnd(this.#text, start, lineEnd);
    const indent = start - lineStart;
    if (this.#keyStart >= 0 && indent > this.#indent) {
      this.#valueEnd = end;
      this.#severalLines = true;
      return;
    }
    this.#indent = indent;
    const nameEnd = first === OPENING_BRACKET ? this.#lastClosingBracket(start, end) : -1;
    if (nameEnd > start + 1) this.#openSection(this.#text.slice(start + 1, nameEnd), start);
    else if (this.#section === undefined) this.#missHeader(start, end);
    else this.#readEntry(start, end);
  }

  #openSection(name: string, start: number): void {
    this.#closeEntry();
    this.#countPart(start);
    const section = new ParsedSection(this.#source, name, start);
    if (name === DEFAULT_SECTION) {
      this.#defaults ??= section;
      this.#section = this.#defaults;
      return;
    }
    this.#section = section;
    const earlier = this.#sections.get(name);
    if (earlier === undefined) this.#sections.set(name, section);
    else this.#report(() => duplicateSection(section, earlier));
  }

  /** Reports the first line before any section. Those after it are the same mistake once more. */
  #missHeader(start: number, end: number): void {
    if (this.#headerMissed) return;
    this.#headerMissed = true;
    this.#report(() => noSection(this.#source, start, end));
  }

  #readEntry(start: number, end: number): void {
    const separator = this.#separator(start, end);
    if (separator === end) {
      // The value before it stays open: configparser takes an indented line after the mistake to continue it.
      this.#report(() => notAnEntry(this.#source, start, end, this.#openKey()));
      return;
    }
    this.#closeEntry();
    this.#countPart(start);
    if (separator === start) {
      this.#report(() => emptyKey(this.#source, start, end));
      return;
    }
    this.#keyStart = start;
    this.#keyEnd = trimEnd(this.#text, start, separator);
    this.#valueStart = skipSpace(this.#text, separator + 1, end);
    this.#valueEnd = end;
    this.#severalLines = false;
  }

  /** Files the open entry under its key, now that its value is complete. */
  #closeEntry(): void {
    const keyStart = this.#keyStart;
    const section = this.#section;
    if (keyStart < 0 || section === undefined) return;
    this.#keyStart = -1;
    const key = this.#sameText(this.#text.slice(keyStart, this.#keyEnd));
    const written = this.#text.slice(this.#valueStart, this.#valueEnd);
    const value = this.#severalLines ? joinRows(written) : written;
    const entry = new ParsedEntry(this.#source, key, keyStart, this.#valueStart, this.#valueEnd, value);
    const earlier = section.entries.get(key);
    if (earlier === undefined) section.entries.set(key, entry);
    else this.#report(() => duplicateKey(section, entry, earlier));
  }

  /** The one string for a key that many sections have: a large file repeats its keys. */
  #sameText(key: string): string {
    const known = this.#keys.get(key);
    if (known !== undefined) return known;
    this.#keys.set(key, key);
    return key;
  }

  /** @throws ConfigError at once: whatever else is wrong, nobody reads it. */
  #countPart(start: number): void {
    if (++this.#parts > MAX_PARTS) throw tooManyParts(this.#source, start, MAX_PARTS);
  }

  #openKey(): string | undefined {
    return this.#keyStart < 0 ? undefined : this.#text.slice(this.#keyStart, this.#keyEnd);
  }

  #separator(start: number, end: number): number {
    for (let offset = start; offset < end; offset++) {
      const code = this.#text.charCodeAt(offset);
      if (code === EQUALS || code === COLON) return offset;
    }
    return end;
  }

  /** Not `lastIndexOf`, which would search the whole file backwards for each line that has none. */
  #lastClosingBracket(start: number, end: number): number {
    let offset = end - 1;
    while (offset > start && this.#text.charCodeAt(offset) !== CLOSING_BRACKET) offset--;
    return offset;
  }

  #report(mistake: () => ConfigError): void {
    if (this.#mistakes.length < MISTAKES_SHOWN) this.#mistakes.push(mistake());
    else this.#mistakesNotShown++;
  }

  #throwMistakes(): void {
    const [first] = this.#mistakes;
    if (first === undefined) return;
    if (this.#mistakes.length === 1) throw first;
    // A duplicate key is noticed at the end of its value, after what is wrong within.
    this.#mistakes.sort((one, other) => (one.location?.line ?? 0) - (other.location?.line ?? 0));
    if (this.#mistakesNotShown > 0) this.#mistakes.push(tooManyMistakes(this.#source, this.#mistakesNotShown));
    throw new ErrorList(this.#mistakes);
  }
}
