/**
 * What applications and libraries find on a `net.Socket`, for a request that came another way: the addresses and TLS
 * that the CGI environment tells of, time-outs, and the state of a stream without buffers of its own. Carries no bytes.
 *
 * It is a `net.Socket` to `instanceof`, since applications ask `req.socket instanceof`, and to whoever reads one of its
 * properties; but no `stream.Duplex` is constructed, for that costs as much as the rest of a request. So what a stream's
 * methods would look for in a stream's state is answered here.
 */
import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { getDefaultHighWaterMark, Stream } from 'node:stream';
import { findVariable } from './environ.ts';
import type { RequestHead } from './request-head.ts';

/** Bytes held before `write` says false: what a `net.Socket` has, 16 KiB on Node 20 and 64 KiB since. */
export const HIGH_WATER_MARK = getDefaultHighWaterMark(false);

export abstract class SocketFace extends EventEmitter {
  /** The response that is on the wire; Node's `assignSocket` sets it. */
  _httpMessage: ServerResponse | null = null;
  readonly #head: RequestHead;
  #timer: NodeJS.Timeout | undefined;
  /** What `setTimeout` was given, as on a `net.Socket`. */
  timeout: number | undefined = undefined;
  /** The request whose body comes in here. */
  request: IncomingMessage | undefined;
  /** A write has said false and 'drain' is owed. */
  needDrain = false;
  /** Depth of `cork()`; Node's `end()` sets it through `_writableState`. */
  corked = 0;
  destroyed = false;
  closed = false;
  readable = true;
  writable = true;
  errored: Error | null = null;
  bytesWritten = 0;
  bytesRead = 0;

  constructor(head: RequestHead) {
    super();
    this.#head = head;
  }

  abstract destroy(error?: Error | null): this;
  abstract get writableLength(): number;

  // --- the state of a stream ---------------------------------------------------------------------------------------

  /** `OutgoingMessage.end()` sets `socket._writableState.corked`, `stream.finished()` reads the flags below. */
  get _writableState(): this {
    return this;
  }

  get writableCorked(): number {
    return this.corked;
  }

  get writableHighWaterMark(): number {
    return HIGH_WATER_MARK;
  }

  get readableHighWaterMark(): number {
    return HIGH_WATER_MARK;
  }

  get writableEnded(): boolean {
    return !this.writable;
  }

  get writableFinished(): boolean {
    return !this.writable && this.writableLength === 0;
  }

  get writableNeedDrain(): boolean {
    return this.needDrain;
  }

  get bufferSize(): number {
    return this.writableLength;
  }

  get readyState(): string {
    return this.destroyed ? 'closed' : 'open';
  }

  get readableEnded(): boolean {
    return !this.readable;
  }

  get readableAborted(): boolean {
    return this.destroyed;
  }

  /** The bytes of the connection go to the request, as Node's parser takes them: there are never any to be read here. */
  read(): null {
    return null;
  }

  push(): boolean {
    return false;
  }

  unshift(): void {}

  unpipe(): this {
    return this;
  }

  isPaused(): boolean {
    return false;
  }

  setDefaultEncoding(): this {
    return this;
  }

  connect(): never {
    throw new Error('this socket is a request of a web server: it cannot connect elsewhere');
  }

  resetAndDestroy(): this {
    return this.destroy();
  }

  // --- idleness ----------------------------------------------------------------------------------------------------

  /** As `net.Socket`: 'timeout' on the socket after so much idleness; nobody who listens: the request is cut. */
  setTimeout(milliseconds: number, callback?: () => void): this {
    this.stopTimer();
    this.timeout = milliseconds;
    if (callback) {
      if (milliseconds === 0) this.removeListener('timeout', callback);
      else this.once('timeout', callback);
    }
    if (milliseconds > 0 && !this.destroyed) {
      this.#timer = setTimeout(timedOut, milliseconds, this);
      this.#timer.unref();
    }
    return this;
  }

  /** Something has happened: the time-out begins anew. */
  protected touch(): void {
    this.#timer?.refresh();
  }

  protected stopTimer(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  // --- what means nothing without a connection -----------------------------------------------------------------------

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  setEncoding(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  // --- what the web server said of the connection --------------------------------------------------------------------

  #variable(name: string): string | undefined {
    const value = findVariable(this.#head.pairs, name);
    return value === '' ? undefined : value;
  }

  #port(name: string): number | undefined {
    const port = this.#variable(name);
    return port !== undefined && /^\d{1,5}$/.test(port) ? Number(port) : undefined;
  }

  /** The client's address; none where the client reached the web server through a Unix socket (nginx: `unix:`). */
  get remoteAddress(): string | undefined {
    const address = this.#variable('REMOTE_ADDR');
    return address?.startsWith('unix:') ? undefined : address;
  }

  get remotePort(): number | undefined {
    return this.#port('REMOTE_PORT');
  }

  get remoteFamily(): string | undefined {
    return familyOf(this.remoteAddress);
  }

  get localAddress(): string | undefined {
    const address = this.#variable('SERVER_ADDR');
    return address?.startsWith('unix:') ? undefined : address;
  }

  get localPort(): number | undefined {
    return this.#port('SERVER_PORT');
  }

  get localFamily(): string | undefined {
    return familyOf(this.localAddress);
  }

  address(): { address?: string; family?: string; port?: number } {
    const { localAddress, localFamily, localPort } = this;
    if (localAddress === undefined || localFamily === undefined) return {};
    return { address: localAddress, family: localFamily, ...(localPort === undefined ? {} : { port: localPort }) };
  }
}

/** What a stream says of its state that is the same for every request. */
const CONSTANTS = {
  connecting: false,
  pending: false,
  allowHalfOpen: true,
  readableBuffer: Object.freeze([]),
  readableDidRead: true,
  readableEncoding: null,
  readableFlowing: true,
  readableLength: 0,
  readableObjectMode: false,
  writableBuffer: Object.freeze([]),
  writableObjectMode: false,
};

// A socket to `instanceof`, whose listeners are kept as any EventEmitter keeps them: a stream's own methods would look
// into a state that is not there.
const { on, addListener, off, removeListener, removeAllListeners } = EventEmitter.prototype;
const { pipe } = Stream.prototype;
const plain = { on, addListener, off, removeListener, removeAllListeners, pipe, ...CONSTANTS };
Object.setPrototypeOf(SocketFace.prototype, Socket.prototype);
Object.defineProperties(SocketFace.prototype, Object.getOwnPropertyDescriptors(plain));

function familyOf(address: string | undefined): string | undefined {
  if (address === undefined) return undefined;
  return address.includes(':') ? 'IPv6' : 'IPv4';
}

/** As Node's HTTP server: the request, the response, then the socket may take it; nobody did: cut. */
function timedOut(socket: SocketFace): void {
  const { request } = socket;
  const response = socket._httpMessage;
  const byRequest = request !== undefined && !request.complete && request.emit('timeout', socket);
  const byResponse = response?.emit('timeout', socket) ?? false;
  if (!byRequest && !byResponse) socket.destroy();
  socket.emit('timeout');
}
