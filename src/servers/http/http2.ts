/**
 * HTTP/2 for a listener: each stream becomes a request and a response for the application. A server that speaks HTTP/1.1 alone
 * does not load this module, nor the part of the gateways that it needs.
 */
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { requestDispatcher } from '../../gateway/exchange.ts';
import { callApp } from '../../http/error-response.ts';
import type { Logger } from '../../log.ts';
import type { App } from '../../protocol/types.ts';
import type { Connections } from './connections.ts';
import { Http2Exchange } from './http2-exchange.ts';
import { Http2Sessions } from './http2-sessions.ts';
import type { HttpSettings } from './settings.ts';

/** @returns an object whose `open` takes the connections of clients that speak HTTP/2 */
export function serveHttp2(app: App, settings: HttpSettings, connections: Connections, log: Logger): Http2Sessions {
  const run = requestDispatcher((req, res) => callApp(app, req, res, log));
  const serve = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, raw: readonly string[], socket: Socket) => {
    connections.limitStream(stream);
    const carrier = new Http2Exchange(stream, headers, raw, socket, log);
    run(carrier.exchange);
    carrier.applicationCalled();
  };
  return new Http2Sessions(settings, serve);
}
