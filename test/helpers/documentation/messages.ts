/**
 * The messages that paster's sources can show to a user, as patterns: read from the syntax tree of each file, so that none
 * is missed. What is only known at run time becomes `…`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAst } from 'rolldown/parseAst';
import { ROOT } from '../programs/program.ts';

export interface Message {
  /** `file:line` in src. */
  readonly place: string;
  /** The text, with `…` for the parts that it quotes. */
  readonly text: string;
  /** The error's code; undefined for a line of the log, and for text that an error of paster's own quotes. */
  readonly code: string | undefined;
}

type Node = { readonly type: string; readonly start: number; readonly end: number } & Readonly<Record<string, unknown>>;

/** A definition of a name: its scope, and the values that it may have there. */
interface Meaning {
  readonly scope: Node;
  /** Evaluated only on request: calls may come before the function. */
  readonly values: () => readonly Node[];
}

/** Which argument of a constructor is the message. */
const ERRORS: Readonly<Record<string, number>> = {
  ConfigError: 1,
  UsageError: 1,
  RunError: 1,
  ArgumentError: 0,
  FormatError: 0,
  PythonSyntaxError: 0,
};

/** Files whose plain Errors become part of an error with a code: the types of settings, and what they use. */
const QUOTED =
  /^(?:config\/(?:env-file|settings\/.*)|deploy\/server\/workers-setting|.*\/(?:settings|trusted-proxies|target)|net\/peers|servers\/.*|filters\/(?!auth\/(?!grantip)|debugging\/profile).*)\.ts$/;

const HOLE = '…';

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';
}

/** Written with loops, because this takes most of the time, and flatMap, filter and generators take three times as much. */
function children(node: Node): Node[] {
  const found: Node[] = [];
  for (const value of Object.values(node)) {
    if (isNode(value)) found.push(value);
    else if (Array.isArray(value)) for (const each of value) if (isNode(each)) found.push(each);
  }
  return found;
}

/** Adds a node and all its descendants to `found`. */
function collect(node: Node, found: Node[] = []): Node[] {
  found.push(node);
  for (const child of children(node)) collect(child, found);
  return found;
}

function nodes(value: unknown): Node[] {
  return Array.isArray(value) ? value.filter(isNode) : [];
}

function nameOf(value: unknown): string | undefined {
  if (!isNode(value)) return undefined;
  if (value.type === 'Identifier' || value.type === 'PrivateIdentifier') return String(value['name']);
  if (value.type === 'MemberExpression') return nameOf(value['property']);
  if (value.type === 'AssignmentPattern') return nameOf(value['left']);
  return undefined;
}

/** One file, and where its names come from. */
class Source {
  readonly #file: string;
  readonly #text: string;
  readonly #all: Node[];
  readonly #meanings = new Map<string, Meaning[]>();

  constructor(file: string) {
    this.#file = file;
    this.#text = readFileSync(join(ROOT, 'src', file), 'utf8');
    const program = parseAst(this.#text, { lang: 'ts' }) as unknown as Node;
    this.#all = collect(program);
    this.#learn(program, program, undefined);
  }

  /** @param called the name of the function that `node` is, if it is one */
  #learn(node: Node, scope: Node, called: string | undefined): void {
    const isFunction = Array.isArray(node['params']) && 'body' in node;
    const inner = isFunction ? node : scope;
    if (isFunction) {
      const name = nameOf(node['id']) ?? called;
      nodes(node['params']).forEach((parameter, index) => {
        this.#mean(nameOf(parameter), inner, () => this.#argumentsOf(name, index));
      });
    }
    const given = node.type === 'VariableDeclarator' ? node['init'] : node['right'];
    const target = node.type === 'VariableDeclarator' ? node['id'] : node['left'];
    if (isNode(given) && isNode(target) && !Array.isArray(node['params']))
      this.#mean(nameOf(target), inner, () => [given]);
    for (const child of children(node)) this.#learn(child, inner, nameOf(node['id'] ?? node['key']));
  }

