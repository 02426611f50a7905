/**
 * Whether the code of a module at one place always runs when the module is evaluated. Follows brackets and statements, not
 * types: where it is not sure, the code is conditional.
 */

export interface Token {
  readonly text: string;
  /** It is the first one of its line. */
  readonly startsLine: boolean;
}

interface Bracket {
  /** The code in it may not run. */
  readonly isConditional: boolean;
  /** What fails in it does not end the module. */
  readonly isGuarded: boolean;
  /** `return` in it ends a function, not the module. */
  readonly isFunction: boolean;
  /** Parentheses: the keyword in front of them, such as `if`. */
  readonly keyword: string | undefined;
  /** After `if (x)` or `else`, until the end of the statement. */
  isBranch: boolean;
  /** The next token is the first one of such a statement. */
  startsBranch: boolean;
  /** After `&&`, `||`, `??`, `?` or `=>`, until the end of the expression. */
  isOperand: boolean;
}

const KEYWORDS = new Set(['if', 'for', 'while', 'with', 'switch', 'catch']);
const BLOCK_KEYWORDS = new Set(['else', 'do', 'try', 'finally', 'catch']);
/** In front of `{`, these make it an object. */
const BEFORE_OBJECT = new Set(['(', ',', '[', '=', ':', '?', '|', '&', '!', '.', 'return', 'default', 'await']);
/** They continue an expression on the next line. */
const OPERATORS = new Set(['in', 'instanceof', 'of', 'as', 'satisfies', 'extends', 'implements', 'from']);

export class CodePath {
  readonly #brackets: Bracket[] = [bracket({})];
  #previous = '';
  #beforePrevious = '';
  /** The keyword of the parentheses that were closed last. */
  #closed: string | undefined;
  #hasReturned = false;

  get isConditional(): boolean {
    return (
      this.#hasReturned ||
      this.#brackets.some(({ isConditional, isBranch, isOperand }) => isConditional || isBranch || isOperand)
    );
  }

  get isGuarded(): boolean {
    return this.#brackets.some((each) => each.isGuarded);
  }

  /** To be called with each token in turn. */
  pass({ text, startsLine }: Token): void {
    const inner = this.#inner;
    if (startsLine && !inner.startsBranch && isWord(text) && !OPERATORS.has(text) && endsOperand(this.#previous)) {
      endStatement(inner);
    }
    inner.startsBranch = false;
    if (text === '{') this.#brackets.push(this.#curlyBracket());
    else if (text === '(' || text === '[') this.#brackets.push(this.#otherBracket(text));
    else if (text === '}' || text === ')' || text === ']') this.#close();
    else if (text === ';') endStatement(inner);
    else if (text === ',') inner.isOperand = false;
    else if (text === '?' || text === '&' || text === '|' || (text === '>' && this.#previous === '=')) {
      inner.isOperand = true;
    } else if (this.#previous !== '.') {
      if (text === 'else' || text === 'do') beginBranch(inner);
      else if (text === 'return') this.#hasReturned ||= !this.#brackets.some(({ isFunction }) => isFunction);
    }
    this.#beforePrevious = this.#previous;
    this.#previous = text;
  }

  get #inner(): Bracket {
    return this.#brackets.at(-1) ?? bracket({});
  }

  #curlyBracket(): Bracket {
    const before = this.#previous;
    if (before === ')' && this.#closed !== undefined) return bracket({ isConditional: true });
    if (BLOCK_KEYWORDS.has(before)) return bracket({ isConditional: true, isGuarded: before === 'try' });
    if (BEFORE_OBJECT.has(before)) return bracket({});
    return bracket({ isConditional: true, isFunction: true });
  }

  #otherBracket(text: string): Bracket {
    const keyword = this.#previous === 'await' && this.#beforePrevious === 'for' ? 'for' : this.#previous;
    const hasKeyword = text === '(' && KEYWORDS.has(keyword) && this.#beforePrevious !== '.';
    return bracket({ keyword: hasKeyword ? keyword : undefined });
  }

  #close(): void {
    const closed = this.#brackets.length > 1 ? this.#brackets.pop() : undefined;
    this.#closed = closed?.keyword;
    if (this.#closed !== undefined && this.#closed !== 'switch' && this.#closed !== 'catch') beginBranch(this.#inner);
  }
}

function bracket(is: Partial<Bracket>): Bracket {
  const nothing = { isConditional: false, isGuarded: false, isFunction: false, keyword: undefined };
  return { ...nothing, isBranch: false, startsBranch: false, isOperand: false, ...is };
}

function beginBranch(of: Bracket): void {
  of.isBranch = true;
  of.startsBranch = true;
}

function endStatement(of: Bracket): void {
  of.isBranch = false;
  of.isOperand = false;
}

function isWord(text: string): boolean {
  return /^[\w$@]/.test(text);
}

/** Whether an expression may end with it, so that a word on the next line begins a statement. */
function endsOperand(text: string): boolean {
  return /^[\w$"'`)\]}/]/.test(text);
}
