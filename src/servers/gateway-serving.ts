/**
 * What serving FastCGI and serving SCGI have in common: connections from listeners that somebody else has opened, who
 * may connect, what is said of those that are refused, and how it stops. Knows nothing of what a connection speaks.
 */
import type { Server as NetServer, Socket } from 'node:net';
import type { Peers } from '../gateway/peers.ts';
import type { Logger } from '../log.ts';
import type { Address } from '../net/address.ts';
import type { CloseOptions, Running } from '../protocol/types.ts';
import { Refusals } from './refusals.ts';

/** A connection as far as stopping is concerned. */
export interface GatewayConnection {
  /** No request is in flight and none has begun to arrive. */
  readonly idle: boolean;
  /** A byte has come. */
  readonly used: boolean;
  /** How often it has been found idle in a row while stopping. */
  quiet: number;
  /** Gives its socket to the server's `handOver`, unless something is under way on it. Absent: it carries one request. */
  handOver?(): void;
  /** Nothing more comes from this side; the peer may close. */
  end(): void;
  destroy(): void;
}

export interface GatewayServingOptions {
  /** For messages: `FastCGI`, `SCGI`. */
  readonly protocol: string;
  readonly listeners: readonly NetServer[];
  readonly peers: Peers;
  readonly maxConnections: number;
  readonly log: Logger;
}

/** A kept connection that has been quiet for so long is not about to be used; it may close. */
const QUIET_MS = 100;
/** One that is never quiet closes with an answer, after so long. */
const BUSY_MS = 750;
/** So long a connection that was accepted may take to send its first byte while the server stops. */
const FIRST_BYTE_MS = 1000;
const SWEEP_MS = 25;
const GRACEFUL_TIMEOUT_S = 30;

export abstract class GatewayServing implements Running {
  readonly addresses: readonly Address[];
  readonly maxConnections: number;
  readonly log: Logger;
  /** For a connection that may be kept: it is to close with its next answer. */
  closesWithAnswer = false;
  /** Set while it stops and somebody else goes on: takes connections that are kept. */
  handOver: ((socket: Socket) => void) | undefined;
  readonly #refusals: Refusals;
  readonly #listeners: readonly NetServer[];
  readonly #peers: Peers;
  readonly #connections = new Set<GatewayConnection>();
  #closing: Promise<void> | undefined;
  readonly #accept = (socket: Socket): void => this.#connection(socket);

  constructor({ protocol, listeners, peers, maxConnections, log }: GatewayServingOptions) {
    this.#refusals = new Refusals(protocol, log);
    this.#listeners = listeners;
    this.#peers = peers;
    this.maxConnections = maxConnections;
    this.log = log;
    this.addresses = listeners.map(addressOf);
    // No connection comes before this turn of the event loop is over, and with it the constructor of what serves.
    for (const listener of listeners) listener.on('connection', this.#accept);
  }

  /** @param overloaded refuse what comes: there are too many connections already. */
  protected abstract connected(socket: Socket, overloaded: boolean): GatewayConnection;

  #connection(socket: Socket): void {
    const peer = socket.remoteAddress;
    if (!this.#peers.admits(peer)) {
      this.refused(peer ?? 'a Unix socket', 'not among the web servers of "allow"');
      socket.destroy();
      return;
    }
    const overloaded = this.#connections.size >= this.maxConnections;
    this.#connections.add(this.connected(socket, overloaded));
  }

  // --- what connections call -----------------------------------------------------------------------------------------

  /** Logs what was refused, once for each peer and reason. */
  refused(peer: string, reason: string): void {
    this.#refusals.refused(peer, reason);
  }

  closed(connection: GatewayConnection): void {
    this.#connections.delete(connection);
  }

  adopt(socket: Socket): void {
    this.#connection(socket);
  }

  // --- stopping ------------------------------------------------------------------------------------------------------

  /**
   * Graceful: requests in flight are finished. Neither protocol has a way to tell a web server that a connection is about
   * to close, so a request may be on its way on any of them. Hence connections that are kept are handed over, to whoever
   * goes on. Where nobody does, one closes when it has been quiet for a while, since closing it right after an answer meets
   * the request that a busy web server sends at that moment; one that is never quiet closes so in the end. One that has
   * not sent its first byte yet is given time to.
   */
  close({ graceful = true, timeout = GRACEFUL_TIMEOUT_S, handOver }: CloseOptions = {}): Promise<void> {
    if (graceful && handOver) this.handOver ??= handOver;
    if (!graceful) for (const connection of this.#connections) connection.destroy();
    this.#closing ??= this.#stop(graceful ? timeout * 1000 : 0);
    return this.#closing;
  }

  async #stop(patience: number): Promise<void> {
    const began = performance.now();
    const listenersClosed = Promise.all(this.#listeners.map(closeListener));
    while (this.#connections.size > 0) {
      const late = performance.now() - began >= patience;
      this.closesWithAnswer = this.handOver === undefined && performance.now() - began >= BUSY_MS;
      for (const connection of this.#connections) {
        if (late) connection.destroy();
        else if (this.handOver !== undefined && connection.handOver) connection.handOver();
        else if (connection.idle && ++connection.quiet * SWEEP_MS > quietTime(connection)) connection.end();
      }
      await new Promise((resolve) => setTimeout(resolve, SWEEP_MS));
      // Timers come before what has arrived in the meantime: a turn later it has been read, and who looks idle is.
      await new Promise((resolve) => setImmediate(resolve));
    }
    await listenersClosed;
    for (const listener of this.#listeners) listener.off('connection', this.#accept);
  }
}

function quietTime(connection: GatewayConnection): number {
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
