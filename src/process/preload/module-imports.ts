/** The imports in the text of a module, in the order in which Node evaluates them. Reads JavaScript and TypeScript. */

export interface ModuleImports {
  /** Evaluated before any code of the module itself: static imports, and the `require` calls at the head of a script. */
  readonly head: readonly string[];
  /** In the code of the module: other calls of `require` and `import` with a literal. */
  readonly body: readonly string[];
}

/**
 * Comments, strings, names, single characters. A regular expression with quotes in it is read wrongly. That does not
 * matter: a specifier that the application does not load is ignored later.
 */
const TOKEN =
  /\/\/.*|\/\*[\s\S]*?(?:\*\/|$)|"(?:[^"\\\n]|\\[\s\S])*"|'(?:[^'\\\n]|\\[\s\S])*'|`(?:[^`\\]|\\[\s\S])*(?:`|$)|[\w$]+|\S/g;

export function moduleImports(source: string): ModuleImports {
  const tokens = (source.match(TOKEN) ?? []).filter((token) => !token.startsWith('//') && !token.startsWith('/*'));
  const head: string[] = [];
  const body: string[] = [];
  const endOfHead = scriptHeadLength(tokens);
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at];
    if (token !== 'import' && token !== 'export' && token !== 'require') continue;
    if (tokens[at - 1] === '.') continue;
    const called = calledWith(tokens, at);
    if (called !== undefined) {
      if (token !== 'export') (at < endOfHead ? head : body).push(called);
    } else if (token !== 'require') {
      const specifier = staticSpecifier(tokens, at);
      if (specifier !== undefined) head.push(specifier);
    }
  }
  return { head, body };
}

/** The literal in `name("literal")`. */
function calledWith(tokens: readonly string[], at: number): string | undefined {
  return tokens[at + 1] === '(' ? literal(tokens[at + 2]) : undefined;
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
