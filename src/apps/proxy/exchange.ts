/**
 * One request on its way through a proxy. It is what the library is given in the request's place: the method, the URL and
 * the headers as the next server is to get them, which it may change as it likes.
 */
import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { errorCode, errorMessage } from '../../errors.ts';
import { errorStream } from '../../gateway/error-stream.ts';
import { printableLine } from '../../printable.ts';
import { hintsOf, responseHeaders, trailersOf } from './forwarded-headers.ts';

const REASONS = { 400: 'Bad Request', 501: 'Not Implemented', 502: 'Bad Gateway', 504: 'Gateway Timeout' } as const;
type FailureStatus = keyof typeof REASONS;

/** What Node says of a URL or a header that it does not put on the wire. */
const UNSENDABLE: ReadonlySet<string> = new Set([
  'ERR_UNESCAPED_CHARACTERS',
  'ERR_INVALID_CHAR',
  'ERR_INVALID_HTTP_TOKEN',
]);

export interface ExchangeOptions {
  readonly url: string;
  readonly headers: OutgoingHttpHeaders;
  /** Where it goes, for the log. */
  readonly target: string;
  /** Milliseconds without anything from the next server after which it has failed; 0: any number. */
  readonly timeout: number;
  /** Sends it once more. Absent: once is enough. */
  readonly again?: () => void;
}

export class Exchange {
  readonly method: string;
  readonly url: string;
  readonly headers: OutgoingHttpHeaders;
  readonly httpVersion = '1.1';
  readonly httpVersionMajor = 1;
  readonly socket: Socket;
  readonly connection: Socket;
  readonly #req: IncomingMessage;
  readonly #client: ServerResponse | Duplex;
  readonly #options: ExchangeOptions;
  #sent: ClientRequest | undefined;
  #timer: NodeJS.Timeout | undefined;
  #hasTimedOut = false;
  #hasBegun = false;
  #isOver = false;

