/**
 * Who may see a server's status. A client is judged by its own address, not by that of the web server in front: behind a
 * gateway that is REMOTE_ADDR, and a request that came through a proxy on this machine is not from this machine.
 */
import type { IncomingMessage } from 'node:http';
import { type Network, Peers } from '../gateway/peers.ts';
import { askedHost } from '../http/asked-host.ts';
import { clientAddress } from '../http/client-address.ts';
import { cameThroughProxy } from '../http/proxied.ts';
import { isLoopback } from '../net/address.ts';

/** @param allowed Default: this machine alone. */
export function allowedClients(allowed: readonly Network[]): (req: IncomingMessage) => boolean {
  const peers = new Peers(allowed);
  return (req) => {
    const address = clientAddress(req);
    if (address === undefined || !peers.admits(address)) return false;
    return !isLoopback(address) || (asksForThisMachine(req) && !cameThroughProxy(req));
  };
}

/** Another host is what a proxy without headers of its own passes on, or a page that has rebound its name to 127.0.0.1. */
function asksForThisMachine(req: IncomingMessage): boolean {
  const host = askedHost(req)?.replace(/:\d*$/, '') ?? '';
  return isLoopback(host.replace(/^\[(.*)\]$/, '$1').toLowerCase());
}
