/**
 * Compiles Python's three styles of format strings, `%(name)-5.5s`, `{name:<5}` and `${name}`, to functions of the fields.
 * Formats that Python's logging refuses are refused, and so are those that make it fail only when it logs.
 */
import { memoizeLast } from '../memoize-last.ts';

/** Reads a field of what a line is made of. */
export type FieldReader<T> = (source: T) => string | number;

/** @throws FormatError for an unknown field. */
export type FindField<T> = (name: string, at: number) => FieldReader<T>;

export interface LineFormat<T> {
  /** The names of the fields, each once. */
  readonly fields: readonly string[];
  /** The line up to the first field that differs from record to record. */
  head(source: T): string;
  /** The rest of the line. */
  tail(source: T): string;
}

export const STYLES = ['%', '{', '$'] as const;
export type Style = (typeof STYLES)[number];

/** The formats of the message alone. */
export const MESSAGE_ALONE: Readonly<Record<Style, string>> = { '%': '%(message)s', '{': '{message}', $: '$message' };

/** What is wrong with a format, and at which character of it. */
export class FormatError extends Error {
  readonly at: number;
  readonly hint: string | undefined;

  constructor(message: string, at: number, hint?: string) {
    super(message);
    this.at = at;
    this.hint = hint;
  }
}

/** A piece of a format: a text, or a field and how it is written. */
type Piece = string | FieldPiece;

interface FieldPiece {
  readonly name: string;
  readonly at: number;
  readonly write: (value: string | number) => string;
}

/**
 * @param isPerRecord whether a field differs from record to record; the others are the same for many records
 * @throws FormatError
 */
export function compileFormat<T>(
  text: string,
  style: Style,
  find: FindField<T>,
  isPerRecord: (name: string) => boolean,
): LineFormat<T> {
  const pieces = style === '%' ? percentPieces(text) : style === '{' ? bracePieces(text) : dollarPieces(text);
  const fields = new Set<string>();
  const head: Part<T>[] = [];
  const tail: Part<T>[] = [];
  for (const piece of pieces) {
    const isText = typeof piece === 'string';
    (tail.length > 0 || (!isText && isPerRecord(piece.name)) ? tail : head).push(
      isText ? piece : compiled(piece, find),
    );
    if (!isText) fields.add(piece.name);
  }
  if (fields.size === 0) throw new FormatError(`it names no field such as ${MESSAGE_ALONE[style]}`, 0);
  return {
    fields: [...fields],
    head: (source) => head.map((part) => textOf(part, source)).join(''),
    tail(source) {
      let text = '';
      for (const part of tail) text += textOf(part, source);
      return text;
    },
  };
}

/** A piece as it is read from a record. */
type Part<T> = string | FieldReader<T>;

function compiled<T>({ name, at, write }: FieldPiece, find: FindField<T>): Part<T> {
  const read = find(name, at);
  return write === plainValue ? read : (source) => write(read(source));
}

function textOf<T>(part: Part<T>, source: T): string | number {
  return typeof part === 'string' ? part : part(source);
}

