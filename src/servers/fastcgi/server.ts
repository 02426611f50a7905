/**
 * The FastCGI server: connections from listeners that somebody else has opened, an application behind them. Speaks
 * FastCGI 1.0 in the roles RESPONDER and AUTHORIZER. Holds no socket address and forks nothing.
 */
import type { Server as NetServer, Socket } from 'node:net';
import { bool, defineSettings, int, type SettingsOf, text } from '../../config/setting.ts';
import { ConfigError } from '../../errors.ts';
import type { Exchange } from '../../gateway/exchange.ts';
import { type Network, networks, Peers } from '../../gateway/peers.ts';
import { callApp } from '../../http/failure.ts';
import { type Logger, silentLogger } from '../../log.ts';
import type { Address } from '../../net/address.ts';
import type { App, Running, ServeOptions, Server, Settings } from '../../protocol/types.ts';
import { Connection, type ConnectionHost } from './connection.ts';

export const fastcgiSettings = defineSettings(
  {
    allow: {
      type: networks,
      help: 'The web servers that may connect by TCP. Left out: FCGI_WEB_SERVER_ADDRS from the environment, else this machine only.',
      example: '10.0.0.5 10.1.0.0/16',
      aliases: ['allowedServers'],
    },
    max_connections: {
      type: int({ min: 1 }),
      default: 4096,
      help: 'Connections at a time; requests on more are turned away with FCGI_OVERLOADED.',
    },
    max_requests_in_flight: {
      type: int({ min: 1 }),
      default: 4096,
      help: 'Requests at a time, over all connections of a process; more are turned away with FCGI_OVERLOADED.',
    },
    max_params_size: {
      type: int({ min: 1024 }),
      default: 128 * 1024,
      help: 'Bytes of CGI variables that a request may have, all headers among them; more is answered with 431.',
    },
    multiplexed: {
      type: bool,
      default: false,
      help: 'Whether a web server may have several requests in flight on one connection (no common one does).',
    },
    script_name: {
      type: text,
      help: 'Where the application is mounted, against what the web server says: "/" for Lighttpd\'s mount "/" without fix-root-scriptname.',
      example: '/',
      aliases: ['scriptName'],
    },
  },
  {
    meaning: 'FastCGI, behind a web server',
    obsolete: {
      minSpare: 'workers are a fixed number of processes, each of which serves many requests at a time',
      maxSpare: 'workers are a fixed number of processes, each of which serves many requests at a time',
      maxThreads: 'a process serves many requests at a time without threads',
      debug: 'errors are logged and never shown to the client; a filter shows them in development',
    },
  },
);

type FastcgiSettings = SettingsOf<typeof fastcgiSettings>;

/** A kept connection that has been quiet for so long is not about to be used; it may close. */
const QUIET_MS = 250;
/** So long a connection that was accepted may take to send its first byte while the server stops. */
const FIRST_BYTE_MS = 1000;
const SWEEP_MS = 25;
const GRACEFUL_TIMEOUT_S = 30;
/** Peers and reasons remembered so that each is logged once. */
const MAX_REMEMBERED = 1000;

/** The factory behind `npm:paster#fastcgi` and `egg:Flup#fcgi_fork`, `#fcgi_thread`, `#fcgi`. */
export function makeFastcgiServer(_globalConf: Settings, settings: FastcgiSettings): Server {
  const peers = new Peers(settings.allow ?? environmentPeers());
  return {
    scheme: 'fastcgi',
    // As a program that a web server or spawn-fcgi has started (FastCGI 1.0 section 2.2, FCGI_LISTENSOCK_FILENO).
    defaultAddress: { kind: 'fd', fd: 0 },
    checkAddress: (address: Address) => peers.checkAddress(address, 'FastCGI'),
    async serve(app: App, listeners: readonly NetServer[], options: ServeOptions = {}): Promise<Running> {
      return new FastcgiServing(app, listeners, settings, peers, options.log ?? silentLogger);
    },
  };
}
makeFastcgiServer.settings = fastcgiSettings;

/** The specification's own list (section 3.2). */
function environmentPeers(): readonly Network[] | undefined {
  const text = process.env['FCGI_WEB_SERVER_ADDRS'];
  if (text === undefined || text.trim() === '') return undefined;
  try {
    return networks.parse(text);
  } catch (cause) {
    throw new ConfigError('PASTER_BAD_PEERS', `FCGI_WEB_SERVER_ADDRS: ${(cause as Error).message}`, {
      hint: networks.allowed,
      cause,
    });
  }
}

