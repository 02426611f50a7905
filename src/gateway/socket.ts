/**
 * The stand-in for a connection that `req.socket` and `res.socket` show: one a request, between Node's own message
 * classes and the protocol that carries the request. What the response writes goes to the Carrier, what the peer sends
 * goes to the request, and their endings are told to each other. What it looks like from outside is socket-face.ts.
 */
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { REPORT } from './error-stream.ts';
import type { RequestHead } from './request-head.ts';
import { HIGH_WATER_MARK, SocketFace } from './socket-face.ts';

export type WriteCallback = (error?: Error | null) => void;

/** Pieces of an answer in order. Several where the application corked; their encodings and callbacks beside them. */
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
   * Takes bytes of the answer; `last`: there are no more, and the answer is complete. Calls the callbacks later, when
   * the bytes have left. False: the peer is slower than the application; `drained()` will follow.
   */
  send(batch: Batch, last: boolean): boolean;
  /**
   * Takes a whole answer that is one text of a byte a character and at most WHOLE_LIMIT long, and calls `done(of)` later,
   * when it has left. For protocols that have a shorter way for it than `send`.
   */
  sendWhole?<T>(text: string, done: (of: T, error?: Error | null) => void, of: T): void;
  /** The application reads the body (again). */
  resumeBody(): void;
  /** The application has destroyed the request or the response: the peer has to see a broken answer. */
  abort(): void;
  /** Takes an interim response (1xx), its head in HTTP/1.1. Absent: the protocol has none, and it is dropped. */
  interim?(head: string): void;
  /** Writes into the peer's error log. False: it is too late. Absent: the protocol has no way to. */
  report?(text: string): boolean;
}

/** Longer answers gain nothing from leaving as one text. */
export const WHOLE_LIMIT = 15 * 1024;

/** Node's message for a peer that went away in the middle. */
export function connectionReset(): Error {
  return Object.assign(new Error('aborted'), { code: 'ECONNRESET' });
}

/**
 * The flag behind `res.writableNeedDrain`, a private symbol that only Node's own HTTP server resets; `pipe` waits for ever
 * where it stays true. Looked up once, by its name; should a Node name it otherwise, only that second pipe suffers.
 */
const kNeedDrain = Object.getOwnPropertySymbols(
  new ServerResponse(new IncomingMessage(undefined as unknown as Socket)),
).find((symbol) => symbol.description === 'kNeedDrain');

/** What Readable keeps of a stream; the published types leave it out. */
interface StreamState {
  ended: boolean;
  endEmitted: boolean;
  destroyed: boolean;
  closed: boolean;
  closeEmitted: boolean;
}

export class GatewaySocket extends SocketFace {
  readonly #carrier: Carrier;
  readonly #contentLength: number | undefined;
  #received = 0;
  /** The body has ended behind an answer that did not wait for it; the request has not been told. */
  #endUnsaid = false;
  #batch: Batch | undefined;
  #batched = 0;
  #held = false;
  #isInterim = false;

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

  /** Whether a whole answer can leave at once: nothing has been written and nothing waits. */
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

  /** The whole answer, a byte a character, of a socket that is `fresh`. Calls `done(of)` later, when it has left. */
  endWith<T>(text: string, done: (of: T, error?: Error | null) => void, of: T): void {
    this.bytesWritten = text.length;
    this.writable = false;
    this.stopTimer();
    this.#carrier.sendWhole?.(text, done, of);
  }

  /** Lets nothing out until `release`, so that what `res.end()` writes can leave in one piece. */
  hold(): void {
    this.#held = true;
  }

  /** Runs `act`, whose writes are interim responses (1xx). CGI has none (RFC 3875 section 6.3.3). */
  interim(act: () => void): void {
    this.#isInterim = true;
    try {
      act();
    } finally {
      this.#isInterim = false;
    }
  }

