/** Answers a request for another protocol as if it had not asked (RFC 9110 section 7.8: a server may ignore Upgrade). */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

type Handler = (req: IncomingMessage, res: ServerResponse) => unknown;

/** Node has let go of the connection already, so it closes with the answer. */
export function declineUpgrade(handler: Handler, req: IncomingMessage, socket: Duplex): unknown {
  // Not imported: what is loaded before the first request is not to wait for it, and with one it is there.
  const res = new (process.getBuiltinModule('node:http').ServerResponse)(req);
  res.shouldKeepAlive = false;
  res.assignSocket(socket as Socket);
  res.on('finish', () => {
    res.detachSocket(socket as Socket);
    socket.end();
  });
  return handler(req, res);
}
