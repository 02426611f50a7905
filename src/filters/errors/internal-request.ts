/** Requests that a filter makes itself: to the application behind it, for another path, while it handles a request. */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { inject } from '../../gateway/inject.ts';
import { cameThroughProxy, markProxied } from '../../http/client-address.ts';
import type { MountedRequest } from '../../http/mount.ts';
import { pathEnd, percentDecode } from '../../http/url-path.ts';
import { lineLogger } from '../../log.ts';
import type { App } from '../../protocol/types.ts';
import { toStandardError } from '../logging/line-output.ts';

/** How deeply internal requests may be nested, and how often one request may be forwarded. */
const MAX_DEPTH = 10;

/** The response to an internal request. */
export interface Included {
  readonly status: number;
  readonly headers: Record<string, string | string[]>;
  readonly body: Buffer;
}

/** Options of `include`. */
export interface IncludeOptions {
  /** Default: GET. */
  readonly method?: string;
  /** Added to those of the outer request. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** The application behind a filter, and the mount that internal paths are relative to. */
export interface FilterMount {
  readonly app: App;
  readonly baseUrl: string;
  readonly scriptName: string;
}

/** Must be called before the application changes the request. */
export function filterMountOf(app: App, { baseUrl = '', environ }: MountedRequest): FilterMount {
  return { app, baseUrl, scriptName: environ?.['SCRIPT_NAME'] ?? '' };
}

const depths = new WeakMap<IncomingMessage, number>();

/** Whether a filter has made or forwarded a request. */
export function isInternal(req: IncomingMessage): boolean {
  return depths.has(req);
}

/** The depth of a request within `req`. @throws Error if that is a loop. */
function nextDepth(req: IncomingMessage, path: string): number {
  const depth = (depths.get(req) ?? 0) + 1;
  if (depth > MAX_DEPTH) throw new Error(`requests are nested more than ${MAX_DEPTH} deep, the last for ${path}`);
  return depth;
}

// Headers about the body and the connection of the outer request, and those that ask for a part of a response.
const NOT_PASSED_ON =
  /^(?::|content-|transfer-encoding$|connection$|upgrade$|expect$|te$|trailer$|range$|if-|accept-encoding$)/;

const log = lineLogger('warn', toStandardError);

/**
 * Asks the application for another path. Resolves to the whole response, with status 500 if the application throws.
 * @throws TypeError for a path that does not begin with a slash. @throws Error for a response that is cut off.
 */
export async function include(
  mount: FilterMount,
  req: MountedRequest,
  path: string,
  { method = 'GET', headers = {}, body }: IncludeOptions = {},
): Promise<Included> {
  checkPath(path);
  const depth = nextDepth(req, path);
  const passedOn = Object.entries(req.headers).filter(([name]) => !NOT_PASSED_ON.test(name));
  const response = await inject(
    mount.app,
    {
      method,
      url: path,
      headers: { ...hostOf(req), ...asTexts(Object.fromEntries(passedOn)), ...headers },
      body: typeof body === 'string' ? Buffer.from(body) : body,
      remoteAddress: req.socket.remoteAddress,
      prepare(internal) {
        depths.set(internal, depth);
        if (cameThroughProxy(req)) markProxied(internal);
        moveTo(internal, mount, path, req.environ && { ...req.environ, REQUEST_METHOD: method });
      },
    },
    log,
  );
  return {
    status: response.statusCode,
    headers: asHeaders(response.headers),
    body: Buffer.concat(await response.body.toArray()),
  };
}

/** The host of an HTTP/2 request, which is not among its headers (RFC 9113 section 8.3.1). */
function hostOf({ headers }: IncomingMessage): Record<string, string> {
  const authority = headers[':authority'];
  return typeof authority === 'string' ? { host: authority } : {};
}

function asTexts(headers: IncomingHttpHeaders): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : String(value)]),
  );
}

/** Header lines as an object. Those that come several times are a list. */
function asHeaders(lines: readonly (readonly [name: string, value: string])[]): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of lines) {
    const before = headers[name];
    headers[name] = before === undefined ? value : [before, value].flat();
  }
  return headers;
}

/**
 * Gives the request and its response to the application again, for another path.
 * @throws TypeError for a path that does not begin with a slash. @throws Error if the response has begun, or in a loop.
 */
export function forward(mount: FilterMount, req: MountedRequest, res: ServerResponse, path: string): unknown {
  checkPath(path);
  if (res.headersSent) throw new Error(`cannot forward to ${path}: the response has begun`);
  depths.set(req, nextDepth(req, path));
  req.originalUrl ??= req.url ?? '/';
  moveTo(req, mount, path, req.environ);
  return mount.app(req, res);
}

function checkPath(path: string): void {
  if (!path.startsWith('/')) throw new TypeError(`"${path}" is not a path: it must begin with a slash`);
}

function moveTo(
  req: MountedRequest,
  { baseUrl, scriptName }: FilterMount,
  path: string,
  environ?: Record<string, string>,
) {
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
