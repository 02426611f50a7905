/**
 * Whether the code at one place of a module always runs when the module is evaluated:
 *
 *     require('a');                              // always
 *     load({ b: require('b') });                 // always: these braces are an object
 *     if (x) require('c');                       // conditional: a branch
 *     x && require('d');                         // conditional: an operand that x decides about
 *     const later = () => require('e');          // conditional: a function that may not be called
 *     try { require('f'); } catch {}             // conditional and guarded: the module survives its error
 *
 * The tracker gets the tokens of the module one after the other and keeps a list of the brackets that are open. Code is
 * conditional if one of them is, or if the statement or expression in one of them is. The tracker follows brackets and
 * statements, not types: where it is not sure, code is conditional.
 */

export interface Token {
  readonly text: string;
  /** It is the first one of its line. */
  readonly startsLine: boolean;
}

/** A bracket that is open, and what is known of the code in it so far. The first one is the module itself. */
interface OpenBracket {
  /** The code in it may not run: a block after `if`, or a function. */
  readonly isConditional: boolean;
  /** An error in it does not end the module: a block after `try`. */
  readonly isGuarded: boolean;
  /** `return` in it ends a function, not the module. */
  readonly isFunction: boolean;
  /** Of parentheses after a keyword such as `if`: this keyword. */
  readonly keyword: string | undefined;
  /** The current statement follows `if (x)` or `else`. */
  inBranch: boolean;
  /** The next token is the first one of such a statement. */
  atBranchStart: boolean;
  /** The current expression follows `&&`, `||`, `??`, `?` or `=>`. */
  inOperand: boolean;
}

/** Their parentheses are not those of a call. */
const KEYWORDS_OF_PARENTHESES = new Set(['if', 'for', 'while', 'with', 'switch', 'catch']);
/** After the parentheses of these a block follows in any case. */
const BLOCK_AFTER_PARENTHESES = new Set(['switch', 'catch']);
const KEYWORDS_OF_BLOCKS = new Set(['else', 'do', 'try', 'finally', 'catch']);
/** In front of `{`, these make it an object. */
const BEFORE_OBJECT = new Set(['(', ',', '[', '=', ':', '?', '|', '&', '!', '.', 'return', 'default', 'await']);
/** Words that continue an expression on the next line. */
const OPERATOR_WORDS = new Set(['in', 'instanceof', 'of', 'as', 'satisfies', 'extends', 'implements', 'from']);

export class ConditionTracker {
  readonly #open: OpenBracket[] = [openBracket({})];
  #previous = '';
  #beforePrevious = '';
  /** The keyword of the bracket that was closed last. */
  #closedKeyword: string | undefined;
  /** The module has returned, perhaps under a condition. */
  #hasReturned = false;

  /** Whether the code after the last token may not run. */
  get isConditional(): boolean {
    return (
      this.#hasReturned ||
      this.#open.some(({ isConditional, inBranch, inOperand }) => isConditional || inBranch || inOperand)
    );
  }

  /** Whether the module catches errors of the code after the last token. */
  get isGuarded(): boolean {
    return this.#open.some(({ isGuarded }) => isGuarded);
  }

  /** Whether the code after the last token belongs to a function with a block. */
  get isInFunction(): boolean {
    return this.#open.some(({ isFunction }) => isFunction);
  }

  /** To be called with each token in turn. */
  pass(token: Token): void {
    const { text } = token;
    const innermost = this.#innermost;
    if (this.#beginsStatement(token)) endStatement(innermost);
    innermost.atBranchStart = false;
    if (text === '{') this.#open.push(this.#curlyBracket());
    else if (text === '(' || text === '[') this.#open.push(this.#otherBracket(text));
    else if (text === '}' || text === ')' || text === ']') this.#close();
    else if (text === ';') endStatement(innermost);
    else if (text === ',') innermost.inOperand = false;
    else if (this.#isConditionalOperator(text)) innermost.inOperand = true;
    else if (this.#previous !== '.') this.#passKeyword(text);
    this.#beforePrevious = this.#previous;
    this.#previous = text;
  }

  get #innermost(): OpenBracket {
    return this.#open.at(-1) ?? openBracket({});
  }

  /** Whether a line break ends the statement before a token: `a` and `b` on two lines are two statements. */
  #beginsStatement({ text, startsLine }: Token): boolean {
    if (!startsLine || this.#innermost.atBranchStart) return false;
    return isWord(text) && !OPERATOR_WORDS.has(text) && mayEndExpression(this.#previous);
  }

  /** Of `&&`, `||` and `??` one character is enough. */
  #isConditionalOperator(text: string): boolean {
    return text === '?' || text === '&' || text === '|' || (text === '>' && this.#previous === '=');
  }

  #passKeyword(text: string): void {
    if (text === 'else' || text === 'do') beginBranch(this.#innermost);
    else if (text === 'return') this.#hasReturned ||= !this.isInFunction;
  }

  #curlyBracket(): OpenBracket {
    const before = this.#previous;
    if (before === ')' && this.#closedKeyword !== undefined) return openBracket({ isConditional: true });
    if (KEYWORDS_OF_BLOCKS.has(before)) return openBracket({ isConditional: true, isGuarded: before === 'try' });
    if (BEFORE_OBJECT.has(before)) return openBracket({});
    return openBracket({ isConditional: true, isFunction: true });
  }

  #otherBracket(text: '(' | '['): OpenBracket {
    const isForAwait = this.#previous === 'await' && this.#beforePrevious === 'for';
    const before = isForAwait ? 'for' : this.#previous;
    const isMethod = this.#beforePrevious === '.';
    const hasKeyword = text === '(' && KEYWORDS_OF_PARENTHESES.has(before) && !isMethod;
    return openBracket({ keyword: hasKeyword ? before : undefined });
  }

  #close(): void {
    // One bracket too many is a sign that the text was misread: the module itself stays open.
    const closed = this.#open.length > 1 ? this.#open.pop() : undefined;
    this.#closedKeyword = closed?.keyword;
    if (closed?.keyword !== undefined && !BLOCK_AFTER_PARENTHESES.has(closed.keyword)) beginBranch(this.#innermost);
  }
}

function openBracket(known: Partial<OpenBracket>): OpenBracket {
  return {
    isConditional: false,
    isGuarded: false,
    isFunction: false,
    keyword: undefined,
    inBranch: false,
    atBranchStart: false,
    inOperand: false,
    ...known,
  };
}

function beginBranch(bracket: OpenBracket): void {
  bracket.inBranch = true;
  bracket.atBranchStart = true;
}

function endStatement(bracket: OpenBracket): void {
  bracket.inBranch = false;
  bracket.inOperand = false;
}

function isWord(text: string): boolean {
  return /^[\w$@]/.test(text);
}

function mayEndExpression(text: string): boolean {
  return /^[\w$"'`)\]}/]/.test(text);
}
