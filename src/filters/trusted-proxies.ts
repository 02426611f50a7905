/** Whom `prefix` and `proxy_headers` believe, and what they make of what those say about the client. */

import { asList } from '../config/convert.ts';
import type { SettingType } from '../config/setting.ts';
import { parseNetwork } from '../gateway/peers.ts';
import { askedHost } from '../http/asked-host.ts';
import { clientAddress } from '../http/client-address.ts';
import {
  CLIENT_CLAIMS,
  FORWARDING_HEADERS,
  type ForwardingHeader,
  hostAndPort,
  listItems,
  meansTls,
  nodeAddress,
  parseForwarded,
} from '../http/forwarded.ts';
import type { MountedRequest } from '../http/mount.ts';
import { type Presented, removeHeaders } from '../http/presented.ts';

/** Judges the address of a peer. */
export type Trust = (address: string) => boolean;

const NAMED = new Set(['loopback', 'linklocal', 'uniquelocal']);

/** The type of the setting `trusted_proxies`. */
export const proxyNames: SettingType<readonly string[]> = {
  allowed: 'addresses and CIDR blocks, loopback, linklocal, uniquelocal, separated by spaces or commas',
  parse: (text) =>
    asList(text.replaceAll(',', ' ')).map((word) => {
      const network = parseNetwork(word);
      if (NAMED.has(word) || (network !== undefined && network.prefix > 0)) return word;
      throw new Error(`"${word}" is none of them${network ? ': to believe everybody is to believe nobody' : ''}`);
    }),
};

/**
 * Makes a judge of such words, as Express's `trust proxy` does.
 * @throws TypeError for others.
 */
export async function trustedProxies(words: readonly string[]): Promise<Trust> {
  const { default: proxyAddr } = await import('proxy-addr');
  const trusts = proxyAddr.compile([...words]);
  return (address) => trusts(address, 0);
}

/** The type of settings that list forwarding headers. */
export const headerNames: SettingType<readonly ForwardingHeader[]> = {
  allowed: FORWARDING_HEADERS.join(', '),
  parse: (text) =>
    asList(text.replaceAll(',', ' ').toLowerCase()).map((word) => {
      const name = FORWARDING_HEADERS.find((each) => each === word);
      if (name === undefined) throw new Error(`"${word}" is none of them`);
      return name;
    }),
};

/** The setting `headers`. Its default is what every common proxy sets: a client could write the others itself. */
export const believedHeaders = {
  type: headerNames,
  default: ['x-forwarded-for', 'x-forwarded-proto'],
  help: 'The headers that the trusted proxies set or delete in every request; the others are removed from the request.',
  example: 'x-forwarded-for x-forwarded-proto x-forwarded-host',
} as const;

/** Somebody is known to have sent it, and nobody knows what it means. */
export const MALFORMED = Symbol('malformed');

/** Where the client is not an address, as RFC 7239 section 6 allows: nobody's, so that it is in nobody's list. */
const UNKNOWN_ADDRESS = '0.0.0.0';

/**
 * What the proxies in front report about the client. Headers that cannot be believed, because the peer is not a trusted
 * proxy or the header is not one of `believed`, are removed from the request, so that the application cannot believe
 * them either.
 */
export function readForwarding(
  req: MountedRequest,
  trusts: Trust,
  believed: ReadonlySet<ForwardingHeader>,
): Presented | typeof MALFORMED {
  const peer = clientAddress(req);
  const isTrusted = peer !== undefined && trusts(peer);
  const refused = [
    ...FORWARDING_HEADERS.filter((name) => !(isTrusted && believed.has(name))),
    ...(isTrusted ? [] : CLIENT_CLAIMS),
  ].filter((name) => req.headers[name] !== undefined);
  if (refused.length > 0) removeHeaders(req, new Set(refused));
  if (!isTrusted) return {};

  const text = (name: ForwardingHeader): string | undefined => {
    const value = req.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  };
  const forwarded = parsed(text('forwarded'));
  // To pass over what a client has put before a proxy's own words would be to take the proxy for the client.
  if (forwarded === undefined) return MALFORMED;
  const parameters = (name: string): (string | undefined)[] => forwarded.map((element) => element.get(name));
  const list = (name: ForwardingHeader): string[] => listItems(text(name) ?? '');

  const nodes = firstWithItems(list('x-forwarded-for'), list('x-real-ip'), parameters('for'));
  const { address, hops } = nearestStranger(nodes, trusts);
  // Each proxy adds its word at the end: the outermost one that is trusted stands as far from it as the client does.
  const at = (items: readonly (string | undefined)[]): string | undefined => items[Math.max(0, items.length - hops)];
  const first = (...names: readonly ForwardingHeader[]): string | undefined => {
    for (const name of names) {
      const items = list(name);
      if (items.length > 0) return at(items);
    }
    return undefined;
  };
  const encrypted = meansTls(first('x-forwarded-proto', 'x-forwarded-scheme', 'x-scheme') ?? at(parameters('proto')));
  const host = hostAndPort(first('x-forwarded-host', 'x-forwarded-server') ?? at(parameters('host')));
  return { address, encrypted, host: withPort(host, first('x-forwarded-port'), req, encrypted) };
}

function parsed(text: string | undefined): ReturnType<typeof parseForwarded> {
  return text === undefined || text.trim() === '' ? [] : parseForwarded(text);
}

function firstWithItems(...lists: readonly (string | undefined)[][]): (string | undefined)[] {
  return lists.find((items) => items.length > 0) ?? [];
}

/** From the end, past the proxies that are trusted: what stands before the first stranger is only what he says. */
function nearestStranger(
  nodes: readonly (string | undefined)[],
  trusts: Trust,
): { readonly address: string | undefined; readonly hops: number } {
  let address: string | undefined;
  let hops = 0;
  for (const node of [...nodes].reverse()) {
    hops++;
    address = node === undefined ? undefined : nodeAddress(node);
    if (address === undefined) return { address: UNKNOWN_ADDRESS, hops };
    if (!trusts(address)) break;
  }
  return { address, hops: Math.max(1, hops) };
}

/** A port goes into Host where it is not the scheme's own. */
function withPort(
  host: string | undefined,
  port: string | undefined,
  req: MountedRequest,
  encrypted: boolean | undefined,
): string | undefined {
  if (port === undefined || !/^\d{1,5}$/.test(port)) return host;
  const known = host ?? hostAndPort(askedHost(req));
  if (known === undefined || /:\d+$/.test(known.replace(/^\[.*\]/, ''))) return host;
  const standard = (encrypted ?? ('encrypted' in req.socket && req.socket.encrypted === true)) ? '443' : '80';
  return port === standard ? host : `${known}:${port}`;
}
