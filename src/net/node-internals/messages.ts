/**
 * An IncomingMessage that Node's parser has not made, and a ServerResponse whose head is that of a CGI response. test-once.ts says
 * how Node is tested for them.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { symbolsOf, testOnce } from './test-once.ts';

// --- request: an IncomingMessage that Node's parser has not made ----------------------------------------------------------

/** State of Node's IncomingMessage and of every Readable that the published types leave out. */
interface RequestState {
  /** Keeps header lines; `headers` and `headersDistinct` are made from them when they are first read. */
  _addHeaderLines(lines: string[], count: number): void;
  /** Throws away a body that is not read: a shorter way to 'end' than `resume()` since Node 26. */
  _dump(): void;
  /** Node's `_read` sets it, and asks for nothing before it is set. */
  _consuming: boolean;
  readonly _readableState: Record<
    'ended' | 'endEmitted' | 'destroyed' | 'closed' | 'closeEmitted' | 'readingMore',
    boolean
  >;
}

type NodeRequest = IncomingMessage & RequestState;

/** Tested: header lines and trailers arrive, and the flags of the stream are those that its public properties show. */
const requestIsKnown = testOnce('request', () => {
  const request = newRequest() as NodeRequest;
  request._addHeaderLines(['X-A', '1', 'X-A', '2'], 4);
  request.complete = true;
  request._addHeaderLines(['X-B', '3'], 2);
  const { 'x-a': joined, 'x-b': absent } = request.headers;
  if (joined !== '1, 2' || absent !== undefined || request.trailers['x-b'] !== '3') return undefined;
  if (typeof request._dump !== 'function' || typeof request._consuming !== 'boolean') return undefined;
  setEnded(request);
  return request.readableEnded && request.destroyed && request.closed ? true : undefined;
});

function newRequest(): IncomingMessage {
  return new (process.getBuiltinModule('node:http').IncomingMessage)(undefined as unknown as Socket);
}

/** Gives a request its header lines, or its trailers if it is complete. False: they have to be set by public properties. */
export function addHeaderLines(request: IncomingMessage, lines: string[]): boolean {
  if (!requestIsKnown()) return false;
  (request as NodeRequest)._addHeaderLines(lines, lines.length);
  return true;
}

/**
 * Throws away the body of a request that is not read. Without `_dump`, older versions of Node need `resume` and newer ones `read`, so
 * that 'end' and 'close' come in the order that Node itself has in that version.
 */
export function discardBody(request: IncomingMessage): void {
  if (requestIsKnown()) (request as NodeRequest)._dump();
  else if (Number.parseInt(process.versions.node, 10) < 24) request.resume();
  else while (request.read() !== null);
}

/**
 * Puts a request that has been received and that nothing listens to into the state after 'end' and 'close', without these
 * events. False: the request has to be ended by its events.
 */
export function endSilently(request: IncomingMessage): boolean {
  if (!requestIsKnown()) return false;
  setEnded(request as NodeRequest);
  return true;
}

function setEnded({ _readableState: state }: NodeRequest): void {
  state.ended = true;
  state.endEmitted = true;
  state.destroyed = true;
  state.closed = true;
  state.closeEmitted = true;
}

/** For a `_read` that replaces that of IncomingMessage: without this a stream asks for nothing more. */
export function markConsuming(request: IncomingMessage): void {
  const state = request as Partial<NodeRequest>;
  if (state._consuming !== false || state._readableState === undefined) return;
  state._consuming = true;
  state._readableState.readingMore = false;
}

// --- head and end: a ServerResponse whose head is that of a CGI response ---------------------------------------------------

/** Headers as Node keeps them: by lower-cased name, the name as written and the value. */
export type HeaderTable = Record<string, [name: string, value: number | string | readonly string[]]>;

/** State of Node's OutgoingMessage and ServerResponse that the published types leave out. */
export interface ResponseState {
  /** What `headersSent` reads and what precedes the first write. */
  _header: string | null;
  _headerSent: boolean;
  _hasBody: boolean;
  _contentLength: number | null;
  _removedContLen: boolean;
  _closed: boolean;
  _send(data: string, encoding: BufferEncoding): boolean;
  /** Makes the head by `writeHead`. */
  _implicitHeader(): void;
  /** Called by `writeHead`: sets `_header`. */
  _storeHeader(statusLine: string, headers?: HeaderTable | Record<string, unknown> | readonly unknown[] | null): void;
  /** Called by `end` when everything has been written; emits 'prefinish'. */
  _finish(): void;
}

type NodeResponse = ServerResponse & ResponseState;

/** A response, and what it writes. Enough of a socket for `end`. */
function newResponse(): { response: NodeResponse; written: string[] } {
  const { ServerResponse } = process.getBuiltinModule('node:http');
  const response = new ServerResponse(newRequest()) as NodeResponse;
  const written: string[] = [];
  const write = (data: string): boolean => written.push(data) > 0;
  const socket = {
    write,
    cork() {},
    uncork() {},
    writable: true,
    writableLength: 0,
    _httpMessage: response,
    _writableState: {},
  };
  Reflect.set(response, 'socket', socket);
  return { response, written };
}

