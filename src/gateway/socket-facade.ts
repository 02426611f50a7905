/**
 * What applications and libraries find on a `net.Socket`, for a request of a gateway: the addresses that the CGI environment
 * has, time-outs, and the state of a stream without buffers of its own. It carries no bytes.
 *
 * It is a `net.Socket` to `instanceof`, which applications use on `req.socket`, and it has the properties of one; but no
 * `stream.Duplex` is constructed, which would cost as much as the rest of a request. So the state that a stream's methods look
 * for is provided here.
 */
import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { getDefaultHighWaterMark, Stream } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { findVariable } from './environ.ts';
import type { RequestHead } from './request-head.ts';

/** Bytes that wait before `write` returns false, as with a `net.Socket`: 16 KiB on Node 20 and 64 KiB since. */
export const HIGH_WATER_MARK = getDefaultHighWaterMark(false);

export abstract class SocketFacade extends EventEmitter {
  /** The response that is being sent; Node's `assignSocket` sets it, and OutgoingMessage writes only if it is set. */
  _httpMessage: ServerResponse | null = null;
  readonly #head: RequestHead;
  #timer: NodeJS.Timeout | undefined;
  /** What `setTimeout` was given, as on a `net.Socket`. */
  timeout: number | undefined = undefined;
  /** The request whose body comes in here. */
  request: IncomingMessage | undefined;
  /** A write has returned false, and 'drain' has to follow. */
  needDrain = false;
  /** How many calls of `cork()` have not been undone. Node's `end()` sets it through `_writableState`. */
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

  /** The bytes of the connection go to the request, as they go to Node's parser: there are never any to read here. */
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

  /** As in `net.Socket`: emits 'timeout' after this time without activity; without a listener the request is cut. */
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

  /** There was activity: the time-out starts again. */
  protected touch(): void {
    this.#timer?.refresh();
  }

  protected stopTimer(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  // --- without meaning, since there is no connection -----------------------------------------------------------------------

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

  /** The client's own TLS connection, if there is one. */
  get tlsConnection(): TLSSocket | undefined {
    return this.#head.connection;
  }

  // --- the connection as the web server describes it --------------------------------------------------------------------

  #variable(name: string): string | undefined {
    const value = findVariable(this.#head.pairs, name);
    return value === '' ? undefined : value;
  }

  #port(name: string): number | undefined {
    const port = this.#variable(name);
    return port !== undefined && /^\d{1,5}$/.test(port) ? Number(port) : undefined;
  }

  /** The client's address; none if the client reached the web server through a Unix socket (nginx: `unix:`). */
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

/** Properties of a stream that are the same for every request. */
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

// A socket to `instanceof`, but with the methods of an EventEmitter for its listeners: those of a stream need state that is
// not there.
const { on, addListener, off, removeListener, removeAllListeners } = EventEmitter.prototype;
const { pipe } = Stream.prototype;
const plain = { on, addListener, off, removeListener, removeAllListeners, pipe, ...CONSTANTS };
Object.setPrototypeOf(SocketFacade.prototype, Socket.prototype);
Object.defineProperties(SocketFacade.prototype, Object.getOwnPropertyDescriptors(plain));

function familyOf(address: string | undefined): string | undefined {
  if (address === undefined) return undefined;
  return address.includes(':') ? 'IPv6' : 'IPv4';
}

/**
 * Does what Node's HTTP server does: the request, the response and the socket emit 'timeout'; if neither of the first two has a
 * listener, the request is cut.
 */
function timedOut(socket: SocketFacade): void {
  const { request } = socket;
  const response = socket._httpMessage;
  const byRequest = request !== undefined && !request.complete && request.emit('timeout', socket);
  const byResponse = response?.emit('timeout', socket) ?? false;
  if (!byRequest && !byResponse) socket.destroy();
  socket.emit('timeout');
}
