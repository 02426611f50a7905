/**
 * The requests on a connection. Each, from its BEGIN_REQUEST to its END_REQUEST, collects PARAMS, opens the exchange with the
 * application, passes it STDIN and carries its response.
 */
import { type GatewayExchange, openExchange } from '../../gateway/exchange.ts';
import { BadEnviron, type RequestHead, readHead } from '../../gateway/request-head.ts';
import type { Batch, Carrier } from '../../gateway/socket.ts';
import { GrowingBuffer } from '../../growing-buffer.ts';
import { plainResponse } from '../cgi-output.ts';
import { MAX_VARIABLES } from '../gateway-settings.ts';
import { readParams } from './params.ts';
import { AUTHORIZER, decodePairs, ProtocolError } from './records.ts';

/** What a request needs of its connection. */
export interface RequestConnection {
  readonly maxParamsSize: number;
  readonly mount: string | undefined;
  /** Writes a part of the response; `last`: the request is over with it. */
  respond(request: ActiveRequest, batch: Batch, last: boolean): boolean;
  /** Writes a whole response; the request is over with it. */
  respondWhole<T>(request: ActiveRequest, text: string, done: (of: T, error?: Error | null) => void, of: T): void;
  /** The application has destroyed the exchange. */
  breakOff(request: ActiveRequest): void;
  /** The application has not read its body: `unread` bytes wait. */
  bodyBacklog(request: ActiveRequest, unread: number): void;
  resumeBody(): void;
  /** The request has been passed to the application. */
  opened(): void;
  /** Logs that the request was refused. */
  refused(reason: string): void;
  run(exchange: GatewayExchange): void;
}

/** Characters for the web server's error log that may wait for the end of a request. */
const MAX_ERRORS = 64 * 1024;

const NO_BODY = Buffer.alloc(0);

export class ActiveRequest implements Carrier {
  readonly id: number;
  readonly keepConnection: boolean;
  readonly #role: number;
  readonly #connection: RequestConnection;
  /** The web server has sent all of it. */
  isReceived = false;
  /** The text for STDERR at the end of the request. */
  #errors = '';
  #params: GrowingBuffer | undefined;
  /** The head while it is not known whether there is a body. */
  #head: RequestHead | undefined;
  #exchange: GatewayExchange | undefined;

  constructor(id: number, role: number, keepConnection: boolean, connection: RequestConnection) {
    this.id = id;
    this.#role = role;
    this.keepConnection = keepConnection;
    this.#connection = connection;
  }

  /** Not passed to the application yet: variables are missing, or it is not known whether there is a body. */
  get headPending(): boolean {
    return this.#exchange === undefined;
  }

  /** Its head has taken too long. */
  timedOut(why: string): void {
    this.#refuse(408, 'Request Timeout', why);
  }

