/** What `metrics` and `status` share: which clients may see the server's status, and the response. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { cameThroughProxy, clientAddress } from '../../http/client-address.ts';
import { sendPlainText } from '../../http/error-response.ts';
import { requestHost } from '../../http/request-headers.ts';
import { meter } from '../../metrics/meter.ts';
import type { ServerStatus } from '../../metrics/server-status.ts';
import { isLoopback } from '../../net/address.ts';
import { type Network, Peers } from '../../net/peers.ts';
import type { App } from '../../protocol/types.ts';

/**
 * Whether a client may see the server's status. The client's own address counts, not that of the web server in front:
 * behind a gateway, the client's address is REMOTE_ADDR. A request that came through a proxy on this machine is not from
 * this machine.
 * @param allowed empty: only clients on this machine.
 */
export function allowedClients(allowed: readonly Network[]): (req: IncomingMessage) => boolean {
  const peers = new Peers(allowed);
  return (req) => {
    const address = clientAddress(req);
    if (address === undefined || !peers.admits(address)) return false;
    return !isLoopback(address) || (asksForThisMachine(req) && !cameThroughProxy(req));
  };
}

/**
 * False for a request that a proxy passes on without adding headers, and for a page whose host name was rebound to 127.0.0.1
 * (DNS rebinding): both name another host.
 */
function asksForThisMachine(req: IncomingMessage): boolean {
  const host = requestHost(req)?.replace(/:\d*$/, '') ?? '';
  return isLoopback(host.replace(/^\[(.*)\]$/, '$1').toLowerCase());
}

interface StatusAppOptions {
  /** Whether the status includes the last ten minutes. Default: no. */
  readonly history?: boolean;
  /** Whether the status counts the request for it among those in flight. Default: yes. */
  readonly isShown?: (req: IncomingMessage) => boolean;
}

/** An application that reports the server's status. It also switches on counting connections and bytes. */
export function statusApp(
  isAllowed: (req: IncomingMessage) => boolean,
  report: (req: IncomingMessage, res: ServerResponse, status: ServerStatus) => void | Promise<void>,
  { history = false, isShown = () => true }: StatusAppOptions = {},
): App {
  const current = meter();
  current.isCounting = true;
  if (history) current.needsHistory = true;
  return async (req, res) => {
    if (!isAllowed(req)) return sendPlainText(res, 403, { 'cache-control': 'no-store' });
    if (req.method !== 'GET' && req.method !== 'HEAD') return sendPlainText(res, 405, { allow: 'GET, HEAD' });
    if (!isShown(req)) current.finishEarly(res);
    let status: ServerStatus;
    try {
      status = await current.ask({ history });
    } catch {
      // This worker's numbers alone would be lower than before, and a counter must not decrease.
      return sendPlainText(res, 503, { 'cache-control': 'no-store' }, 'The supervisor does not respond');
    }
    await report(req, res, status);
  };
}

export function sendReport(res: ServerResponse, type: string, body: string, headers: OutgoingHttpHeaders = {}): void {
  res.writeHead(200, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  });
  res.end(body);
}
