/** Which proxies `prefix` and `proxy_headers` trust, and what the headers of these proxies say about the client. */
import { asList } from '../../config/settings/convert.ts';
import type { SettingType } from '../../config/settings/setting-types.ts';
import {
  CLIENT_CLAIMS,
  clientAddress,
  FORWARDING_HEADERS,
  type ForwardingHeader,
  hostAndPort,
  isTlsScheme,
  listItems,
  nodeAddress,
  parseForwarded,
} from '../../http/client-address.ts';
import type { MountedRequest } from '../../http/mount.ts';
import { type ClientOverride, removeHeaders } from '../../http/override-client.ts';
import { requestHost } from '../../http/request-headers.ts';
import { parseNetwork } from '../../net/peers.ts';

/** Whether the peer with an address is trusted. */
export type IsTrusted = (address: string) => boolean;

const NAMED = new Set(['loopback', 'linklocal', 'uniquelocal']);

/** The type of the setting `trusted_proxies`. */
export const proxyNames: SettingType<readonly string[]> = {
  allowed: 'addresses and CIDR blocks, loopback, linklocal, uniquelocal, separated by spaces or commas',
  parse: (text) =>
    asList(text.replaceAll(',', ' ')).map((word) => {
      const network = parseNetwork(word);
      if (NAMED.has(word) || (network !== undefined && network.prefix > 0)) return word;
      throw new Error(
        `"${word}" is not an allowed value${network ? ': an address of any client would be trusted' : ''}`,
      );
    }),
};

/**
 * Compiles the words of `trusted_proxies`, as Express does for `trust proxy`.
 * @throws TypeError for other words.
 */
export async function trustedProxies(words: readonly string[]): Promise<IsTrusted> {
  const { default: proxyAddr } = await import('proxy-addr');
  const trust = proxyAddr.compile([...words]);
  return (address) => trust(address, 0);
}

/** The type of settings that list forwarding headers. */
const forwardingHeaders: SettingType<readonly ForwardingHeader[]> = {
  allowed: FORWARDING_HEADERS.join(', '),
  parse: (text) =>
    asList(text.replaceAll(',', ' ').toLowerCase()).map((word) => {
      const name = FORWARDING_HEADERS.find((each) => each === word);
      if (name === undefined) throw new Error(`"${word}" is not an allowed value`);
      return name;
    }),
};

/**
 * The setting `headers`. The default is the headers that every common proxy sets: a client could send the others itself, and
 * the proxy would pass them on.
 */
export const headersSetting = {
  type: forwardingHeaders,
  default: ['x-forwarded-for', 'x-forwarded-proto'],
  help: 'The headers that the trusted proxies set or delete in every request; the others are removed from the request.',
  example: 'x-forwarded-for x-forwarded-proto x-forwarded-host',
} as const;

/** The header Forwarded cannot be parsed. */
export const MALFORMED = Symbol('malformed');

/** Used for a client without an address, which RFC 7239 section 6 allows. No client has this address, so no list matches it. */
const UNKNOWN_ADDRESS = '0.0.0.0';

/**
 * Reads what the proxies in front report about the client. Headers that cannot be trusted are removed from the request, so
 * that the application cannot trust them either: all of them if the peer is not a trusted proxy, else those that are not in
 * `trustedHeaders`.
 */
export function readForwarding(
  req: MountedRequest,
  isTrusted: IsTrusted,
  trustedHeaders: ReadonlySet<ForwardingHeader>,
): ClientOverride | typeof MALFORMED {
  const peer = clientAddress(req);
  const fromTrusted = peer !== undefined && isTrusted(peer);
  const refused = [
    ...FORWARDING_HEADERS.filter((name) => !(fromTrusted && trustedHeaders.has(name))),
    ...(fromTrusted ? [] : CLIENT_CLAIMS),
  ].filter((name) => req.headers[name] !== undefined);
  if (refused.length > 0) removeHeaders(req, new Set(refused));
  if (!fromTrusted) return {};

  const text = (name: ForwardingHeader): string | undefined => {
    const value = req.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  };
  const forwarded = parseIfPresent(text('forwarded'));
  // If a header that the client made unreadable were ignored, the proxy would look like the client.
  if (forwarded === undefined) return MALFORMED;
  const parameters = (name: string): (string | undefined)[] => forwarded.map((element) => element.get(name));
  const list = (name: ForwardingHeader): string[] => listItems(text(name) ?? '');

  const nodes = firstWithItems(list('x-forwarded-for'), list('x-real-ip'), parameters('for'));
  const { address, hops } = nearestUntrusted(nodes, isTrusted);
  // Each proxy appends its value, so the outermost trusted proxy's value is as far from the end as the client's address.
  const at = (items: readonly (string | undefined)[]): string | undefined => items[Math.max(0, items.length - hops)];
  const first = (...names: readonly ForwardingHeader[]): string | undefined => {
    for (const name of names) {
      const items = list(name);
      if (items.length > 0) return at(items);
    }
    return undefined;
  };
  const encrypted = isTlsScheme(
    first('x-forwarded-proto', 'x-forwarded-scheme', 'x-scheme') ?? at(parameters('proto')),
  );
  const host = hostAndPort(first('x-forwarded-host', 'x-forwarded-server') ?? at(parameters('host')));
  return { address, encrypted, host: withPort(host, first('x-forwarded-port'), req, encrypted) };
}

function parseIfPresent(text: string | undefined): ReturnType<typeof parseForwarded> {
  return text === undefined || text.trim() === '' ? [] : parseForwarded(text);
}

function firstWithItems(...lists: readonly (string | undefined)[][]): (string | undefined)[] {
  return lists.find((items) => items.length > 0) ?? [];
}

/** The last address that is not a trusted proxy's. The client itself may have written everything before it. */
function nearestUntrusted(
  nodes: readonly (string | undefined)[],
  isTrusted: IsTrusted,
): { readonly address: string | undefined; readonly hops: number } {
  let address: string | undefined;
  let hops = 0;
  for (const node of [...nodes].reverse()) {
    hops++;
    address = node === undefined ? undefined : nodeAddress(node);
    if (address === undefined) return { address: UNKNOWN_ADDRESS, hops };
    if (!isTrusted(address)) break;
  }
  return { address, hops: Math.max(1, hops) };
}

/** Adds the port unless it is the scheme's standard one. */
function withPort(
  host: string | undefined,
  port: string | undefined,
  req: MountedRequest,
  encrypted: boolean | undefined,
): string | undefined {
  if (port === undefined || !/^\d{1,5}$/.test(port)) return host;
  const known = host ?? hostAndPort(requestHost(req));
  if (known === undefined || /:\d+$/.test(known.replace(/^\[.*\]/, ''))) return host;
  const standard = (encrypted ?? ('encrypted' in req.socket && req.socket.encrypted === true)) ? '443' : '80';
  return port === standard ? host : `${known}:${port}`;
}