class FastcgiServing implements Running, ConnectionHost {
  readonly addresses: readonly Address[];
  readonly maxConnections: number;
  readonly maxRequestsInFlight: number;
  readonly maxParamsSize: number;
  readonly multiplexed: boolean;
  readonly mount: string | undefined;
  readonly log: Logger;
  draining = false;
  readonly #app: App;
  readonly #listeners: readonly NetServer[];
  readonly #peers: Peers;
  readonly #connections = new Set<Connection>();
  readonly #remembered = new Set<string>();
  #inFlight = 0;
  #closing: Promise<void> | undefined;
  readonly #accept = (socket: Socket): void => this.#connection(socket);

  constructor(app: App, listeners: readonly NetServer[], settings: FastcgiSettings, peers: Peers, log: Logger) {
    this.#app = app;
    this.#listeners = listeners;
    this.#peers = peers;
    this.log = log;
    this.maxConnections = settings.max_connections;
    this.maxRequestsInFlight = settings.max_requests_in_flight;
    this.maxParamsSize = settings.max_params_size;
    this.multiplexed = settings.multiplexed;
    this.mount = settings.script_name;
    this.addresses = listeners.map(addressOf);
    for (const listener of listeners) listener.on('connection', this.#accept);
  }

  #connection(socket: Socket): void {
    const peer = socket.remoteAddress;
    if (!this.#peers.admits(peer)) {
      this.refused(peer ?? 'a Unix socket', 'not among the web servers of "allow"');
      socket.destroy();
      return;
    }
    const overloaded = this.#connections.size >= this.maxConnections;
    this.#connections.add(new Connection(socket, this, overloaded));
  }

  // --- what connections call -----------------------------------------------------------------------------------------

  admit(): boolean {
    if (this.#inFlight >= this.maxRequestsInFlight) return false;
    this.#inFlight++;
    return true;
  }

  released(): void {
    this.#inFlight--;
  }

  run({ request, response }: Exchange): void {
    callApp(this.#app, request, response, this.log);
  }

  refused(peer: string, reason: string): void {
    const what = `FastCGI from ${peer}: ${reason}`;
    if (this.#remembered.has(what) || this.#remembered.size >= MAX_REMEMBERED) return;
    this.#remembered.add(what);
    this.log.warn(what);
  }

  closed(connection: Connection): void {
    this.#connections.delete(connection);
  }

  // --- stopping ------------------------------------------------------------------------------------------------------

  /**
   * Graceful: FastCGI has no way to tell a web server that a kept connection is about to close, so a request may be on
   * its way on any of them. Hence a connection closes together with the next answer on it, or when it has been quiet
   * for a while; one that has not sent its first byte yet is given time to. Requests in flight are finished.
   */
  close({
    graceful = true,
    timeout = GRACEFUL_TIMEOUT_S,
  }: {
    graceful?: boolean;
    timeout?: number;
  } = {}): Promise<void> {
    if (!graceful) for (const connection of this.#connections) connection.destroy();
    this.#closing ??= this.#stop(graceful ? timeout * 1000 : 0);
    return this.#closing;
  }

  async #stop(patience: number): Promise<void> {
    this.draining = true;
    const began = performance.now();
    const listenersClosed = Promise.all(this.#listeners.map(closeListener));
    while (this.#connections.size > 0) {
      const late = performance.now() - began >= patience;
      for (const connection of this.#connections) {
        if (late) connection.destroy();
        else if (connection.idle && ++connection.quiet * SWEEP_MS > quietTime(connection)) connection.end();
      }
      await new Promise((resolve) => setTimeout(resolve, SWEEP_MS));
    }
    await listenersClosed;
    for (const listener of this.#listeners) listener.off('connection', this.#accept);
  }
}

function quietTime(connection: Connection): number {
  return connection.used ? QUIET_MS : FIRST_BYTE_MS;
}

function closeListener(listener: NetServer): Promise<void> {
  return new Promise((resolve) => {
    // Called back with an error where somebody else has closed it already: closed it is.
    listener.close(() => resolve());
  });
}

function addressOf(listener: NetServer): Address {
  const address = listener.address();
  if (address === null) return { kind: 'fd', fd: 0 };
  if (typeof address === 'string') return { kind: 'unix', path: address };
  return { kind: 'tcp', host: address.address, port: address.port };
}
