/**
 * The response that an application writes: Node's own ServerResponse, but for its head, which is that of a CGI
 * response (RFC 3875 section 6.3): `Status: 200 OK` in place of a status line, no connection headers, no chunks, no
 * interim responses, no trailers, no Date (the web server adds it). Writing, ending, events and their order are Node's.
 *
 * What differs from Node's are properties of the object itself: Express replaces the prototype of every response by one of its
 * own, and what a class had put between would be gone. Private members stay. Libraries replace Node's methods, before this
 * module is loaded and after: the head is made where Node's `writeHead` leaves it, in `_storeHeader`, and the methods of the
 * prototype are called wherever node:http would call them.
 */
import { IncomingMessage, ServerResponse, validateHeaderValue } from 'node:http';
import type { Socket } from 'node:net';
import { headerName, knownHeaderName } from './header-names.ts';
import type { GatewayRequest } from './request.ts';
import { closeResponse, type GatewaySocket, WHOLE_LIMIT } from './socket.ts';

// Node 26; absent from the types of Node 20.
const { writeInformation } = ServerResponse.prototype as {
  writeInformation?: (this: unknown, ...args: unknown[]) => unknown;
};

/**
 * Node's own fields of a response that have no public name: where its headers are, and since Node 24 how an answer that is out
 * is told. Looked up once, by their names; without the first the public methods serve.
 */
const STATE_SYMBOLS = Object.getOwnPropertySymbols(
  new ServerResponse(new IncomingMessage(undefined as unknown as Socket)),
);
const named = (name: string) => STATE_SYMBOLS.find((symbol) => symbol.description === name);
const kOutHeaders = named('kOutHeaders');
const kWritableFinished = named('kWritableFinished');
const kEndCallbacks = named('kEndCallbacks');

type HeaderValue = number | string | readonly string[];
type HeaderList = Record<string, HeaderValue | undefined> | readonly unknown[];

/** Node's own table of the headers that were set: by lower-cased name, the name as written and the value. */
type HeaderTable = Record<string, [string, HeaderValue]>;
/**
 * A table without a prototype to speak of, like Node's, that V8 lays out as an object: `Object.create(null)` would be a
 * dictionary, which costs several times as much to fill and to read.
 */
class SetHeaders {}
Object.setPrototypeOf(SetHeaders.prototype, null);
Reflect.deleteProperty(SetHeaders.prototype, 'constructor');

type HeaderHolder = Record<symbol, HeaderTable | null>;

/** A value that is no array and has nothing that Node would refuse (it takes latin-1 without control characters). */
const PLAIN_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

const BEYOND_ASCII = /[\x80-\xff]/;

/**
 * Node's own methods that have a shortcut here. Undefined: a library had replaced the method before this module was loaded
 * (what Node keeps under a private symbol is named in no other source), so that the shortcut would skip the library.
 */
const nodesEnd = ownedByNode(ServerResponse.prototype.end, 'kCorked');
const nodesSetHeader = ownedByNode(ServerResponse.prototype.setHeader, 'kOutHeaders');

function ownedByNode<T>(method: T, symbol: string): T | undefined {
  return String(method).includes(symbol) ? method : undefined;
}

/** Says 'prefinish'. */
const { _finish: nodesFinish } = ServerResponse.prototype as unknown as { _finish: () => void };

export class GatewayResponse extends ServerResponse<GatewayRequest> {
  // State of Node's OutgoingMessage. `_header` is what `headersSent` reads and what the first write is preceded by.
  declare socket: Socket | null;
  declare _header: string | null;
  declare _headerSent: boolean;
  declare _hasBody: boolean;
  declare _contentLength: number | null;
  declare _removedContLen: boolean;
  declare _closed: boolean;
  declare _send: (data: string, encoding: BufferEncoding) => boolean;
  /** Public since Node 15.4; missing in the types of Node 20. */
  declare getRawHeaderNames: () => string[];
  /** Makes the head by `writeHead`. */
  declare _implicitHeader: () => void;
  declare _storeHeader: (statusLine: string, headers?: HeaderTable | HeaderList | null) => void;
  declare _finish: () => void;
  readonly #connection: GatewaySocket;

