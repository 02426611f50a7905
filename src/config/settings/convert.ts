/**
 * Converters from text: those of Paste Deploy (paste.deploy.converters), with white space and digits as Python knows them, and
 * those for lines and for words with spaces.
 */
import { isSpace, pythonStrip } from '../whitespace.ts';

const TRUE = new Set(['true', 'yes', 'on', 'y', 't', '1']);
const FALSE = new Set(['false', 'no', 'off', 'n', 'f', '0']);

/**
 * Converts a text to a boolean: `true yes on y t 1` and `false no off n f 0`, in any case, ignoring white space around it.
 * Other values convert as in JavaScript: `undefined`, a missing setting, is false.
 *
 * @throws Error for any other text.
 * @see `paste.deploy.converters.asbool`
 */
export function asBool(value: string | boolean | number | null | undefined): boolean {
  if (typeof value !== 'string') return Boolean(value);
  const word = pythonStrip(value).toLowerCase();
  if (TRUE.has(word)) return true;
  if (FALSE.has(word)) return false;
  throw new Error(`"${value}" is not true or false`);
}

/** As Python's `int()`: digits of any script, single underscores between them, white space around. */
const INTEGER = /^[+-]?\p{Nd}+(?:_\p{Nd}+)*$/u;

/**
 * Converts a decimal text to a whole number: `8080`, `-1`, `007`, `10_000`. A number loses its fraction.
 *
 * @throws Error for anything else, including `undefined`, and for numbers that a double cannot hold exactly (Python's
 *   have no limit).
 * @see `paste.deploy.converters.asint`
 */
export function asInt(value: string | number | null | undefined): number {
  const number = typeof value === 'number' ? Math.trunc(value) : parseInteger(value ?? '');
  if (!Number.isSafeInteger(number)) throw new Error(`"${value}" is not a whole number`);
  // Python has no -0.
  return number === 0 ? 0 : number;
}

/** CPython's own limit (`sys.int_info.default_max_str_digits`), so that a huge value is refused at once. */
const MAX_DIGITS = 4300;

function parseInteger(text: string): number {
  const digits = stripForInt(text);
  if (digits.length > MAX_DIGITS || !INTEGER.test(digits)) return Number.NaN;
  return Number(digits.replaceAll('_', '').replace(/\p{Nd}/gu, decimal));
}

/** Python's `int()` strips the same white space as `str.strip()`, except the ASCII separators \x1c to \x1f. */
function stripForInt(text: string): string {
  const isSeparator = (index: number) => {
    const code = text.charCodeAt(index);
    return code >= 0x1c && code <= 0x1f;
  };
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start)) && !isSeparator(start)) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1)) && !isSeparator(end - 1)) end--;
  return text.slice(start, end);
}

/** The ASCII digit for a digit of any script: in Unicode each script's digits are consecutive, beginning with zero. */
function decimal(digit: string): string {
  const code = digit.codePointAt(0) ?? 0;
  let zero = code;
  while (/\p{Nd}/u.test(String.fromCodePoint(zero - 1))) zero--;
  return String((code - zero) % 10);
}

/**
 * Splits a text into a list of words, or at the `separator`s.
 *
 * @param value A text; a list is copied, null and undefined give the empty list.
 * @param separator Default: runs of white space, line ends included.
 * @param strip Whether white space around each item is removed. Default: true.
 * @throws Error for an empty separator.
 * @see `paste.deploy.converters.aslist`
 */
export function asList(
  value: string | readonly string[] | null | undefined,
  separator?: string,
  strip: boolean = true,
): string[] {
  if (value === null || value === undefined) return [];
  if (typeof value !== 'string') return [...value];
  if (separator === undefined) return splitWords(value);
  if (separator === '') throw new Error('the separator is empty');
  const items = value.split(separator);
  return strip ? items.map(pythonStrip) : items;
}

function splitWords(text: string): string[] {
  const found: string[] = [];
  let start = -1;
  for (let index = 0; index <= text.length; index++) {
    const between = index === text.length || isSpace(text.charCodeAt(index));
    if (!between && start === -1) start = index;
    if (!between || start === -1) continue;
    found.push(text.slice(start, index));
    start = -1;
  }
  return found;
}

/** The lines of a text, without white space around them; empty ones are left out. */
export function asLines(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

/** A word that ends at white space, unless a backslash is before it. */
export const ESCAPED_WORD = /(?:\\[^\n]|[^\s\\])+/g;

/** The words of a text. Their backslashes stay. */
export function escapedWords(text: string): string[] {
  return text.match(ESCAPED_WORD) ?? [];
}

/** As `escapedWords`, without the backslashes before white space. */
export function wordsWithSpaces(text: string): string[] {
  return escapedWords(text).map((word) => word.replace(/\\(\s)/g, '$1'));
}