  /** Lets go what `hold` has kept; `last`: and says that the answer is complete. */
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
    // Bytes that were corked made a write say false, and now they are gone: nobody else will say 'drain'.
    else if (wasFull && !last) process.nextTick(drainedLater, this);
    return accepted;
  }

  // --- what the carrier calls ------------------------------------------------------------------------------------

  /** The peer has taken what it was sent. */
  drained(): void {
    if (!this.needDrain || this.destroyed) return;
    this.needDrain = false;
    const response = this._httpMessage;
    if (response !== null && kNeedDrain !== undefined) Reflect.set(response, kNeedDrain, false);
    if (this.listenerCount('drain') > 0) this.emit('drain');
    if (response !== null && !response.writableEnded && !response.destroyed) response.emit('drain');
  }

  /** Still to come by Content-Length; undefined where the end of the stream decides. */
  get bodyMissing(): number | undefined {
    const contentLength = this.#contentLength;
    return contentLength === undefined ? undefined : contentLength - this.#received;
  }

  /**
   * Takes bytes of the body; what exceeds Content-Length is cut off, and with its last byte the body is complete.
   * False: the application is slower than the peer; `resumeBody()` will follow.
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
    else this.#endUnsaid = true;
  }

  /** The answer is out: nobody will read what is left of the body, and 'close' is due in every ending. */
  retire(): void {
    const { request } = this;
    if (request === undefined || request.destroyed) return;
    const unread =
      request.readableFlowing === null && !request.readableDidRead && request.listenerCount('readable') === 0;
    if (!request.complete && unread) {
      // As Node, which reads on and throws away: its 'end' is not an 'aborted'.
      request.complete = true;
      request.push(null);
      request.resume();
    } else if (!request.complete) {
      // Only the request: the socket must not take its end for a broken answer.
      this.destroyed = true;
      request.destroy();
    } else if (!isUntouched(request)) {
      this.#finishUnread(request);
    }
  }

  /** For the tick after `retire`: the end of a request that nobody has looked at by then. */
  settle(): void {
    const { request } = this;
    if (request === undefined || request.destroyed || !request.complete) return;
    if (!isUntouched(request)) {
      this.#finishUnread(request);
      return;
    }
    // As Node does for a request without a body where nobody can tell: 'end' and 'close' have no listeners.
    const state = (request as unknown as { _readableState: StreamState })._readableState;
    state.ended = true;
    state.endEmitted = true;
    state.destroyed = true;
    state.closed = true;
    state.closeEmitted = true;
  }

  #finishUnread(request: IncomingMessage): void {
    if (this.#endUnsaid) {
      this.#endUnsaid = false;
      request.push(null);
    }
    if (request.readableFlowing === null && !request.readableDidRead) (request as DumpableRequest)._dump();
  }

  /** The peer is gone, or nobody will listen to the answer any more. */
  reset(): void {
    if (this.destroyed) return;
    this.#fall();
    this.#close();
  }

  // --- what applications call ------------------------------------------------------------------------------------

  destroy(error?: Error | null): this {
    // Once the answer is complete there is nothing left to break: the connection belongs to the web server.
    if (this.destroyed) return this;
    this.errored = error ?? null;
    const answered = !this.writable;
    this.#fall();
    if (!answered) this.#carrier.abort();
    if (error) process.nextTick(failLater, this, error);
    // After the events that the destroyed request and the failed writes have in store, as a real socket's 'close'.
    setImmediate(closeLater, this);
    return this;
  }

  destroySoon(): void {
    this.destroy();
  }

  /** Ends the answer as far as an application can by its socket: what was not said by then is missing. */
  end(data?: string | Uint8Array, encoding?: BufferEncoding): this {
    if (data !== undefined) this.write(data, encoding);
    return this.destroy();
  }

  #fall(): void {
    this.destroyed = true;
    this.readable = false;
    this.writable = false;
    this.stopTimer();
    const lost = this.#batch;
    this.#batch = undefined;
    this.#batched = 0;
    if (lost !== undefined) for (const callback of lost.callbacks) process.nextTick(callback, connectionReset());
  }

  /** Node's order: the request learns of it first, then the response, then who listens to the socket. */
  #close(): void {
    if (this.closed) return;
    this.closed = true;
    const { request } = this;
    if (request !== undefined && !request.destroyed) request.destroy(connectionReset());
    const response = this._httpMessage as ClosableResponse | null;
    if (response !== null) closeResponse(response);
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

/** What libraries and people read as the name of its class. */
Object.defineProperty(GatewaySocket.prototype, 'constructor', { value: Socket });

/** Nothing of the body waits, nobody has begun to read it and nobody waits for its end. */
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

interface DumpableRequest extends IncomingMessage {
  /** Throws away what nobody has read: Node's own way to 'end', which is a shorter one since Node 26. */
  _dump(): void;
}

interface ClosableResponse extends ServerResponse {
  _closed: boolean;
}

/** The last event of a response, once. */
export function closeResponse(response: ClosableResponse): void {
  if (response._closed) return;
  response.destroyed = true;
  response._closed = true;
  response.emit('close');
}

function drainedLater(socket: GatewaySocket): void {
  socket.drained();
}

/** An error that has no listener is none: Node's HTTP server listens to every socket's. */
function failLater(socket: GatewaySocket, error: Error): void {
  if (socket.listenerCount('error') > 0) socket.emit('error', error);
}

function closeLater(socket: GatewaySocket): void {
  socket.closeNow();
}
