/**
 * CGI environments (RFC 3875 section 4.1): as pairs in the order of a web server, as variables by name, and made from a
 * request for a CGI program. Texts are bytes decoded as latin-1, as Node does with headers.
 */
import type { IncomingMessage } from 'node:http';
import { headerVariable, PROXY_HEADERS } from '../http/client-address.ts';
import { isAtMount } from '../http/mount.ts';
import type { IdentifiedRequest } from '../http/remote-user.ts';
import { requestHost } from '../http/request-headers.ts';
import { percentDecode } from '../http/url-path.ts';

/** Variables in the order they came, name and value in turn, like `rawHeaders`. A name may come twice. */
export type EnvironPairs = readonly string[];

/** Variables by name; without a prototype. */
export type Environ = Record<string, string>;

/** One variable, the last one of that name. */
export function findVariable(pairs: EnvironPairs, name: string): string | undefined {
  const index = pairs.lastIndexOf(name);
  if (index % 2 === 0) return pairs[index + 1];
  // Absent, or a value that equals the name: compare the names alone.
  for (let i = pairs.length - 2; i >= 0; i -= 2) if (pairs[i] === name) return pairs[i + 1];
  return undefined;
}

const PROXY_VARIABLES: ReadonlySet<string> = new Set([...PROXY_HEADERS].map(headerVariable));

/** All variables. Headers that came twice are joined (RFC 3875 section 4.1.18); of other variables the last one counts. */
export function environFromPairs(pairs: EnvironPairs): Environ {
  const environ: Environ = Object.create(null);
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    const name = pairs[i] as string;
    const value = pairs[i + 1] as string;
    const before = environ[name];
    // As in the head: see `isEmptied` in request-head.ts.
    if (value === '' && PROXY_VARIABLES.has(name)) delete environ[name];
    else
      environ[name] =
        before !== undefined && name.startsWith('HTTP_') && name !== 'HTTP_HOST'
          ? `${before}${name === 'HTTP_COOKIE' ? '; ' : ', '}${value}`
          : value;
  }
  return environ;
}

/** What a request does not say about its environment. */
export interface EnvironContext {
  /** Where the program is mounted; the rest of the path becomes PATH_INFO. */
  readonly scriptName?: string;
  readonly serverSoftware?: string;
  readonly serverName?: string;
}

/**
 * The CGI environment of a request (RFC 3875 section 4.1). The header `Proxy` is left out, since as HTTP_PROXY it would tell HTTP
 * libraries where to send their requests (CVE-2016-5385, "httpoxy"). Connection headers and credentials for a proxy are left
 * out too (section 4.1.18).
 */
export function environFromRequest(req: IncomingMessage, context: EnvironContext = {}): Environ {
  const environ: Environ = Object.create(null);
  const url = req.url ?? '/';
  const query = url.indexOf('?');
  const path = query === -1 ? url : url.slice(0, query);
  const { socket } = req;
  const authority = requestHost(req) ?? '';
  const host = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(authority);
  const encrypted = 'encrypted' in socket && socket.encrypted === true;
  environ['GATEWAY_INTERFACE'] = 'CGI/1.1';
  environ['SERVER_SOFTWARE'] = context.serverSoftware ?? 'paster';
  environ['SERVER_PROTOCOL'] = `HTTP/${req.httpVersion}`;
  environ['SERVER_NAME'] = context.serverName ?? host?.[1] ?? socket.localAddress ?? 'localhost';
  environ['SERVER_PORT'] = String(socket.localPort ?? host?.[2] ?? (encrypted ? 443 : 80));
  environ['REQUEST_METHOD'] = req.method ?? 'GET';
  environ['REQUEST_URI'] = 'originalUrl' in req && typeof req.originalUrl === 'string' ? req.originalUrl : url;
  environ['SCRIPT_NAME'] =
    context.scriptName ?? ('baseUrl' in req && typeof req.baseUrl === 'string' ? percentDecode(req.baseUrl) : '');
  environ['PATH_INFO'] = isAtMount(req) ? '' : percentDecode(path);
  environ['QUERY_STRING'] = query === -1 ? '' : url.slice(query + 1);
  environ['REMOTE_ADDR'] = socket.remoteAddress ?? '';
  if (socket.remotePort !== undefined) environ['REMOTE_PORT'] = String(socket.remotePort);
  if (socket.localAddress !== undefined) environ['SERVER_ADDR'] = socket.localAddress;
  if (encrypted) environ['HTTPS'] = 'on';
  environ['REQUEST_SCHEME'] = encrypted ? 'https' : 'http';
  const { remoteUser, authType, remoteRoles }: IdentifiedRequest = req;
  if (remoteUser !== undefined) environ['REMOTE_USER'] = remoteUser;
  if (authType !== undefined) environ['AUTH_TYPE'] = authType;
  if (remoteRoles !== undefined) environ['REMOTE_USER_TOKENS'] = remoteRoles.join(',');
  for (let i = 0; i + 1 < req.rawHeaders.length; i += 2) {
    const header = (req.rawHeaders[i] as string).toLowerCase();
    const value = req.rawHeaders[i + 1] as string;
    if (NOT_FOR_PROGRAMS.has(header)) continue;
    if (header === 'content-type') environ['CONTENT_TYPE'] = value;
    else if (header === 'content-length') environ['CONTENT_LENGTH'] = value;
    else if (!header.includes('_') && !header.startsWith(':')) addHeader(environ, header, value);
    // A name with an underscore is left out, as nginx does: it would become the variable of the name with a dash.
  }
  if (authority !== '') environ['HTTP_HOST'] ??= authority;
  return environ;
}

const NOT_FOR_PROGRAMS: ReadonlySet<string> = new Set([
  'proxy',
  'proxy-authorization',
  'proxy-connection',
  'connection',
  'keep-alive',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
]);

function addHeader(environ: Environ, header: string, value: string): void {
  const name = headerVariable(header);
  const before = environ[name];
  environ[name] = before === undefined ? value : `${before}${header === 'cookie' ? '; ' : ', '}${value}`;
}
