/** Where a client is: the address of its connection, and what proxies report about it. Which proxies to trust is decided elsewhere. */
import type { IncomingMessage } from 'node:http';
import { isIP, isIPv6 } from 'node:net';

/** The address of a client on a Unix socket: it is on this machine. */
const LOCAL = '127.0.0.1';

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/**
 * The address of a request's client: 127.0.0.1 for a Unix socket (also for one of the web server in front, which nginx calls
 * `unix:`), undefined if the client has gone and its address is lost.
 */
export function clientAddress({ socket }: Pick<IncomingMessage, 'socket'>): string | undefined {
  const { remoteAddress } = socket;
  if (remoteAddress === 'unix:') return LOCAL;
  if (remoteAddress !== undefined) return MAPPED.exec(remoteAddress)?.[1] ?? remoteAddress;
  // A TCP client that has gone has no address either, and must not be taken for a local one.
  return socket.destroyed || socket.localAddress !== undefined ? undefined : LOCAL;
}

/**
 * What identifies a client for counting. With IPv6 that is its network, /64, since a client can use all addresses of one.
 */
export function clientKey(req: Pick<IncomingMessage, 'socket'>): string {
  const address = clientAddress(req) ?? 'unknown';
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.replace(/%.*/, '').toLowerCase().split('::');
  const groups = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - groups.length - after.length);
  const all = [...groups, ...Array<string>(zeros).fill('0'), ...after];
  return `${all
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`;
}

// --- what proxies report

/** The headers that `proxy_headers` can read, in lower case. If several report the same thing, the first one counts. */
export const FORWARDING_HEADERS = [
  'x-forwarded-for',
  'x-real-ip',
  'x-forwarded-proto',
  'x-scheme',
  'x-forwarded-scheme',
  'x-forwarded-host',
  'x-forwarded-server',
  'x-forwarded-port',
  'forwarded',
] as const;

export type ForwardingHeader = (typeof FORWARDING_HEADERS)[number];

/** Other headers that proxies set and that applications, frameworks and their packages trust. */
export const CLIENT_CLAIMS: readonly string[] = [
  'x-forwarded',
  'forwarded-for',
  'x-forwarded-by',
  'x-forwarded-prefix',
  'x-forwarded-protocol',
  'x-forwarded-ssl',
  'x-forwarded-uri',
  'x-url-scheme',
  'front-end-https',
  'x-host',
  'x-original-host',
  'x-original-url',
  'x-original-uri',
  'x-rewrite-url',
  'x-script-name',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-appengine-user-ip',
  'true-client-ip',
  'cf-connecting-ip',
  'fastly-client-ip',
];

/** Both lists together. */
export const PROXY_HEADERS: ReadonlySet<string> = new Set([...FORWARDING_HEADERS, ...CLIENT_CLAIMS]);

/** The CGI variable of a header: `HTTP_X_REAL_IP` (RFC 3875 section 4.1.18). */
export function headerVariable(name: string): string {
  return `HTTP_${name.replaceAll('-', '_').toUpperCase()}`;
}

/** One element of Forwarded: the parameters, names in lower case. */
export type ForwardedElement = ReadonlyMap<string, string>;

/** `token = value`. The value is quoted, or a token with colons and brackets, which many write unquoted. */
const PARAMETER = /[ \t]*([!#$%&'*+.^`|~\w-]+)=(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+.^`|~\w:[\]-]+))[ \t]*/y;

/** The elements of the header; undefined if it is malformed (RFC 7239 section 4). */
export function parseForwarded(text: string): ForwardedElement[] | undefined {
  const elements: ForwardedElement[] = [];
  let element = new Map<string, string>();
  let at = 0;
  for (;;) {
    PARAMETER.lastIndex = at;
    const match = PARAMETER.exec(text);
    if (!match) return undefined;
    const name = (match[1] ?? '').toLowerCase();
    // "Each parameter MUST NOT occur more than once per field-value" of one element.
    if (element.has(name)) return undefined;
    element.set(name, match[2]?.replace(/\\(.)/g, '$1') ?? match[3] ?? '');
    at = PARAMETER.lastIndex;
    if (at < text.length && text[at] !== ',' && text[at] !== ';') return undefined;
    if (at === text.length || text[at] === ',') {
      elements.push(element);
      element = new Map();
    }
    if (at === text.length) return elements;
    at++;
  }
}

/** The items of a header such as X-Forwarded-For, empty ones left out. */
export function listItems(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** The address in `192.0.2.1`, `192.0.2.1:4711`, `[2001:db8::1]:4711` or `2001:db8::1`; undefined for anything else. */
export function nodeAddress(node: string): string | undefined {
  const bare = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(node)?.[1] ?? /^(\d+(?:\.\d+){3}):\d{1,5}$/.exec(node)?.[1] ?? node;
  return isIP(bare) === 0 ? undefined : bare;
}

const HOST = /^(?:\[[\da-f:.]+\]|[a-z\d_-]+(?:\.[a-z\d_-]+)*\.?)(?::\d{1,5})?$/i;

/** A valid value of Host, with or without a port; undefined for anything else. */
export function hostAndPort(text: string | undefined): string | undefined {
  return text !== undefined && text.length <= 255 && HOST.test(text) ? text : undefined;
}

/** Whether a scheme uses TLS; undefined for one that is not HTTP's. */
export function isTlsScheme(scheme: string | undefined): boolean | undefined {
  switch (scheme?.toLowerCase()) {
    case 'https':
    case 'wss':
      return true;
    case 'http':
    case 'ws':
      return false;
    default:
      return undefined;
  }
}

// --- whether a request came through a proxy

/** Marks a request that came through a proxy, since its headers may have been removed. */
const kCameThroughProxy = Symbol('came through a proxy');

interface MarkedRequest extends IncomingMessage {
  [kCameThroughProxy]?: true;
}

/**
 * Whether a request came through a proxy: it has a header that only proxies add (also those of RFC 7239 and RFC 9110 section
 * 7.6.3), or its version is HTTP/1.0, which nginx uses by default and clients no longer do.
 */
export function cameThroughProxy(req: MarkedRequest): boolean {
  if (req[kCameThroughProxy] || req.httpVersion === '1.0') return true;
  const { rawHeaders } = req;
  for (let i = 0; i < rawHeaders.length; i += 2) if (isAddedByProxies((rawHeaders[i] ?? '').toLowerCase())) return true;
  return false;
}

/** Marks a request as one that came through a proxy, before its headers are removed, or if it is made for such a request. */
export function markProxied(req: MarkedRequest): void {
  req[kCameThroughProxy] = true;
}

/** @param name in lower case */
export function isAddedByProxies(name: string): boolean {
  return name === 'via' || PROXY_HEADERS.has(name);
}
