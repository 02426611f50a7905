/** The response to a request that no application takes: a plain 404, and an upgrade that is treated as an ordinary request. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { App } from './types.ts';

export const notFound: App = (_req, res) => {
  res.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' });
  res.end('Not Found\n');
};

type Handler = (req: IncomingMessage, res: ServerResponse) => unknown;

/**
 * Responds to a request for another protocol as if it had not asked (RFC 9110 section 7.8: a server may ignore Upgrade). Node no
 * longer handles the connection then, so it closes after the response.
 */
export function declineUpgrade(handler: Handler, req: IncomingMessage, socket: Duplex): unknown {
  // Not imported, which would make every start load node:http; by the first request it is loaded.
  const res = new (process.getBuiltinModule('node:http').ServerResponse)(req);
  res.shouldKeepAlive = false;
  res.assignSocket(socket as Socket);
  res.on('finish', () => {
    res.detachSocket(socket as Socket);
    socket.end();
  });
  return handler(req, res);
}
