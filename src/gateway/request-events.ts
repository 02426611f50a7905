/**
 * Hands a request over as node:http does: by the 'request' event of an `http.Server`, and on Node's diagnostics channels. Tools
 * that trace and measure (OpenTelemetry, Sentry and others) replace `http.Server.prototype.emit` or subscribe to the channels.
 */
import { channel } from 'node:diagnostics_channel';
import { type IncomingMessage, Server, type ServerResponse } from 'node:http';
import type { Exchange } from './exchange.ts';

const requestStart = channel('http.server.request.start');
const responseFinish = channel('http.server.response.finish');

/** @returns what hands an exchange to `handler`. */
export function requestEvents(
  handler: (req: IncomingMessage, res: ServerResponse) => void,
): (exchange: Exchange) => void {
  // Never listens: it is what the tools find where node:http has its server.
  const server = new Server(handler);
  return ({ request, response, socket }) => {
    if (requestStart.hasSubscribers || responseFinish.hasSubscribers) {
      const message = { request, response, socket, server };
      response.on('finish', () => responseFinish.publish(message));
      requestStart.publish(message);
    }
    server.emit('request', request, response);
  };
}
