/**
 * The INI dialect: from the text of a file to sections and entries, as CPython 3.11's configparser reads it for Paste
 * Deploy. It does not interpolate values, and it reports all errors of a file at once.
 *
 * The rules for a line, the first that applies counts:
 *   1. white space only: an empty line of the open value, if there is one
 *   2. first character `#` or `;`: a comment
 *   3. a value is open, and the line is indented deeper than the last header, key or error: it continues the value
 *   4. `[`, at least one character, `]`: a header, whose name extends to the last `]`; the rest is ignored
 *   5. a `=` or `:` somewhere: a key and its value, divided by the first of them
 *   6. anything else is an error
 */
import { type ConfigError, ErrorList } from '../../errors.ts';
import { skipSpace, trimEnd } from '../whitespace.ts';
import { DEFAULT_SECTION, type IniDocument, joinRows, ParsedEntry, ParsedSection } from './document.ts';
import {
  duplicateKey,
  duplicateSection,
  emptyKey,
  noSection,
  notAnEntry,
  tooManyErrors,
  tooManyParts,
} from './ini-errors.ts';
import { LineCursor, type Source } from './source.ts';

const NUMBER_SIGN = 0x23;
const COLON = 0x3a;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const OPENING_BRACKET = 0x5b;
const CLOSING_BRACKET = 0x5d;

/** A file with more errors is probably not an INI file; the others are only counted. */
const MAX_ERRORS = 100;

/** The largest number of sections and settings in a file. Each takes some 200 bytes and 4 µs; ten times as many need all memory. */
const MAX_PARTS = 2_500_000;

/** Parses one file; each instance is used once. */
export class IniParser {
  readonly #source: Source;
  readonly #text: string;
  readonly #sections = new Map<string, ParsedSection>();
  #defaults: ParsedSection | undefined;
  readonly #keys = new Map<string, string>();
  readonly #errors: ConfigError[] = [];
  #errorsNotShown = 0;
  #parts = 0;

  /** The section of the next entries. After a duplicate header it is one that is discarded. */
  #section: ParsedSection | undefined;

  // The open entry, whose value may continue on the next line. Fields, since an object for each line would be garbage.
  /** The start of its key; -1 if no entry is open. */
  #keyStart = -1;
  #keyEnd = 0;
  #valueStart = 0;
  /** The end of the value's last non-blank line so far. */
  #valueEnd = 0;
  #severalLines = false;

  #indent = 0;
  #headerMissed = false;

  constructor(source: Source) {
    this.#source = source;
    this.#text = source.text;
  }

  /** @throws ConfigError for one error, ErrorList for several */
  parse(): IniDocument {
    for (const line = new LineCursor(this.#text); line.advance(); ) this.#readLine(line.start, line.end);
    this.#closeEntry();
    this.#throwErrors();
    return {
      file: this.#source.file,
      sections: this.#sections,
      defaults: this.#defaults ?? new ParsedSection(this.#source, DEFAULT_SECTION, 0),
    };
  }

  #readLine(lineStart: number, lineEnd: number): void {
    const start = skipSpace(this.#text, lineStart, lineEnd);
    // Blank lines count only if the value continues after them; then they are between its start and its end.
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
    else if (this.#section === undefined) this.#reportMissingHeader(start, end);
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

  /** Reports the first line before any section. Further lines are the same error. */
  #reportMissingHeader(start: number, end: number): void {
    if (this.#headerMissed) return;
    this.#headerMissed = true;
    this.#report(() => noSection(this.#source, start, end));
  }

  #readEntry(start: number, end: number): void {
    const separator = this.#separator(start, end);
    if (separator === end) {
      // The value before it stays open: in configparser an indented line after the error continues it.
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

  /** Adds the open entry to its section, since its value is complete. */
  #closeEntry(): void {
    const keyStart = this.#keyStart;
    const section = this.#section;
    if (keyStart < 0 || section === undefined) return;
    this.#keyStart = -1;
    const key = this.#interned(this.#text.slice(keyStart, this.#keyEnd));
    const written = this.#text.slice(this.#valueStart, this.#valueEnd);
    const value = this.#severalLines ? joinRows(written) : written;
    const entry = new ParsedEntry(this.#source, key, keyStart, this.#valueStart, this.#valueEnd, value);
    const earlier = section.entries.get(key);
    if (earlier === undefined) section.entries.set(key, entry);
    else this.#report(() => duplicateKey(section, entry, earlier));
  }

  /** Returns one string object for equal keys, since a large file repeats its keys in many sections. */
  #interned(key: string): string {
    const known = this.#keys.get(key);
    if (known !== undefined) return known;
    this.#keys.set(key, key);
    return key;
  }

  /** @throws ConfigError at once, without the other errors */
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

  /** Not `lastIndexOf`, which would search the whole file backwards for each line without a bracket. */
  #lastClosingBracket(start: number, end: number): number {
    let offset = end - 1;
    while (offset > start && this.#text.charCodeAt(offset) !== CLOSING_BRACKET) offset--;
    return offset;
  }

  #report(error: () => ConfigError): void {
    if (this.#errors.length < MAX_ERRORS) this.#errors.push(error());
    else this.#errorsNotShown++;
  }

  #throwErrors(): void {
    const [first] = this.#errors;
    if (first === undefined) return;
    if (this.#errors.length === 1) throw first;
    // A duplicate key is found at the end of its value, after the errors inside the value.
    this.#errors.sort((one, other) => (one.location?.line ?? 0) - (other.location?.line ?? 0));
    if (this.#errorsNotShown > 0) this.#errors.push(tooManyErrors(this.#source, this.#errorsNotShown));
    throw new ErrorList(this.#errors);
  }
}
