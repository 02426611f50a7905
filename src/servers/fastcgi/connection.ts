/**
 * One connection of a web server, seen from the application's side: the state machine between its records and the
 * requests in flight on it (FastCGI specification 1.0, sections 3 to 5). Requests it knows by their ids; an id that
 * is not active is ignored (section 3.3), a fault of the protocol ends the connection.
 *
 * Bodies that wait. The protocol cannot hold back one request of several, so: with one request in flight, reading stops
 * as soon as the application does not keep up. On a multiplexed connection reading goes on until one request has
 * MAX_BACKLOG bytes waiting; then it stops if that request is alone, and otherwise that request is cut (503, or a
 * broken answer), so that it neither stops the others nor eats memory for them.
 */
import type { Socket } from 'node:net';
import type { Exchange } from '../../gateway/exchange.ts';
import type { Batch } from '../../gateway/socket.ts';
import type { Logger } from '../../log.ts';
import { DirectWriter, takeBytes } from '../../net/direct-io.ts';
import { closeGently } from '../close-gently.ts';
import type { GatewayConnection } from '../gateway-serving.ts';
import { ActiveRequest, type RequestHost } from './active-request.ts';
import { writeAnswer, writeWhole } from './answer.ts';
import { HeadClock } from './head-clock.ts';
import {
  ABORT_REQUEST,
  AUTHORIZER,
  BEGIN_REQUEST,
  CANT_MPX_CONN,
  decodeBeginRequest,
  decodePairs,
  encodeEndRequest,
  encodePairs,
  encodeRecord,
  encodeUnknownType,
  GET_VALUES,
  GET_VALUES_RESULT,
  OVERLOADED,
  PARAMS,
  ProtocolError,
  REQUEST_COMPLETE,
  RESPONDER,
  RecordDecoder,
  STDIN,
  UNKNOWN_ROLE,
  UNKNOWN_TYPE,
  wholeRequest,
} from './records.ts';
import { RequestTable } from './request-table.ts';

/** Unread body that one request of a multiplexed connection may have waiting. */
export const MAX_BACKLOG = 1024 * 1024;

/** Answers that may wait for the peer to read before nothing more is read from it. */
const MAX_UNREAD = 1024 * 1024;

/** So long a connection beyond `max_connections` may take to send the request that is turned away. */
const TURN_AWAY_MS = 2000;

/** What a connection needs of the server that it belongs to. */
export interface ConnectionHost {
  readonly maxConnections: number;
  readonly maxRequestsInFlight: number;
  readonly maxParamsSize: number;
  /** Milliseconds within which a head that has begun has to be there; 0: any. */
  readonly headersTimeout: number;
  /** Milliseconds that a peer may take nothing of an answer that waits for it; 0: any. */
  readonly sendTimeout: number;
  readonly mount: string | undefined;
  readonly multiplexed: boolean;
  readonly log: Logger;
  /** It is stopping, and has waited long enough for a quiet moment: a connection closes with its answer. */
  readonly closesWithAnswer: boolean;
  /** It is stopping, and somebody else goes on: takes connections that are kept. */
  readonly handOver: ((socket: Socket) => void) | undefined;
  /** False where that many requests are in flight already. */
  admit(): boolean;
  released(): void;
  run(exchange: Exchange): void;
  /** Logs what was refused, once for each peer and reason. */
  refused(peer: string, reason: string): void;
  closed(connection: Connection): void;
}

export class Connection implements RequestHost, GatewayConnection {
  readonly #socket: Socket;
  readonly #writer: DirectWriter;
  readonly #host: ConnectionHost;
  readonly #decoder: RecordDecoder;
  readonly #active = new RequestTable();
  readonly #overloaded: boolean;
  readonly #peer: string;
  readonly #clock: HeadClock<ActiveRequest>;
  /** How many of the active requests have not got their whole head. */
  #pendingHeads = 0;
  #paused = false;
  /** The peer does not read, so nothing is read from it. */
  #unread = false;
  /** An answer was broken off: the connection closes without END_REQUEST as soon as nobody else needs it. */
  #doomed = false;
  #closing = false;
  used = false;
  quiet = 0;

