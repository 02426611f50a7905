/**
 * One CGI request (RFC 3875) on two streams: one has the body, the other takes the response. Knows nothing of the process whose
 * standard input and output they may be.
 *
 * A web server may write the whole body before it reads a byte of the response (Apache's mod_cgi does). If the application does not
 * keep up with the body, input is paused, but not while the response waits for the web server: each side would wait for the other
 * for ever. The exchange ends only when the whole body has been read, even if the application does not use it: Apache's mod_cgid
 * loses the response of a program that ends earlier.
 */
import type { Readable, Writable } from 'node:stream';
import type { EnvironPairs } from '../../gateway/environ.ts';
import { type GatewayExchange, openExchange } from '../../gateway/exchange.ts';
import { BadEnviron, type RequestHead, readHead } from '../../gateway/request-head.ts';
import type { Batch, Carrier } from '../../gateway/socket.ts';
import type { Logger } from '../../log.ts';
import { plainResponse, writeBatch } from '../cgi-output.ts';

export interface CgiStreams {
  /** Called only if there is a body. */
  readonly input: () => Readable;
  readonly output: Writable;
}

/** How it ended: with a complete response, broken off by the application, or closed by the web server. */
export type CgiEnding = 'complete' | 'broken' | 'abandoned';

export class CgiExchange implements Carrier {
  readonly ended: Promise<CgiEnding>;
  readonly #streams: CgiStreams;
  readonly #log: Logger;
  #exchange: GatewayExchange | undefined;
  #input: Readable | undefined;
  /** The web server does not read the response, or the response is complete: input must not be paused. */
  #readsOn = false;
  /** Settles when the web server has nothing more to send. */
  #bodyRead: Promise<void> = Promise.resolve();
  #end: (ending: CgiEnding) => void = () => {};

  /** @param run calls the application. */
  constructor(pairs: EnvironPairs, streams: CgiStreams, log: Logger, run: (exchange: GatewayExchange) => void) {
    this.#streams = streams;
    this.#log = log;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    streams.output.on('drain', () => this.#drained());
    streams.output.on('error', () => this.abandon());
    try {
      this.#start(readHead(pairs, undefined, { pathIsSplit: true }), run);
    } catch (error) {
      if (!(error instanceof BadEnviron)) throw error;
      this.#refuse(error.message);
    }
  }

  #start(head: RequestHead, run: (exchange: GatewayExchange) => void): void {
    const exchange = openExchange(head, this);
    this.#exchange = exchange;
    run(exchange);
    // RFC 3875 section 4.2: without a length there is no body, unless the web server has decoded one that came in chunks.
    if (head.contentLength || head.chunked) this.#read(exchange, head.contentLength);
    else exchange.socket.endBody();
  }

  #read({ socket, request }: GatewayExchange, contentLength: number = Number.POSITIVE_INFINITY): void {
    const input = this.#streams.input();
    this.#input = input;
    let allRead = () => {};
    this.#bodyRead = new Promise((resolve) => {
      allRead = resolve;
    });
    let missing = contentLength;
    input.on('data', (bytes: Buffer) => {
      missing -= bytes.length;
      // The stream itself need not end there (RFC 3875 section 4.2).
      if (missing <= 0) allRead();
      if (!socket.pushBody(bytes) && !request.complete && !this.#readsOn) input.pause();
    });
    const ended = (): void => {
      allRead();
      if (this.#exchange !== undefined && !socket.endBody()) this.#cut(this.#exchange);
    };
    input.on('end', ended);
    input.on('error', ended);
  }

  /** The client has disconnected, and the web server passes on what it received. */
  #cut({ socket, response }: GatewayExchange): void {
    const hasBegun = response.headersSent;
    this.#exchange = undefined;
    socket.reset();
    if (hasBegun) this.#end('broken');
    else this.#refuse('the body is shorter than CONTENT_LENGTH');
  }

  #refuse(why: string): void {
    this.#log.warn(`CGI: ${why}`);
    this.#respondPlainly(400, 'Bad Request');
  }

  #respondPlainly(status: number, reason: string): void {
    this.#streams.output.write(plainResponse(status, reason), 'latin1', () => this.#end('complete'));
  }

  send(batch: Batch, last: boolean): boolean {
    const { output } = this.#streams;
    const accepted = writeBatch(output, batch);
    if (last) {
      this.#exchange = undefined;
      output.write('', () => void this.#bodyRead.then(() => this.#end('complete')));
    }
    this.#readsOn = last || !accepted;
    if (this.#readsOn) this.#input?.resume();
    return accepted;
  }

  resumeBody(): void {
    this.#input?.resume();
  }

  abort(): void {
    this.#exchange = undefined;
    this.#end('broken');
  }

  #drained(): void {
    this.#readsOn = this.#exchange === undefined;
    this.#exchange?.socket.drained();
  }

  /** The event loop is empty, and the request has no response. */
  endWithoutResponse(): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    this.#log.error('CGI: the application has not responded and has nothing left to wait for');
    this.#exchange = undefined;
    exchange.socket.reset();
    if (exchange.response.headersSent) this.#end('broken');
    else this.#respondPlainly(500, 'Internal Server Error');
  }

  /** The web server has closed or is ending the program: a response would not be read. */
  abandon(): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.socket.reset();
    this.#end('abandoned');
  }
}
