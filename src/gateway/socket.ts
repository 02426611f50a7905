/**
 * The stand-in for a connection that is `req.socket` and `res.socket`: one for each request, between Node's own message
 * classes and the protocol that carries the request. It passes what the response writes to the Carrier and what the peer sends
 * to the request, and the end of each to the others. What applications see of a socket is in socket-facade.ts.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { clearNeedDrain, discardBody, endSilently, markClosed } from '../net/node-internals/messages.ts';
import { REPORT } from './error-stream.ts';
import type { RequestHead } from './request-head.ts';
import { translateHead } from './response-head.ts';
import { HIGH_WATER_MARK, SocketFacade } from './socket-facade.ts';

export type WriteCallback = (error?: Error | null) => void;

/** Pieces of a response in order, with their encodings and callbacks; several if the application corked. */
export interface Batch {
  readonly data: (string | Uint8Array)[];
  readonly encodings: (BufferEncoding | undefined)[];
  readonly callbacks: WriteCallback[];
}

/** The callbacks of a batch as one. */
export function oneCallback(callbacks: readonly WriteCallback[]): WriteCallback | undefined {
  if (callbacks.length <= 1) return callbacks[0];
  return (error) => {
    for (const callback of callbacks) callback(error);
  };
}

/** What a protocol does for one request. */
export interface Carrier {
  /**
   * Sends bytes of the response; `last`: the response is complete with them. Calls the callbacks later, when the bytes have
   * left. False: the peer is slower than the application; `drained()` will follow.
   */
  send(batch: Batch, last: boolean): boolean;
  /**
   * Sends a whole response that is one text of a byte a character and at most WHOLE_LIMIT long, and calls `done(of)` later,
   * when it has left. Absent: `send` is as fast.
   */
  sendWhole?<T>(text: string, done: (of: T, error?: Error | null) => void, of: T): void;
  /** The application reads the body (again). */
  resumeBody(): void;
  /** The application has destroyed the request or the response: the peer has to see a broken response. */
  abort(): void;
  /** Sends an interim response (1xx), its head in HTTP/1.1. Absent: the protocol has none, and it is dropped. */
  interim?(head: string): void;
  /** Writes into the peer's error log. False: it is too late. Absent: the protocol has no way to. */
  report?(text: string): boolean;
}

/** Longer responses gain nothing from leaving as one text. */
export const WHOLE_LIMIT = 15 * 1024;

/** Node's error for a peer that closes in the middle. */
export function connectionReset(): Error {
  return Object.assign(new Error('aborted'), { code: 'ECONNRESET' });
}

export class GatewaySocket extends SocketFacade {
  readonly #carrier: Carrier;
  readonly #contentLength: number | undefined;
  #received = 0;
  /** The body has ended after the response, which did not wait for it; the request has not been ended. */
  #endPending = false;
  #batch: Batch | undefined;
  /** The length of the batch. */
  #batched = 0;
  #held = false;
  #isInterim = false;
  /** The response lets Node make an HTTP/1.1 head, which its first write begins with. */
  hasHttpHead = false;

  constructor(carrier: Carrier, head: RequestHead) {
    super(head);
    this.#carrier = carrier;
    this.#contentLength = head.contentLength;
  }

  // --- what Node's OutgoingMessage calls -----------------------------------------------------------------------

  get writableLength(): number {
    return this.#batched;
  }

  cork(): void {
    this.corked++;
  }

