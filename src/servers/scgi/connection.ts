/**
 * One connection of a web server: one request and its response (https://python.ca/scgi/protocol.txt). A peer that closes its
 * side has disconnected, as with Node's HTTP server.
 */
import { type GatewayExchange, openExchange } from '../../gateway/exchange.ts';
import { BadEnviron, type RequestHead, readHead } from '../../gateway/request-head.ts';
import type { Batch, Carrier } from '../../gateway/socket.ts';
import type { Connection, ConnectionUser } from '../../net/direct/connection.ts';
import { plainResponse, writeBatch } from '../cgi-output.ts';
import { lingeringClose } from '../lingering-close.ts';
import type { GatewayConnection, RunningGateway } from '../running-gateway.ts';
import { BadHead, ScgiHeadReader } from './head.ts';

export class ScgiConnection implements Carrier, GatewayConnection, ConnectionUser {
  readonly #connection: Connection;
  readonly #gateway: RunningGateway;
  readonly #head: ScgiHeadReader;
  readonly #peer: string;
  readonly #isTcp: boolean;
  #exchange: GatewayExchange | undefined;
  /** The response is complete, or there will be none. */
  #over = false;
  #headTimer: NodeJS.Timeout | undefined;
  used = false;
  quietChecks = 0;

  /** @param overloaded there are too many connections already: refuse the request. */
  constructor(connection: Connection, gateway: RunningGateway, overloaded: boolean) {
    this.#connection = connection;
    this.#gateway = gateway;
    this.#head = new ScgiHeadReader(gateway.maxParamsSize);
    this.#isTcp = connection.remoteAddress !== undefined;
    this.#peer = connection.remoteAddress ?? 'a Unix socket';
    connection.begin(this);
    if (overloaded) {
      this.#refuse(503, 'Service Unavailable', `more than ${gateway.maxConnections} connections`);
    } else if (gateway.headersTimeout > 0) {
      this.#headTimer = setTimeout(headTimedOut, gateway.headersTimeout, this);
    }
  }

  /** Nothing of the request has come. */
  get idle(): boolean {
    return !this.used && !this.#over;
  }

  destroy(): void {
    this.#connection.destroy();
  }

