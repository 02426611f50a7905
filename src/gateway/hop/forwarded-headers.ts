/**
 * Which headers a proxy forwards. Those of one connection are left out (RFC 9110 section 7.6.1), and a request that this
 * server and the next one could parse differently is refused (request smuggling, RFC 9112 section 11.2).
 */
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { PROXY_HEADERS } from '../../http/client-address.ts';
import type { MountedRequest } from '../../http/mount.ts';
import { requestHost } from '../../http/request-headers.ts';

const CONNECTION_HEADERS: ReadonlySet<string> = new Set([
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

/** Headers that a Connection header must not remove, because the request would become a different one. */
const REQUIRED_HEADERS: ReadonlySet<string> = new Set(['content-length', 'host']);

/** The names that a Connection header lists, in lower case. */
function listedIn(connection: string | undefined): string[] {
  return (connection ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

/** The status for refusing a request whose length is ambiguous; undefined: it is not. */
export function refusalOf({ headers, rawHeaders }: IncomingMessage): 400 | 501 | undefined {
  const { 'transfer-encoding': encoding, 'content-length': length } = headers;
  if (encoding !== undefined && length !== undefined) return 400;
  if (length !== undefined && !/^\d+$/.test(length)) return 400;
  if (encoding !== undefined && encoding.toLowerCase() !== 'chunked') return 501;
  for (const name of ['content-length', 'transfer-encoding', 'host']) if (countHeader(rawHeaders, name) > 1) return 400;
  return listedIn(headers.connection).some((name) => REQUIRED_HEADERS.has(name)) ? 400 : undefined;
}

function countHeader(rawHeaders: readonly string[], name: string): number {
  return rawHeaders.filter((each, index) => index % 2 === 0 && each.toLowerCase() === name).length;
}

/** How a proxy changes the headers of a request. */
export interface HeaderChanges {
  /** The Host header for the target. */
  readonly host: string;
  /** Headers of the client to remove, in lower case. */
  readonly suppressed: ReadonlySet<string>;
  /** Headers that only proxies set and that are forwarded nevertheless, in lower case. */
  readonly passed: ReadonlySet<string>;
}

/**
 * The headers of a request for the target. The client's address is added to X-Forwarded-For. X-Forwarded-Host, -Proto
 * and -Prefix are set from what this server knows, not from what the client sent. Other headers that only proxies set are
 * left out.
 */
export function requestHeaders(req: MountedRequest, { host, suppressed, passed }: HeaderChanges): OutgoingHttpHeaders {
  const { headers, socket, baseUrl } = req;
  const listed = new Set(listedIn(headers.connection));
  const forwarded: OutgoingHttpHeaders = Object.create(null);
  for (const [name, value] of Object.entries(headers)) {
    if (CONNECTION_HEADERS.has(name) || listed.has(name) || suppressed.has(name)) continue;
    if (isProxyHeader(name) && !passed.has(name)) continue;
    // HTTP/2's pseudo-headers, "Expect", which this server has already handled, and "Proxy" (CVE-2016-5385).
    if (name.startsWith(':') || name === 'expect' || name === 'proxy') continue;
    forwarded[name] = value;
  }
  if (headers['content-length'] !== undefined) forwarded['content-length'] = headers['content-length'];
  if (headers['transfer-encoding'] !== undefined) forwarded['transfer-encoding'] = 'chunked';
  const asked = requestHost(req);
  const before = forwarded['x-forwarded-for'];
  const address = socket.remoteAddress;
  forwarded['host'] = host;
  if (address !== undefined) forwarded['x-forwarded-for'] = before === undefined ? address : `${before}, ${address}`;
  forwarded['x-forwarded-proto'] = 'encrypted' in socket && socket.encrypted ? 'https' : 'http';
  delete forwarded['x-forwarded-host'];
  delete forwarded['x-forwarded-prefix'];
  if (asked !== undefined) forwarded['x-forwarded-host'] = asked;
  if (baseUrl) forwarded['x-forwarded-prefix'] = baseUrl;
  return forwarded;
}

/**
 * Whether only a proxy may set a header, in any spelling that becomes the same CGI variable. X-Forwarded-For is handled
 * separately.
 */
function isProxyHeader(name: string): boolean {
  return name !== 'x-forwarded-for' && PROXY_HEADERS.has(name.replaceAll('_', '-'));
}

/** The headers of a response for the client: names as the target spells them, each with its values. */
export function responseHeaders({ rawHeaders, headers }: IncomingMessage): Map<string, string[]> {
  const listed = new Set(listedIn(headers.connection));
  const forwarded = new Map<string, { readonly name: string; readonly values: string[] }>();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    const key = name.toLowerCase();
    if (CONNECTION_HEADERS.has(key) || listed.has(key)) continue;
    const known = forwarded.get(key) ?? { name, values: [] };
    known.values.push(rawHeaders[i + 1] as string);
    forwarded.set(key, known);
  }
  return new Map([...forwarded.values()].map(({ name, values }) => [name, values]));
}

/** Fields not allowed after a body, because they say how to read or handle it. */
const NOT_IN_TRAILERS: ReadonlySet<string> = new Set(['content-length', 'content-type', 'content-encoding', 'host']);

/** Trailers to forward, in either direction; undefined: none. */
export function forwardedTrailers({ trailers }: IncomingMessage): Record<string, string> | undefined {
  const forwarded = Object.entries(trailers).filter(
    (pair): pair is [string, string] =>
      pair[1] !== undefined && !CONNECTION_HEADERS.has(pair[0]) && !NOT_IN_TRAILERS.has(pair[0]),
  );
  return forwarded.length === 0 ? undefined : Object.fromEntries(forwarded);
}

/** The headers of an interim response that the client gets. */
export function hintsOf(headers: IncomingHttpHeaders): Record<string, string | string[]> | undefined {
  const { link } = headers;
  return link === undefined ? undefined : { link };
}
