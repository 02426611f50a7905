/**
 * What the FastCGI and SCGI servers have in common: they take connections from listeners, refuse peers that may not connect, log
 * that, and stop. Knows nothing of the protocols.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server as NetServer, Socket } from 'node:net';
import type { SettingValues } from '../config/settings/setting.ts';
import { type GatewayExchange, requestDispatcher } from '../gateway/exchange.ts';
import type { Logger } from '../log.ts';
import { meter } from '../metrics/meter.ts';
import { type Address, addressOfServer } from '../net/address.ts';
import { acceptConnections } from '../net/direct/accept.ts';
import { Connection } from '../net/direct/connection.ts';
import type { Peers } from '../net/peers.ts';
import type { CloseOptions, Running } from '../protocol/types.ts';
import { timerMs } from '../timer.ts';
import type { gatewaySettings } from './gateway-settings.ts';
import { Refusals } from './refusals.ts';

/** What stopping needs of a connection. */
export interface GatewayConnection {
  /** No request is in flight and none has begun to arrive. */
  readonly idle: boolean;
  /** A byte has come. */
  readonly used: boolean;
  /** How many checks in a row found it idle while the server stops. */
  quietChecks: number;
  /** Passes its socket to the server's `handOver`, unless a request or a response is in progress. Absent: it carries one request. */
  handOver?(): void;
  /** Ends this side; the peer may close. */
  end(): void;
  destroy(): void;
}

export interface RunningGatewayOptions {
  /** For messages: `FastCGI`, `SCGI`. */
  readonly protocol: string;
  readonly listeners: readonly NetServer[];
  readonly peers: Peers;
  readonly settings: SettingValues<typeof gatewaySettings>;
  readonly log: Logger;
  /** Passes a request to the application. */
  readonly handler: (req: IncomingMessage, res: ServerResponse) => void;
  /** @param overloaded there are too many connections already: refuse its requests. */
  readonly connect: (connection: Connection, gateway: RunningGateway, overloaded: boolean) => GatewayConnection;
}

/** A kept connection that has been quiet for this time is not about to be used, and may close. */
const QUIET_MS = 100;
/** After this time, a connection that is never quiet closes with a response. */
const BUSY_MS = 750;
/** While the server stops, an accepted connection has this time to send its first byte. */
const FIRST_BYTE_MS = 1000;
const CHECK_MS = 25;
const GRACEFUL_TIMEOUT_S = 30;

export class RunningGateway implements Running {
  readonly addresses: readonly Address[];
  readonly log: Logger;
  readonly maxConnections: number;
  readonly maxParamsSize: number;
  /** Milliseconds within which the head of a request has to arrive; 0: any. */
  readonly headersTimeout: number;
  /** Milliseconds that a peer may read nothing of a response that waits; 0: any. */
  readonly sendTimeout: number;
  /** Where the application is mounted, if the settings say so. */
  readonly mount: string | undefined;
  /** Passes an exchange to the application. */
  readonly run: (exchange: GatewayExchange) => void;
  /** The server has waited long enough for a quiet moment: connections that could be kept close with their next response. */
  closesAfterResponse = false;
  /** Set while the server stops and another process goes on serving, or while it gives up connections: takes kept ones. */
  handOver: ((socket: Socket) => void) | undefined;
  readonly #refusals: Refusals;
  readonly #options: RunningGatewayOptions;
  readonly #connections = new Set<GatewayConnection>();
  #closing: Promise<void> | undefined;
  readonly #endAccepting: readonly (() => void)[];
  readonly #isFull = (): boolean => this.#connections.size >= this.maxConnections;

  constructor(options: RunningGatewayOptions) {
    const { protocol, listeners, settings, log } = options;
    this.#options = options;
    this.#refusals = new Refusals(protocol, log);
    this.log = log;
    this.maxConnections = settings.max_connections;
    this.maxParamsSize = settings.max_params_size;
    this.headersTimeout = timerMs(settings.headers_timeout);
    this.sendTimeout = timerMs(settings.send_timeout);
    this.mount = settings.script_name;
    this.run = requestDispatcher(options.handler);
    this.addresses = listeners.map(addressOfServer);
    meter().limits.add(this.#isFull);
    this.#endAccepting = [
      ...listeners.map((listener) => acceptConnections(listener, (connection) => this.#accept(connection))),
      () => meter().limits.delete(this.#isFull),
    ];
  }

  adopt(socket: Socket): void {
    this.#accept(Connection.ofSocket(socket));
  }

  spread(count: number, handOver: (socket: Socket) => void): void {
    if (this.#closing) return;
    let left = count;
    const pass = (socket: Socket): void => {
      if (--left === 0) this.handOver = undefined;
      handOver(socket);
    };
    this.handOver = count > 0 ? pass : undefined;
  }

  #accept(connection: Connection): void {
    const { peers, protocol } = this.#options;
    if (!peers.admitsConnection(connection)) {
      const peer = connection.remoteAddress;
      if (peer !== undefined) this.refused(peer, 'not among the web servers of "allow"');
      else this.log.debug(`${protocol} connection: it was reset before it was accepted`);
      connection.destroy();
      return;
    }
    this.#connections.add(this.#options.connect(connection, this, this.#isFull()));
  }

  // --- what connections call -----------------------------------------------------------------------------------------

  /** Logs a refusal, once for each peer and reason. */
  refused(peer: string, reason: string): void {
    this.#refusals.refused(peer, reason);
  }

  closed(connection: GatewayConnection): void {
    this.#connections.delete(connection);
  }

  // --- stopping ------------------------------------------------------------------------------------------------------

  /**
   * Graceful: requests in flight are finished. Neither protocol has a way to tell a web server that a connection is about
   * to close, so a request may be on its way on any of them. Hence kept connections are handed over to the process that goes
   * on serving. Without one, a connection closes when it has been quiet for a while, since closing it right after a response
   * would hit the request that a busy web server sends at that moment; one that is never quiet closes that way in the end. A
   * connection without its first byte gets time for it.
   */
  close({ graceful = true, timeout = GRACEFUL_TIMEOUT_S, handOver }: CloseOptions = {}): Promise<void> {
    if (graceful && handOver) this.handOver = handOver;
    else if (!this.#closing) this.handOver = undefined;
    if (!graceful) for (const connection of this.#connections) connection.destroy();
    this.#closing ??= this.#stop(graceful ? timeout * 1000 : 0);
    return this.#closing;
  }

  async #stop(limit: number): Promise<void> {
    const start = performance.now();
    const { listeners } = this.#options;
    const listenersClosed = Promise.all(listeners.map(closeListener));
    while (this.#connections.size > 0) {
      const waited = performance.now() - start;
      this.closesAfterResponse = this.handOver === undefined && waited >= BUSY_MS;
      for (const connection of this.#connections) {
        if (waited >= limit) connection.destroy();
        else if (this.handOver !== undefined && connection.handOver) connection.handOver();
        else if (connection.idle && ++connection.quietChecks * CHECK_MS > quietTime(connection)) connection.end();
      }
      await new Promise((resolve) => setTimeout(resolve, CHECK_MS));
      // Timers run before bytes that have arrived meanwhile are read: after one more turn, an idle connection really is.
      await new Promise((resolve) => setImmediate(resolve));
    }
    await listenersClosed;
    for (const end of this.#endAccepting) end();
  }
}

function quietTime(connection: GatewayConnection): number {
  return connection.used ? QUIET_MS : FIRST_BYTE_MS;
}

function closeListener(listener: NetServer): Promise<void> {
  return new Promise((resolve) => {
    // An error means that the listener has been closed already.
    listener.close(() => resolve());
  });
}