  /** @param client the response, or for an upgrade the connection. */
  constructor(req: IncomingMessage, client: ServerResponse | Duplex, options: ExchangeOptions) {
    this.#req = req;
    this.#client = client;
    this.#options = options;
    this.method = req.method ?? 'GET';
    this.url = options.url;
    this.headers = options.headers;
    this.socket = req.socket;
    this.connection = req.socket;
    if (options.timeout > 0) this.#timer = setTimeout(() => this.#expire(), options.timeout);
    client.once('close', () => this.#finish());
  }

  /** The library listens for errors of the request only: they become failures here. */
  on(event: 'error', listener: (error: Error) => void): this {
    this.#req.on(event, listener);
    return this;
  }

  // --- what the library tells ----------------------------------------------------------------------------------------

  /** The request to the next server exists and nothing of it has gone out. */
  begin(sent: ClientRequest): void {
    this.#sent = sent;
    if (this.#hasTimedOut) sent.destroy();
    sent.on('information', ({ statusCode, headers }) => this.#inform(statusCode, headers));
    this.#req.on('data', () => this.#timer?.refresh());
    // Before the end that the library's pipe makes of it.
    this.#req.prependListener('end', () => {
      const trailers = trailersOf(this.#req);
      if (trailers && sent.getHeader('transfer-encoding') !== undefined) sent.addTrailers(trailers);
    });
    this.#req.once('close', () => {
      if (!this.#req.complete) sent.destroy();
    });
    // Node tells of nothing else where a protocol comes that nobody has asked for.
    sent.once('close', () => {
      if (!this.#hasBegun) this.fail(new Error('the connection was closed without an answer'));
    });
  }

  /** The next server has begun to answer. */
  answer(answer: IncomingMessage, res: ServerResponse): void {
    this.#timer?.refresh();
    const headers = responseHeaders(answer);
    try {
      for (const [name, values] of headers) {
        res.setHeader(name, values.length === 1 ? (values[0] as string) : values);
      }
      if (answer.statusMessage) res.statusMessage = answer.statusMessage;
      res.writeHead(answer.statusCode ?? 502);
    } catch (error) {
      // Node reads more than it writes, such as the status 099.
      res.statusMessage = '';
      for (const name of headers.keys()) res.removeHeader(name);
      this.fail(new Error(`an answer that cannot be sent on: ${errorMessage(error)}`));
      this.#sent?.destroy();
      return;
    }
    this.#hasBegun = true;
    // The head goes out at once: with bytes, for with a text Node would make UTF-8 of it.
    res.write(Buffer.alloc(0));
    answer.on('data', () => this.#timer?.refresh());
    answer.on('end', () => {
      if (!answer.complete) return;
      const trailers = trailersOf(answer);
      if (trailers) res.addTrailers(trailers);
      res.end();
    });
    answer.pipe(res, { end: false });
  }

  /** The request for an upgrade is on its way: whichever of the two connections ends, the other one does. */
  beginUpgrade(sent: ClientRequest, socket: Duplex): void {
    this.#sent = sent;
    sent.once('upgrade', (_answer, next: Socket) => {
      this.#hasBegun = true;
      this.#finish();
      socket.once('close', () => next.destroy());
      next.once('close', () => socket.end());
    });
    sent.once('response', () => {
      this.#hasBegun = true;
    });
    socket.once('close', () => sent.destroy());
  }

  /** Something has gone wrong on either side. */
  fail(error: unknown): void {
    if (this.#isOver || this.#client.destroyed) return;
    const isStale = this.#sent?.reusedSocket === true && errorCode(error) === 'ECONNRESET' && !this.#hasTimedOut;
    if (isStale && !this.#hasBegun && this.#options.again) {
      // The next server has closed a connection just as it was used once more.
      this.#finish();
      this.#options.again();
      return;
    }
    this.#finish();
    const status = this.#hasTimedOut ? 504 : UNSENDABLE.has(errorCode(error) ?? '') ? 400 : 502;
    const what = this.#hasTimedOut ? `nothing came for ${this.#options.timeout / 1000} s` : errorMessage(error);
    const line = `proxy: ${this.method} ${this.url} to ${this.#options.target}: ${what || errorCode(error)}`;
    errorStream(this.#req).write(`${printableLine(line)}\n`);
    if (this.#hasBegun) this.#client.destroy();
    else refuse(this.#client, status);
  }

  // -------------------------------------------------------------------------------------------------------------------

  #finish(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  #expire(): void {
    const isClientSlow = 'writableNeedDrain' in this.#client && this.#client.writableNeedDrain;
    if (isClientSlow && this.#hasBegun) {
      this.#timer?.refresh();
      return;
    }
    this.#hasTimedOut = true;
    const { timeout } = this.#options;
    this.fail(new Error(`time-out after ${timeout} ms`));
    this.#sent?.destroy();
  }

  #inform(status: number, headers: IncomingMessage['headers']): void {
    this.#timer?.refresh();
    const res = this.#client as ServerResponse;
    if (res.headersSent || this.#req.httpVersion === '1.0') return;
    const hints = status === 103 ? hintsOf(headers) : undefined;
    if (status === 102) res.writeProcessing();
    if (!hints) return;
    try {
      res.writeEarlyHints(hints);
    } catch {
      // A Link that Node does not take: it is only a hint.
    }
  }
}

/** Answers a request, or an upgrade, that does not come to its server. */
export function refuse(client: ServerResponse | Duplex, status: number, reason?: string): void {
  const text = reason ?? REASONS[status as FailureStatus] ?? 'Refused';
  const body = `${text}\n`;
  if ('writeHead' in client) {
    for (const name of client.getHeaderNames()) if (name.startsWith('content-')) client.removeHeader(name);
    client.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'content-length': body.length });
    client.end(body);
    return;
  }
  client.end(
    `HTTP/1.1 ${status} ${text}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n` +
      `Content-Length: ${body.length}\r\n\r\n${body}`,
  );
}
