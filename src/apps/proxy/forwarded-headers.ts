/**
 * Which headers a proxy hands on. What concerns one connection stays there (RFC 9110 section 7.6.1), and what could make
 * this server and the next one see two different requests in the same bytes is refused (RFC 9112 section 11.2).
 */
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { askedHost } from '../../http/asked-host.ts';
import { PROXY_HEADERS } from '../../http/forwarded.ts';
import type { MountedRequest } from '../../http/mount.ts';

const OF_THE_CONNECTION: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Headers without which a request would be another one: no Connection header may have them taken out. */
const OF_THE_REQUEST: ReadonlySet<string> = new Set(['content-length', 'host']);

/** The names that a Connection header lists, in lower case. */
function listedIn(connection: string | undefined): string[] {
  return (connection ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

/** The status to refuse a request with whose extent is not beyond doubt, or undefined. */
export function refusalOf({ headers, rawHeaders }: IncomingMessage): 400 | 501 | undefined {
  const { 'transfer-encoding': encoding, 'content-length': length } = headers;
  if (encoding !== undefined && length !== undefined) return 400;
  if (length !== undefined && !/^\d+$/.test(length)) return 400;
  if (encoding !== undefined && encoding.toLowerCase() !== 'chunked') return 501;
  for (const name of ['content-length', 'transfer-encoding', 'host']) if (timesIn(rawHeaders, name) > 1) return 400;
  return listedIn(headers.connection).some((name) => OF_THE_REQUEST.has(name)) ? 400 : undefined;
}

function timesIn(rawHeaders: readonly string[], name: string): number {
  return rawHeaders.filter((each, index) => index % 2 === 0 && each.toLowerCase() === name).length;
}

/** What a proxy says of a request besides what the client does. */
export interface Forwarding {
  readonly host: string;
  /** Headers of the client's that are not handed on, in lower case. */
  readonly suppressed: ReadonlySet<string>;
  /** Headers that only proxies set and that are handed on all the same, in lower case. */
  readonly passed: ReadonlySet<string>;
}

/**
 * The headers of a request for the next server. The client's address is added to X-Forwarded-For; X-Forwarded-Host, -Proto
 * and -Prefix say what this server knows, whatever the client claims. Other headers that only proxies set are left out.
 */
export function requestHeaders(req: MountedRequest, { host, suppressed, passed }: Forwarding): OutgoingHttpHeaders {
  const { headers, socket, baseUrl } = req;
  const listed = new Set(listedIn(headers.connection));
  const handed: OutgoingHttpHeaders = Object.create(null);
  for (const [name, value] of Object.entries(headers)) {
    if (OF_THE_CONNECTION.has(name) || listed.has(name) || suppressed.has(name)) continue;
    if (isClaim(name) && !passed.has(name)) continue;
    // HTTP/2's pseudo-headers; "Expect", which this server has fulfilled; and "Proxy" (CVE-2016-5385).
    if (name.startsWith(':') || name === 'expect' || name === 'proxy') continue;
    handed[name] = value;
  }
  if (headers['content-length'] !== undefined) handed['content-length'] = headers['content-length'];
  if (headers['transfer-encoding'] !== undefined) handed['transfer-encoding'] = 'chunked';
  const asked = askedHost(req);
  const before = handed['x-forwarded-for'];
  const address = socket.remoteAddress;
  handed['host'] = host;
  if (address !== undefined) handed['x-forwarded-for'] = before === undefined ? address : `${before}, ${address}`;
  handed['x-forwarded-proto'] = 'encrypted' in socket && socket.encrypted ? 'https' : 'http';
  delete handed['x-forwarded-host'];
  delete handed['x-forwarded-prefix'];
  if (asked !== undefined) handed['x-forwarded-host'] = asked;
  if (baseUrl) handed['x-forwarded-prefix'] = baseUrl;
  return handed;
}

/** A header that only a proxy may set, in any spelling that becomes the same CGI variable; the client's address is added to one. */
function isClaim(name: string): boolean {
  return name !== 'x-forwarded-for' && PROXY_HEADERS.has(name.replaceAll('_', '-'));
}

/** The headers of an answer for the client: names as the next server spells them, each with its values. */
export function responseHeaders({ rawHeaders, headers }: IncomingMessage): Map<string, string[]> {
  const listed = new Set(listedIn(headers.connection));
  const handed = new Map<string, { readonly name: string; readonly values: string[] }>();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    const key = name.toLowerCase();
    if (OF_THE_CONNECTION.has(key) || listed.has(key)) continue;
    const known = handed.get(key) ?? { name, values: [] };
    known.values.push(rawHeaders[i + 1] as string);
    handed.set(key, known);
  }
  return new Map([...handed.values()].map(({ name, values }) => [name, values]));
}

/** Fields that have no place behind a body, since they say how to read it or what to do with it. */
const NOT_IN_TRAILERS: ReadonlySet<string> = new Set(['content-length', 'content-type', 'content-encoding', 'host']);

/** Trailers to hand on, in either direction; undefined: none. */
export function trailersOf({ trailers }: IncomingMessage): Record<string, string> | undefined {
  const handed = Object.entries(trailers).filter(
    (pair): pair is [string, string] =>
      pair[1] !== undefined && !OF_THE_CONNECTION.has(pair[0]) && !NOT_IN_TRAILERS.has(pair[0]),
  );
  return handed.length === 0 ? undefined : Object.fromEntries(handed);
}

/** What of an interim answer's headers is meant for the client. */
export function hintsOf(headers: IncomingHttpHeaders): Record<string, string | string[]> | undefined {
  const { link } = headers;
  return link === undefined ? undefined : { link };
}
