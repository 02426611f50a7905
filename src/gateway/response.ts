/**
 * The response that an application writes: Node's own ServerResponse, but for its head, which is that of a CGI response (RFC
 * 3875 section 6.3): `Status: 200 OK` instead of a status line, no connection headers, no chunks, no interim responses, no
 * trailers, no Date (the web server adds it). Writing, ending, events and their order are Node's. The methods that differ from
 * Node's are properties of the object itself: Express replaces the prototype of every response by one of its own, so methods of
 * a class would be lost. Private members stay. Libraries replace Node's methods, before this module is loaded and after: the
 * head is made where Node's `writeHead` leaves it, in `_storeHeader`, and the methods of the prototype are called wherever
 * node:http would call them. If this Node does not let its head be made (net/node-internals), Node writes the head of an
 * HTTP/1.1 response, and the socket translates it.
 */
import { ServerResponse, validateHeaderValue } from 'node:http';
import type { Socket } from 'node:net';
import {
  canMakeHead,
  type HeaderTable,
  type ResponseState,
  responseShortcuts,
} from '../net/node-internals/messages.ts';
import type { GatewayRequest } from './request.ts';
import { headerName, isLatin1Head, knownHeaderName } from './response-head.ts';
import { closeResponse, type GatewaySocket, WHOLE_LIMIT } from './socket.ts';

// Node 26; absent from the types of Node 20.
const { writeInformation } = ServerResponse.prototype as {
  writeInformation?: (this: unknown, ...args: unknown[]) => unknown;
};

const shortcuts = responseShortcuts();
const kOutHeaders = shortcuts?.headers;
const makesHead = canMakeHead() === true;

type HeaderValue = number | string | readonly string[];
type HeaderList = Record<string, HeaderValue | undefined> | readonly unknown[];

/**
 * A table with an empty prototype, like Node's, that V8 lays out as an object. V8 makes a dictionary of `Object.create(null)`,
 * which takes several times as long to fill and to read.
 */
class SetHeaders {}
Object.setPrototypeOf(SetHeaders.prototype, null);
Reflect.deleteProperty(SetHeaders.prototype, 'constructor');

type HeaderHolder = Record<symbol, HeaderTable | null>;

/** A value that is not an array and that Node would not refuse: Node accepts latin-1 without control characters. */
const PLAIN_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Emits 'prefinish'. */
const { _finish: nodesFinish } = ServerResponse.prototype as unknown as ResponseState;

/** ServerResponse with the state that its published type leaves out. */
const NodeResponse = ServerResponse as unknown as new (
  request: GatewayRequest,
) => ServerResponse<GatewayRequest> & ResponseState;

export class GatewayResponse extends NodeResponse {
  declare socket: Socket | null;
  /** Public since Node 15.4; missing in the types of Node 20. */
  declare getRawHeaderNames: () => string[];
  readonly #connection: GatewaySocket;

  constructor(request: GatewayRequest, socket: GatewaySocket) {
    super(request);
    this.#connection = socket;
    // Set by every response. After Express has replaced the prototype, a new property costs V8 a copy of the shape.
    this.statusCode = 200;
    this.statusMessage = undefined as unknown as string;
    this.end = this.#end as typeof this.end;
    this.writeContinue = this.#writeContinue;
    this.writeProcessing = this.#writeProcessing;
    this.writeEarlyHints = this.#writeEarlyHints;
    if (writeInformation !== undefined) Object.assign(this, { writeInformation: this.#writeInformation });
    if (makesHead) {
      this._storeHeader = this.#storeHeader;
      this._finish = this.#finish;
      socket._httpMessage = this;
      this.socket = socket as unknown as Socket;
    } else {
      this.#writeHttpHead();
    }
  }

  /** Lets Node make the head of an HTTP/1.1 response without anything that concerns the connection. */
  #writeHttpHead(): void {
    const socket = this.#connection;
    let isMakingHead = false;
    // Only the head may have chunked encoding, in which it allows trailers; the body has none.
    this.useChunkedEncodingByDefault = true;
    Object.defineProperty(this, 'chunkedEncoding', { configurable: true, get: () => isMakingHead, set() {} });
    const writeHead = (status: number, ...given: never[]): this => {
      if (status < 200) this.#refuseInterim(status);
      const { sendDate } = this;
      this.sendDate = false;
      isMakingHead = true;
      try {
        return Reflect.apply(Object.getPrototypeOf(this).writeHead, this, [status, ...given]);
      } finally {
        isMakingHead = false;
        this.sendDate = sendDate;
      }
    };
    this.writeHead = writeHead;
    socket.hasHttpHead = true;
    this.assignSocket(socket as unknown as Socket);
    this.prependListener('finish', finished);
    this.on('prefinish', () => socket.release(true));
  }

  /**
   * Makes the head when `writeHead` has its status and headers.
   * @param headers those that were set, or if none were set, those that were passed to `writeHead`.
   */
  #storeHeader(statusLine: string, headers?: HeaderTable | HeaderList | null): void {
    if (this.statusCode < 200) this.#refuseInterim(this.statusCode);
    let head = `Status: ${statusLine.slice('HTTP/1.1 '.length)}`;
    if (this.#table !== null || (kOutHeaders === undefined && this.getRawHeaderNames().length > 0)) {
      head += this.#setHeaders();
    } else {
      head += this.#givenHeaders(headers as HeaderList | null | undefined);
    }
    // As in Node: `end(body)` knows the length of a response that is a single piece.
    const lengthKnown = typeof this._contentLength === 'number' && !this.#lengthGiven && !this._removedContLen;
    if (this._hasBody && lengthKnown) head += `Content-Length: ${this._contentLength}\r\n`;
    this._header = `${head}\r\n`;
    this._headerSent = false;
    // Node joins the head to a text and encodes both as UTF-8, except before a chunk's length: then the head is latin-1.
    if (this._hasBody && isLatin1Head(head, lengthKnown || this.#lengthGiven)) this._send('', 'latin1');
  }

  /** RFC 3875 section 6.3.3 has no interim responses, and a web server would wait for the final one. */
  #refuseInterim(status: number): never {
    // What Node's `writeHead` has set must not be left for the response that follows.
    this.statusCode = 200;
    this.statusMessage = undefined as unknown as string;
    this._hasBody = this.req.method !== 'HEAD';
    throw Object.assign(new RangeError(`Invalid status code: ${status}`), { code: 'ERR_HTTP_INVALID_STATUS_CODE' });
  }

  #lengthGiven = false;

  get #table(): HeaderTable | null {
    return kOutHeaders === undefined ? null : ((this as unknown as HeaderHolder)[kOutHeaders] ?? null);
  }

