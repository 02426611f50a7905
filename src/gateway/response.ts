/**
 * The response that an application writes: Node's own ServerResponse, but for its head, which is that of a CGI
 * response (RFC 3875 section 6.3): `Status: 200 OK` in place of a status line, no connection headers, no chunks, no
 * interim responses, no trailers, no Date (the web server adds it). Writing, ending, events and their order are Node's.
 *
 * What differs from Node's are properties of the object itself: Express replaces the prototype of every response by one of its
 * own, and what a class had put between would be gone. Private members stay.
 */
import { IncomingMessage, ServerResponse, STATUS_CODES, validateHeaderName, validateHeaderValue } from 'node:http';
import type { Socket } from 'node:net';
import type { GatewayRequest } from './request.ts';
import type { GatewaySocket } from './socket.ts';

// Node 26; absent from the types of Node 20.
const { writeInformation } = ServerResponse.prototype as {
  writeInformation?: (this: unknown, ...args: unknown[]) => unknown;
};

type HeaderValue = number | string | readonly string[];
type HeaderList = Record<string, HeaderValue | undefined> | readonly unknown[];

/**
 * Headers that concern one connection (RFC 9110 section 7.6.1), plus `Status`, which in a CGI response would overrule the
 * status code. Both spellings in common use, so that most names need no lower-casing.
 */
const CONNECTION_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'status',
]);
const LONGEST_CONNECTION_HEADER = 'transfer-encoding'.length;

const BEYOND_ASCII = /[\x80-\xff]/;

/** Whether a name that comes twice in `writeHead`'s list makes two headers, over others set before; on Node 20 the last wins. */
const LISTS_REPEAT = Array.isArray(
  new ServerResponse(new IncomingMessage(undefined as unknown as Socket))
    .setHeader('a', '')
    .writeHead(200, ['b', '', 'b', ''])
    .getHeader('b'),
);

export class GatewayResponse extends ServerResponse<GatewayRequest> {
  // State of Node's OutgoingMessage. `_header` is what `headersSent` reads and what the first write is preceded by.
  declare _header: string | null;
  declare _headerSent: boolean;
  declare _hasBody: boolean;
  declare _contentLength: number | null;
  declare _removedContLen: boolean;
  declare _closed: boolean;
  declare _send: (data: string, encoding: BufferEncoding) => boolean;
  /** Public since Node 15.4; missing in the types of Node 20. */
  declare getRawHeaderNames: () => string[];
  readonly #connection: GatewaySocket;

  constructor(request: GatewayRequest, socket: GatewaySocket) {
    super(request);
    this.#connection = socket;
    const own = GatewayResponse.prototype as this;
    this.writeHead = own.writeHead;
    this.end = own.end;
    this.writeContinue = own.writeContinue;
    this.writeProcessing = own.writeProcessing;
    this.writeEarlyHints = own.writeEarlyHints;
    if (writeInformation !== undefined) Object.assign(this, { writeInformation: this.#writeInformation });
    this.on('finish', finished);
    this.assignSocket(socket as unknown as Socket);
  }

  override writeHead(statusCode: number, reason?: string | HeaderList, headers?: HeaderList): this {
    const status = statusCode | 0;
    if (this.headersSent || status < 100 || status > 999) {
      super.writeHead(statusCode); // throws, in Node's words
      return this;
    }
    if (status < 200) {
      // RFC 3875 section 6.3.3 has no interim responses, and a web server would wait for the final one.
      throw Object.assign(new RangeError(`Invalid status code: ${status}`), { code: 'ERR_HTTP_INVALID_STATUS_CODE' });
    }
    if (typeof reason === 'string') {
      this.statusMessage = reason;
    } else {
      this.statusMessage ||= STATUS_CODES[status] ?? 'unknown';
      headers ??= reason;
    }
    this.statusCode = status;
    let head = `Status: ${status} ${this.statusMessage}\r\n`;
    const names = this.getRawHeaderNames();
    if (names.length === 0) {
      head += this.#givenHeaders(headers);
    } else {
      this.#mergeHeaders(headers);
      for (const name of headers === undefined ? names : this.getRawHeaderNames()) {
        head += this.#headerLines(name, this.getHeader(name));
      }
    }
    validateHeaderValue('statusMessage', this.statusMessage);
    if (status === 204 || status === 304) this._hasBody = false;
    // Node's rule: `end(body)` knows the length of an answer that is made of one piece.
    const lengthKnown = typeof this._contentLength === 'number' && !this.#lengthGiven && !this._removedContLen;
    if (this._hasBody && lengthKnown) head += `Content-Length: ${this._contentLength}\r\n`;
    this._header = `${head}\r\n`;
    this._headerSent = false;
    // Node joins the head to a text and encodes both as UTF-8, except before a chunk's length: then the head is latin-1.
    if (this._hasBody && !lengthKnown && !this.#lengthGiven && BEYOND_ASCII.test(head)) this._send('', 'latin1');
    return this;
  }

  #lengthGiven = false;

  /** Headers that only `writeHead` was given: an object, name and value in turn, or pairs. */
  #givenHeaders(headers: HeaderList | undefined): string {
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

  /** Headers that `writeHead` was given on top of those set before. */
  #mergeHeaders(headers: HeaderList | undefined): void {
    if (headers === undefined || headers === null) return;
    if (!isList(headers)) {
      for (const name of Object.keys(headers)) if (name) this.setHeader(name, headers[name] as HeaderValue);
      return;
    }
    refuseOddList(headers);
    if (LISTS_REPEAT) for (let i = 0; i < headers.length; i += 2) this.removeHeader(headers[i] as string);
    for (let i = 0; i < headers.length; i += 2) {
      if (!headers[i]) continue;
      if (LISTS_REPEAT) this.appendHeader(headers[i] as string, headers[i + 1] as string | readonly string[]);
      else this.setHeader(headers[i] as string, headers[i + 1] as HeaderValue);
    }
  }

  #validLines(name: unknown, value: unknown): string {
    validateHeaderName(name as string);
    if (Array.isArray(value)) for (const each of value) validateHeaderValue(name as string, each);
    else validateHeaderValue(name as string, value as string);
    return this.#headerLines(name as string, value as HeaderValue);
  }

  #headerLines(name: string, value: HeaderValue | undefined): string {
    if (value === undefined || isConnectionHeader(name)) return '';
    if (name.length === 14 && name.toLowerCase() === 'content-length') {
      this.#lengthGiven = true;
      this._contentLength = Number(value);
    }
    if (!Array.isArray(value)) return `${name}: ${this.#spelled(name, value as string)}\r\n`;
    // As Node: several cookies share a line, several values of anything else have a line each.
    if (value.length > 1 && name.toLowerCase() === 'cookie') return `${name}: ${value.join('; ')}\r\n`;
    let lines = '';
    for (const each of value) lines += `${name}: ${this.#spelled(name, each)}\r\n`;
    return lines;
  }