const PERCENT = /%(?:\(([^)]*)\))?([#0\- +]*)(\d+)?(?:\.(\d*))?[hlL]?([a-zA-Z%])?/g;

/** https://docs.python.org/3.11/library/stdtypes.html#printf-style-string-formatting */
function percentPieces(text: string): Piece[] {
  const pieces: Piece[] = [];
  let end = 0;
  for (const match of text.matchAll(PERCENT)) {
    const [whole, name, flags = '', width = '0', precision, type] = match;
    pieces.push(text.slice(end, match.index));
    end = match.index + whole.length;
    if (whole === '%%') pieces.push('%');
    else if (type === undefined || !'diouxXeEfFgGcrsa%'.includes(type)) {
      throw new FormatError(
        `"${text.slice(match.index, end + 1)}" lacks the letter that ends it: s, d, f, ...`,
        match.index,
      );
    } else if (name === undefined) {
      throw new FormatError(`"${whole}" names no field: write %(name)${type}, or %% for a percent sign`, match.index);
    } else if (type === '%') pieces.push('%');
    else {
      const spec: Spec = {
        align: flags.includes('-') ? '<' : '>',
        fill: ' ',
        sign: flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '',
        isAlternate: flags.includes('#'),
        isZeroPadded: flags.includes('0') && !flags.includes('-'),
        width: Number(width),
        // `%.s` means `%.0s`.
        precision: precision === undefined ? undefined : Number(precision),
        type: type === 'r' || type === 'a' ? type : type === 'i' || type === 'u' ? 'd' : type,
      };
      const isPlain = type === 's' && spec.width === 0 && precision === undefined;
      const write = isPlain
        ? plainValue
        : 'sra'.includes(type)
          ? memoizeLast((value: string | number) => writeText(quotedIf(value, type), spec))
          : numberWriter(spec);
      pieces.push({ name, at: match.index, write });
    }
  }
  pieces.push(text.slice(end));
  return pieces.filter((piece) => piece !== '');
}

const BRACE = /\{\{|\}\}|\{([^{}:!]*)(?:!([rsa]))?(?::([^{}]*))?\}|[{}]/g;
const BRACE_SPEC = /^(?:(.)?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([bcdeEfFgGnosxX%])?$/u;

/** https://docs.python.org/3.11/library/string.html#formatspec, for texts and numbers. */
function bracePieces(text: string): Piece[] {
  const pieces: Piece[] = [];
  let end = 0;
  for (const match of text.matchAll(BRACE)) {
    const [whole, name, conversion, written = ''] = match;
    pieces.push(text.slice(end, match.index));
    end = match.index + whole.length;
    if (whole === '{{' || whole === '}}') {
      pieces.push(whole.slice(1));
      continue;
    }
    if (name === undefined) {
      throw new FormatError(
        `the "${whole}" is unmatched: write {name}, or "${whole}${whole}" for the brace`,
        match.index,
      );
    }
    if (!/^\w+$/.test(name)) throw new FormatError(`"${whole}" is not a field: write {name}`, match.index);
    const parts = BRACE_SPEC.exec(written);
    if (!parts) throw new FormatError(`"${written}" is not a format of Python`, match.index);
    const [, fill, align, sign = '', alternate, zero, width = '0', , precision, type] = parts;
    const spec: Spec = {
      align: align as Spec['align'],
      fill: fill ?? (zero === undefined ? ' ' : '0'),
      sign: sign === '-' ? '' : (sign as Spec['sign']),
      isAlternate: alternate !== undefined,
      isZeroPadded: zero !== undefined && align === undefined,
      width: Number(width),
      precision: precision === undefined ? undefined : Number(precision),
      type: type ?? '',
    };
    pieces.push({
      name,
      at: match.index,
      write: (value) => {
        const shown = conversion === undefined ? value : quotedIf(value, conversion);
        if (typeof shown === 'string') return writeText(shown, { ...spec, align: spec.align ?? '<' });
        if (spec.type !== '' || Number.isInteger(shown)) return writeNumber(shown, spec);
        return writeText(String(shown), { ...spec, align: spec.align ?? '>', precision: undefined });
      },
    });
  }
  pieces.push(text.slice(end));
  return pieces.filter((piece) => piece !== '');
}

const DOLLAR = /\$(?:(\$)|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})?/g;

/** https://docs.python.org/3.11/library/string.html#template-strings */
function dollarPieces(text: string): Piece[] {
  const pieces: Piece[] = [];
  let end = 0;
  for (const match of text.matchAll(DOLLAR)) {
    const [whole, twice, plain, braced] = match;
    pieces.push(text.slice(end, match.index));
    end = match.index + whole.length;
    const name = plain ?? braced;
    if (twice !== undefined) pieces.push('$');
    else if (name === undefined) {
      throw new FormatError('a "$" must be followed by a name, {name} or "$"', match.index);
    } else pieces.push({ name, at: match.index, write: plainValue });
  }
  pieces.push(text.slice(end));
  return pieces.filter((piece) => piece !== '');
}

interface Spec {
  readonly align: '<' | '>' | '^' | '=' | undefined;
  readonly fill: string;
  readonly sign: '+' | ' ' | '';
  readonly isAlternate: boolean;
  readonly isZeroPadded: boolean;
  readonly width: number;
  readonly precision: number | undefined;
  readonly type: string;
}

function plainValue(value: string | number): string {
  return String(value);
}

/** `repr`, for `%r` and `!r`. */
function quotedIf(value: string | number, conversion: string): string {
  if (typeof value === 'number') return String(value);
  if (conversion !== 'r' && conversion !== 'a') return value;
  const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
  return quote + value.replaceAll('\\', '\\\\').replaceAll(quote, `\\${quote}`) + quote;
}

/** A quick test, since most texts have none, and most formats contain `%(levelname)-5.5s`. */
const SURROGATE = /[\ud800-\udfff]/;

function writeText(value: string, { align = '>', fill, width, precision }: Spec): string {
  if (width === 0 && precision === undefined) return value;
  if (!SURROGATE.test(value)) {
    const text = precision === undefined ? value : value.slice(0, precision);
    return aligned(text, text.length, align, fill, width);
  }
  // Python counts characters, not UTF-16 units.
  const characters = [...value];
  const cut = precision === undefined || characters.length <= precision ? characters : characters.slice(0, precision);
  return aligned(cut.join(''), cut.length, align, fill, width);
}

function aligned(text: string, length: number, align: Spec['align'], fill: string, width: number): string {
  const missing = width - length;
  if (missing <= 0) return text;
  if (align === '<') return text + fill.repeat(missing);
  if (align === '^') return fill.repeat(missing >> 1) + text + fill.repeat(missing - (missing >> 1));
  return fill.repeat(missing) + text;
}

/** The common case, a whole number as it is, has a shorter way. */
function numberWriter(spec: Spec): (value: string | number) => string {
  const isPlain = spec.type === 'd' && spec.width === 0 && spec.precision === undefined && spec.sign === '';
  if (!isPlain) return (value) => writeNumber(value, spec);
  return (value) => (Number.isInteger(value) ? String(value) : writeNumber(value, spec));
}

function writeNumber(value: string | number, spec: Spec): string {
  // Python fails while logging if the value is a text. A line with the text is more useful.
  if (typeof value === 'string') return writeText(value, { ...spec, precision: undefined });
  const magnitude = digitsOf(Math.abs(value), spec);
  const sign = value < 0 || Object.is(value, -0) ? '-' : spec.sign;
  const { align, width } = spec;
  if (spec.isZeroPadded || align === '=') {
    const fill = spec.isZeroPadded ? '0' : spec.fill;
    const prefix = /^0[xob]/i.exec(magnitude)?.[0] ?? '';
    const digits = magnitude.slice(prefix.length);
    return sign + prefix + digits.padStart(width - sign.length - prefix.length, fill);
  }
  const text = sign + magnitude;
  return aligned(text, text.length, align ?? '>', spec.fill, width);
}

function digitsOf(value: number, { type, precision, isAlternate }: Spec): string {
  const whole = () => String(Math.trunc(value)).padStart(precision ?? 0, '0');
  const based = (base: number, prefix: string) =>
    (isAlternate ? prefix : '') +
    Math.trunc(value)
      .toString(base)
      .padStart(precision ?? 0, '0');
  switch (type) {
    case 'f':
    case 'F':
      return value.toFixed(precision ?? 6);
    case 'e':
    case 'E':
      return exponent(value, precision ?? 6, type);
    case 'g':
    case 'G':
    case 'n':
      return general(value, precision ?? 6, type, isAlternate);
    case 'x':
      return based(16, '0x');
    case 'X':
      return based(16, '0x').toUpperCase();
    case 'o':
      return based(8, '0o');
    case 'b':
      return based(2, '0b');
    case 'c':
      return String.fromCodePoint(Math.trunc(value));
    case '%':
      return `${(value * 100).toFixed(precision ?? 6)}%`;
    default:
      return whole();
  }
}

/** At least two digits of exponent, as in C. */
function exponent(value: number, precision: number, type: string): string {
  const text = value.toExponential(precision).replace(/e([+-])(\d)$/, 'e$10$2');
  return type === 'E' ? text.toUpperCase() : text;
}

function general(value: number, precision: number, type: string, isAlternate: boolean): string {
  const digits = Math.max(precision, 1);
  const power = value === 0 ? 0 : Number(value.toExponential(digits - 1).split('e')[1]);
  const isShort = power >= -4 && power < digits;
  const letter = type === 'G' ? 'E' : 'e';
  const text = isShort ? value.toFixed(digits - 1 - power) : exponent(value, digits - 1, letter);
  if (isAlternate) return text;
  return text.replace(/\.?0+(?=$|e)/i, (zeros, at: number) =>
    text.slice(0, at).includes('.') || zeros.startsWith('.') ? '' : zeros,
  );
}
