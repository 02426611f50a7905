/**
 * One connection of a web server, seen from the application's side: one request, one answer, the end
 * (https://python.ca/scgi/protocol.txt). A peer that closes its side has gone, as with Node's HTTP server.
 */
import type { Socket } from 'node:net';
import { type Exchange, openExchange } from '../../gateway/exchange.ts';
import { BadEnviron, type RequestHead, readHead } from '../../gateway/request-head.ts';
import type { Batch, Carrier } from '../../gateway/socket.ts';
import type { Logger } from '../../log.ts';
import { closeGently } from '../close-gently.ts';
import type { GatewayConnection } from '../gateway-serving.ts';
import { plainAnswer, writeBatch } from '../plain-output.ts';
import { BadHead, HeadReader } from './head.ts';

/** What a connection needs of the server that it belongs to. */
export interface ConnectionHost {
  readonly maxConnections: number;
  readonly maxParamsSize: number;
  readonly mount: string | undefined;
  /** Milliseconds within which the head of a request has to be there; 0: any. */
  readonly headersTimeout: number;
  /** Milliseconds that a peer may take nothing of an answer that waits for it; 0: any. */
  readonly sendTimeout: number;
  readonly log: Logger;
  run(exchange: Exchange): void;
  /** Logs what was refused, once for each peer and reason. */
  refused(peer: string, reason: string): void;
  closed(connection: ScgiConnection): void;
}

export class ScgiConnection implements Carrier, GatewayConnection {
  readonly #socket: Socket;
  readonly #host: ConnectionHost;
  readonly #head: HeadReader;
  readonly #peer: string;
  readonly #isTcp: boolean;
  #exchange: Exchange | undefined;
  /** The answer is complete, or there will be none. */
  #over = false;
  #late: NodeJS.Timeout | undefined;
  used = false;
  quiet = 0;

  /** @param overloaded refuse what comes: there are too many connections already. */
  constructor(socket: Socket, host: ConnectionHost, overloaded: boolean) {
    this.#socket = socket;
    this.#host = host;
    this.#head = new HeadReader(host.maxParamsSize);
    // Known only while the socket is open.
    this.#isTcp = socket.remoteAddress !== undefined;
    this.#peer = socket.remoteAddress ?? 'a Unix socket';
    socket.on('data', (bytes: Buffer) => this.#data(bytes));
    socket.on('drain', () => this.#exchange?.socket.drained());
    socket.on('end', () => this.#ended());
    socket.on('error', (error) => host.log.debug(`SCGI connection from ${this.#peer}: ${error.message}`));
    socket.on('close', () => this.#closed());
    socket.setTimeout(host.sendTimeout, () => this.#silent());
    if (overloaded) {
      this.#refuse(503, 'Service Unavailable', `more than ${host.maxConnections} connections`);
    } else if (host.headersTimeout > 0) {
      this.#late = setTimeout(refuseLate, host.headersTimeout, this);
    }
  }

  /** Nothing of a request has come. */
  get idle(): boolean {
    return !this.used && !this.#over;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  end(): void {
    this.#over = true;
    clearTimeout(this.#late);
    closeGently(this.#socket);
  }

  // --- the request ----------------------------------------------------------------------------------------------------

  #data(bytes: Buffer): void {
    if (this.#over) return;
    this.used = true;
    if (this.#exchange !== undefined) {
      this.#body(this.#exchange, bytes);
      return;
    }
    let head: RequestHead;
    let rest: Buffer;
    try {
      const whole = this.#head.push(bytes);
      if (whole === undefined) return;
      head = readHead(whole.pairs, this.#host.mount, { lengthIsForced: true });
      rest = whole.rest;
    } catch (error) {
      if (!(error instanceof BadHead || error instanceof BadEnviron)) throw error;
      this.#badHead(error);
      return;
    }
    clearTimeout(this.#late);
    const exchange = openExchange(head, this);
    this.#exchange = exchange;
    this.#host.run(exchange);
    this.#body(exchange, rest);
  }

  /** What exceeds CONTENT_LENGTH is cut off there. */
  #body({ socket, request }: Exchange, bytes: Buffer): void {
    if (socket.bodyMissing === 0) socket.endBody();
    // After the body, or an answer that did not wait for it, there is nothing to hold back: only the peer's end can come.
    else if (bytes.length > 0 && !socket.pushBody(bytes) && !request.complete && !this.#over) this.#socket.pause();
  }

  #badHead(error: BadHead | BadEnviron): void {
    if (error.status === 431) this.#refuse(431, 'Request Header Fields Too Large', error.message);
    else if (error.status === 400) this.#refuse(400, 'Bad Request', error.message);
    else {
      this.#host.refused(this.#peer, error.message);
      this.#over = true;
      this.destroy();
    }
  }

  /** The head has taken too long. */
  late(): void {
    const { headersTimeout } = this.#host;
    this.#refuse(408, 'Request Timeout', `its headers were not there after ${headersTimeout / 1000} seconds`);
  }

  #refuse(status: number, reason: string, why: string): void {
    this.#host.refused(this.#peer, why);
    this.#answerPlainly(status, reason);
  }

  #answerPlainly(status: number, reason: string): void {
    this.#socket.write(plainAnswer(status, reason), 'latin1');
    this.#exchange = undefined;
    this.end();
  }

  // --- what the exchange calls ----------------------------------------------------------------------------------------

  send(batch: Batch, last: boolean): boolean {
    const accepted = writeBatch(this.#socket, batch);
    if (last) {
      this.#exchange = undefined;
      this.end();
    }
    return accepted;
  }

  resumeBody(): void {
    this.#socket.resume();
  }

  /**
   * The end of the connection is the end of the answer, so a broken one has to end otherwise: by a reset. A Unix socket has
   * none; there a web server sees it only where the answer has a Content-Length.
   */
  abort(): void {
    this.#over = true;
    this.#exchange = undefined;
    if (this.#isTcp) this.#socket.resetAndDestroy();
    else this.destroy();
  }

  // --- endings --------------------------------------------------------------------------------------------------------

  /** The peer has closed: there is nobody to answer. */
  #ended(): void {
    if (this.#over) return;
    const exchange = this.#exchange;
    if (exchange === undefined) {
      // A peer that only looks whether somebody listens sends nothing.
      if (this.used) this.#host.refused(this.#peer, 'it closed within its headers');
      this.end();
    } else if (exchange.socket.endBody()) {
      this.destroy();
    } else {
      // The client broke off, and the web server passes on what came.
      this.#host.refused(this.#peer, 'the body is shorter than CONTENT_LENGTH');
      exchange.socket.reset();
      if (this.#over) return;
      if (exchange.response.headersSent) this.abort();
      else this.#answerPlainly(400, 'Bad Request');
    }
  }

  /** Neither byte nor acknowledgement for a long time, which may be the application's right. */
  #silent(): void {
    if (this.#socket.writableLength === 0) return;
    this.#host.refused(this.#peer, `it has read nothing of its answer for ${this.#host.sendTimeout / 1000} seconds`);
    this.destroy();
  }

  #closed(): void {
    this.#over = true;
    clearTimeout(this.#late);
    this.#exchange?.socket.reset();
    this.#exchange = undefined;
    this.#host.closed(this);
  }
}

function refuseLate(connection: ScgiConnection): void {
  connection.late();
}
