/**
 * The HTTP server: node:http, and node:tls and node:http2 where the settings ask for them, on listeners that it is handed.
 * It adds the ending to Node: a kept-alive client is told to go before its connection is closed, so that no request is lost.
 */
import {
  createServer as createHttp,
  type IncomingMessage,
  type Server as NodeServer,
  type ServerResponse,
} from 'node:http';
import type { Server as NetServer, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Server as TlsServer } from 'node:tls';
import { errorStack } from '../../errors.ts';
import { requestEvents } from '../../gateway/request-events.ts';
import { callApp } from '../../http/failure.ts';
import { type Logger, silentLogger } from '../../log.ts';
import { Watchlist } from '../../metrics/watchlist.ts';
import type { Address } from '../../net/address.ts';
import type { App, Running, ServeOptions, Server, Settings } from '../../protocol/types.ts';
import { withoutSecretParameters } from '../../secrets.ts';
import { timerMs } from '../../timer.ts';
import { Connections } from './connections.ts';
import { Http2Exchange } from './http2-exchange.ts';
import { Http2Sessions } from './http2-sessions.ts';
import { checkTimeouts, type HttpSettings, headersTimeout, httpSettings } from './settings.ts';
import { readTls, type Tls } from './tls.ts';

/** How long a kept connection may stay idle while the server drains if no keep-alive time was promised to the client. */
const LINGER_MS = 1000;
const POLL_MS = 50;
/** How often Node looks for connections whose time is over. Its default of 30 s makes a limit of 2 s one of 30. */
const CHECK_MS = 500;

/** What only TLS and HTTP/2 need, when they do: loading it takes 5 ms and 2 MiB. */
const builtin = process.getBuiltinModule;

/** `npm:paster#http`: makes the HTTP server of a `[server:*]` section. */
export function makeHttpServer(_globalConf: Settings, settings: HttpSettings): Server {
  checkTimeouts(settings);
  const tls = readTls(settings);
  return {
    scheme: tls ? 'https' : 'http',
    defaultAddress: { kind: 'tcp', host: '127.0.0.1', port: 8080 },
    async serve(app, listeners, options: ServeOptions = {}) {
      const log = options.log ?? silentLogger;
      const connections = new Connections({
        maxConnections: settings.max_connections,
        sendTimeout: settings.send_timeout,
        isPlain: !tls && !settings.http2,
        log,
      });
      return new RunningHttp(
        listeners.map((listener) => new HttpListener(listener, app, settings, tls, connections, log)),
        connections,
      );
    },
  };
}
makeHttpServer.settings = httpSettings;

/** One listener and Node's servers on it. */
class HttpListener {
  readonly address: Address;
  readonly #listener: NetServer;
  readonly #http1: NodeServer;
  readonly #http2: Http2Sessions | undefined;
  /** Responses that may still promise to keep the connection. */
  readonly #unanswered = new Watchlist();
  readonly #keepAliveMs: number;
  #draining = false;

