/**
 * What proxies say about the client: the header Forwarded (RFC 7239) and its older sisters, as lists with the client's end
 * first. Pure; whom to believe is decided elsewhere.
 */
import { isIP } from 'node:net';

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

/** Other headers that proxies set and that applications, frameworks and their packages believe. */
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

/** All of them. */
export const PROXY_HEADERS: ReadonlySet<string> = new Set([...FORWARDING_HEADERS, ...CLIENT_CLAIMS]);

/** One element of Forwarded: the parameters, names in lower case. */
export type ForwardedElement = ReadonlyMap<string, string>;

/** `token = value`, the value a token (colons and brackets let through, as many write them) or quoted. */
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

/** A host with or without a port, as it may stand in Host; undefined for anything else. */
export function hostAndPort(text: string | undefined): string | undefined {
  return text !== undefined && text.length <= 255 && HOST.test(text) ? text : undefined;
}

/** Whether a scheme means TLS; undefined for one that is not HTTP's. */
export function meansTls(scheme: string | undefined): boolean | undefined {
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