  /** Node takes a Content-Disposition of known length for UTF-8 bytes (nodejs/node#46528). */
  #spelled(name: string, value: number | string): number | string {
    if (name.length !== 19 || !this._contentLength || name.toLowerCase() !== 'content-disposition') return value;
    return Buffer.from(String(value), 'latin1').toString();
  }

  override end(chunk?: unknown, encoding?: unknown, callback?: unknown): this {
    const socket = this.#connection;
    const before = this.writableEnded;
    socket.hold();
    try {
      super.end(chunk, encoding as BufferEncoding, callback as () => void);
    } finally {
      socket.release(this.writableEnded && !before);
    }
    return this;
  }

  /** Runs what writes an interim response: its arguments are checked and its callback called, nothing goes out. */
  #interim(write: () => unknown): unknown {
    let result: unknown;
    this.#connection.discard(() => {
      result = write();
    });
    return result;
  }

  override writeContinue(callback?: () => void): void {
    this.#interim(() => super.writeContinue(callback));
  }

  override writeProcessing(callback?: () => void): void {
    const write = super.writeProcessing as (callback?: () => void) => void;
    this.#interim(() => write.call(this, callback));
  }

  override writeEarlyHints(hints: Record<string, string | string[]>, callback?: () => void): void {
    this.#interim(() => super.writeEarlyHints(hints, callback));
  }

  #writeInformation(...args: unknown[]): unknown {
    return this.#interim(() => writeInformation?.apply(this, args));
  }
}

function isList(headers: HeaderList): headers is readonly unknown[] {
  return Array.isArray(headers);
}

function refuseOddList(headers: readonly unknown[]): void {
  if (headers.length % 2 === 0) return;
  const error = new TypeError(`The argument 'headers' is invalid. Received ${JSON.stringify(headers)}`);
  throw Object.assign(error, { code: 'ERR_INVALID_ARG_VALUE' });
}

function isConnectionHeader(name: string): boolean {
  return name.length <= LONGEST_CONNECTION_HEADER && CONNECTION_HEADERS.has(name.toLowerCase());
}

/** What Node's HTTP server does when an answer is out: let go of the socket and the request, then say 'close'. */
function finished(this: GatewayResponse): void {
  const socket = this.socket as unknown as GatewaySocket | null;
  if (socket !== null) {
    this.detachSocket(socket as unknown as Socket);
    socket.retire();
  }
  process.nextTick(closeLater, this);
}

/** The last event of a response, on the tick after 'finish'. */
function closeLater(response: GatewayResponse): void {
  if (response._closed) return;
  response.destroyed = true;
  response._closed = true;
  response.emit('close');
}
