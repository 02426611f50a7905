/**
 * The connections of one HTTP server: how many there may be, and who of them takes nothing of an answer. Looks at what
 * the system has taken, and not at Node's own timers, which the keep-alive time and applications set for themselves.
 */
import type { ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { Logger } from '../../log.ts';
import { timerMs } from '../../timer.ts';
import { closeGently } from '../close-gently.ts';
import { Refusals } from '../refusals.ts';

/** How often within the time-out it is looked whether something has gone. */
const LOOKS = 4;
/** So many at a time are told that they are too many; of a crowd beyond them none costs more than its `accept`. */
const MAX_TOLD = 100;
/** RFC 9113 section 7. */
const CANCEL = 8;
const TOO_MANY = 'HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n';

export interface ConnectionLimits {
  /** Connections at a time. Default: any number. */
  readonly maxConnections: number | undefined;
  /** Seconds that a client may take nothing of an answer that waits for it; 0: any. */
  readonly sendTimeout: number;
  /** What is sent is HTTP/1.1 without TLS: one too many can be told so. */
  readonly isPlain: boolean;
  readonly log: Logger;
}

/** A connection that has something to send, as it was when it was last looked at. */
interface Waiting {
  /** Bytes that the system has taken. */
  taken: number;
  /** How often in a row it was no more. */
  looks: number;
}

/** Of Node's own handle of a TCP or Unix socket: TLS and HTTP/2 write past the socket, to this one all the same. */
interface WriteHandle {
  readonly bytesWritten: number;
  /** Bytes of them that the system has not taken yet. */
  readonly writeQueueSize: number;
}

export class Connections {
  readonly #limits: ConnectionLimits;
  readonly #refusals: Refusals;
  readonly #sockets = new Set<Socket>();
  readonly #told = new Set<Socket>();
  readonly #waiting = new WeakMap<Socket, Waiting>();
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
    this.#refusals = new Refusals('HTTP', limits.log);
    if (limits.sendTimeout > 0) {
      this.#timer = setInterval(() => this.#look(), timerMs(limits.sendTimeout) / LOOKS);
      this.#timer.unref();
    }
  }

  get size(): number {
    return this.#sockets.size;
  }

  /** Whether there is room for it; otherwise it is being closed. */
  admit(socket: Socket): boolean {
    const { maxConnections } = this.#limits;
    if (maxConnections !== undefined && this.#sockets.size >= maxConnections) {
      this.#refusals.refused(peerOf(socket), `more than ${maxConnections} connections`);
      this.#turnAway(socket);
      return false;
    }
    hold(socket, this.#sockets);
    return true;
  }

  #turnAway(socket: Socket): void {
    if (!this.#limits.isPlain || this.#told.size >= MAX_TOLD) {
      socket.destroy();
      return;
    }
    hold(socket, this.#told);
    socket.on('error', () => socket.destroy());
    socket.write(TOO_MANY);
    closeGently(socket);
  }

  #look(): void {
    for (const socket of this.#sockets) {
      const handle: WriteHandle | null | undefined = Reflect.get(socket, '_handle');
      if (!handle || handle.writeQueueSize === 0) {
        this.#waiting.delete(socket);
        continue;
      }
      const taken = handle.bytesWritten - handle.writeQueueSize;
      const before = this.#waiting.get(socket);
      if (before?.taken !== taken) this.#waiting.set(socket, { taken, looks: 0 });
      else if (++before.looks >= LOOKS) this.#giveUp(socket);
    }
  }

  /** Of an HTTP/2 stream, which a client holds back by its window while it reads what else comes. */
  watch(stream: ServerHttp2Stream & { readonly timeout?: number }): void {
    const limit = timerMs(this.#limits.sendTimeout);
    if (limit === 0) return;
    stream.setTimeout(limit);
    stream.on('timeout', () => {
      // Not one that the application has set.
      if (stream.timeout !== limit || stream.writableLength === 0) return;
      this.#sayGone(stream.session?.socket);
      stream.close(CANCEL);
    });
  }

  #giveUp(socket: Socket): void {
    this.#sayGone(socket);
    socket.destroy();
  }

  #sayGone(socket: { readonly remoteAddress?: string | undefined } | undefined): void {
    this.#refusals.refused(peerOf(socket), `it has read nothing of its answer for ${this.#limits.sendTimeout} seconds`);
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
    for (const socket of this.#told) socket.destroy();
  }

  /** Looks at none any more. */
  end(): void {
    clearInterval(this.#timer);
  }
}

/** Keeps a socket in a set for as long as it is open. */
function hold(socket: Socket, among: Set<Socket>): void {
  among.add(socket);
  socket.once('close', () => among.delete(socket));
}

function peerOf(socket: { readonly remoteAddress?: string | undefined } | undefined): string {
  return socket?.remoteAddress ?? 'a Unix socket';
}