  uncork(): void {
    if (this.corked > 0) this.corked--;
    if (this.corked === 0 && !this.#held && this.#batched > 0) this.#flush(false);
  }

  write(
    data: string | Uint8Array,
    encoding?: BufferEncoding | WriteCallback | null,
    callback?: WriteCallback | null,
  ): boolean {
    if (typeof encoding === 'function') {
      callback = encoding;
      encoding = undefined;
    }
    if (typeof encoding === 'string' && encoding !== 'latin1' && !Buffer.isEncoding(encoding)) {
      throw Object.assign(new TypeError(`Unknown encoding: ${encoding}`), { code: 'ERR_UNKNOWN_ENCODING' });
    }
    if (this.#isInterim) {
      this.#carrier.interim?.(String(data));
      if (callback) process.nextTick(callback);
      return true;
    }
    if (this.destroyed || !this.writable) {
      if (callback) process.nextTick(callback, connectionReset());
      return false;
    }
    if (this.hasHttpHead) return this.#writeHttpHead(String(data), encoding, callback);
    this.touch();
    this.#batch ??= { data: [], encodings: [], callbacks: [] };
    const batch = this.#batch;
    if (data.length > 0) {
      batch.data.push(data);
      batch.encodings.push(encoding ?? undefined);
      this.#batched += data.length;
    }
    if (callback) batch.callbacks.push(callback);
    if (this.corked === 0 && !this.#held) return this.#flush(false);
    if (this.#batched < HIGH_WATER_MARK) return !this.needDrain;
    this.needDrain = true;
    return false;
  }

  #writeHttpHead(written: string, encoding?: BufferEncoding | null, callback?: WriteCallback | null): boolean {
    this.hasHttpHead = false;
    const { head, text, isLatin1 } = translateHead(written);
    if (!isLatin1) return this.write(head + text, encoding, callback);
    this.write(head, 'latin1');
    return this.write(text, encoding, callback);
  }

  /** Whether a whole response can leave at once: nothing has been written and nothing waits. */
  get fresh(): boolean {
    return (
      this.bytesWritten === 0 &&
      this.#batch === undefined &&
      this.corked === 0 &&
      this.writable &&
      !this.destroyed &&
      this.#carrier.sendWhole !== undefined
    );
  }

  /** Sends a whole response, a byte a character, if the socket is `fresh`. Calls `done(of)` later, when it has left. */
  endWith<T>(text: string, done: (of: T, error?: Error | null) => void, of: T): void {
    this.bytesWritten = text.length;
    this.writable = false;
    this.stopTimer();
    this.#carrier.sendWhole?.(text, done, of);
  }

  /** Keeps writes until `release`, so that what `res.end()` writes can leave in one piece. */
  hold(): void {
    this.#held = true;
  }

  /** Runs `write`, whose writes are interim responses (1xx). CGI has none (RFC 3875 section 6.3.3). */
  interim(write: () => void): void {
    this.#isInterim = true;
    try {
      write();
    } finally {
      this.#isInterim = false;
    }
  }

  /** Sends what `hold` has kept; `last`: the response is complete with it. */
  release(last: boolean): void {
    this.#held = false;
    if (this.destroyed || !this.writable) return;
    if (last || (this.corked === 0 && this.#batch !== undefined)) this.#flush(last);
  }

  #flush(last: boolean): boolean {
    const batch = this.#batch ?? { data: [], encodings: [], callbacks: [] };
    const wasFull = this.needDrain;
    this.#batch = undefined;
    this.bytesWritten += this.#batched;
    this.#batched = 0;
    if (last) {
      this.writable = false;
      this.stopTimer();
    }
    const accepted = this.#carrier.send(batch, last);
    if (!accepted) this.needDrain = true;
    // Corked bytes made a write return false, and have been sent now: nothing else would emit 'drain'.
    else if (wasFull && !last) process.nextTick(drainedLater, this);
    return accepted;
  }

  // --- what the carrier calls ------------------------------------------------------------------------------------

  /** The peer has accepted what it was sent. */
  drained(): void {
    if (!this.needDrain || this.destroyed) return;
    this.needDrain = false;
    const response = this._httpMessage;
    if (response !== null) clearNeedDrain(response);
    if (this.listenerCount('drain') > 0) this.emit('drain');
    if (response !== null && !response.writableEnded && !response.destroyed) response.emit('drain');
  }

  /** Bytes still to come according to Content-Length; undefined if the end of the stream decides. */
  get bodyMissing(): number | undefined {
    const contentLength = this.#contentLength;
    return contentLength === undefined ? undefined : contentLength - this.#received;
  }

  /**
   * Passes bytes of the body to the request; what exceeds Content-Length is cut off, and with its last byte the body is
   * complete. False: the application is slower than the peer; `resumeBody()` will follow.
   */
  pushBody(bytes: Buffer): boolean {
    const { request } = this;
    if (request === undefined || request.complete || request.destroyed) return true;
    const missing = this.bodyMissing;
    const wanted = missing === undefined || bytes.length <= missing ? bytes : bytes.subarray(0, missing);
    this.#received += wanted.length;
    this.bytesRead += wanted.length;
    this.touch();
    const more = wanted.length === 0 || request.push(wanted);
    if (this.bodyMissing === 0) this.#finishBody(request);
    return more;
  }

  /** The peer has nothing more to send. False: less came than Content-Length promised, and the body is broken. */
  endBody(): boolean {
    const { request } = this;
    if (request === undefined || request.complete || request.destroyed) return true;
    const missing = this.bodyMissing;
    if (missing !== undefined && missing > 0) return false;
    this.#finishBody(request);
    return true;
  }

  #finishBody(request: IncomingMessage): void {
    request.complete = true;
    if (this.writable || !isUntouched(request)) request.push(null);
    else this.#endPending = true;
  }

  /** The response is out: the rest of the body is not needed, and 'close' has to follow in any case. */
  retire(): void {
    const { request } = this;
    if (request === undefined || request.destroyed) return;
    const unread =
      request.readableFlowing === null && !request.readableDidRead && request.listenerCount('readable') === 0;
    if (!request.complete && unread) {
      // As Node, which reads the rest and throws it away: the request emits 'end' and not 'aborted'.
      request.complete = true;
      request.push(null);
      request.resume();
    } else if (!request.complete) {
      // Only the request: the socket must not take its end for a broken response.
      this.destroyed = true;
      request.destroy();
    } else if (!isUntouched(request)) {
      this.#finishUnread(request);
    }
  }

  /** For the tick after `retire`: ends a request that the application has not used until then. */
  settle(): void {
    const { request } = this;
    if (request === undefined || request.destroyed || !request.complete) return;
    // 'end' and 'close' have no listeners, so that the application cannot tell whether they came.
    if (!isUntouched(request) || !endSilently(request)) this.#finishUnread(request);
  }

  #finishUnread(request: IncomingMessage): void {
    if (this.#endPending) {
      this.#endPending = false;
      request.push(null);
    }
    if (request.readableFlowing === null && !request.readableDidRead) discardBody(request);
  }

  /** The peer has closed, or the response is no longer needed. */
  reset(): void {
    if (this.destroyed) return;
    this.#tearDown();
    this.#close();
  }

  // --- what applications call ------------------------------------------------------------------------------------

  destroy(error?: Error | null): this {
    // After a complete response there is nothing left to break: the connection belongs to the web server.
    if (this.destroyed) return this;
    this.errored = error ?? null;
    const isComplete = !this.writable;
    this.#tearDown();
    if (!isComplete) this.#carrier.abort();
    if (error) process.nextTick(failLater, this, error);
    // After the events of the destroyed request and of failed writes, like the 'close' of a real socket.
    setImmediate(closeLater, this);
    return this;
  }

  destroySoon(): void {
    this.destroy();
  }

  /** Ends the response as far as that is possible by its socket: what has not been written is missing. */
  end(data?: string | Uint8Array, encoding?: BufferEncoding): this {
    if (data !== undefined) this.write(data, encoding);
    return this.destroy();
  }

  #tearDown(): void {
    this.destroyed = true;
    this.readable = false;
    this.writable = false;
    this.stopTimer();
    const lost = this.#batch;
    this.#batch = undefined;
    this.#batched = 0;
    if (lost !== undefined) for (const callback of lost.callbacks) process.nextTick(callback, connectionReset());
  }

