/**
 * One request on a connection, from its BEGIN_REQUEST to its END_REQUEST: collects PARAMS, opens the exchange with the
 * application, feeds it STDIN and carries its answer. Knows its connection only by what it needs of it.
 */
import { type Exchange, openExchange } from '../../gateway/exchange.ts';
import { BadEnviron, type RequestHead, readHead } from '../../gateway/request-head.ts';
import type { Batch, Carrier } from '../../gateway/socket.ts';
import { GrowingBuffer } from '../../growing-buffer.ts';
import { MAX_VARIABLES } from '../gateway-settings.ts';
import { plainAnswer } from '../plain-output.ts';
import { readParams } from './params.ts';
import { AUTHORIZER, decodePairs, ProtocolError } from './records.ts';

/** What a request needs of the connection that it is on. */
export interface RequestHost {
  readonly maxParamsSize: number;
  readonly mount: string | undefined;
  /** Writes a part of the answer; `last`: the request is over with it. */
  answer(request: ActiveRequest, batch: Batch, last: boolean): boolean;
  /** Writes a whole answer; the request is over with it. */
  answerWhole<T>(request: ActiveRequest, text: string, done: (of: T, error?: Error | null) => void, of: T): void;
  /** The application has destroyed the exchange. */
  breakOff(request: ActiveRequest): void;
  /** The application has not read what it was given: `unread` bytes wait. */
  bodyBacklog(request: ActiveRequest, unread: number): void;
  resumeBody(): void;
  /** The application has got the request. */
  opened(): void;
  /** The web server's request was refused. */
  refused(reason: string): void;
  run(exchange: Exchange): void;
}

/** The most characters for the web server's error log that wait for the end of a request. */
const MAX_ERRORS = 64 * 1024;

const NO_BODY = Buffer.alloc(0);

export class ActiveRequest implements Carrier {
  readonly id: number;
  readonly keepConnection: boolean;
  readonly #role: number;
  readonly #host: RequestHost;
  /** The web server has sent all that it has to send for it. */
  sentWhole = false;
  /** What STDERR is to carry at the end of the request. */
  #errors = '';
  #params: GrowingBuffer | undefined;
  /** Read, but not with the application yet: whether there is a body is not known. */
  #head: RequestHead | undefined;
  #exchange: Exchange | undefined;

  constructor(id: number, role: number, keepConnection: boolean, host: RequestHost) {
    this.id = id;
    this.#role = role;
    this.keepConnection = keepConnection;
    this.#host = host;
  }

  /** The application has not got it yet: its variables have not all come, or whether it has a body is not known. */
  get headPending(): boolean {
    return this.#exchange === undefined;
  }

  /** Its head has taken too long. */
  late(why: string): void {
    this.#refuse(408, 'Request Timeout', why);
  }