  /** @param overloaded refuse what comes: there are too many connections already. */
  constructor(socket: Socket, host: ConnectionHost, overloaded: boolean) {
    this.#socket = socket;
    this.#writer = new DirectWriter(socket);
    this.#host = host;
    this.#overloaded = overloaded;
    // Known only while the socket is open.
    this.#peer = socket.remoteAddress ?? 'a Unix socket';
    this.#clock = new HeadClock(host.headersTimeout, (request) => this.#late(request));
    this.#decoder = new RecordDecoder((type, id, content) => this.#record(type, id, content));
    const direct = takeBytes(socket, (bytes, length) => this.#data(bytes, length));
    if (!direct) socket.on('data', (bytes: Buffer) => this.#data(bytes, bytes.length));
    socket.on('drain', () => this.#drained());
    socket.on('end', () => this.#ended());
    socket.on('error', (error) => host.log.debug(`FastCGI connection from ${this.#peer}: ${error.message}`));
    socket.on('close', () => this.#closed());
    socket.on('timeout', () => this.#silent());
    if (overloaded) socket.setTimeout(TURN_AWAY_MS);
  }

  get maxParamsSize(): number {
    return this.#host.maxParamsSize;
  }

  get mount(): string | undefined {
    return this.#host.mount;
  }

  get idle(): boolean {
    return this.#active.size === 0 && this.#decoder.idle;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  end(): void {
    this.#leave(true);
  }

  handOver(): void {
    const { handOver } = this.#host;
    if (handOver === undefined || this.#closing || !this.idle || this.#answerWaits) return;
    // Where bytes come by way of the socket's queue, some may still be in it.
    if (this.#socket.readableLength > 0) return;
    this.#closing = true;
    this.#clock.stop();
    handOver(this.#socket);
  }

  /** `length` bytes have come; they are valid during the call only. */
  #data(bytes: Buffer, length: number): void {
    if (this.#closing) return;
    this.used = true;
    this.quiet = 0;
    try {
      const whole = this.#decoder.idle ? wholeRequest(bytes, length) : undefined;
      if (whole === undefined) {
        this.#decoder.push(length === bytes.length ? bytes : bytes.subarray(0, length));
      } else {
        const { requestId, keepConnection, paramsAt, paramsEnd } = whole;
        this.#begin(requestId, RESPONDER, keepConnection)?.whole(bytes, paramsAt, paramsEnd);
        this.#mindUnread();
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.refused(error.message);
      this.destroy();
      return;
    }
    if (this.#pendingHeads > 0 || (this.#active.size === 0 && !this.#decoder.idle))
      this.#clock.run(this.#firstPending());
    else this.#clock.stop();
  }

  #firstPending(): ActiveRequest | undefined {
    if (this.#pendingHeads === 0) return undefined;
    for (const request of this.#active.all()) if (request.headPending) return request;
    return undefined;
  }

  /** What has begun has not been completed in time. */
  #late(request: ActiveRequest | undefined): void {
    const limit = `within ${this.#host.headersTimeout / 1000} seconds`;
    if (request === undefined) {
      this.refused(`a record was not completed ${limit}`);
      this.destroy();
    } else {
      request.late(`the head of a request was not there ${limit}`);
    }
  }

  #record(type: number, id: number, content: Buffer): void {
    switch (type) {
      case PARAMS:
        this.#active.get(id)?.params(content);
        break;
      case STDIN:
        this.#active.get(id)?.stdin(content);
        break;
      case BEGIN_REQUEST: {
        const { role, keepConnection } = decodeBeginRequest(content);
        this.#begin(id, role, keepConnection);
        this.#mindUnread();
        break;
      }
      case ABORT_REQUEST:
        this.#abortRequest(id);
        break;
      case GET_VALUES:
        if (id === 0) this.#getValues(content);
        this.#mindUnread();
        break;
      default:
        // Section 4.2: only management records are answered; an application record of unknown type means nothing.
        if (id === 0 && (type > UNKNOWN_TYPE || type === 0)) this.#socket.write(encodeUnknownType(type));
        this.#mindUnread();
    }
  }

  /** A peer that asks and asks and reads no answer must not fill the memory with them. */
  #mindUnread(): void {
    if (this.#unread || this.#socket.writableLength <= MAX_UNREAD) return;
    this.#unread = true;
    this.#socket.pause();
    this.#socket.setTimeout(this.#host.sendTimeout);
  }

  /** The request, unless it was turned away. */
  #begin(id: number, role: number, keepConnection: boolean): ActiveRequest | undefined {
    if (id === 0) throw new ProtocolError('a BEGIN_REQUEST with the id of management records');
    if (this.#active.get(id) !== undefined)
      throw new ProtocolError('a second BEGIN_REQUEST for a request that is active');
    if (role !== RESPONDER && role !== AUTHORIZER) {
      this.#turnAway(id, UNKNOWN_ROLE, keepConnection, 'a role other than RESPONDER and AUTHORIZER');
    } else if (this.#active.size > 0 && !this.#host.multiplexed) {
      this.#turnAway(id, CANT_MPX_CONN, keepConnection, 'a second request at a time, and "multiplexed" is off');
    } else if (this.#overloaded) {
      this.#turnAway(id, OVERLOADED, false, `more than ${this.#host.maxConnections} connections`);
    } else if (this.#doomed) {
      this.#turnAway(id, OVERLOADED, keepConnection, 'a request after a broken one');
    } else if (!this.#host.admit()) {
      this.#turnAway(id, OVERLOADED, keepConnection, `more than ${this.#host.maxRequestsInFlight} requests in flight`);
    } else {
      const request = new ActiveRequest(id, role, keepConnection, this);
      this.#active.add(request);
      this.#pendingHeads++;
      return request;
    }
    return undefined;
  }

  /** Section 5.5: END_REQUEST alone; what else comes for this id is ignored. */
  #turnAway(id: number, protocolStatus: number, keepConnection: boolean, reason: string): void {
    this.refused(reason);
    this.#socket.write(encodeEndRequest(id, protocolStatus));
    if (!keepConnection && this.#active.size === 0) this.#close();
  }

  /** Section 5.4: the client of the web server has gone; END_REQUEST is due soon. */
  #abortRequest(id: number): void {
    const request = this.#active.get(id);
    if (request === undefined) return;
    request.reset();
    // The application's listeners may have ended the whole connection.
    if (this.#active.get(id) !== request) return;
    this.#socket.write(encodeEndRequest(id, REQUEST_COMPLETE, 1));
    this.#over(request);
  }

  /** Section 4.1: of the names asked for, those that are known. */
  #getValues(content: Buffer): void {
    const asked = decodePairs(content);
    const values: string[] = [];
    const known: [string, string][] = [
      ['FCGI_MAX_CONNS', String(this.#host.maxConnections)],
      ['FCGI_MAX_REQS', String(this.#host.maxRequestsInFlight)],
      ['FCGI_MPXS_CONNS', this.#host.multiplexed ? '1' : '0'],
    ];
    for (const [name, value] of known) {
      for (let i = 0; i < asked.length; i += 2) {
        if (asked[i] !== name) continue;
        values.push(name, value);
        break;
      }
    }
    this.#socket.write(encodeRecord(GET_VALUES_RESULT, 0, encodePairs(values)));
  }

  // --- what requests call -------------------------------------------------------------------------------------------

  answer(request: ActiveRequest, batch: Batch, last: boolean): boolean {
    const accepted = writeAnswer(
      this.#socket,
      this.#writer,
      request.id,
      batch,
      last ? request.takeErrors() : undefined,
    );
    if (last) this.#over(request);
    else if (!accepted) this.#socket.setTimeout(this.#host.sendTimeout);
    return accepted;
  }

  answerWhole<T>(request: ActiveRequest, text: string, done: (of: T, error?: Error | null) => void, of: T): void {
    writeWhole(this.#socket, this.#writer, request.id, text, request.takeErrors(), done, of);
    this.#over(request);
  }

  opened(): void {
    this.#pendingHeads--;
  }

  run(exchange: Exchange): void {
    this.#host.run(exchange);
  }

  /**
   * The connection closes without END_REQUEST: a web server that gets one may take a body of unknown length that was
   * cut for a complete one (seen with nginx 1.22).
   */
  breakOff(request: ActiveRequest): void {
    if (this.#active.get(request.id) !== request) return;
    this.#doomed = true;
    this.#over(request);
  }

  bodyBacklog(request: ActiveRequest, unread: number): void {
    if (this.#host.multiplexed && unread < MAX_BACKLOG) return;
    if (this.#active.size > 1) {
      this.refused(`a request of several on one connection left ${MAX_BACKLOG} bytes of its body unread`);
      request.overflow();
      return;
    }
    if (this.#active.size === 0 || this.#paused) return;
    this.#paused = true;
    this.#socket.pause();
  }

  resumeBody(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (!this.#unread) this.#socket.resume();
  }

  refused(reason: string): void {
    this.#host.refused(this.#peer, reason);
  }

  // --- endings --------------------------------------------------------------------------------------------------------

  #over(request: ActiveRequest): void {
    if (!this.#active.remove(request)) return;
    request.loseErrors();
    this.#host.released();
    if (request.headPending) this.#pendingHeads--;
    this.quiet = 0;
    this.resumeBody();
    if (this.#active.size > 0) return;
    if (this.#doomed) this.destroy();
    // With KEEP_CONN closing is the web server's right (section 3.5); unless this process is about to go.
    else if (!request.keepConnection) this.#close();
    // When what has been read with the end of this request has been looked at.
    else if (this.#host.handOver !== undefined) process.nextTick(() => this.handOver());
    else if (this.#host.closesWithAnswer) this.#leave(request.sentWhole);
  }

  /**
   * Closes a connection that the web server means to use again, and has no way to know better: what it sends before it
   * sees the end is lost, and nginx does not repeat a POST. `end()` would leave it a turn of the event loop to do so,
   * closing leaves it microseconds; and nothing is taken back where both sides have read and written everything.
   */
  #leave(allRead: boolean): void {
    if (allRead && !this.#answerWaits) this.destroy();
    else this.#close();
  }

  #close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#decoder.stop();
    this.#clock.stop();
    if (this.#answerWaits) this.#socket.setTimeout(this.#host.sendTimeout);
    closeGently(this.#socket);
  }

  /** The peer has not taken all that was written. */
  get #answerWaits(): boolean {
    return this.#socket.writableLength > 0 || this.#writer.waiting;
  }

  /** Neither bytes nor acknowledgements for a while: no fault, unless an answer waits. */
  #silent(): void {
    if (this.#answerWaits) {
      this.refused(`it has read nothing of its answer for ${this.#host.sendTimeout / 1000} seconds`);
      this.destroy();
    } else if (this.#overloaded && this.#active.size === 0) {
      this.refused(`more than ${this.#host.maxConnections} connections`);
      this.destroy();
    }
  }

  #drained(): void {
    this.#socket.setTimeout(0);
    if (this.#unread) {
      this.#unread = false;
      if (!this.#paused) this.#socket.resume();
    }
    for (const request of this.#active.all()) request.drained();
  }

  /** The peer has closed: there is nobody to answer. */
  #ended(): void {
    if (this.#active.size > 0) this.destroy();
    else this.#close();
  }

  #closed(): void {
    this.#closing = true;
    this.#decoder.stop();
    this.#clock.stop();
    const requests = this.#active.all();
    this.#active.clear();
    for (const request of requests) {
      this.#host.released();
      request.reset();
      request.loseErrors();
    }
    this.#host.closed(this);
  }
}
