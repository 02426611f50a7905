/** Requests that never were on a wire: from within the answer of one to the same application, for another path. */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { inject } from '../gateway/inject.ts';
import { type MountedRequest, pathEnd } from '../http/mount.ts';
import { percentDecode } from '../http/percent.ts';
import { cameThroughProxy, markProxied } from '../http/proxied.ts';
import { lineLogger } from '../log.ts';
import type { App } from '../protocol/types.ts';
import { toStandardError } from './line-output.ts';

/** How deep requests may lie within each other, and how often one may be forwarded. */
const DEEPEST = 10;

/** What an internal request was answered with. */
export interface Included {
  readonly status: number;
  readonly headers: Record<string, string | string[]>;
  readonly body: Buffer;
}

/** What `include` asks with. */
export interface IncludeOptions {
  /** Default: GET. */
  readonly method?: string;
  /** Besides those of the request that it is made for. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** Where a filter stands: its mount, which internal paths are relative to. */
export interface Place {
  readonly app: App;
  readonly baseUrl: string;
  readonly scriptName: string;
}

/** To be asked before the application moves the request. */
export function placeOf(app: App, { baseUrl = '', environ }: MountedRequest): Place {
  return { app, baseUrl, scriptName: environ?.['SCRIPT_NAME'] ?? '' };
}

const depths = new WeakMap<IncomingMessage, number>();

/** Whether a request is within another one. */
export function isInternal(req: IncomingMessage): boolean {
  return depths.has(req);
}

/** One step deeper than `req`. @throws Error where that is a loop. */
function deeper(req: IncomingMessage, path: string): number {
  const depth = (depths.get(req) ?? 0) + 1;
  if (depth > DEEPEST) throw new Error(`more than ${DEEPEST} requests within each other, the last for ${path}`);
  return depth;
}

// Of the body and the connection of the request that it is made for, and what would make the answer a part of one.
const NOT_PASSED_ON =
  /^(?::|content-|transfer-encoding$|connection$|upgrade$|expect$|te$|trailer$|range$|if-|accept-encoding$)/;

const log = lineLogger('warn', toStandardError);

/**
 * Asks the application at `place` for another path, and takes its whole answer; 500 where it throws.
 * @throws TypeError for a path that does not begin with a slash. @throws Error for an answer that breaks off.
 */
export async function include(
  place: Place,
  req: MountedRequest,
  path: string,
  { method = 'GET', headers = {}, body }: IncludeOptions = {},
): Promise<Included> {
  checkPath(path);
  const depth = deeper(req, path);
  const passedOn = Object.entries(req.headers).filter(([name]) => !NOT_PASSED_ON.test(name));
  const answer = await inject(
    place.app,
    {
      method,
      url: path,
      headers: { ...hostOf(req), ...asTexts(Object.fromEntries(passedOn)), ...headers },
      body: typeof body === 'string' ? Buffer.from(body) : body,
      remoteAddress: req.socket.remoteAddress,
      prepare(internal) {
        depths.set(internal, depth);
        if (cameThroughProxy(req)) markProxied(internal);
        moveTo(internal, place, path, req.environ && { ...req.environ, REQUEST_METHOD: method });
      },
    },
    log,
  );
  return {
    status: answer.statusCode,
    headers: asHeaders(answer.headers),
    body: Buffer.concat(await answer.body.toArray()),
  };
}

/** HTTP/2 has it elsewhere (RFC 9113 section 8.3.1). */
function hostOf({ headers }: IncomingMessage): Record<string, string> {
  const authority = headers[':authority'];
  return typeof authority === 'string' ? { host: authority } : {};
}

function asTexts(headers: IncomingHttpHeaders): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : String(value)]),
  );
}

/** Each by its name; those that come several times as a list. */
function asHeaders(lines: readonly (readonly [name: string, value: string])[]): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of lines) {
    const before = headers[name];
    headers[name] = before === undefined ? value : [before, value].flat();
  }
  return headers;
}

/**
 * Gives the request and its response to the application at `place` once more, for another path.
 * @throws TypeError for a path that does not begin with a slash. @throws Error when the answer has begun, or in a loop.
 */
export function forward(place: Place, req: MountedRequest, res: ServerResponse, path: string): unknown {
  checkPath(path);
  if (res.headersSent) throw new Error(`${path} comes too late: the answer has begun`);
  depths.set(req, deeper(req, path));
  req.originalUrl ??= req.url ?? '/';
  moveTo(req, place, path, req.environ);
  return place.app(req, res);
}

function checkPath(path: string): void {
  if (!path.startsWith('/')) throw new TypeError(`"${path}" is no path: it has to begin with a slash`);
}

function moveTo(req: MountedRequest, { baseUrl, scriptName }: Place, path: string, environ?: Record<string, string>) {
  req.url = path;
  req.baseUrl = baseUrl;
  req.originalUrl ??= baseUrl + path;
  if (environ === undefined) return;
  const end = pathEnd(path);
  environ['SCRIPT_NAME'] = scriptName;
  environ['PATH_INFO'] = percentDecode(path.slice(0, end));
  environ['QUERY_STRING'] = path.slice(end + 1);
  req.environ = environ;
}