/** Whether a method is Node's own: only Node's sources contain its private names. */
function isNodes(method: unknown, privateName: string): boolean {
  return String(method).includes(privateName);
}

/**
 * Whether paster can make the head of a response. Tested: `end` calls `_storeHeader` with the status line and knows the length, the
 * head precedes the body, and `_finish` follows. Where a library has replaced `end` or `writeHead`, only their parts are
 * looked for, since the library must not see this response.
 */
export const canMakeHead = testOnce('head', () => {
  const { response, written } = newResponse();
  const made: unknown[] = [];
  const { _storeHeader, _finish, _implicitHeader, _send } = response;
  if (![_storeHeader, _finish, _implicitHeader, _send].every((each) => typeof each === 'function')) return undefined;
  if (!isNodes(response.end, 'kCorked') || !isNodes(response.writeHead, '_storeHeader')) return true;
  response._storeHeader = (statusLine) => {
    made.push(statusLine, response._contentLength, response._hasBody, response._removedContLen);
    response._header = 'head\r\n\r\n';
    response._headerSent = false;
  };
  response._finish = () => void made.push('finished');
  response.end('body');
  made.push(written.join(''), response.headersSent);
  const expected = ['HTTP/1.1 200 OK\r\n', 4, true, false, 'finished', 'head\r\n\r\nbody', true];
  return made.every((each, i) => each === expected[i]) && made.length === expected.length ? true : undefined;
});

/** What the fast paths for setting a header and for ending a response need. */
export interface ResponseShortcuts {
  /** Where a response has its HeaderTable, or null. */
  readonly headers: symbol;
  /** Node's own methods; undefined if a library has replaced them, since a fast path would skip the library's. */
  readonly nodesEnd: ServerResponse['end'] | undefined;
  readonly nodesSetHeader: ServerResponse['setHeader'] | undefined;
  /** Sets the state that a response has after it has been sent. 'finish' is not emitted. */
  complete(response: ServerResponse): void;
}

/** Tested: headers that are put into the table are there for `getHeader`, and the other way round; so is the end. */
export const responseShortcuts = testOnce('end', (): ResponseShortcuts | undefined => {
  if (!canMakeHead()) return undefined;
  const { response } = newResponse();
  const { setHeader, end } = response;
  const find = symbolsOf(response);
  const headers = find('kOutHeaders');
  if (headers === undefined) return undefined;
  const [kWritableFinished, kEndCallbacks] = [find('kWritableFinished'), find('kEndCallbacks')];
  Reflect.set(response, headers, { 'x-a': ['X-A', '1'] });
  if (response.getHeader('x-a') !== '1' || !response.hasHeader('X-A')) return undefined;
  const complete = (ended: ServerResponse): void => {
    if (kWritableFinished !== undefined) Reflect.set(ended, kWritableFinished, true);
    if (kEndCallbacks === undefined) return;
    const callbacks: unknown = Reflect.get(ended, kEndCallbacks);
    Reflect.set(ended, kEndCallbacks, null);
    if (Array.isArray(callbacks)) for (const callback of callbacks) callback(null);
  };
  response.finished = true;
  response._headerSent = true;
  complete(response);
  if (!response.writableFinished) return undefined;
  return {
    headers,
    nodesEnd: isNodes(end, 'kCorked') ? end : undefined,
    nodesSetHeader: isNodes(setHeader, 'kOutHeaders') ? setHeader : undefined,
    complete,
  };
});

/** The flag behind `writableNeedDrain`, which only Node's own HTTP server resets. Tested: it is that flag. */
const needDrainField = testOnce('end', () => {
  const { response } = newResponse();
  const field = symbolsOf(response)('kNeedDrain');
  if (field === undefined) return undefined;
  Reflect.set(response, field, true);
  return response.writableNeedDrain ? field : undefined;
});

/** To be called when a response may write again: else a stream that is piped into it afterwards would wait for ever. */
export function clearNeedDrain(response: ServerResponse): void {
  const field = needDrainField();
  if (field !== undefined) {
    Reflect.set(response, field, false);
  } else if (!Object.hasOwn(response, 'writableNeedDrain')) {
    const get = (): boolean => response.socket?.writableNeedDrain ?? false;
    Object.defineProperty(response, 'writableNeedDrain', { configurable: true, get });
  }
}

/** The state of a response after 'close'. False: it has been closed before. */
export function markClosed(response: ServerResponse): boolean {
  const state = response as NodeResponse;
  if (state._closed) return false;
  state.destroyed = true;
  state._closed = true;
  return true;
}

/** What an application has given to `addTrailers`: header lines. */
export function trailerLines(response: ServerResponse): string {
  return String(Reflect.get(response, '_trailer') ?? '');
}