  end(): void {
    this.#over = true;
    clearTimeout(this.#headTimer);
    if (this.#connection.hasUnsent) this.#connection.setTimeout(this.#gateway.sendTimeout);
    lingeringClose(this.#connection.socket);
  }

  // --- the request ----------------------------------------------------------------------------------------------------

  /** Takes `length` bytes, which are valid during the call only. */
  data(buffer: Buffer, length: number): void {
    if (this.#over) return;
    this.used = true;
    const bytes = length === buffer.length ? buffer : buffer.subarray(0, length);
    if (this.#exchange !== undefined) {
      this.#body(this.#exchange, bytes);
      return;
    }
    let head: RequestHead;
    let rest: Buffer;
    try {
      const whole = this.#head.push(bytes);
      if (whole === undefined) return;
      head = readHead(whole.pairs, this.#gateway.mount, { lengthIsForced: true });
      rest = whole.rest;
    } catch (error) {
      if (!(error instanceof BadHead || error instanceof BadEnviron)) throw error;
      this.#badHead(error);
      return;
    }
    clearTimeout(this.#headTimer);
    const exchange = openExchange(head, this);
    this.#exchange = exchange;
    this.#gateway.run(exchange);
    this.#body(exchange, rest);
  }

  /** Bytes beyond CONTENT_LENGTH are ignored. */
  #body({ socket, request }: GatewayExchange, bytes: Buffer): void {
    if (socket.bodyMissing === 0) socket.endBody();
    else if (bytes.length > 0) {
      const hasRoom = socket.pushBody(Buffer.from(bytes));
      // After the body, or after a response that did not wait for it, only the peer's end can come, so reading continues.
      if (!hasRoom && !request.complete && !this.#over) this.#connection.pause();
    }
  }

  #badHead(error: BadHead | BadEnviron): void {
    if (error.status === 431) this.#refuse(431, 'Request Header Fields Too Large', error.message);
    else if (error.status === 400) this.#refuse(400, 'Bad Request', error.message);
    else {
      this.#gateway.refused(this.#peer, error.message);
      this.#over = true;
      this.destroy();
    }
  }

  /** The head has taken too long. */
  headTimedOut(): void {
    const { headersTimeout } = this.#gateway;
    this.#refuse(408, 'Request Timeout', `its headers did not arrive within ${headersTimeout / 1000} seconds`);
  }

  #refuse(status: number, reason: string, why: string): void {
    this.#gateway.refused(this.#peer, why);
    this.#respondPlainly(status, reason);
  }

  #respondPlainly(status: number, reason: string): void {
    this.#connection.socket.write(plainResponse(status, reason), 'latin1');
    this.#exchange = undefined;
    this.end();
  }

  // --- what the exchange calls ----------------------------------------------------------------------------------------

  send(batch: Batch, last: boolean): boolean {
    const accepted = writeBatch(this.#connection.socket, batch);
    if (last) this.#complete();
    else if (!accepted) this.#connection.setTimeout(this.#gateway.sendTimeout);
    return accepted;
  }

  sendWhole<T>(text: string, done: (of: T, error?: Error | null) => void, of: T): void {
    if (!this.#connection.write(text, done, of))
      this.#connection.socket.write(text, 'latin1', (error) => done(of, error));
    this.#complete();
  }

  /** Closes the connection at once if both sides have read and written everything, since that discards nothing. */
  #complete(): void {
    const allRead = this.#exchange?.socket.bodyMissing === 0;
    this.#exchange = undefined;
    if (allRead && !this.#connection.hasUnsent) {
      this.#over = true;
      this.destroy();
    } else {
      this.end();
    }
  }

  resumeBody(): void {
    this.#connection.resume();
  }

  /**
   * The end of the connection is the end of the response, so a broken response has to end differently: by a reset. Unix sockets have
   * no reset; there a web server notices only if the response has a Content-Length.
   */
  abort(): void {
    this.#over = true;
    this.#exchange = undefined;
    if (this.#isTcp) this.#connection.socket.resetAndDestroy();
    else this.destroy();
  }

  // --- endings --------------------------------------------------------------------------------------------------------

  drained(): void {
    this.#connection.setTimeout(0);
    this.#exchange?.socket.drained();
  }

  failed(error: Error): void {
    this.#gateway.log.debug(`SCGI connection from ${this.#peer}: ${error.message}`);
  }

  /** The peer has closed its side: no response can be sent any more. */
  ended(): void {
    if (this.#over) return;
    const exchange = this.#exchange;
    if (exchange === undefined) {
      // A peer that only checks whether a server listens sends nothing.
      if (this.used) this.#gateway.refused(this.#peer, 'it closed the connection within its headers');
      this.end();
    } else if (exchange.socket.endBody()) {
      this.destroy();
    } else {
      // The client has disconnected, and the web server passes on what it received.
      this.#gateway.refused(this.#peer, 'the body is shorter than CONTENT_LENGTH');
      exchange.socket.reset();
      if (this.#over) return;
      if (exchange.response.headersSent) this.abort();
      else this.#respondPlainly(400, 'Bad Request');
    }
  }

  /** No bytes and no acknowledgements for a long time, which is an error only if a response waits. */
  silent(): void {
    if (!this.#connection.hasUnsent) return;
    this.#gateway.refused(
      this.#peer,
      `it has read nothing of its response for ${this.#gateway.sendTimeout / 1000} seconds`,
    );
    this.destroy();
  }

  closed(): void {
    this.#over = true;
    clearTimeout(this.#headTimer);
    this.#exchange?.socket.reset();
    this.#exchange = undefined;
    this.#gateway.closed(this);
  }
}

function headTimedOut(connection: ScgiConnection): void {
  connection.headTimedOut();
}
