/** The imports in the text of a module, in the order in which Node evaluates them. Reads JavaScript and TypeScript. */
import { ConditionTracker, type Token } from './condition-tracker.ts';

export interface ModuleImports {
  /** Evaluated before any code of the module itself: static imports, and the `require` calls at the head of a script. */
  readonly head: readonly string[];
  /** In the code of the module: other calls of `require` and `import`. */
  readonly body: readonly ImportCall[];
  /** It has static imports or exports. */
  readonly isModule: boolean;
  /** Its code awaits something, so modules that do not import it may be evaluated before it has ended. */
  readonly awaits: boolean;
}

export interface ImportCall {
  readonly form: 'import' | 'require';
  /** Undefined: it is computed. */
  readonly specifier: string | undefined;
  /** The call may not be reached, or nothing waits until the module is evaluated. */
  readonly isConditional: boolean;
  /** The error of a module that fails is caught. */
  readonly isGuarded: boolean;
  /** The code before it awaits something. */
  readonly isAfterAwait: boolean;
}

/** Comments, strings, names, single characters. */
const TOKEN =
  /\/\/.*|\/\*[\s\S]*?(?:\*\/|$)|"(?:[^"\\\n]|\\[\s\S])*"|'(?:[^'\\\n]|\\[\s\S])*'|`(?:[^`\\]|\\[\s\S])*(?:`|$)|[\w$]+|\S/g;
const REGULAR_EXPRESSION = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/\w*/y;
/** What a regular expression comes after; after anything else, `/` divides. */
const BEFORE_REGULAR_EXPRESSION = /^(?:|[(,=:[!&|?{};+>]|return|typeof|case|in|of)$/;

/** @param elides whether a compiler removes imports whose names are only types */
export function moduleImports(source: string, elides = false): ModuleImports {
  const tokens = tokensOf(source);
  const texts = tokens.map(({ text }) => text);
  const head: string[] = [];
  const body: ImportCall[] = [];
  let isModule = false;
  let awaits = false;
  const endOfHead = scriptHeadLength(texts);
  const conditions = new ConditionTracker();
  for (const [at, token] of tokens.entries()) {
    conditions.pass(token);
    const form = token.text;
    awaits ||= form === 'await' && !conditions.isInFunction && !/[.>]/.test(texts[at - 1] ?? '');
    if ((form === 'import' || form === 'export' || form === 'require') && texts[at - 1] !== '.') {
      const called = calledWith(texts, at);
      if (at < endOfHead && called !== undefined) head.push(called);
      else if (form !== 'export' && texts[at + 1] === '(') {
        if (!isOfTypes(texts, at)) body.push({ ...importCall(texts, at, form, conditions), isAfterAwait: awaits });
      } else if (form !== 'require') {
        isModule ||= texts[at + 1] !== '.';
        const specifier = staticSpecifier(texts, at);
        if (specifier !== undefined && !(elides && form === 'import' && isElided(texts, at))) head.push(specifier);
      }
    }
  }
  return { head, body, isModule, awaits };
}

function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  let startsLine = true;
  let end = 0;
  TOKEN.lastIndex = 0;
  for (let found = TOKEN.exec(source); found; found = TOKEN.exec(source)) {
    let [text] = found;
    startsLine ||= source.slice(end, found.index).includes('\n');
    if (text === '/' && BEFORE_REGULAR_EXPRESSION.test(tokens.at(-1)?.text ?? '')) {
      REGULAR_EXPRESSION.lastIndex = found.index;
      text = REGULAR_EXPRESSION.exec(source)?.[0] ?? text;
    }
    end = found.index + text.length;
    TOKEN.lastIndex = end;
    if (text.startsWith('//') || text.startsWith('/*')) continue;
    tokens.push({ text, startsLine });
    startsLine = false;
  }
  return tokens;
}

/** The call of `import` or `require` at a place in the text. */
function importCall(
  tokens: readonly string[],
  at: number,
  form: 'import' | 'require',
  conditions: ConditionTracker,
): Omit<ImportCall, 'isAfterAwait'> {
  let end = at + 1;
  for (let depth = 0; end < tokens.length; end++) {
    if (tokens[end] === '(') depth++;
    else if (tokens[end] === ')' && --depth === 0) break;
  }
  const isLiteral = tokens[at + 3] === ')' || tokens[at + 3] === ',';
  const isChained = form === 'import' && tokens[end + 1] === '.' && /^(?:then|catch)$/.test(tokens[end + 2] ?? '');
  const isAwaited = form === 'require' || (tokens[at - 1] === 'await' && !isChained);
  return {
    form,
    specifier: isLiteral ? calledWith(tokens, at) : undefined,
    isConditional: conditions.isConditional || !isAwaited,
    isGuarded: conditions.isGuarded || isChained,
  };
}

/** The literal in `name("literal")`. */
function calledWith(tokens: readonly string[], at: number): string | undefined {
  return tokens[at + 1] === '(' ? literal(tokens[at + 2]) : undefined;
}

/** Whether a call belongs to `import type x = require("x")`, which leaves no call. */
function isOfTypes(tokens: readonly string[], at: number): boolean {
  return tokens[at - 1] === '=' && tokens[at - 3] === 'type' && tokens[at - 4] === 'import';
}

/** Of `import "x"`, `import a, { b } from "x"`, `export * from "x"`; not of `import type`, which leaves no import. */
function staticSpecifier(tokens: readonly string[], start: number): string | undefined {
  const isImport = tokens[start] === 'import';
  let at = start + 1;
  if (isImport && literal(tokens[at]) !== undefined) return literal(tokens[at]);
  if (tokens[at] === 'type' && tokens[at + 1] !== 'from' && tokens[at + 1] !== ',') return undefined;
  if (!isImport && tokens[at] !== '{' && tokens[at] !== '*') return undefined;
  for (; at < tokens.length; at++) {
    const token = tokens[at] ?? '';
    if (token === 'from' && literal(tokens[at + 1]) !== undefined) return literal(tokens[at + 1]);
    if (!/^[\w$*{},]+$/.test(token) && literal(token) === undefined) return undefined;
  }
  return undefined;
}

/** What a type comes after. */
const BEFORE_TYPE = new Set(['<', '|', '&', 'as', 'is', 'implements', 'satisfies', 'keyof']);

/** Whether a static import has names and the module uses each of them only as a type. */
function isElided(tokens: readonly string[], start: number): boolean {
  const from = tokens.indexOf('from', start);
  const names = tokens
    .slice(start + 1, from)
    .join(' ')
    .split(/[{},]/)
    .map((each) => each.trim());
  if (literal(tokens[start + 1]) !== undefined) return false;
  return names.every((name) => {
    if (name === '' || name.startsWith('type ')) return true;
    const local = name.split(' ').at(-1) ?? '';
    return !tokens.some((token, at) => token === local && (at < start || at > from) && isValue(tokens, at));
  });
}

/** Whether a name may be the name of a value at a place in the text, and not of a type. */
function isValue(tokens: readonly string[], at: number): boolean {
  const before = tokens[at - 1] ?? '';
  const declared = tokens[at - 3] ?? '';
  const next = tokens[at + 1] ?? '';
  if (before === '.' || BEFORE_TYPE.has(before)) return false;
  if (before === ',') return next !== '>';
  if (before === '=') return declared !== 'type';
  if (before === 'extends') return !/^(?:interface|[<,])$/.test(declared);
  // The property of an object, or an annotation.
  return before !== ':' || (/^[,}]$/.test(next) && openBracket(tokens, at) === '{');
}

