/**
 * Lines and places in a text file: splits it at Python's universal newlines, and converts offsets to lines and columns.
 */
import type { Location } from '../../errors.ts';

/**
 * Iterates over the lines of a text. LF, CR LF and a lone CR end a line; U+2028 and \x0b do not. After `advance`, the line
 * is `text.slice(start, end)`.
 */
export class LineCursor {
  readonly #text: string;
  /** The first LF and the first CR from `start` on; cached, so that a file without CR is searched only once. */
  #lineFeed = -1;
  #carriageReturn = -1;
  #next = 0;
  start = 0;
  end = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** Goes to the next line; false at the end. */
  advance(): boolean {
    const start = this.#next;
    if (start >= this.#text.length) return false;
    if (this.#lineFeed < start) this.#lineFeed = this.#find('\n', start);
    if (this.#carriageReturn < start) this.#carriageReturn = this.#find('\r', start);
    this.start = start;
    this.end = Math.min(this.#lineFeed, this.#carriageReturn);
    this.#next = this.#lineFeed === this.#carriageReturn + 1 ? this.#lineFeed + 1 : this.end + 1;
    return true;
  }

  #find(character: string, start: number): number {
    const found = this.#text.indexOf(character, start);
    return found < 0 ? this.#text.length : found;
  }
}

/** A text and the name of its file. */
export class Source {
  readonly text: string;
  readonly file: string;
  readonly #lineStarts: number[] = [];
  readonly #lines: LineCursor;

  constructor(text: string, file: string) {
    this.text = text;
    this.file = file;
    this.#lines = new LineCursor(text);
  }

  /** The place of an offset into the text. Lines are counted only up to it, since most files have no errors. */
  at(offset: number): Location {
    const starts = this.#lineStarts;
    while ((starts.at(-1) ?? -1) <= offset && this.#lines.advance()) starts.push(this.#lines.start);
    const line = lastNotAbove(starts, offset);
    return { file: this.file, line: line + 1, column: offset - (starts[line] ?? 0) + 1 };
  }
}

/** The index of the last of these ascending numbers that is not above `limit`; 0 if all are above it. */
function lastNotAbove(ascending: readonly number[], limit: number): number {
  let low = 0;
  let high = ascending.length;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if ((ascending[middle] ?? 0) <= limit) low = middle;
    else high = middle;
  }
  return low;
}
