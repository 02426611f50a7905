/**
 * The HTTP server: node:http (or https, http2) on listeners that it is handed. What it adds to Node is the ending: a
 * kept-alive client is told to go before its connection is closed, so that no request is lost to a closing socket.
 */
import { readFileSync } from 'node:fs';
import {
  createServer as createHttp,
  type IncomingMessage,
  type Server as NodeServer,
  type ServerResponse,
} from 'node:http';
import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { Server as NetServer, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigError, errorMessage, errorStack } from '../../errors.ts';
import { callApp } from '../../http/failure.ts';
import { type Logger, silentLogger } from '../../log.ts';
import type { Address } from '../../net/address.ts';
import type { App, Running, ServeOptions, Server, Settings } from '../../protocol/types.ts';
import { withoutSecretParameters } from '../../secrets.ts';
import { Connections } from './connections.ts';
import { type HttpSettings, httpSettings } from './settings.ts';

/** How long an idle kept-alive connection may still bring a request, to be told to go, before it is closed. */
const LINGER_MS = 1000;
const POLL_MS = 50;

/** What only TLS and HTTP/2 need, when they do: loading it takes 5 ms and 2 MiB. */
const builtin = process.getBuiltinModule;

/** `npm:paster#http`: makes the HTTP server of a `[server:*]` section. */
export function makeHttpServer(_globalConf: Settings, settings: HttpSettings): Server {
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

interface Tls {
  readonly cert: Buffer;
  readonly key: Buffer;
}

function readTls(settings: HttpSettings): Tls | undefined {
  const tls = readTlsFiles(settings);
  if (tls) {
    try {
      builtin('node:tls').createSecureContext(tls);
    } catch (error) {
      throw new ConfigError('PASTER_TLS', `certificate and key cannot be used: ${errorMessage(error)}`, {
        cause: error,
        hint: 'both have to be PEM, and the key that of the certificate',
      });
    }
  }
  return tls;
}

function readTlsFiles(settings: HttpSettings): Tls | undefined {
  const { ssl_pem: pem, ssl_cert: cert, ssl_key: key } = settings;
  if (pem !== undefined && (cert !== undefined || key !== undefined)) {
    throw new ConfigError('PASTER_TLS', 'ssl_pem and ssl_cert/ssl_key exclude each other', { setting: 'ssl_pem' });
  }
  if (pem !== undefined) return { cert: readPem('ssl_pem', pem), key: readPem('ssl_pem', pem) };
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined) {
    throw new ConfigError('PASTER_TLS', `${cert === undefined ? 'ssl_key' : 'ssl_cert'} alone is not enough`, {
      setting: cert === undefined ? 'ssl_key' : 'ssl_cert',
      hint: 'give both ssl_cert and ssl_key, or ssl_pem',
    });
  }
  return { cert: readPem('ssl_cert', cert), key: readPem('ssl_key', key) };
}

function readPem(setting: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new ConfigError('PASTER_TLS', `${setting}: ${errorMessage(error)}`, { setting });
  }
}

/** One listener and Node's server on it. */
class HttpListener {
  readonly address: Address;
  readonly #listener: NetServer;
  readonly #server: NodeServer;
  readonly #sessions = new Set<ServerHttp2Session>();
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
    this.#server = createNodeServer(settings, tls);
    this.#server.on('request', (req: IncomingMessage, res: ServerResponse) => {
      if (this.#draining && req.httpVersionMajor === 1) res.setHeader('Connection', 'close');
      callApp(app, req, res, log);
    });
    const { upgrade } = app;
    if (upgrade) {
      this.#server.on('upgrade', (req, socket, head) => {
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
    this.#server.emit('listening');
    this.#server.on('session', (session: ServerHttp2Session) => {
      this.#sessions.add(session);
      session.once('close', () => this.#sessions.delete(session));
    });
    if (settings.http2) this.#server.on('stream', (stream: ServerHttp2Stream) => connections.watch(stream));
    listener.on('connection', (socket: Socket) => {
      if (!connections.admit(socket)) return;
      // Node's HTTP/2 leaves it to the socket to close its side when the client has closed the other.
      if (settings.http2) socket.allowHalfOpen = false;
      this.#server.emit('connection', socket);
    });
  }

  /** Accepts nothing more, and answers what still comes over kept-alive connections with `Connection: close`. */
  drain(): void {
    this.#draining = true;
    if (this.#listener.listening) this.#listener.close();
    // HTTP/2 has its own farewell (GOAWAY): what is in flight is finished, and then the connection ends.
    for (const session of this.#sessions) session.close();
  }

  closeIdle(): void {
    this.#server.closeIdleConnections?.();
  }

  /** Ends Node's own timers, once the connections are gone. */
  end(): void {
    this.#server.close(() => {});
  }
}

function createNodeServer(settings: HttpSettings, tls: Tls | undefined): NodeServer {
  const options = {
    requestTimeout: settings.request_timeout * 1000,
    headersTimeout: settings.headers_timeout * 1000,
    keepAliveTimeout: settings.keep_alive_timeout * 1000,
    maxHeaderSize: settings.max_header_size,
  };
  if (!settings.http2) return tls ? builtin('node:https').createServer({ ...options, ...tls }) : createHttp(options);
  // Node's compatibility layer gives HTTP/2 streams the shape of (req, res).
  const { createServer, createSecureServer } = builtin('node:http2');
  const server = tls ? createSecureServer({ ...tls, allowHTTP1: true }) : createServer();
  return server as unknown as NodeServer;
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
