/**
 * HTTP/2 for a listener: each stream becomes a request and a response for the application. A server that speaks HTTP/1.1 alone
 * does not load this module, nor the part of the gateways that it needs.
 */
import type { Http2Server, IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { requestDispatcher } from '../../gateway/exchange.ts';
import { callApp } from '../../http/error-response.ts';
import type { Logger } from '../../log.ts';
import type { App } from '../../protocol/types.ts';
import type { Connections } from './connections.ts';
import { Deadlines } from './deadlines.ts';
import { Http2Exchange } from './http2-exchange.ts';
import { hasTwoHosts } from './http2-head.ts';
import { type HttpSettings, headersTimeout } from './settings.ts';

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

/** Requests at a time on one connection, by default unlimited in Node. Browsers use 100 at most. */
const MAX_STREAMS = 128;
/** Node's default of 128 is too few: browsers send each cookie as a header of its own. HTTP/1.1 takes 2000. */
const MAX_HEADERS = 1000;
/** Added to the length of each header (RFC 9113 section 10.5.1). */
const HEADER_OVERHEAD = 32;
/** Seconds that a client has to close a connection after GOAWAY, or for its first request while the server drains. */
const LINGER = 1;
/** RFC 9113 section 7. */
const NO_ERROR = 0;
const CANCEL = 8;

type Serve = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rawHeaders: string[], socket: Socket) => void;

interface Connection {
  readonly session: ServerHttp2Session;
  readonly socket: Socket;
  openStreams: number;
  /** Whether there has been a request. */
  isUsed: boolean;
}

/**
 * The HTTP/2 connections of one listener. Node limits the rate of resets, CONTINUATION frames and unanswered PING and SETTINGS
 * frames itself, but not the time that a client may take, the size of its headers and the number of its streams.
 */
class Http2Sessions {
  readonly #server: Http2Server;
  readonly #maxHeaderSize: number;
  readonly #serve: Serve;
  readonly #connections = new Map<ServerHttp2Session, Connection>();
  /** Connections without a request so far. */
  readonly #silent: Deadlines<Connection>;
  /** Connections between two requests. */
  readonly #idle: Deadlines<Connection>;
  /** Connections after GOAWAY, and while the server drains, those without a request so far. */
  readonly #closing: Deadlines<Connection>;
  /** Requests whose body may be incomplete. */
  readonly #unfinished: Deadlines<ServerHttp2Stream>;
  #isDraining = false;

  /** @param serve is called with each request that is not refused. */
  constructor(settings: HttpSettings, serve: Serve) {
    this.#maxHeaderSize = settings.max_header_size;
    this.#serve = serve;
    this.#server = process.getBuiltinModule('node:http2').createServer({
      settings: { maxConcurrentStreams: MAX_STREAMS, maxHeaderListSize: settings.max_header_size },
      maxHeaderListPairs: MAX_HEADERS,
    });
    const close = (connection: Connection): void => this.#close(connection);
    this.#silent = new Deadlines(headersTimeout(settings), close);
    this.#idle = new Deadlines(settings.keep_alive_timeout, close);
    this.#closing = new Deadlines(LINGER, ({ session, socket }) => {
      session.close();
      socket.destroy();
    });
    this.#unfinished = new Deadlines(settings.request_timeout, cutUnfinished);
  }

  open(socket: Socket): void {
    // Node's HTTP/2 relies on the socket to close its side when the client has closed the other.
    socket.allowHalfOpen = false;
    this.#server.once('session', (session) => this.#opened({ session, socket, openStreams: 0, isUsed: false }));
    this.#server.emit('connection', socket);
  }

  #opened(connection: Connection): void {
    const { session, socket } = connection;
    this.#connections.set(session, connection);
    (this.#isDraining ? this.#closing : this.#silent).start(connection);
    session.on(
      'stream',
      (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _flags: number, rawHeaders: string[]) => {
        this.#streamOpened(connection, stream);
        this.#request(stream, headers, rawHeaders, connection.socket);
      },
    );
    session.once('close', () => this.#connections.delete(session));
    socket.once('close', () => {
      for (const deadlines of [this.#silent, this.#idle, this.#closing]) deadlines.stop(connection);
    });
  }

  #streamOpened(connection: Connection, stream: ServerHttp2Stream): void {
    connection.isUsed = true;
    for (const deadlines of [this.#silent, this.#idle, this.#closing]) deadlines.stop(connection);
    connection.openStreams++;
    if (!stream.endAfterHeaders) this.#unfinished.start(stream);
    stream.once('close', () => {
      this.#unfinished.stop(stream);
      connection.openStreams--;
      if (connection.openStreams > 0 || connection.socket.destroyed) return;
      if (this.#isDraining) this.#close(connection);
      else this.#idle.start(connection);
    });
  }

  #request(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rawHeaders: string[], socket: Socket): void {
    // A client may have sent it before it received the limit.
    const size = rawHeaders.reduce((sum, text) => sum + text.length, (rawHeaders.length / 2) * HEADER_OVERHEAD);
    if (size > this.#maxHeaderSize) refuse(stream, 431);
    else if (hasTwoHosts(headers)) refuse(stream, 400);
    else if (headers[':method'] === 'CONNECT') refuse(stream, 405);
    else if (headers.expect !== undefined && headers.expect.toLowerCase() !== '100-continue') refuse(stream, 417);
    else this.#serve(stream, headers, rawHeaders, socket);
  }

  /** Sends GOAWAY: a request that crosses it was not processed, and the client may send it again. */
  #close(connection: Connection): void {
    connection.session.close();
    this.#closing.start(connection);
  }

  /** Sends GOAWAY; requests in flight are finished first. Where the first request may be on its way, it has time to arrive. */
  drain(): void {
    this.#isDraining = true;
    for (const connection of this.#connections.values()) {
      if (connection.openStreams > 0) connection.session.close();
      else if (connection.isUsed) this.#close(connection);
      else {
        this.#silent.stop(connection);
        this.#closing.start(connection);
      }
    }
  }

  end(): void {
    for (const deadlines of [this.#silent, this.#idle, this.#closing, this.#unfinished]) deadlines.end();
  }
}

function refuse(stream: ServerHttp2Stream, status: number): void {
  stream.on('error', () => {});
  if (stream.destroyed) return;
  stream.respond({ ':status': status }, { endStream: true });
  // The rest of the request is not needed (RFC 9113 section 8.1).
  stream.close(NO_ERROR);
}

/** For a request whose time to arrive is over. The application may already be working on it or on its response. */
function cutUnfinished(stream: ServerHttp2Stream): void {
  if (stream.destroyed || stream.state.remoteClose === 1) return;
  if (stream.headersSent) stream.close(CANCEL);
  else refuse(stream, 408);
}
