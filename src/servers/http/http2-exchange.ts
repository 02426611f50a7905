/**
 * Turns an HTTP/2 stream into a request and a response like those of the gateways: Node's own IncomingMessage and ServerResponse.
 * Node's classes for HTTP/2 only resemble these, and Express, express-session and others break on them.
 */
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { errorMessage } from '../../errors.ts';
import { type GatewayExchange, openExchange } from '../../gateway/exchange.ts';
import { setHeaderLines } from '../../gateway/request.ts';
import { type Batch, type Carrier, connectionReset, oneCallback, type WriteCallback } from '../../gateway/socket.ts';
import type { Logger } from '../../log.ts';
import { trailerLines } from '../../net/node-internals/messages.ts';
import { fields, Http2RequestHead, http2Headers } from './http2-head.ts';

/** RFC 9113 section 7. */
const NO_ERROR = 0;
const INTERNAL_ERROR = 2;

const END_OF_HEAD = '\r\n\r\n';

export class Http2Exchange implements Carrier {
  readonly exchange: GatewayExchange;
  readonly #stream: ServerHttp2Stream;
  readonly #log: Logger;
  /** The client waits for `100 Continue`. */
  #needsContinue: boolean;
  #isReading = false;
  #isOver = false;
  /** Trailers that have come before the end of the request. */
  #pendingTrailers: string[] | undefined;
  /** To be called when the whole response has been sent. */
  #whenSent: WriteCallback | undefined;

  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    rawHeaders: readonly string[],
    socket: Socket,
    log: Logger,
  ) {
    this.#stream = stream;
    this.#log = log;
    this.#needsContinue = headers.expect !== undefined;
    this.exchange = openExchange(new Http2RequestHead(headers, rawHeaders, stream.endAfterHeaders, socket), this);
    stream.on('error', () => {});
    stream.on('drain', () => this.exchange.socket.drained());
    stream.on('finish', () => this.#sent(null));
    stream.on('close', () => {
      if (!this.#isOver) this.exchange.socket.reset();
      // Node closes a stream that is complete on both sides before it emits 'finish'.
      this.#sent(stream.rstCode === NO_ERROR && !stream.aborted ? null : connectionReset());
    });
    stream.on('trailers', (_headers: IncomingHttpHeaders, _flags: number, raw: readonly string[] = []) => {
      this.#pendingTrailers = [...raw];
      this.#passTrailers();
    });
  }

  /** To be called after the application: as with node:http, a request without a body is complete only then. */
  applicationCalled(): void {
    if (this.#stream.endAfterHeaders) this.exchange.socket.endBody();
  }

  // --- what the exchange calls ----------------------------------------------------------------------------------------

  resumeBody(): void {
    const stream = this.#stream;
    if (stream.destroyed) return;
    if (this.#isReading) {
      stream.resume();
      return;
    }
    this.#isReading = true;
    if (this.#needsContinue) this.interim('HTTP/1.1 100 Continue');
    const { socket, request } = this.exchange;
    stream.on('data', (bytes: Buffer) => {
      if (!socket.pushBody(bytes) && !request.complete && !this.#isOver) stream.pause();
    });
    stream.on('end', () => {
      if (this.#isOver || stream.aborted) return;
      socket.endBody();
      this.#passTrailers();
    });
  }

  #passTrailers(): void {
    if (this.#pendingTrailers === undefined || !this.exchange.request.complete) return;
    setHeaderLines(this.exchange.request, this.#pendingTrailers);
    this.#pendingTrailers = undefined;
  }

  sendWhole<T>(text: string, done: (of: T, error?: Error | null) => void, of: T): void {
    this.send({ data: [text], encodings: ['latin1'], callbacks: [(error) => done(of, error)] }, true);
  }

  send({ data, encodings, callbacks }: Batch, last: boolean): boolean {
    const stream = this.#stream;
    const callback = oneCallback(callbacks) ?? ignore;
    if (last) {
      this.#isOver = true;
      // The rest of the request is thrown away.
      stream.resume();
    }
    if (!stream.headersSent) {
      const text = String(data[0]);
      const end = text.indexOf(END_OF_HEAD);
      if (!this.#respond(inLatin1(text.slice(0, end), encodings[0]), last)) {
        process.nextTick(callback, connectionReset());
        return false;
      }
      data[0] = text.slice(end + END_OF_HEAD.length);
    }
    const bytes = bytesOf(data, encodings);
    // Node has already ended a stream without a body.
    if (stream.writableEnded || (bytes.length === 0 && !last)) {
      process.nextTick(callback);
      return true;
    }
    if (!last) return stream.write(bytes, callback);
    this.#whenSent = callback;
    stream.end(bytes);
    return true;
  }

  /** The whole response has been sent, or the client has disconnected before. */
  #sent(error: Error | null): void {
    const callback = this.#whenSent;
    if (callback === undefined) return;
    this.#whenSent = undefined;
    const { socket } = this.exchange;
    socket.errored = error;
    callback(error);
    // Since Node 24 a failed write does not finish a response.
    if (error !== null && socket._httpMessage !== null) socket.reset();
  }

  /** False: the client has disconnected, or the head cannot be sent. */
  #respond(head: string, last: boolean): boolean {
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return false;
    const waitForTrailers = !last || this.#trailers !== '';
    if (waitForTrailers) {
      stream.on('wantTrailers', () => this.#try(() => stream.sendTrailers(fields(this.#trailers.split('\r\n')))));
    }
    return this.#try(() => stream.respond(http2Headers(head), { waitForTrailers }));
  }

  /** Node throws for what it cannot send: that breaks this response, and must not end the process. */
  #try(send: () => void): boolean {
    try {
      send();
      return true;
    } catch (error) {
      this.#log.error(`no response to ${this.exchange.request.method}: ${errorMessage(error)}`);
      this.abort();
      return false;
    }
  }

  get #trailers(): string {
    return trailerLines(this.exchange.response);
  }

  interim(head: string): void {
    const stream = this.#stream;
    this.#needsContinue = false;
    if (!stream.headersSent && !stream.closed && !stream.destroyed) stream.additionalHeaders(http2Headers(head));
  }

  abort(): void {
    this.#isOver = true;
    this.#stream.close(INTERNAL_ERROR);
  }
}

function ignore(): void {}

function bytesOf(data: Batch['data'], encodings: Batch['encodings']): Uint8Array {
  const pieces = data.map((piece, i) => (typeof piece === 'string' ? Buffer.from(piece, encodings[i]) : piece));
  return pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces);
}

/** The bytes of a head, one character each. Node encodes a head in UTF-8 if it has joined it with a text of the body. */
function inLatin1(head: string, encoding: BufferEncoding | undefined): string {
  return encoding === 'latin1' ? head : Buffer.from(head).toString('latin1');
}