  /** A piece of PARAMS; the empty one ends them. */
  params(content: Buffer): void {
    if (this.#head !== undefined || this.#exchange !== undefined) return;
    if (content.length > 0) {
      this.#params ??= new GrowingBuffer();
      if (this.#params.length + content.length > this.#host.maxParamsSize) this.#refuseParams();
      else this.#params.push(content);
      return;
    }
    const block = this.#params?.view() ?? NO_BODY;
    this.#params = undefined;
    const head = this.#readHead(block, 0, block.length);
    if (head === undefined) return;
    if (this.#role === AUTHORIZER) {
      this.#open(head).socket.endBody();
    } else if (head.contentLength !== undefined || head.chunked) {
      const { socket } = this.#open(head);
      if (socket.bodyMissing === 0) socket.endBody();
    }
  }

  /** All PARAMS, from `start` to `end`, of a request without a body. */
  whole(bytes: Buffer, start: number, end: number): void {
    if (end - start > this.#host.maxParamsSize) this.#refuseParams();
    else this.#readHead(bytes, start, end);
    this.stdin(NO_BODY);
  }

  /** Undefined: they were none, and the request is refused. */
  #readHead(bytes: Buffer, start: number, end: number): RequestHead | undefined {
    try {
      this.#head =
        this.#role === AUTHORIZER
          ? // Section 6.3: an authorizer is sent no STDIN, so a length can only mislead.
            readHead(withoutLength(decodePairs(bytes.subarray(start, end), MAX_VARIABLES)), this.#host.mount)
          : readParams(bytes, start, end, this.#host.mount);
    } catch (error) {
      if (!(error instanceof ProtocolError || error instanceof BadEnviron)) throw error;
      this.#refuse(400, 'Bad Request', error.message);
    }
    return this.#head;
  }

  /** A piece of STDIN; the empty one ends it. */
  stdin(content: Buffer): void {
    if (content.length === 0) this.sentWhole = true;
    let exchange = this.#exchange;
    if (exchange === undefined) {
      if (this.#head === undefined) return;
      // Body parsers take a request with neither Content-Length nor Transfer-Encoding to have no body (RFC 9112
      // section 6.3). The head says neither, and STDIN decides which it is.
      if (content.length > 0) this.#head.rawHeaders.push('Transfer-Encoding', 'chunked');
      exchange = this.#open(this.#head);
    }
    const { request, response, socket } = exchange;
    if (content.length > 0) {
      if (!socket.pushBody(Buffer.from(content))) this.#host.bodyBacklog(this, request.readableLength);
    } else if (!socket.endBody()) {
      // The client broke off, and the web server passes on what came.
      this.#host.refused('STDIN is shorter than CONTENT_LENGTH');
      socket.reset();
      if (response.headersSent) this.#host.breakOff(this);
      else this.#answerPlainly(400, 'Bad Request');
    }
  }

  /** The application does not keep up: what waits for it is more than a connection may hold. */
  overflow(): void {
    const started = this.#exchange?.response.headersSent ?? false;
    this.#exchange?.socket.reset();
    if (started) this.#host.breakOff(this);
    else this.#answerPlainly(503, 'Service Unavailable');
  }

  /** The peer has gone or has aborted the request. */
  reset(): void {
    this.#exchange?.socket.reset();
  }

  drained(): void {
    this.#exchange?.socket.drained();
  }

  #open(head: RequestHead): Exchange {
    const exchange = openExchange(head, this);
    this.#exchange = exchange;
    this.#host.opened();
    this.#host.run(exchange);
    return exchange;
  }

  #refuseParams(): void {
    this.#refuse(431, 'Request Header Fields Too Large', `more than ${this.#host.maxParamsSize} bytes of PARAMS`);
  }

  #refuse(status: number, reason: string, why: string): void {
    this.#host.refused(why);
    this.#answerPlainly(status, reason);
  }

  #answerPlainly(status: number, reason: string): void {
    this.#host.answer(this, { data: [plainAnswer(status, reason)], encodings: ['latin1'], callbacks: [] }, true);
  }

  send(batch: Batch, last: boolean): boolean {
    return this.#host.answer(this, batch, last);
  }

  sendWhole<T>(text: string, done: (of: T, error?: Error | null) => void, of: T): void {
    this.#host.answerWhole(this, text, done, of);
  }

  resumeBody(): void {
    this.#host.resumeBody();
  }

  abort(): void {
    this.#host.breakOff(this);
  }

  /** False: so much waits for the end of the request that this text has to go elsewhere. */
  report(text: string): boolean {
    if (this.#errors.length + text.length > MAX_ERRORS) return false;
    this.#errors += text;
    return true;
  }

  /** What the end of the request is to carry. */
  takeErrors(): string {
    const errors = this.#errors;
    this.#errors = '';
    return errors;
  }

  /** The request is over without an end that could carry them. */
  loseErrors(): void {
    if (this.#errors !== '') process.stderr.write(this.takeErrors());
  }
}

function withoutLength(pairs: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i < pairs.length; i += 2) {
    if (pairs[i] !== 'CONTENT_LENGTH') kept.push(pairs[i] as string, pairs[i + 1] as string);
  }
  return kept;
}
