/**
 * One connection of a web server: the state machine between its records and the requests in flight on it (FastCGI
 * specification 1.0, sections 3 to 5). Records of an id that is not active are ignored (section 3.3); an error of the protocol
 * ends the connection.
 *
 * Bodies that the application does not read: the protocol cannot pause one request of several. With one request in flight,
 * reading stops as soon as the application does not keep up. On a multiplexed connection reading continues until one request
 * has MAX_BACKLOG bytes waiting; then it stops if that request is alone, and otherwise that request is cut (503, or a broken
 * response), so that it neither stops the others nor fills the memory.
 */
import type { GatewayExchange } from '../../gateway/exchange.ts';
import type { Batch } from '../../gateway/socket.ts';
import type { Connection, ConnectionUser } from '../../net/direct/connection.ts';
import { lingeringClose } from '../lingering-close.ts';
import type { GatewayConnection, RunningGateway } from '../running-gateway.ts';
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
import type { RequestLimits } from './request-limits.ts';
import { ActiveRequest, HeadTimer, type RequestConnection, RequestTable } from './requests.ts';
import { writeResponse, writeWhole } from './response-writer.ts';

/** Unread body that one request of a multiplexed connection may have waiting. */
const MAX_BACKLOG = 1024 * 1024;

/** Bytes of responses that may wait for the peer to read them; with more, nothing is read from it. */
const MAX_UNREAD = 1024 * 1024;

/** A connection beyond `max_connections` has this time to send the request that is refused. */
const REFUSE_MS = 2000;

export class FastcgiConnection implements RequestConnection, GatewayConnection, ConnectionUser {
  readonly #connection: Connection;
  readonly #gateway: RunningGateway;
  readonly #limits: RequestLimits;
  readonly #decoder: RecordDecoder;
  readonly #active = new RequestTable();
  readonly #overloaded: boolean;
  readonly #peer: string;
  readonly #headTimer: HeadTimer;
  /** How many of the active requests have not got their whole head. */
  #pendingHeads = 0;
  #paused = false;
  /** The peer does not read its responses, so nothing is read from it. */
  #peerIsSlow = false;
  /** A response was broken off: the connection closes without END_REQUEST when no other request needs it. */
  #doomed = false;
  #closing = false;
  used = false;
  quietChecks = 0;

  /** @param overloaded there are too many connections already: refuse its requests. */
  constructor(connection: Connection, gateway: RunningGateway, limits: RequestLimits, overloaded: boolean) {
    this.#connection = connection;
    this.#gateway = gateway;
    this.#limits = limits;
    this.#overloaded = overloaded;
    this.#peer = connection.remoteAddress ?? 'a Unix socket';
    this.#headTimer = new HeadTimer(gateway.headersTimeout, (request) => this.#headTimedOut(request));
    this.#decoder = new RecordDecoder((type, id, content) => this.#record(type, id, content));
    connection.begin(this);
    if (overloaded) connection.setTimeout(REFUSE_MS);
  }

  get maxParamsSize(): number {
    return this.#gateway.maxParamsSize;
  }

  get mount(): string | undefined {
    return this.#gateway.mount;
  }

  get idle(): boolean {
    return this.#active.size === 0 && this.#decoder.idle;
  }

  destroy(): void {
    this.#connection.destroy();
  }

  end(): void {
    this.#close(true);
  }