  constructor(
    listener: NetServer,
    app: App,
    settings: HttpSettings,
    tls: Tls | undefined,
    connections: Connections,
    log: Logger,
  ) {
    this.#listener = listener;
    this.address = addressOf(listener);
    this.#http1 = createHttp1(settings);
    this.#keepAliveMs = timerMs(settings.keep_alive_timeout);
    const answer = (req: IncomingMessage, res: ServerResponse): void => {
      if (this.#draining) res.shouldKeepAlive = false;
      else this.#unanswered.add(res, 0);
      callApp(app, req, res, log);
    };
    this.#http1.on('request', answer);
    this.#http1.on('checkContinue', (req: IncomingMessage, res: ServerResponse) => {
      continueWhenRead(req, res, () => this.#draining);
      answer(req, res);
    });
    const { upgrade } = app;
    if (upgrade) {
      this.#http1.on('upgrade', (req, socket, head) => {
        const failed = (error: unknown): void => {
          log.error(`upgrade of ${withoutSecretParameters(req.url ?? '')} failed: ${errorStack(error)}`);
          socket.destroy();
        };
        socket.on('error', () => socket.destroy());
        // One request must not end the process.
        new Promise((resolve) => resolve(upgrade.call(app, req, socket, head))).catch(failed);
      });
    }
    // It does not listen itself; told that it does, Node keeps the list of connections that timeouts and closing the
    // idle ones go by.
    this.#http1.emit('listening');
    const run = requestEvents((req, res) => callApp(app, req, res, log));
    this.#http2 = settings.http2
      ? new Http2Sessions(settings, (stream, headers, rawHeaders, socket) => {
          connections.watch(stream);
          const carrier = new Http2Exchange(stream, headers, rawHeaders, socket, log);
          run(carrier.exchange);
          carrier.begun();
        })
      : undefined;
    const carriesTls = tls && this.#createTls(tls, timerMs(headersTimeout(settings)));
    listener.on('connection', (socket: Socket) => {
      if (!connections.admit(socket)) return;
      if (carriesTls) carriesTls.emit('connection', socket);
      else this.#open(socket, settings.http2);
    });
  }

  /** TLS comes first, and says which version of HTTP follows. Its handshake has the time of a head. */
  #createTls(tls: Tls, handshakeTimeout: number): TlsServer {
    const ALPNProtocols = this.#http2 ? ['h2', 'http/1.1'] : ['http/1.1'];
    const server = builtin('node:tls').createServer({ ...tls, ALPNProtocols, handshakeTimeout });
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    server.on('secureConnection', (socket) => this.#open(socket, socket.alpnProtocol === 'h2'));
    return server;
  }

  #open(socket: Socket, isHttp2: boolean): void {
    if (isHttp2) this.#http2?.open(socket);
    else this.#http1.emit('connection', socket);
  }

  /** Accepts nothing more. Every response whose head is not sent yet, and every later one, says `Connection: close`. */
  drain(): void {
    this.#draining = true;
    for (const { res } of this.#unanswered.entries(Number.POSITIVE_INFINITY)) res.shouldKeepAlive = false;
    if (this.#listener.listening) this.#listener.close();
    this.#http2?.drain();
  }

  /**
   * Closes connections that no request comes over. A client that was promised a time to keep its connection may send a
   * request until that is over, and Node closes the connection then.
   */
  closeIdle(): void {
    if (this.#keepAliveMs === 0) this.#http1.closeIdleConnections();
  }

  /** Ends the timers, once the connections are gone. */
  end(): void {
    this.#http1.close(() => {});
    this.#http2?.end();
  }
}

function createHttp1(settings: HttpSettings): NodeServer {
  return createHttp({
    requestTimeout: timerMs(settings.request_timeout),
    headersTimeout: timerMs(headersTimeout(settings)),
    keepAliveTimeout: timerMs(settings.keep_alive_timeout),
    maxHeaderSize: settings.max_header_size,
    connectionsCheckingInterval: CHECK_MS,
  });
}

/**
 * Sends 100 Continue when the application begins to read the body, so that it can refuse the request first. A client that
 * has not been told to continue may send the body or not, so its connection cannot be kept (RFC 9110 section 10.1.1).
 */
function continueWhenRead(req: IncomingMessage, res: ServerResponse, isDraining: () => boolean): void {
  const { shouldKeepAlive } = res;
  res.shouldKeepAlive = false;
  const read = req._read;
  req._read = (size) => {
    req._read = read;
    if (!res.headersSent && !res.destroyed) {
      res.writeContinue();
      res.shouldKeepAlive = shouldKeepAlive && !isDraining();
    }
    req._read(size);
  };
}

class RunningHttp implements Running {
  readonly addresses: readonly Address[];
  readonly #listeners: readonly HttpListener[];
  readonly #connections: Connections;
  #closed: Promise<void> | undefined;

  constructor(listeners: readonly HttpListener[], connections: Connections) {
    this.#listeners = listeners;
    this.#connections = connections;
    this.addresses = listeners.map(({ address }) => address);
  }

  close({ graceful = true, timeout = 30 }: { graceful?: boolean; timeout?: number } = {}): Promise<void> {
    for (const listener of this.#listeners) listener.drain();
    if (!graceful) this.#connections.cut();
    this.#closed ??= this.#drained(graceful ? timeout * 1000 : 0);
    return this.#closed;
  }

  /** Waits for the connections to end: by their own `Connection: close`, or idle after the time to linger. */
  async #drained(limit: number): Promise<void> {
    const start = performance.now();
    while (this.#connections.size > 0) {
      const waited = performance.now() - start;
      if (waited >= limit) this.#connections.cut();
      else if (waited >= LINGER_MS) for (const listener of this.#listeners) listener.closeIdle();
      await sleep(POLL_MS);
    }
    this.#connections.end();
    for (const listener of this.#listeners) listener.end();
  }
}

function addressOf(listener: NetServer): Address {
  const address = listener.address();
  if (typeof address === 'string') return { kind: 'unix', path: address };
  return { kind: 'tcp', host: address?.address ?? '', port: address?.port ?? 0 };
}