  /** In Node's order: the request is closed first, then the response, then the socket. */
  #close(): void {
    if (this.closed) return;
    this.closed = true;
    const { request } = this;
    if (request !== undefined && !request.destroyed) request.destroy(connectionReset());
    if (this._httpMessage !== null) closeResponse(this._httpMessage);
    this.emit('close', this.errored !== null);
  }

  /** For the tick after `destroy`. */
  closeNow(): void {
    this.#close();
  }

  /** For `errorStream`. */
  [REPORT](text: string): boolean {
    return this.writable && (this.#carrier.report?.(text) ?? false);
  }

  resume(): this {
    this.touch();
    this.#carrier.resumeBody();
    return this;
  }

  pause(): this {
    return this;
  }
}

/** The class that libraries and users see. */
Object.defineProperty(GatewaySocket.prototype, 'constructor', { value: Socket });

/** Nothing of the body waits, and the application has neither begun to read it nor listens for its end. */
function isUntouched(request: IncomingMessage): boolean {
  return (
    request.readableFlowing === null &&
    request.readableLength === 0 &&
    !request.readableDidRead &&
    request.listenerCount('end') === 0 &&
    request.listenerCount('close') === 0 &&
    request.listenerCount('readable') === 0
  );
}

/** Emits the last event of a response, once. */
export function closeResponse(response: ServerResponse): void {
  if (markClosed(response)) response.emit('close');
}

function drainedLater(socket: GatewaySocket): void {
  socket.drained();
}

/** Without a listener the error is dropped: Node's HTTP server listens to every socket's. */
function failLater(socket: GatewaySocket, error: Error): void {
  if (socket.listenerCount('error') > 0) socket.emit('error', error);
}

function closeLater(socket: GatewaySocket): void {
  socket.closeNow();
}
