/** What a value of unknown kind is: its methods, its parameters, and in words. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { App } from '../types.ts';

export function has(value: unknown, name: string): boolean {
  return typeof (value as Record<string, unknown>)[name] === 'function';
}

export function isObjectOrFunction(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

// --- parameters: handlers of the same length take different things, and only the names in their source tell them apart

/** The names in order; none for a bound or a native function, whose source Node does not show. */
export function parameterNames(value: unknown): readonly string[] {
  if (typeof value !== 'function') return [];
  const source = Function.prototype.toString.call(value);
  const open = source.indexOf('(');
  const arrow = source.indexOf('=>');
  // `request => ...` and `async request => ...`.
  if (arrow !== -1 && (open === -1 || arrow < open)) return names(source.slice(0, arrow).replace(/^async\s/, ''));
  return names(source.slice(open + 1, source.indexOf(')', open)));
}

function names(list: string): string[] {
  return list.split(',').flatMap((parameter) => /[\w$]+/.exec(parameter)?.[0] ?? []);
}

/** Whether a function is a class, which cannot be called. */
export function isClass(value: unknown): boolean {
  return typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value));
}

// --- plain handlers

const PROTOTYPES: readonly object[] = [Function.prototype, Object.getPrototypeOf(async () => {})];

/** What every function has, and what an App may have. */
const MEMBERS: readonly PropertyKey[] = [
  ...['length', 'name', 'prototype', 'arguments', 'caller'],
  ...['ready', 'drain', 'close', 'upgrade'],
];

/**
 * Whether a value is a function `(req, res)` that is the application of no framework: it has no other members. Bound functions
 * and proxies, whose source Node does not show, are not certain to be one.
 */
export function isHandler(value: unknown): value is App {
  if (typeof value !== 'function' || value.length > 2 || isClass(value) || isFetchFunction(value)) return false;
  return (
    PROTOTYPES.includes(Object.getPrototypeOf(value)) &&
    Reflect.ownKeys(value).every((name) => MEMBERS.includes(name)) &&
    !Function.prototype.toString.call(value).endsWith('{ [native code] }')
  );
}

// --- web-standard handlers

export interface FetchHandler {
  fetch(request: Request, env: NodePair): Response | PromiseLike<Response>;
}

/** What @hono/node-server passes as `c.env`. srvx and h3 have it as `request.runtime.node`. */
interface NodePair {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
}

/** First parameters of a `fetch` that sends requests, as Node's own does. */
const OUTBOUND = /^(?:url|uri|href|input|resource|path|endpoint)$/i;

/**
 * Whether a value has a `fetch` that responds to requests. The `fetch` of a client, such as Strapi's or undici's, sends requests
 * instead.
 */
export function isFetchHandler(value: unknown): value is FetchHandler {
  if (!isObjectOrFunction(value) || !('fetch' in value) || typeof value.fetch !== 'function') return false;
  return value.fetch !== globalThis.fetch && !OUTBOUND.test(parameterNames(value.fetch)[0] ?? '');
}

/** Whether a value is a function `(request)` or `(request, context)`, as React Router's `createRequestHandler()` returns. */
export function isFetchFunction(value: unknown): value is FetchHandler['fetch'] {
  const [first, second] = parameterNames(value);
  return first === 'request' && (second === undefined || /context|env/i.test(second));
}

// --- for messages

/** Says in words what a value is, for messages about a value of the wrong shape. */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined || typeof value === 'boolean' || typeof value === 'number') {
    return String(value);
  }
  if (typeof value === 'string')
    return `the text ${JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value)}`;
  if (typeof value === 'function') {
    const name = value.name === '' ? 'a function' : `the function ${value.name}`;
    return `${name} of ${value.length} parameter${value.length === 1 ? '' : 's'}`;
  }
  if (typeof value !== 'object') return `a ${typeof value}`;
  if (value instanceof Promise) return 'a promise';
  const className = Object.getPrototypeOf(value)?.constructor?.name ?? '';
  const keys = Object.keys(value).slice(0, 6);
  const kind = className === '' || className === 'Object' ? 'an object' : `an object of class ${className}`;
  return keys.length === 0 ? `${kind} without properties` : `${kind} with ${keys.join(', ')}`;
}
