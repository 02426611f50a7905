/**
 * Reads Python literals such as `args = (r"%(here)s/../var/proxy.log", "a")`. Python's logging evaluates these expressions;
 * paster only reads values, so that the text of a file never runs. Grammar: the Python 3.11 language reference, "Lexical
 * analysis" 2.4 and "Expressions" 6.2.
 */

/** A Python name, such as `sys.stdout`. The caller decides what it means. */
export class PythonName {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/** A value, and the position where its text begins. */
export interface PythonNode {
  readonly at: number;
  readonly value: PythonValue;
}

/** A value. Numbers are doubles; bytes are a text of characters below U+0100. */
export type PythonValue =
  | { readonly type: 'text' | 'bytes'; readonly text: string }
  | { readonly type: 'number'; readonly number: number; readonly isWhole: boolean }
  | { readonly type: 'constant'; readonly constant: true | false | null }
  | { readonly type: 'name'; readonly name: PythonName }
  | { readonly type: 'tuple' | 'list'; readonly items: readonly PythonNode[] }
  | { readonly type: 'dict'; readonly entries: readonly (readonly [key: PythonNode, value: PythonNode])[] };

/** What is wrong with a text, and at which character of it. */
export class PythonSyntaxError extends Error {
  readonly at: number;

  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

/** @throws PythonSyntaxError for a text that is not a value: a call, an operator, a string without its end. */
export function parsePython(text: string): PythonNode {
  return new LiteralParser(text).parse();
}

// Deeper than any real file, and far from overflowing the stack.
const MAX_DEPTH = 50;

// Comments, and a backslash at the end of a line, count as white space.
const SPACE = /(?:[ \t\f\n\r]|\\\n|#[^\n]*)*/y;
const STRING_START = /(r[bf]?|[bf]r?|u)?('''|"""|'|")/iy;
const OPERATOR = /^(?:\*\*|\/\/|<<|>>|[-+*/%|&^@])/;
const NUMBER =
  /0[xX](?:_?[\da-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|(?:(?:\d(?:_?\d)*)?\.\d(?:_?\d)*|\d(?:_?\d)*\.?)(?:[eE][+-]?\d(?:_?\d)*)?/y;
const NAME = /[\p{ID_Start}_][\p{ID_Continue}]*(?:[ \t]*\.[ \t]*[\p{ID_Start}_][\p{ID_Continue}]*)*/uy;

const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\n': '',
};

class LiteralParser {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): PythonNode {
    this.#space();
    const at = this.#at;
    const first = this.#value();
    // `"a", "b"` without parentheses is a tuple too.
    const node = this.#peek() === ',' ? this.#restOfTuple(at, first) : first;
    if (this.#at < this.#text.length) throw this.#unexpected();
    return node;
  }

  #restOfTuple(at: number, first: PythonNode): PythonNode {
    const items = [first];
    while (this.#take(',') && this.#at < this.#text.length) items.push(this.#value());
    return { at, value: { type: 'tuple', items } };
  }

  #value(): PythonNode {
    if (++this.#depth > MAX_DEPTH) throw this.#error('it is nested too deep');
    const node = this.#plainValue();
    this.#depth--;
    this.#space();
    return node;
  }

  #plainValue(): PythonNode {
    const at = this.#at;
    if (this.#take('(')) return this.#parenthesised(at);
    if (this.#take('[')) return { at, value: { type: 'list', items: this.#items(']', at) } };
    if (this.#take('{')) return { at, value: { type: 'dict', entries: this.#entries(at) } };
    if (this.#match(STRING_START, false)) return { at, value: this.#strings() };
    const sign = this.#match(/[+-][ \t]*/y);
    const number = this.#match(NUMBER);
    if (number !== undefined) return { at, value: this.#number(number[0], sign?.[0].startsWith('-') ?? false, at) };
    const name = sign ? undefined : this.#match(NAME)?.[0].replace(/[ \t]/g, '');
    if (name === undefined) throw this.#unexpected();
    if (this.#peek() === '(') throw this.#error(`${name}(...) is a call, not a literal value`, at);
    if (name === 'True' || name === 'False') {
      return { at, value: { type: 'constant', constant: name === 'True' } };
    }
    if (name === 'None') return { at, value: { type: 'constant', constant: null } };
    return { at, value: { type: 'name', name: new PythonName(name) } };
  }

  /** `()` and `(1,)` are tuples, `(1)` is 1. */
  #parenthesised(at: number): PythonNode {
    if (this.#take(')')) return { at, value: { type: 'tuple', items: [] } };
    const first = this.#value();
    if (this.#take(')')) return { at, value: first.value };
    if (!this.#take(',')) throw this.#unclosed('(', at);
    return { at, value: { type: 'tuple', items: [first, ...this.#items(')', at)] } };
  }

  #items(end: string, start: number): PythonNode[] {
    const items: PythonNode[] = [];
    while (!this.#take(end)) {
      items.push(this.#value());
      if (!this.#take(',') && this.#peek() !== end) throw this.#unclosed(this.#text[start] ?? '', start);
    }
    return items;
  }

  #entries(start: number): [PythonNode, PythonNode][] {
    const entries: [PythonNode, PythonNode][] = [];
    while (!this.#take('}')) {
      const key = this.#value();
      if (!this.#take(':')) throw this.#at < this.#text.length ? this.#unexpected() : this.#unclosed('{', start);
      entries.push([key, this.#value()]);
      if (!this.#take(',') && this.#peek() !== '}') throw this.#unclosed('{', start);
    }
    return entries;
  }

  /** Adjacent strings, which are joined. */
  #strings(): PythonValue {
    const at = this.#at;
    let type: 'text' | 'bytes' | undefined;
    let text = '';
    for (let start = this.#match(STRING_START); start; start = this.#match(STRING_START)) {
      const prefix = (start[1] ?? '').toLowerCase();
      if (prefix.includes('f')) throw this.#error('an f-string is not a literal value', at);
      const kind = prefix.includes('b') ? 'bytes' : 'text';
      if (type !== undefined && type !== kind) throw this.#error('bytes and text cannot be joined', at);
      type = kind;
      text += this.#string(start[2] ?? '', prefix.includes('r'), kind === 'bytes', this.#at - start[0].length);
      this.#space();
    }
    return { type: type ?? 'text', text };
  }

  #string(quote: string, isRaw: boolean, isBytes: boolean, start: number): string {
    let value = '';
    for (;;) {
      const character = this.#text[this.#at];
      if (character === undefined || (character === '\n' && quote.length === 1)) {
        throw this.#error(`the text lacks its closing ${quote}`, start);
      }
      if (this.#text.startsWith(quote, this.#at)) {
        this.#at += quote.length;
        return value;
      }
      if (character === '\\') value += isRaw ? this.#rawEscape() : this.#escape(isBytes);
      else {
        if (isBytes && character > '\x7f') throw this.#error('bytes may contain only ASCII characters');
        value += character;
        this.#at++;
      }
    }
  }

  /** In a raw string the backslash stays in the value, and a quote after it does not end the string. */
  #rawEscape(): string {
    const both = this.#text.slice(this.#at, this.#at + 2);
    this.#at += both.length;
    return both;
  }

  #escape(isBytes: boolean): string {
    const start = this.#at;
    const octal = this.#match(/\\([0-7]{1,3})/y);
    if (octal) {
      const code = Number.parseInt(octal[1] ?? '', 8);
      return String.fromCharCode(isBytes ? code & 0xff : code);
    }
    const next = this.#text[start + 1] ?? '';
    const digits = next === 'x' ? 2 : isBytes ? 0 : next === 'u' ? 4 : next === 'U' ? 8 : 0;
    if (digits > 0) {
      const hex = this.#text.slice(start + 2, start + 2 + digits);
      const code = /^[\da-f]+$/i.test(hex) && hex.length === digits ? Number.parseInt(hex, 16) : Number.NaN;
      if (!(code <= 0x10ffff)) throw this.#error(`\\${next} must be followed by ${digits} hexadecimal digits`);
      this.#at += 2 + digits;
      return String.fromCodePoint(code);
    }
    if (next === 'N' && !isBytes) throw this.#error('\\N{...} is not supported: write \\uXXXX');
    this.#at += 1 + next.length;
    // An unknown escape stays as it is written.
    return Object.hasOwn(ESCAPES, next) ? (ESCAPES[next] ?? '') : `\\${next}`;
  }

  #number(text: string, isNegative: boolean, at: number): PythonValue {
    if (/^0\d/.test(text.replaceAll('_', '')) && /^[\d_]+$/.test(text) && /[1-9]/.test(text)) {
      throw this.#error(`${text}: write an octal number as 0o${text.replace(/^0+/, '')}`, at);
    }
    const number = Number(text.replaceAll('_', ''));
    return {
      type: 'number',
      number: isNegative ? -number : number,
      isWhole: !/[.eE]/.test(text) || /^0[xX]/.test(text),
    };
  }

  #match(pattern: RegExp, consume = true): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text) ?? undefined;
    if (match && consume) this.#at += match[0].length;
    return match;
  }

  #space(): void {
    this.#match(SPACE);
  }

  #take(character: string): boolean {
    this.#space();
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    this.#space();
    return true;
  }

  #peek(): string | undefined {
    this.#space();
    return this.#text[this.#at];
  }

  #unclosed(bracket: string, start: number): PythonSyntaxError {
    if (this.#at < this.#text.length) return this.#unexpected();
    return this.#error(`the "${bracket}" is never closed`, start);
  }

  #unexpected(): PythonSyntaxError {
    const rest = this.#text.slice(this.#at, this.#at + 20);
    const [operator] = OPERATOR.exec(rest) ?? [];
    if (operator !== undefined) return this.#error(`"${operator}" is an expression, not a literal value`);
    return this.#error(rest === '' ? 'a value is missing' : `"${rest}" is not a Python value`);
  }

  #error(message: string, at: number = this.#at): PythonSyntaxError {
    return new PythonSyntaxError(message, at);
  }
}
