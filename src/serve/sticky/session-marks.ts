/**
 * How a request names its session: by the cookie of a worker, or by the id that Engine.IO (Socket.IO) has in its query. A
 * client can only name workers that paster has named to it: their names are random.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, OutgoingHttpHeader, ServerResponse } from 'node:http';
import { type HeaderPairs, headersGiven } from '../../http/response/header-lists.ts';
import { interceptResponse } from '../../http/response/response-interceptor.ts';

const WORKER = /^[\w-]{22}$/;
const SESSION_PARAMETER = /[?&]sid=([\w-]{1,64})(?:&|$)/;
const ENGINE_PARAMETER = /[?&]EIO=\d/;
/** In the first packet of a session: `0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],...`. */
const SESSION_OPENED = /"sid":"([\w-]{1,64})"/;
const OPENING_BYTES = 256;

/** The name of a worker: 16 random bytes. */
export function newWorkerName(): string {
  return randomBytes(16).toString('base64url');
}

/** The worker that the cookie of this name names. */
export function workerInCookie({ headers }: IncomingMessage, name: string): string | undefined {
  for (const cookie of (headers.cookie ?? '').split(';')) {
    const [key, value = ''] = cookie.split('=', 2);
    if (key?.trim() === name) return WORKER.test(value.trim()) ? value.trim() : undefined;
  }
  return undefined;
}

/** The id of Engine.IO's session. */
export function engineSession({ url = '' }: IncomingMessage): string | undefined {
  const query = queryOf(url);
  return ENGINE_PARAMETER.test(query) ? SESSION_PARAMETER.exec(query)?.[1] : undefined;
}

/** Calls back with the id of a session that the response to this request opens, before the client gets it. */
export function watchForSession(req: IncomingMessage, res: ServerResponse, opened: (session: string) => void): void {
  const query = queryOf(req.url ?? '');
  if (!ENGINE_PARAMETER.test(query) || SESSION_PARAMETER.test(query)) return;
  let isDecided = false;
  const look = (chunk: unknown): void => {
    if (isDecided || (typeof chunk !== 'string' && !(chunk instanceof Uint8Array))) return;
    isDecided = true;
    const text = typeof chunk === 'string' ? chunk : Buffer.from(chunk.subarray(0, OPENING_BYTES)).toString('latin1');
    const session = SESSION_OPENED.exec(text.slice(0, OPENING_BYTES))?.[1];
    if (session !== undefined) opened(session);
  };
  interceptResponse(res, { onWrite: look, onEnd: look });
}

function queryOf(url: string): string {
  const start = url.indexOf('?');
  return start === -1 ? '' : url.slice(start);
}

const SET_COOKIE = 'set-cookie';

/** Has the response set a cookie, besides the application's own, unless caches may give the response to other clients. */
export function setCookie(res: ServerResponse, cookie: string): void {
  interceptResponse(res, {
    onHead(_status, given) {
      const pairs = headersGiven(given);
      if (!isShared(res, pairs) && headerIn(pairs, SET_COOKIE) === undefined) {
        const before = res.getHeader(SET_COOKIE) ?? [];
        res.setHeader(SET_COOKIE, [before, cookie].flat().map(String));
      }
      return true;
    },
  });
  const { writeHead } = res;
  // Headers that writeHead is given replace those that were set before.
  const writeHeadWithCookie = (status: number, ...given: unknown[]): ServerResponse => {
    const pairs = headersGiven(given);
    const isReplacing = headerIn(pairs, SET_COOKIE) !== undefined && !isShared(res, pairs);
    const headers = isReplacing ? [joined([...pairs, [SET_COOKIE, cookie]])] : given;
    const message = isReplacing ? given.filter((each) => typeof each === 'string') : [];
    return Reflect.apply(writeHead, res, [status, ...message, ...headers]);
  };
  res.writeHead = writeHeadWithCookie as ServerResponse['writeHead'];
}

const SHARED = /\b(?:public|s-maxage|immutable)\b/i;

function isShared(res: ServerResponse, pairs: HeaderPairs): boolean {
  return SHARED.test(String(headerIn(pairs, 'cache-control') ?? res.getHeader('cache-control') ?? ''));
}

function headerIn(pairs: HeaderPairs, name: string): OutgoingHttpHeader | undefined {
  return pairs.find(([key]) => key.toLowerCase() === name)?.[1];
}

/** Headers as an object, with all values of those that come several times. */
function joined(pairs: HeaderPairs): Record<string, OutgoingHttpHeader> {
  const headers = new Map<string, { readonly name: string; readonly values: (number | string)[] }>();
  for (const [name, value] of pairs) {
    const known = headers.get(name.toLowerCase()) ?? { name, values: [] };
    headers.set(name.toLowerCase(), known);
    known.values.push(...[value ?? ''].flat());
  }
  return Object.fromEntries(
    [...headers.values()].map(({ name, values }) => [
      name,
      values.length === 1 ? (values[0] ?? '') : values.map(String),
    ]),
  );
}