  /** Node's method, with less work for a name that has been set before on any response. */
  override setHeader(name: string, value: HeaderValue): this {
    const known = knownHeaderName(name);
    const isReplaced = super.setHeader !== shortcuts?.nodesSetHeader;
    if (isReplaced || known === undefined || kOutHeaders === undefined || this._header !== null || !isPlain(value)) {
      return super.setHeader(name, value);
    }
    const holder = this as unknown as HeaderHolder;
    const table = holder[kOutHeaders] ?? (new SetHeaders() as HeaderTable);
    holder[kOutHeaders] = table;
    table[known.key] = [name, value];
    return this;
  }

  /** Headers that were set one by one. */
  #setHeaders(): string {
    let lines = '';
    const table = this.#table;
    if (table === null) {
      for (const name of this.getRawHeaderNames()) lines += this.#headerLines(name, this.getHeader(name));
      return lines;
    }
    for (const key in table) {
      const entry = table[key] as [string, HeaderValue];
      lines += this.#headerLines(entry[0], entry[1]);
    }
    return lines;
  }

  /** Headers that were passed to `writeHead` alone: an object, name and value in turn, or pairs. */
  #givenHeaders(headers: HeaderList | null | undefined): string {
    if (headers === undefined || headers === null) return '';
    let lines = '';
    if (!isList(headers)) {
      for (const name of Object.keys(headers)) lines += this.#validLines(name, headers[name]);
      return lines;
    }
    if (Array.isArray(headers[0])) {
      for (const pair of headers as readonly (readonly unknown[])[]) lines += this.#validLines(pair[0], pair[1]);
      return lines;
    }
    refuseOddList(headers);
    for (let i = 0; i < headers.length; i += 2) lines += this.#validLines(headers[i], headers[i + 1]);
    return lines;
  }

  #validLines(name: unknown, value: unknown): string {
    headerName(name as string);
    if (Array.isArray(value)) for (const each of value) validateHeaderValue(name as string, each);
    else validateHeaderValue(name as string, value as string);
    return this.#headerLines(name as string, value as HeaderValue);
  }

  #headerLines(name: string, value: HeaderValue | undefined): string {
    if (value === undefined) return '';
    const { key, dropped } = headerName(name);
    if (dropped) return '';
    if (key === 'content-length') {
      this.#lengthGiven = true;
      this._contentLength = Number(value);
    }
    if (!Array.isArray(value)) return `${name}: ${this.#spelled(key, value as string)}\r\n`;
    // As in Node, several cookies share a line, and several values of any other header have a line each.
    if (value.length > 1 && key === 'cookie') return `${name}: ${value.join('; ')}\r\n`;
    let lines = '';
    for (const each of value) lines += `${name}: ${this.#spelled(key, each)}\r\n`;
    return lines;
  }

  /** Node takes a Content-Disposition of known length for UTF-8 bytes (nodejs/node#46528). */
  #spelled(key: string, value: number | string): number | string {
    if (key !== 'content-disposition' || !this._contentLength) return value;
    return Buffer.from(String(value), 'latin1').toString();
  }

  /** Calls `end` of the prototype and sends what that writes in one piece. */
  #end(...given: unknown[]): unknown {
    const { end } = Object.getPrototypeOf(this) as { end(...given: unknown[]): unknown };
    if (end === shortcuts?.nodesEnd && given[2] === undefined && this.#endAtOnce(given[0], given[1])) return this;
    const socket = this.#connection;
    socket.hold();
    try {
      return end.apply(this, given);
    } finally {
      socket.release(false);
    }
  }

  /** Node's `end` calls it when everything has been written. */
  #finish(): void {
    this.prependListener('finish', finished);
    nodesFinish.call(this);
    this.#connection.release(true);
  }

  /**
   * Sends the most common response, a single short body, without the queues of Node. It calls and sets what Node calls and
   * sets. False: it is another response, and nothing has been sent.
   */
  #endAtOnce(body: unknown, encoding: unknown): boolean {
    const socket = this.#connection;
    if (!isShortBody(body) || !isUtf8(encoding)) return false;
    if (!socket.fresh || this.strictContentLength || this.writableCorked > 0) return false;
    if (this.finished || this.destroyed || this._headerSent || (this.socket as unknown) !== socket) return false;
    if (this._header === null) {
      this._contentLength = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
      this._implicitHeader();
    }
    // A replaced `writeHead` may have done anything.
    if (!this._hasBody || this.chunkedEncoding || this._headerSent || this.finished || !socket.fresh) return false;
    const whole = this._header + (typeof body === 'string' ? body : body.toString('latin1'));
    if (whole.length > WHOLE_LIMIT) return false;
    // Before a text the head is written as UTF-8, before bytes as latin-1.
    if (typeof body === 'string' && Buffer.byteLength(whole) !== whole.length) return false;
    this._headerSent = true;
    this.finished = true;
    socket.endWith(whole, sentAtOnce, this);
    nodesFinish.call(this);
    return true;
  }

  /** Writes an interim response: arguments are checked and callbacks called, even if the protocol has none. */
  #interim(write: () => unknown): unknown {
    let result: unknown;
    this.#connection.interim(() => {
      result = write();
    });
    return result;
  }

  #writeContinue(callback?: () => void): void {
    this.#interim(() => super.writeContinue(callback));
  }

  #writeProcessing(callback?: () => void): void {
    const write = super.writeProcessing as (callback?: () => void) => void;
    this.#interim(() => write.call(this, callback));
  }

  #writeEarlyHints(hints: Record<string, string | string[]>, callback?: () => void): void {
    this.#interim(() => super.writeEarlyHints(hints, callback));
  }

  #writeInformation(...args: unknown[]): unknown {
    return this.#interim(() => writeInformation?.apply(this, args));
  }
}

