/**
 * One CGI request (RFC 3875) on two streams: the body comes in by one, the answer goes out by the other. Knows nothing
 * of the process that they may be the standard input and output of.
 *
 * A web server may write the whole body before it reads a byte of the answer (Apache's mod_cgi does). So input is held
 * back for an application that does not keep up only as long as the answer is not held back itself: else both sides
 * would wait for each other for ever. And the exchange ends only when the body has been taken in, read by the application
 * or not: Apache's mod_cgid loses the answer of a program that ends before.
 */
import type { Readable, Writable } from 'node:stream';
import type { EnvironPairs } from '../../gateway/environ.ts';
import { type Exchange, openExchange } from '../../gateway/exchange.ts';
import { BadEnviron, type RequestHead, readHead } from '../../gateway/request-head.ts';
import type { Batch, Carrier } from '../../gateway/socket.ts';
import type { Logger } from '../../log.ts';
import { plainAnswer, writeBatch } from '../plain-output.ts';

export interface CgiStreams {
  /** Asked for only where there is a body. */
  readonly input: () => Readable;
  readonly output: Writable;
}

/** How it ended: with the whole answer out, broken off by the application, or with nobody there to take it. */
export type CgiEnding = 'answered' | 'broken' | 'abandoned';

export class CgiExchange implements Carrier {
  readonly ended: Promise<CgiEnding>;
  readonly #streams: CgiStreams;
  readonly #log: Logger;
  #exchange: Exchange | undefined;
  #input: Readable | undefined;
  #stuck = false;
  /** Settles when the web server has nothing more to send. */
  #bodyTaken: Promise<void> = Promise.resolve();
  #end: (ending: CgiEnding) => void = () => {};

  /** @param run calls the application. */
  constructor(pairs: EnvironPairs, streams: CgiStreams, log: Logger, run: (exchange: Exchange) => void) {
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

  #start(head: RequestHead, run: (exchange: Exchange) => void): void {
    const exchange = openExchange(head, this);
    this.#exchange = exchange;
    run(exchange);
    // RFC 3875 section 4.2: without a length there is no body; but with chunks that the web server has taken apart.
    if (head.contentLength || head.chunked) this.#read(exchange, head.contentLength);
    else exchange.socket.endBody();
  }

  #read({ socket, request }: Exchange, contentLength: number = Number.POSITIVE_INFINITY): void {
    const input = this.#streams.input();
    this.#input = input;
    let taken = () => {};
    this.#bodyTaken = new Promise((resolve) => {
      taken = resolve;
    });
    let missing = contentLength;
    input.on('data', (bytes: Buffer) => {
      missing -= bytes.length;
      // The stream itself need not end there (RFC 3875 section 4.2).
      if (missing <= 0) taken();
      if (!socket.pushBody(bytes) && !request.complete && !this.#stuck) input.pause();
    });
    const over = (): void => {
      taken();
      if (this.#exchange !== undefined && !socket.endBody()) this.#cut(this.#exchange);
    };
    input.on('end', over);
    input.on('error', over);
  }

  /** The client broke off, and the web server passes on what came. */
  #cut({ socket, response }: Exchange): void {
    const started = response.headersSent;
    this.#exchange = undefined;
    socket.reset();
    if (started) this.#end('broken');
    else this.#refuse('the body is shorter than CONTENT_LENGTH');
  }

  #refuse(why: string): void {
    this.#log.warn(`CGI: ${why}`);
    this.#answerPlainly(400, 'Bad Request');
  }

  #answerPlainly(status: number, reason: string): void {
    this.#streams.output.write(plainAnswer(status, reason), 'latin1', () => this.#end('answered'));
  }

  send(batch: Batch, last: boolean): boolean {
    const { output } = this.#streams;
    const accepted = writeBatch(output, batch);
    if (last) {
      this.#exchange = undefined;
      output.write('', () => void this.#bodyTaken.then(() => this.#end('answered')));
    }
    // Nobody holds back what nobody will read.
    this.#stuck = last || !accepted;
    if (this.#stuck) this.#input?.resume();
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
    this.#stuck = this.#exchange === undefined;
    this.#exchange?.socket.drained();
  }

  /** Nothing goes on in the process any more, and the request is not answered. */
  forsaken(): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    this.#log.error('CGI: the application waits for nothing any more and has not answered');
    this.#exchange = undefined;
    exchange.socket.reset();
    if (exchange.response.headersSent) this.#end('broken');
    else this.#answerPlainly(500, 'Internal Server Error');
  }

  /** There is nobody left to answer. */
  abandon(): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.socket.reset();
    this.#end('abandoned');
  }
}
