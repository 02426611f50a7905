/**
 * The connections of one HTTP server: limits their number, and closes those whose client reads nothing of its response. It
 * compares what the system has accepted of them, since Node's timers belong to the keep-alive time and to applications.
 */
import type { ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { Logger } from '../../log.ts';
import { meter } from '../../metrics/meter.ts';
import { writeProgress } from '../../net/node-internals/handles.ts';
import { timerMs } from '../../timer.ts';
import { lingeringClose } from '../lingering-close.ts';
import { Refusals } from '../refusals.ts';

/** Checks of a connection within the time-out. */
const CHECKS = 4;
/** The number of refused connections that can be sent a response at a time; others are closed at once. */
const MAX_REFUSED = 100;
/** RFC 9113 section 7. */
const CANCEL = 8;
const TOO_MANY_CONNECTIONS = 'HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n';

export interface ConnectionLimits {
  /** Connections at a time. Default: any number. */
  readonly maxConnections: number | undefined;
  /** Seconds that a client may read nothing of a response that waits; 0: any. */
  readonly sendTimeout: number;
  /** HTTP/1.1 without TLS: a refused connection can be sent a response. */
  readonly isPlain: boolean;
  readonly log: Logger;
}

/** A connection with bytes to send, as the last check found it. */
interface Waiting {
  /** Bytes that the system has accepted. */
  accepted: number;
  /** How many checks in a row found no more. */
  checks: number;
}

export class Connections {
  readonly #limits: ConnectionLimits;
  readonly #refusals: Refusals;
  readonly #sockets = new Set<Socket>();
  readonly #refused = new Set<Socket>();
  readonly #waiting = new WeakMap<Socket, Waiting>();
  readonly #timer: NodeJS.Timeout | undefined;
  /** How many should close with their next response. */
  #leaving = 0;

  readonly #isFull = (): boolean => this.#sockets.size >= (this.#limits.maxConnections ?? Number.POSITIVE_INFINITY);

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
    meter().limits.add(this.#isFull);
    this.#refusals = new Refusals('HTTP', limits.log);
    if (limits.sendTimeout > 0) {
      this.#timer = setInterval(() => this.#check(), timerMs(limits.sendTimeout) / CHECKS);
      this.#timer.unref();
    }
  }

  get size(): number {
    return this.#sockets.size;
  }

  /** Makes some of them close with their next response. */
  spread(count: number): void {
    this.#leaving = count;
  }

  /** Whether a connection that is about to get a response should close with it. True is returned once for each that should. */
  takeLeaving(): boolean {
    if (this.#leaving === 0) return false;
    this.#leaving--;
    return true;
  }

  /** False: there are too many connections, and this one is closed. */
  admit(socket: Socket): boolean {
    if (this.#isFull()) {
      this.#refusals.refused(peerOf(socket), `more than ${this.#limits.maxConnections} connections`);
      this.turnAway(socket, TOO_MANY_CONNECTIONS);
      return false;
    }
    keepWhileOpen(socket, this.#sockets);
    return true;
  }

  /** Closes a connection, with a response if it is not encrypted and there are not too many of these. */
  turnAway(socket: Socket, response: string): void {
    if (!this.#limits.isPlain || this.#refused.size >= MAX_REFUSED) {
      socket.destroy();
      return;
    }
    keepWhileOpen(socket, this.#refused);
    socket.on('error', () => socket.destroy());
    socket.write(response);
    lingeringClose(socket);
  }

  #check(): void {
    for (const socket of this.#sockets) {
      const progress = writeProgress(socket);
      if (progress === undefined || progress.waiting === 0) {
        this.#waiting.delete(socket);
        continue;
      }
      const { accepted } = progress;
      const before = this.#waiting.get(socket);
      if (before?.accepted !== accepted) this.#waiting.set(socket, { accepted, checks: 0 });
      else if (++before.checks >= CHECKS) this.#closeSilent(socket);
    }
  }

  /** Applies the time-out to an HTTP/2 stream, which a client can hold back by its window while it reads others. */
  limitStream(stream: ServerHttp2Stream & { readonly timeout?: number }): void {
    const limit = timerMs(this.#limits.sendTimeout);
    if (limit === 0) return;
    stream.setTimeout(limit);
    stream.on('timeout', () => {
      // Another time-out is the application's.
      if (stream.timeout !== limit || stream.writableLength === 0) return;
      this.#logSilent(stream.session?.socket);
      stream.close(CANCEL);
    });
  }

  #closeSilent(socket: Socket): void {
    this.#logSilent(socket);
    socket.destroy();
  }

  /** Logs, once for each client and reason, why a connection is closed. */
  logRefusal(socket: { readonly remoteAddress?: string | undefined }, reason: string): void {
    this.#refusals.refused(peerOf(socket), reason);
  }

  #logSilent(socket: { readonly remoteAddress?: string | undefined } | undefined): void {
    this.#refusals.refused(
      peerOf(socket),
      `it has read nothing of its response for ${this.#limits.sendTimeout} seconds`,
    );
  }

  /** Closes those that have not sent a byte, as browsers open them in advance. */
  closeUnused(): void {
    for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy();
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
    for (const socket of this.#refused) socket.destroy();
  }

  /** Ends the checks. */
  end(): void {
    clearInterval(this.#timer);
    meter().limits.delete(this.#isFull);
  }
}

/** Keeps a socket in a set for as long as it is open. */
export function keepWhileOpen(socket: Socket, set: Set<Socket>): void {
  set.add(socket);
  socket.once('close', () => set.delete(socket));
}

function peerOf(socket: { readonly remoteAddress?: string | undefined } | undefined): string {
  return socket?.remoteAddress ?? 'a Unix socket';
}