/** The class that libraries and users see. */
Object.defineProperty(GatewayResponse.prototype, 'constructor', { value: ServerResponse });

function isList(headers: HeaderList): headers is readonly unknown[] {
  return Array.isArray(headers);
}

function isPlain(value: HeaderValue): boolean {
  return typeof value === 'number' || (typeof value === 'string' && PLAIN_VALUE.test(value));
}

function isShortBody(body: unknown): body is string | Buffer {
  return (typeof body === 'string' || Buffer.isBuffer(body)) && body.length > 0 && body.length <= WHOLE_LIMIT;
}

function isUtf8(encoding: unknown): boolean {
  return encoding === undefined || encoding === 'utf8' || encoding === 'utf-8';
}

function refuseOddList(headers: readonly unknown[]): void {
  if (headers.length % 2 === 0) return;
  const error = new TypeError(`The argument 'headers' is invalid. Received ${JSON.stringify(headers)}`);
  throw Object.assign(error, { code: 'ERR_INVALID_ARG_VALUE' });
}

/** As Node's HTTP server after a response: releases the socket and the request, then emits 'close'. */
function finished(this: GatewayResponse): void {
  process.nextTick(closeLater, this, releaseSocket(this));
}

function releaseSocket(response: GatewayResponse): GatewaySocket | null {
  const socket = response.socket as unknown as GatewaySocket | null;
  if (socket !== null) {
    socket._httpMessage = null;
    response.socket = null;
    socket.retire();
  }
  return socket;
}

/** The response of `endAtOnce` has been sent or is lost. */
function sentAtOnce(response: GatewayResponse, error?: Error | null): void {
  process.nextTick(closeLater, response, releaseSocket(response));
  if (error) return;
  shortcuts?.complete(response);
  response.emit('finish');
}

/** The last event of a response, on the tick after 'finish'. */
function closeLater(response: GatewayResponse, socket: GatewaySocket | null): void {
  closeResponse(response);
  socket?.settle();
}