  #mean(name: string | undefined, scope: Node, values: Meaning['values']): void {
    if (name !== undefined) this.#meanings.set(name, [...(this.#meanings.get(name) ?? []), { scope, values }]);
  }

  /** What an identifier may refer to: its meaning in the innermost function around it that defines it. */
  #meant(node: Node): readonly Node[] {
    const around = (this.#meanings.get(String(node['name'])) ?? []).filter(
      ({ scope }) => scope.start <= node.start && node.end <= scope.end,
    );
    const innermost = Math.max(...around.map(({ scope }) => scope.start));
    return around.filter(({ scope }) => scope.start === innermost).flatMap(({ values }) => values());
  }

  messages(): Message[] {
    return this.#all.flatMap((node) => this.#said(node).flatMap((value) => this.#message(node, value)));
  }

  #message(node: Node, value: Node): Message[] {
    const line = this.#text.slice(0, node.start).split('\n').length;
    const first = nodes(node['arguments'])[0];
    const [code] = first === undefined || first === value ? [] : this.#texts(first, new Set());
    return this.#texts(value, new Set()).map((text) => ({
      place: `${this.#file}:${line}`,
      code: code?.startsWith('PASTER_') ? code : undefined,
      text: text.replace(/…+(?:, …)*/g, HOLE),
    }));
  }

  /** The expressions of a node that are messages. */
  #said(node: Node): Node[] {
    const args = nodes(node['arguments']);
    const callee = nameOf(node['callee']);
    if (node.type === 'NewExpression') {
      const index =
        callee === undefined ? undefined : callee === 'Error' && QUOTED.test(this.#file) ? 0 : ERRORS[callee];
      return index === undefined || !args[index] ? [] : [args[index]];
    }
    if (node.type === 'CallExpression' && args[0]) {
      const of = (node['callee'] as Node)['object'];
      const logger = isNode(of) && of.type === 'CallExpression' ? of['callee'] : of;
      const isLogged = callee === 'error' && /log/i.test(nameOf(logger) ?? '');
      return callee === 'warn' || isLogged ? [args[0]] : [];
    }
    if (node.type === 'ObjectExpression' && /^(?:config|deploy|net)\//.test(this.#file)) {
      const property = nodes(node['properties']).find((each) => nameOf(each['key']) === 'message');
      return property && isNode(property['value']) ? [property['value']] : [];
    }
    return [];
  }

  /** The texts that an expression may have. */
  #texts(node: Node, seen: ReadonlySet<Node>): string[] {
    if (seen.has(node)) return [HOLE];
    const within = new Set([...seen, node]);
    const texts = (value: unknown): string[] => (isNode(value) ? this.#texts(value, within) : [HOLE]);
    switch (node.type) {
      case 'Literal':
        return [typeof node['value'] === 'string' ? node['value'] : HOLE];
      case 'TemplateLiteral': {
        let results = [''];
        const expressions = nodes(node['expressions']);
        nodes(node['quasis']).forEach((quasi, index) => {
          const { cooked } = quasi['value'] as { cooked: string };
          results = results.map((result) => result + cooked);
          const expression = expressions[index];
          if (!expression) return;
          const inner = isSentence(expression) ? texts(expression).map(quotedUnlessWords) : [HOLE];
          results = results.flatMap((result) => inner.map((text) => result + text));
        });
        return results;
      }
      case 'BinaryExpression':
        return texts(node['left']).flatMap((left) => texts(node['right']).map((right) => left + right));
      case 'ConditionalExpression':
        return [...texts(node['consequent']), ...texts(node['alternate'])];
      case 'LogicalExpression':
        return [...texts(node['left']), ...texts(node['right'])];
      case 'Identifier': {
        const meant = this.#meant(node).flatMap(texts);
        return meant.length === 0 ? [HOLE] : meant;
      }
      default:
        return [HOLE];
    }
  }

  #argumentsOf(called: string | undefined, index: number): Node[] {
    return this.#all
      .filter((node) => node.type === 'CallExpression' && called !== undefined && nameOf(node['callee']) === called)
      .flatMap((node) => nodes(node['arguments'])[index] ?? []);
  }
}

/** An alternative of punctuation, such as a path, is treated like any other quoted text. */
function quotedUnlessWords(text: string): string {
  return text === '' || /\p{L}/u.test(text) ? text : HOLE;
}

/** The part of a message that consists of words; everything else in it is quoted. */
function isSentence(node: Node): boolean {
  if (node.type === 'ConditionalExpression') return true;
  return (
    /^(?:message|problem|mistake|reason|fault|what|named|how)$/.test(nameOf(node) ?? '') && node.type === 'Identifier'
  );
}

/** Many messages begin with their place and their owner: people search for what follows. */
const PLACE = /^(?:\[…\] )?(?:…(?: …)*: |: )?/;

/** Every message of src, by file; a message that only quotes another program is left out. */
export function allMessages(): Message[] {
  const files = readdirSync(join(ROOT, 'src'), { recursive: true }).map(String);
  const found = files
    .filter((file) => file.endsWith('.ts'))
    .sort()
    .flatMap((file) => new Source(file).messages())
    .map(({ place, code, text }) => ({ place, code, text: (text.replace(PLACE, '').split('\n')[0] ?? '').trim() }));
  // Of two messages with the same text, the one with a code is kept.
  const unique = new Map(
    found.toSorted((a, b) => Number(!!a.code) - Number(!!b.code)).map((message) => [message.text, message]),
  );
  return [...unique.values()].filter(({ text }) => /\p{L}{3}/u.test(text) && !unique.has(`${text} ${HOLE}`));
}

/** Whether a row of docs/errors.md shows a message: file, section or option may precede it. */
export function isMessage(row: string, message: string): boolean {
  const pattern = message
    .split(HOLE)
    .map((text) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
    .join('.*');
  return new RegExp(`^(?:.*?(?:: |\\] ))?${pattern}$`).test(row);
}