  /** A piece of PARAMS; the empty one ends them. */
  params(content: Buffer): void {
    if (this.#head !== undefined || this.#exchange !== undefined) return;
    if (content.length > 0) {
      this.#params ??= new GrowingBuffer();
      if (this.#params.length + content.length > this.#connection.maxParamsSize) this.#refuseParams();
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
    if (end - start > this.#connection.maxParamsSize) this.#refuseParams();
    else this.#readHead(bytes, start, end);
    this.stdin(NO_BODY);
  }

  /** Undefined: the variables are wrong, and the request is refused. */
  #readHead(bytes: Buffer, start: number, end: number): RequestHead | undefined {
    try {
      this.#head =
        this.#role === AUTHORIZER
          ? // Section 6.3: an authorizer gets no STDIN, so a length would be wrong.
            readHead(withoutLength(decodePairs(bytes.subarray(start, end), MAX_VARIABLES)), this.#connection.mount)
          : readParams(bytes, start, end, this.#connection.mount);
    } catch (error) {
      if (!(error instanceof ProtocolError || error instanceof BadEnviron)) throw error;
      this.#refuse(400, 'Bad Request', error.message);
    }
    return this.#head;
  }

  /** A piece of STDIN; the empty one ends it. */
  stdin(content: Buffer): void {
    if (content.length === 0) this.isReceived = true;
    let exchange = this.#exchange;
    if (exchange === undefined) {
      if (this.#head === undefined) return;
      // Body parsers assume that a request with neither Content-Length nor Transfer-Encoding has no body (RFC 9112
      // section 6.3). The head has neither, so STDIN decides.
      if (content.length > 0) this.#head.rawHeaders.push('Transfer-Encoding', 'chunked');
      exchange = this.#open(this.#head);
    }
    const { request, response, socket } = exchange;
    if (content.length > 0) {
      if (!socket.pushBody(Buffer.from(content))) this.#connection.bodyBacklog(this, request.readableLength);
    } else if (!socket.endBody()) {
      // The client has disconnected, and the web server passes on what it received.
      this.#connection.refused('STDIN is shorter than CONTENT_LENGTH');
      socket.reset();
      if (response.headersSent) this.#connection.breakOff(this);
      else this.#respondPlainly(400, 'Bad Request');
    }
  }

  /** The application does not keep up: more of the body waits for it than a connection may keep. */
  overflow(): void {
    const hasBegun = this.#exchange?.response.headersSent ?? false;
    this.#exchange?.socket.reset();
    if (hasBegun) this.#connection.breakOff(this);
    else this.#respondPlainly(503, 'Service Unavailable');
  }

  /** The peer has closed or has aborted the request. */
  reset(): void {
    this.#exchange?.socket.reset();
  }

  drained(): void {
    this.#exchange?.socket.drained();
  }

  #open(head: RequestHead): GatewayExchange {
    const exchange = openExchange(head, this);
    this.#exchange = exchange;
    this.#connection.opened();
    this.#connection.run(exchange);
    return exchange;
  }

  #refuseParams(): void {
    this.#refuse(431, 'Request Header Fields Too Large', `more than ${this.#connection.maxParamsSize} bytes of PARAMS`);
  }

  #refuse(status: number, reason: string, why: string): void {
    this.#connection.refused(why);
    this.#respondPlainly(status, reason);
  }

  #respondPlainly(status: number, reason: string): void {
    this.#connection.respond(
      this,
      { data: [plainResponse(status, reason)], encodings: ['latin1'], callbacks: [] },
      true,
    );
  }

  send(batch: Batch, last: boolean): boolean {
    return this.#connection.respond(this, batch, last);
  }

  sendWhole<T>(text: string, done: (of: T, error?: Error | null) => void, of: T): void {
    this.#connection.respondWhole(this, text, done, of);
  }

  resumeBody(): void {
    this.#connection.resumeBody();
  }

  abort(): void {
    this.#connection.breakOff(this);
  }

  /** False: too much waits for the end of the request already. */
  report(text: string): boolean {
    if (this.#errors.length + text.length > MAX_ERRORS) return false;
    this.#errors += text;
    return true;
  }

  /** Returns the text for STDERR, once. */
  takeErrors(): string {
    const errors = this.#errors;
    this.#errors = '';
    return errors;
  }

  /** Writes the text to standard error, since the request is over without END_REQUEST. */
  printErrors(): void {
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

/**
 * The requests in flight on a connection by their ids. Nearly always there is at most one, which needs no Map: adding and
 * removing an entry for each request would be a good part of what the connection allocates.
 */
export class RequestTable {
  #first: ActiveRequest | undefined;
  #others: Map<number, ActiveRequest> | undefined;

  get size(): number {
    return (this.#first === undefined ? 0 : 1) + (this.#others?.size ?? 0);
  }

  get(id: number): ActiveRequest | undefined {
    return this.#first?.id === id ? this.#first : this.#others?.get(id);
  }

  add(request: ActiveRequest): void {
    if (this.#first === undefined) {
      this.#first = request;
      return;
    }
    this.#others ??= new Map();
    this.#others.set(request.id, request);
  }

  /** False: it was not in the table. */
  remove(request: ActiveRequest): boolean {
    if (this.#first === request) {
      this.#first = undefined;
      return true;
    }
    return this.#others?.get(request.id) === request && this.#others.delete(request.id);
  }

  all(): ActiveRequest[] {
    return [...(this.#first === undefined ? [] : [this.#first]), ...(this.#others?.values() ?? [])];
  }

  clear(): void {
    this.#first = undefined;
    this.#others = undefined;
  }
}

/**
 * Limits the time for the head of a request on one connection: from the first byte of a record that begins something to the
 * last of the variables. There is one timer, and none if heads come in one piece, as they mostly do.
 */
export class HeadTimer {
  readonly #milliseconds: number;
  readonly #late: (request: ActiveRequest | undefined) => void;
  #timer: NodeJS.Timeout | undefined;
  /** The request that the time is for; undefined: a record that belongs to no request yet. */
  #pending: ActiveRequest | undefined;

  /**
   * @param milliseconds 0: no limit.
   * @param late called with the request whose time is over, or with undefined for an incomplete record.
   */
  constructor(milliseconds: number, late: (request: ActiveRequest | undefined) => void) {
    this.#milliseconds = milliseconds;
    this.#late = late;
  }

  /**
   * To be called after each arrival of bytes while something is incomplete.
   * @param pending the request that has waited longest for its head, if there is one.
   */
  run(pending: ActiveRequest | undefined): void {
    if (this.#milliseconds === 0) return;
    if (this.#timer === undefined) {
      this.#timer = setTimeout(() => this.#expire(), this.#milliseconds);
      this.#timer.unref();
    } else if (this.#pending === pending && pending !== undefined) {
      return;
    } else {
      // A record has grown, or one head is complete and another is not: the time starts again.
      this.#timer.refresh();
    }
    this.#pending = pending;
  }

  stop(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#pending = undefined;
  }

  #expire(): void {
    const pending = this.#pending;
    this.stop();
    this.#late(pending);
  }
}
