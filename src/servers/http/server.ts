/**
 * The HTTP server: node:http, with node:tls and node:http2 if the settings ask for them. It adds a graceful stop: clients of kept
 * connections are told that a connection will close before it does, so that no request is lost.
 */
import {
  createServer as createHttp,
  type IncomingMessage,
  type Server as NodeServer,
  type ServerResponse,
} from 'node:http';
import type { Server as NetServer, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { reportFailure } from '../../diagnostics/failure-reporter.ts';
import { ConfigError, errorStack } from '../../errors.ts';
import { callApp } from '../../http/error-response.ts';
import { type Logger, silentLogger } from '../../log.ts';
import { InflightList } from '../../metrics/inflight-requests.ts';
import { type Address, addressOfServer } from '../../net/address.ts';
import { canReplacePeer } from '../../net/node-internals/handles.ts';
import type { App, CloseOptions, Running, ServeOptions, Server, Settings } from '../../protocol/types.ts';
import { withoutSecretParameters } from '../../secrets.ts';
import { timerMs } from '../../timer.ts';
import { Connections, keepWhileOpen } from './connections.ts';
import type { serveHttp2 } from './http2.ts';
import type { ProxiedConnections } from './proxy-protocol.ts';
import { checkTimeouts, type HttpSettings, headersTimeout, httpSettings } from './settings.ts';
import type { Certificates } from './tls/certificates.ts';
import { certificateFiles } from './tls/pem-files.ts';
import { WebSockets } from './web-sockets.ts';

/** How long a kept connection may be idle while the server drains, unless the client was promised a keep-alive time. */
const LINGER_MS = 1000;
const POLL_MS = 50;
/** How often Node checks the time-outs of connections. Its default of 30 s would turn a limit of 2 s into 30 s. */
const CHECK_MS = 500;

/** `npm:paster#http`: makes the HTTP server of a `[server:*]` section. */
export async function makeHttpServer(_globalConf: Settings, settings: HttpSettings): Promise<Server> {
  checkTimeouts(settings);
  const certificates = await readCertificates(settings);
  if (certificates && settings.proxy_protocol && !canReplacePeer()) {
    throw new ConfigError('PASTER_NODE', 'proxy_protocol with TLS does not work with this version of Node', {
      setting: 'proxy_protocol',
      hint: 'let the load balancer speak HTTP to the server, or use another version of Node',
    });
  }
  const late = await loadLateParts(settings);
  return {
    scheme: certificates ? 'https' : 'http',
    defaultAddress: { kind: 'tcp', host: '127.0.0.1', port: 8080 },
    warnings: () => certificates?.warnings() ?? [],
    async serve(app, listeners, options: ServeOptions = {}) {
      const { log = silentLogger, isFirst = true } = options;
      const connections = new Connections({
        maxConnections: settings.max_connections,
        sendTimeout: settings.send_timeout,
        isPlain: !certificates && !settings.http2,
        log,
      });
      return new RunningHttp(
        listeners.map((listener) => new HttpListener(listener, app, settings, certificates, connections, log, late)),
        connections,
        certificates?.follow(isFirst ? log : silentLogger),
      );
    },
  };
}
makeHttpServer.settings = httpSettings;

/** Loaded late, as most servers are plain: what TLS needs. Undefined: the settings name no certificate. @throws ConfigError */
async function readCertificates(settings: HttpSettings): Promise<Certificates | undefined> {
  if (certificateFiles(settings).length === 0) return undefined;
  const { Certificates } = await import('./tls/certificates.ts');
  return Certificates.read(settings);
}

/** Modules that only a few servers need; undefined if the settings do not ask for them. */
interface LateParts {
  readonly serveHttp2: typeof serveHttp2 | undefined;
  readonly Proxied: typeof ProxiedConnections | undefined;
}

async function loadLateParts({ http2, proxy_protocol: senders }: HttpSettings): Promise<LateParts> {
  return {
    serveHttp2: http2 ? (await import('./http2.ts')).serveHttp2 : undefined,
    Proxied: senders && (await import('./proxy-protocol.ts')).ProxiedConnections,
  };
}

/** A listener and Node's servers on it. */
class HttpListener {
  readonly address: Address;
  readonly #listener: NetServer;
  readonly #http1: NodeServer;
  readonly #http2: ReturnType<typeof serveHttp2> | undefined;
  /** Responses that may still promise to keep the connection. */
  readonly #openResponses = new InflightList();
  readonly #webSockets = new WebSockets();
  readonly #keepAliveMs: number;
  readonly #proxied: ProxiedConnections | undefined;
  /** HTTP/1.1 connections after the handshake of TLS. */
  readonly #encrypted = new Set<Socket>();
  #draining = false;

  constructor(
    listener: NetServer,
    app: App,
    settings: HttpSettings,
    certificates: Certificates | undefined,
    connections: Connections,
    log: Logger,
    { serveHttp2: openHttp2, Proxied }: LateParts,
  ) {
    this.#listener = listener;
    this.address = addressOfServer(listener);
    this.#http1 = createHttp1(settings);
    this.#keepAliveMs = timerMs(settings.keep_alive_timeout);
    const respond = (req: IncomingMessage, res: ServerResponse): void => {
      if (this.#draining || (res.shouldKeepAlive && connections.takeLeaving())) res.shouldKeepAlive = false;
      else this.#openResponses.add(res, 0);
      callApp(app, req, res, log);
    };
    this.#http1.on('request', respond);
    this.#http1.on('checkContinue', (req: IncomingMessage, res: ServerResponse) => {
      continueWhenRead(req, res, () => this.#draining);
      respond(req, res);
    });
    const { upgrade } = app;
    if (upgrade) {
      this.#http1.on('upgrade', (req, socket, head) => {
        const failed = (error: unknown): void => {
          const title = `upgrade of ${withoutSecretParameters(req.url ?? '')} failed`;
          if (!reportFailure(title, error)) log.error(`${title}: ${errorStack(error)}`);
          socket.destroy();
        };
        socket.on('error', () => socket.destroy());
        this.#webSockets.watch(req, socket);
        // One request must not end the process.
        new Promise((resolve) => resolve(upgrade.call(app, req, socket, head))).catch(failed);
      });
    }
    // It does not listen itself, but after this event Node keeps the list of connections for time-outs and for closing idle
    // ones.
    this.#http1.emit('listening');
    this.#http2 = openHttp2?.(app, settings, connections, log);
    const tlsServer = certificates && this.#createTls(certificates, timerMs(headersTimeout(settings)), connections);
    const open = (socket: Socket): void => {
      if (tlsServer) tlsServer.emit('connection', socket);
      else this.#open(socket, settings.http2);
    };
    const { proxy_protocol: senders } = settings;
    const proxied = senders && Proxied && new Proxied({ senders, timeout: headersTimeout(settings), connections });
    this.#proxied = proxied;
    const openPaused = (socket: Socket): void => {
      open(socket);
      // TLS and HTTP/2 take what is buffered, and read past the socket.
      if (!tlsServer && !settings.http2) socket.resume();
    };
    listener.on('connection', (socket: Socket) => {
      if (!connections.admit(socket)) return;
      if (proxied) proxied.receive(socket, openPaused);
      else open(socket);
    });
  }

  /** The handshake of TLS negotiates the version of HTTP, and has the time of a head. */
  #createTls(certificates: Certificates, handshakeTimeout: number, connections: Connections): NetServer {
    const ALPNProtocols = this.#http2 ? ['h2', 'http/1.1'] : ['http/1.1'];
    const server = certificates.createServer({ ALPNProtocols, handshakeTimeout });
    server.on('tlsClientError', (error, socket) => {
      const reason = certificates.clientError(error, socket);
      if (reason !== undefined) connections.logRefusal(socket, reason);
      socket.destroy();
    });
    server.on('secureConnection', (socket) => {
      const isHttp2 = socket.alpnProtocol === 'h2';
      if (!isHttp2) keepWhileOpen(socket, this.#encrypted);
      this.#open(socket, isHttp2);
    });
    return server;
  }

  #open(socket: Socket, isHttp2: boolean): void {
    if (isHttp2) this.#http2?.open(socket);
    else this.#http1.emit('connection', socket);
  }

  /** Stops accepting. Every response whose head is not sent yet, and every later one, gets `Connection: close`. */
  drain(notified: Promise<unknown>): void {
    this.#draining = true;
    for (const { res } of this.#openResponses.entries(Number.POSITIVE_INFINITY)) res.shouldKeepAlive = false;
    if (this.#listener.listening) this.#listener.close();
    this.#http2?.drain();
    this.#webSockets.drain(notified);
  }

  /**
   * Closes idle connections. If another process goes on serving, a client that was promised a keep-alive time may send a
   * request until that is over, and then Node closes the connection.
   */
  closeIdle(isLast: boolean): void {
    if (isLast || this.#keepAliveMs === 0) this.#http1.closeIdleConnections();
    // Node takes a connection that has not sent anything for one with a request.
    if (isLast) for (const socket of this.#encrypted) if (socket.bytesRead === 0) socket.destroy();
  }

  /** Ends the timers, once the connections are gone. */
  end(): void {
    this.#http1.close(() => {});
    this.#http2?.end();
    this.#proxied?.end();
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
 * Sends 100 Continue when the application begins to read the body, so that it can refuse the request before. Without it a
 * client may send the body or not, so its connection cannot be kept (RFC 9110 section 10.1.1).
 */
function continueWhenRead(req: IncomingMessage, res: ServerResponse, isDraining: () => boolean): void {
  const { shouldKeepAlive } = res;
  res.shouldKeepAlive = false;
  const read = req._read;
  const continueAndRead: IncomingMessage['_read'] = (size) => {
    req._read = read;
    if (!res.headersSent && !res.destroyed) {
      res.writeContinue();
      res.shouldKeepAlive = shouldKeepAlive && !isDraining();
    }
    req._read(size);
  };
  req._read = continueAndRead;
}

class RunningHttp implements Running {
  readonly addresses: readonly Address[];
  readonly #listeners: readonly HttpListener[];
  readonly #connections: Connections;
  readonly #unfollow: (() => void) | undefined;
  #closed: Promise<void> | undefined;
  /** No other process goes on serving, so that the end of the server waits for the connections. */
  #isLast = false;

  /** @param unfollow called when the server has ended */
  constructor(listeners: readonly HttpListener[], connections: Connections, unfollow: (() => void) | undefined) {
    this.#unfollow = unfollow;
    this.#listeners = listeners;
    this.#connections = connections;
    this.addresses = listeners.map(({ address }) => address);
  }

  close({ graceful = true, timeout = 30, notified, handOver }: CloseOptions = {}): Promise<void> {
    if (handOver === undefined) this.#isLast = true;
    // A second call must not close WebSockets while the application is told.
    if (!this.#closed) for (const listener of this.#listeners) listener.drain(notified ?? Promise.resolve());
    if (!graceful) this.#connections.cut();
    this.#closed ??= this.#drained(graceful ? timeout * 1000 : 0);
    return this.#closed;
  }

  /** Clients of HTTP/2 stay: a request that crosses GOAWAY would fail if a client does not repeat it. */
  spread(count: number): void {
    this.#connections.spread(count);
  }

  /**
   * Waits for the connections to end: by `Connection: close`, or when they are idle after LINGER_MS. By then a client that sends
   * requests frequently has got that header.
   */
  async #drained(limit: number): Promise<void> {
    const start = performance.now();
    while (this.#connections.size > 0) {
      const waited = performance.now() - start;
      if (waited >= limit) this.#connections.cut();
      else if (waited >= LINGER_MS) this.#closeIdle();
      await sleep(POLL_MS);
    }
    this.#connections.end();
    this.#unfollow?.();
    for (const listener of this.#listeners) listener.end();
  }

  #closeIdle(): void {
    for (const listener of this.#listeners) listener.closeIdle(this.#isLast);
    if (this.#isLast) this.#connections.closeUnused();
  }
}
