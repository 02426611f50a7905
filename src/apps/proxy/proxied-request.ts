/**
 * One request that a proxy forwards. The library (httpxy) gets this object instead of Node's request: the method, the URL
 * and the headers are those for the target, and the library may change them.
 */
import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { errorCode, errorMessage } from '../../errors.ts';
import { errorStream } from '../../gateway/error-stream.ts';
import { forwardedTrailers, hintsOf, responseHeaders } from '../../gateway/hop/forwarded-headers.ts';
import { printableLine } from '../../printable.ts';

const FAILURE_REASONS = {
  400: 'Bad Request',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  504: 'Gateway Timeout',
} as const;
type FailureStatus = keyof typeof FAILURE_REASONS;

/** Node's errors for a URL or a header that it refuses to send. */
const UNSENDABLE: ReadonlySet<string> = new Set([
  'ERR_UNESCAPED_CHARACTERS',
  'ERR_INVALID_CHAR',
  'ERR_INVALID_HTTP_TOKEN',
]);

export interface ProxiedRequestOptions {
  readonly url: string;
  readonly headers: OutgoingHttpHeaders;
  /** The target, for the log. */
  readonly target: string;
  /** Milliseconds without data from the target after which it has failed; 0: no limit. */
  readonly timeout: number;
  /** Sends the request again. Absent: it must not be repeated. */
  readonly retry?: () => void;
}

export class ProxiedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: OutgoingHttpHeaders;
  readonly httpVersion = '1.1';
  readonly httpVersionMajor = 1;
  readonly socket: Socket;
  readonly connection: Socket;
  readonly #req: IncomingMessage;
  readonly #client: ServerResponse | Duplex;
  readonly #options: ProxiedRequestOptions;
  #sent: ClientRequest | undefined;
  #timer: NodeJS.Timeout | undefined;
  #hasTimedOut = false;
  #hasBegun = false;
  #isOver = false;

  /** @param client the response, or for an upgrade the connection. */
  constructor(req: IncomingMessage, client: ServerResponse | Duplex, options: ProxiedRequestOptions) {
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

  /** The library adds a listener for errors only. */
  on(event: 'error', listener: (error: Error) => void): this {
    this.#req.on(event, listener);
    return this;
  }

  // --- events of the library -----------------------------------------------------------------------------------------

  /** The request to the target has been created, but not sent yet. */
  onRequest(sent: ClientRequest): void {
    this.#sent = sent;
    if (this.#hasTimedOut) sent.destroy();
    sent.on('information', ({ statusCode, headers }) => this.#forwardInformation(statusCode, headers));
    this.#req.on('data', () => this.#timer?.refresh());
    // Before the library's pipe ends the request.
    this.#req.prependListener('end', () => {
      const trailers = forwardedTrailers(this.#req);
      if (trailers && sent.getHeader('transfer-encoding') !== undefined) sent.addTrailers(trailers);
    });
    this.#req.once('close', () => {
      if (!this.#req.complete) sent.destroy();
    });
    // The only event if the server switches to a protocol that the request has not asked for.
    sent.once('close', () => {
      if (!this.#hasBegun) this.fail(new Error('the connection was closed without a response'));
    });
  }

  /** The target's response has begun. */
  onResponse(response: IncomingMessage, res: ServerResponse): void {
    this.#timer?.refresh();
    const headers = responseHeaders(response);
    try {
      for (const [name, values] of headers) {
        res.setHeader(name, values.length === 1 ? (values[0] as string) : values);
      }
      if (response.statusMessage) res.statusMessage = response.statusMessage;
      res.writeHead(response.statusCode ?? 502);
    } catch (error) {
      // Node reads some heads that it refuses to write, such as the status 099.
      res.statusMessage = '';
      for (const name of headers.keys()) res.removeHeader(name);
      this.fail(new Error(`a response that cannot be sent on: ${errorMessage(error)}`));
      this.#sent?.destroy();
      return;
    }
    this.#hasBegun = true;
    // Sends the head at once. A string instead of a buffer would make Node encode the head as UTF-8.
    res.write(Buffer.alloc(0));
    response.on('data', () => this.#timer?.refresh());
    response.on('end', () => {
      if (!response.complete) return;
      const trailers = forwardedTrailers(response);
      if (trailers) res.addTrailers(trailers);
      res.end();
    });
    response.pipe(res, { end: false });
  }

  /** The request for an upgrade has been created. When either connection ends, the other one is ended too. */
  onUpgradeRequest(sent: ClientRequest, socket: Duplex): void {
    this.#sent = sent;
    sent.once('upgrade', (_response, next: Socket) => {
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

  /** Handles an error of either side. */
  fail(error: unknown): void {
    if (this.#isOver || this.#client.destroyed) return;
    const isStale = this.#sent?.reusedSocket === true && errorCode(error) === 'ECONNRESET' && !this.#hasTimedOut;
    if (isStale && !this.#hasBegun && this.#options.retry) {
      // The target closed a kept connection just as it was used again.
      this.#finish();
      this.#options.retry();
      return;
    }
    this.#finish();
    const status = this.#hasTimedOut ? 504 : UNSENDABLE.has(errorCode(error) ?? '') ? 400 : 502;
    const what = this.#hasTimedOut ? `no data for ${this.#options.timeout / 1000} s` : errorMessage(error);
    const line = `proxy: ${this.method} ${this.url} to ${this.#options.target}: ${what || errorCode(error)}`;
    errorStream(this.#req).write(`${printableLine(line)}\n`);
    if (this.#hasBegun) this.#client.destroy();
    else sendRefusal(this.#client, status);
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

  #forwardInformation(status: number, headers: IncomingMessage['headers']): void {
    this.#timer?.refresh();
    const res = this.#client as ServerResponse;
    if (res.headersSent || this.#req.httpVersion === '1.0') return;
    const hints = status === 103 ? hintsOf(headers) : undefined;
    if (status === 102) res.writeProcessing();
    if (!hints) return;
    try {
      res.writeEarlyHints(hints);
    } catch {
      // Node refuses this Link. It is only a hint.
    }
  }
}

/** Responds to a request, or an upgrade, that is not forwarded. */
export function sendRefusal(client: ServerResponse | Duplex, status: number, reason?: string): void {
  const text = reason ?? FAILURE_REASONS[status as FailureStatus] ?? 'Refused';
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