/** The bracket that a place in the text is in. */
function openBracket(tokens: readonly string[], start: number): string | undefined {
  let depth = 0;
  for (let at = start - 1; at >= 0; at--) {
    const token = tokens[at] ?? '';
    if (/^[)\]}]$/.test(token)) depth++;
    else if (/^[([{]$/.test(token) && depth-- === 0) return token;
  }
  return undefined;
}

/** What TypeScript begins a script with. */
const SCRIPT_MARK = 'Object.defineProperty(exports,"__esModule",{value:true})'.match(TOKEN) ?? [];

/** `tslib_1.__importDefault(`: what TypeScript puts around a call of `require`. */
const WRAPPER = /^__(?:exportStar|importDefault|importStar)$/;

/**
 * How many tokens belong to `'use strict'`, `require('x');` and `const a = require('x');` before anything else, also if
 * TypeScript has written them.
 */
function scriptHeadLength(tokens: readonly string[]): number {
  let end = 0;
  for (;;) {
    let at = end;
    if (literal(tokens[at]) !== undefined) at++;
    else if (SCRIPT_MARK.every((token, index) => tokens[at + index] === token)) at += SCRIPT_MARK.length;
    else {
      if (['const', 'let', 'var'].includes(tokens[at] ?? '')) {
        while (tokens[at] !== undefined && tokens[at] !== '=' && /^[\w$,:{}]+$/.test(tokens[at] ?? '')) at++;
        if (tokens[at++] !== '=') return end;
      }
      const isWrapped = tokens[at + 1] === '.' && WRAPPER.test(tokens[at + 2] ?? '') && tokens[at + 3] === '(';
      if (isWrapped) at += 4;
      if (tokens[at] !== 'require' || calledWith(tokens, at) === undefined || tokens[at + 3] !== ')') return end;
      at += 4;
      if (isWrapped) {
        if (tokens[at] === ',' && tokens[at + 1] === 'exports') at += 2;
        if (tokens[at++] !== ')') return end;
      }
      while (tokens[at] === '.' && /^[\w$]+$/.test(tokens[at + 1] ?? '') && tokens[at + 2] !== '(') at += 2;
      // Called, or part of an expression: that is code.
      if (!/^(?:;|const|let|var|require|import|[\w$]+|["'].*)?$/.test(tokens[at] ?? '')) return end;
    }
    if (tokens[at] === ';') at++;
    end = at;
  }
}

function literal(token: string | undefined): string | undefined {
  return token !== undefined && /^["']./.test(token) ? token.slice(1, -1) : undefined;
}