  constructor(request: GatewayRequest, socket: GatewaySocket) {
    super(request);
    this.#connection = socket;
    // Set by every answer. Once Express has replaced the prototype, a property that is new costs V8 a copy of the shape.
    this.statusCode = 200;
    this.statusMessage = undefined as unknown as string;
    this._storeHeader = this.#storeHeader;
    this._finish = this.#finish;
    this.end = this.#end as typeof this.end;
    this.writeContinue = this.#writeContinue;
    this.writeProcessing = this.#writeProcessing;
    this.writeEarlyHints = this.#writeEarlyHints;
    if (writeInformation !== undefined) Object.assign(this, { writeInformation: this.#writeInformation });
    socket._httpMessage = this;
    this.socket = socket as unknown as Socket;
  }

  /**
   * Makes the head, once `writeHead` has its status and headers.
   * @param headers those that were set, or if none were, those that `writeHead` was given.
   */
  #storeHeader(statusLine: string, headers?: HeaderTable | HeaderList | null): void {
    if (this.statusCode < 200) this.#refuseInterim(this.statusCode);
    let head = `Status: ${statusLine.slice('HTTP/1.1 '.length)}`;
    if (this.#table !== null || (kOutHeaders === undefined && this.getRawHeaderNames().length > 0)) {
      head += this.#setHeaders();
    } else {
      head += this.#givenHeaders(headers as HeaderList | null | undefined);
    }
    // Node's rule: `end(body)` knows the length of an answer that is made of one piece.
    const lengthKnown = typeof this._contentLength === 'number' && !this.#lengthGiven && !this._removedContLen;
    if (this._hasBody && lengthKnown) head += `Content-Length: ${this._contentLength}\r\n`;
    this._header = `${head}\r\n`;
    this._headerSent = false;
    // Node joins the head to a text and encodes both as UTF-8, except before a chunk's length: then the head is latin-1.
    if (this._hasBody && !lengthKnown && !this.#lengthGiven && BEYOND_ASCII.test(head)) this._send('', 'latin1');
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

  /** Node's, with less work for a name that has been set before on any response. */
  override setHeader(name: string, value: HeaderValue): this {
    const known = knownHeaderName(name);
    const isReplaced = super.setHeader !== nodesSetHeader;
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

  /** Headers that only `writeHead` was given: an object, name and value in turn, or pairs. */
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
    // As Node: several cookies share a line, several values of anything else have a line each.
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

  /** Calls `end` of the prototype; what that writes leaves in one piece. */
  #end(...given: unknown[]): unknown {
    const { end } = Object.getPrototypeOf(this) as { end(...given: unknown[]): unknown };
    if (end === nodesEnd && given[2] === undefined && this.#endAtOnce(given[0], given[1])) return this;
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
   * The most common answer, a short body that is all of it, without the queues it would only pass through. What is
   * called and set on the way is what Node calls and sets. False: not such an answer, and nothing has left.
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
    // Who listens to the head being made may have done anything.
    if (!this._hasBody || this.chunkedEncoding || this._headerSent || this.finished || !socket.fresh) return false;
    const whole = this._header + (typeof body === 'string' ? body : body.toString('latin1'));
    if (whole.length > WHOLE_LIMIT) return false;
    // Together with a text the head is written as UTF-8, with bytes as latin-1.
    if (typeof body === 'string' && Buffer.byteLength(whole) !== whole.length) return false;
    this._headerSent = true;
    this.finished = true;
    socket.endWith(whole, leftAtOnce, this);
    nodesFinish.call(this);
    return true;
  }

  /** Runs what writes an interim response: its arguments are checked and its callback called, whether it goes out or not. */
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

/** What libraries and people read as the name of its class. */
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

/** What Node's HTTP server does when an answer is out: let go of the socket and the request, then say 'close'. */
function finished(this: GatewayResponse): void {
  process.nextTick(closeLater, this, letGo(this));
}

function letGo(response: GatewayResponse): GatewaySocket | null {
  const socket = response.socket as unknown as GatewaySocket | null;
  if (socket !== null) {
    socket._httpMessage = null;
    response.socket = null;
    socket.retire();
  }
  return socket;
}

/** An answer that `endAtOnce` sent is out, or is lost. */
function leftAtOnce(response: GatewayResponse, error?: Error | null): void {
  process.nextTick(closeLater, response, letGo(response));
  if (error) return;
  if (kWritableFinished !== undefined) Reflect.set(response, kWritableFinished, true);
  if (kEndCallbacks !== undefined) callEndCallbacks(response, kEndCallbacks);
  response.emit('finish');
}

function callEndCallbacks(response: GatewayResponse, key: symbol): void {
  const callbacks: unknown = Reflect.get(response, key);
  Reflect.set(response, key, null);
  if (Array.isArray(callbacks)) for (const callback of callbacks) callback(null);
}

/** The last event of a response, on the tick after 'finish'. */
function closeLater(response: GatewayResponse, socket: GatewaySocket | null): void {
  closeResponse(response);
  socket?.settle();
}
