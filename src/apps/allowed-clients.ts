/**
 * Who may see what a server says of itself. A client is judged by where it is, not by where the web server in front is:
 * behind a gateway that is REMOTE_ADDR, and a request with a proxy's headers is not this machine's own because the proxy
 * is.
 */
import type { IncomingMessage } from 'node:http';
import { type Network, Peers } from '../gateway/peers.ts';
import { clientAddress } from '../http/client-address.ts';
import { isLoopback } from '../net/address.ts';

/** Any of them says that somebody stands between (RFC 7239, RFC 9110 section 7.6.3). */
const OF_PROXIES = [
  'forwarded',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
] as const;

/** @param allowed Default: this machine alone. */
export function allowedClients(allowed: readonly Network[]): (req: IncomingMessage) => boolean {
  const peers = new Peers(allowed);
  return (req) => {
    const address = clientAddress(req);
    if (address === undefined || !peers.admits(address)) return false;
    // Somebody's proxy on this machine is not somebody on this machine, be it in front of a gateway too.
    return !isLoopback(address) || OF_PROXIES.every((name) => req.headers[name] === undefined);
  };
}
