/** Where a client is, for whoever trusts, names or counts clients by their address. Pure. */
import type { IncomingMessage } from 'node:http';
import { isIPv6 } from 'node:net';

/** What stands for a client that came over a Unix socket: it is on this machine. */
const LOCAL = '127.0.0.1';

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/**
 * The address of a request's client; 127.0.0.1 for a Unix socket (also that of a web server in front, which nginx calls
 * `unix:`), undefined where nobody knows any more.
 */
export function clientAddress({ socket }: Pick<IncomingMessage, 'socket'>): string | undefined {
  const { remoteAddress } = socket;
  if (remoteAddress === 'unix:') return LOCAL;
  if (remoteAddress !== undefined) return MAPPED.exec(remoteAddress)?.[1] ?? remoteAddress;
  // A TCP peer that has gone has no address either; it must not pass for a local one.
  return socket.destroyed || socket.localAddress !== undefined ? undefined : LOCAL;
}

/**
 * What a client is counted by. With IPv6 that is its network, /64: whoever has one has 2^64 addresses to come from.
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