  handOver(): void {
    const { handOver } = this.#gateway;
    if (handOver === undefined || this.#closing || !this.idle || this.#connection.hasUnsent) return;
    // If bytes come through the socket's queue, some may still be in it.
    if (this.#connection.hasUnread) return;
    this.#closing = true;
    this.#headTimer.stop();
    handOver(this.#connection.release());
  }

  /** Takes `length` bytes, which are valid during the call only. */
  data(bytes: Buffer, length: number): void {
    if (this.#closing) return;
    this.used = true;
    this.quietChecks = 0;
    try {
      const whole = this.#decoder.idle ? wholeRequest(bytes, length) : undefined;
      if (whole === undefined) {
        this.#decoder.push(length === bytes.length ? bytes : bytes.subarray(0, length));
      } else {
        const { requestId, keepConnection, paramsAt, paramsEnd } = whole;
        this.#begin(requestId, RESPONDER, keepConnection)?.whole(bytes, paramsAt, paramsEnd);
        this.#pauseIfPeerIsSlow();
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.refused(error.message);
      this.destroy();
      return;
    }
    if (this.#pendingHeads > 0 || (this.#active.size === 0 && !this.#decoder.idle))
      this.#headTimer.run(this.#firstPending());
    else this.#headTimer.stop();
  }

  #firstPending(): ActiveRequest | undefined {
    if (this.#pendingHeads === 0) return undefined;
    for (const request of this.#active.all()) if (request.headPending) return request;
    return undefined;
  }

  /** A head or a record was not completed in time. */
  #headTimedOut(request: ActiveRequest | undefined): void {
    const limit = `within ${this.#gateway.headersTimeout / 1000} seconds`;
    if (request === undefined) {
      this.refused(`a record was not completed ${limit}`);
      this.destroy();
    } else {
      request.timedOut(`the head of a request did not arrive ${limit}`);
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
        this.#pauseIfPeerIsSlow();
        break;
      }
      case ABORT_REQUEST:
        this.#abortRequest(id);
        break;
      case GET_VALUES:
        if (id === 0) this.#getValues(content);
        this.#pauseIfPeerIsSlow();
        break;
      default:
        // Section 4.2: only management records get a response; application records of unknown type are ignored.
        if (id === 0 && (type > UNKNOWN_TYPE || type === 0)) this.#connection.socket.write(encodeUnknownType(type));
        this.#pauseIfPeerIsSlow();
    }
  }

  /** A peer that sends requests and reads no responses must not fill the memory with them. */
  #pauseIfPeerIsSlow(): void {
    if (this.#peerIsSlow || this.#connection.writableLength <= MAX_UNREAD) return;
    this.#peerIsSlow = true;
    this.#connection.pause();
    this.#connection.setTimeout(this.#gateway.sendTimeout);
  }

  /** @returns the request, unless it is refused. */
  #begin(id: number, role: number, keepConnection: boolean): ActiveRequest | undefined {
    if (id === 0) throw new ProtocolError('a BEGIN_REQUEST with the id of management records');
    if (this.#active.get(id) !== undefined)
      throw new ProtocolError('a second BEGIN_REQUEST for a request that is active');
    if (role !== RESPONDER && role !== AUTHORIZER) {
      this.#refuse(id, UNKNOWN_ROLE, keepConnection, 'a role other than RESPONDER and AUTHORIZER');
    } else if (this.#active.size > 0 && !this.#limits.multiplexed) {
      this.#refuse(id, CANT_MPX_CONN, keepConnection, 'a second request at a time, and "multiplexed" is off');
    } else if (this.#overloaded) {
      this.#refuse(id, OVERLOADED, false, `more than ${this.#gateway.maxConnections} connections`);
    } else if (this.#doomed) {
      this.#refuse(id, OVERLOADED, keepConnection, 'a request after a broken one');
    } else if (!this.#limits.admit()) {
      this.#refuse(id, OVERLOADED, keepConnection, `more than ${this.#limits.maxInflight} requests in flight`);
    } else {
      const request = new ActiveRequest(id, role, keepConnection, this);
      this.#active.add(request);
      this.#pendingHeads++;
      return request;
    }
    return undefined;
  }

  /** Sends END_REQUEST alone (section 5.5); further records of this id are ignored. */
  #refuse(id: number, protocolStatus: number, keepConnection: boolean, reason: string): void {
    this.refused(reason);
    this.#connection.socket.write(encodeEndRequest(id, protocolStatus));
    if (!keepConnection && this.#active.size === 0) this.#closeLingering();
  }

  /** Section 5.4: the client of the web server has disconnected; END_REQUEST has to follow soon. */
  #abortRequest(id: number): void {
    const request = this.#active.get(id);
    if (request === undefined) return;
    request.reset();
    // The application's listeners may have ended the whole connection.
    if (this.#active.get(id) !== request) return;
    this.#connection.socket.write(encodeEndRequest(id, REQUEST_COMPLETE, 1));
    this.#endRequest(request);
  }

  /** Section 4.1: sends the values of the requested names that are known. */
  #getValues(content: Buffer): void {
    const requested = decodePairs(content);
    const values: string[] = [];
    const known: [string, string][] = [
      ['FCGI_MAX_CONNS', String(this.#gateway.maxConnections)],
      ['FCGI_MAX_REQS', String(this.#limits.announced)],
      ['FCGI_MPXS_CONNS', this.#limits.multiplexed ? '1' : '0'],
    ];
    for (const [name, value] of known) {
      for (let i = 0; i < requested.length; i += 2) {
        if (requested[i] !== name) continue;
        values.push(name, value);
        break;
      }
    }
    this.#connection.socket.write(encodeRecord(GET_VALUES_RESULT, 0, encodePairs(values)));
  }

  // --- what requests call -------------------------------------------------------------------------------------------

  respond(request: ActiveRequest, batch: Batch, last: boolean): boolean {
    const accepted = writeResponse(this.#connection, request.id, batch, last ? request.takeErrors() : undefined);
    if (last) this.#endRequest(request);
    else if (!accepted) this.#connection.setTimeout(this.#gateway.sendTimeout);
    return accepted;
  }

  respondWhole<T>(request: ActiveRequest, text: string, done: (of: T, error?: Error | null) => void, of: T): void {
    writeWhole(this.#connection, request.id, text, request.takeErrors(), done, of);
    this.#endRequest(request);
  }

  opened(): void {
    this.#pendingHeads--;
  }

  run(exchange: GatewayExchange): void {
    this.#gateway.run(exchange);
  }

  /**
   * The connection closes without END_REQUEST: a web server that gets one may take a body of unknown length that was
   * cut for a complete one (seen with nginx 1.22).
   */
  breakOff(request: ActiveRequest): void {
    if (this.#active.get(request.id) !== request) return;
    this.#doomed = true;
    this.#endRequest(request);
  }

  bodyBacklog(request: ActiveRequest, unread: number): void {
    if (this.#limits.multiplexed && unread < MAX_BACKLOG) return;
    if (this.#active.size > 1) {
      this.refused(`one of several requests on a connection left ${MAX_BACKLOG} bytes of its body unread`);
      request.overflow();
      return;
    }
    if (this.#active.size === 0 || this.#paused) return;
    this.#paused = true;
    this.#connection.pause();
  }

  resumeBody(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (!this.#peerIsSlow) this.#connection.resume();
  }

  refused(reason: string): void {
    this.#gateway.refused(this.#peer, reason);
  }

  // --- endings --------------------------------------------------------------------------------------------------------
  // `#endRequest` ends one request, and the connection if that was the last one for it. The connection closes in one of three ways:
  // `destroy` at once, `#closeLingering` when the peer has read everything, `#close` in whichever of these loses nothing.
  // `handOver` passes it to another process instead.

  #endRequest(request: ActiveRequest): void {
    if (!this.#active.remove(request)) return;
    request.printErrors();
    this.#limits.release();
    if (request.headPending) this.#pendingHeads--;
    this.quietChecks = 0;
    this.resumeBody();
    if (this.#active.size > 0) return;
    if (this.#doomed) this.destroy();
    // With KEEP_CONN the web server decides when to close (section 3.5), unless this process is about to end.
    else if (!request.keepConnection) this.#close(request.isReceived);
    // Later, when all that was read together with the end of this request has been handled.
    else if (this.#gateway.handOver !== undefined) process.nextTick(() => this.handOver());
    else if (this.#gateway.closesAfterResponse) this.#close(request.isReceived);
  }

  /**
   * Closes a connection at once if both sides have read and written everything, since that discards nothing; it costs half the
   * system calls of an orderly end. On a connection that the web server means to use again, what it sends before it sees the end is
   * lost, and nginx does not repeat a POST: `end()` would leave it a turn of the event loop for that, closing leaves it microseconds.
   */
  #close(allRead: boolean): void {
    if (allRead && !this.#connection.hasUnsent) this.destroy();
    else this.#closeLingering();
  }

  #closeLingering(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#decoder.stop();
    this.#headTimer.stop();
    if (this.#connection.hasUnsent) this.#connection.setTimeout(this.#gateway.sendTimeout);
    lingeringClose(this.#connection.socket);
  }

  /** No bytes and no acknowledgements for a while, which is an error only if a response waits. */
  silent(): void {
    if (this.#connection.hasUnsent) {
      this.refused(`it has read nothing of its response for ${this.#gateway.sendTimeout / 1000} seconds`);
      this.destroy();
    } else if (this.#overloaded && this.#active.size === 0) {
      this.refused(`more than ${this.#gateway.maxConnections} connections`);
      this.destroy();
    }
  }

  drained(): void {
    this.#connection.setTimeout(0);
    if (this.#peerIsSlow) {
      this.#peerIsSlow = false;
      if (!this.#paused) this.#connection.resume();
    }
    for (const request of this.#active.all()) request.drained();
  }

  /** The peer has closed its side: no response can be sent any more. */
  ended(): void {
    if (this.#active.size > 0) this.destroy();
    else this.#close(true);
  }

  failed(error: Error): void {
    this.#gateway.log.debug(`FastCGI connection from ${this.#peer}: ${error.message}`);
  }

  closed(): void {
    this.#closing = true;
    this.#decoder.stop();
    this.#headTimer.stop();
    const requests = this.#active.all();
    this.#active.clear();
    for (const request of requests) {
      this.#limits.release();
      request.reset();
      request.printErrors();
    }
    this.#gateway.closed(this);
  }
}
