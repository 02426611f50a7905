/**
 * The parts of Node's streams that paster uses although they are not public: to read and write the bytes of a connection without
 * the queues of `net.Socket`, and to accept connections without a `net.Socket`. See ../node-internals/test-once.ts for the rules.
 */
import { channel } from 'node:diagnostics_channel';
import { Server, Socket } from 'node:net';
import { constants } from 'node:os';
import { handleOf } from '../node-internals/handles.ts';
import { symbolsOf, testOnce } from '../node-internals/test-once.ts';

/** The handle of a connection, as libuv's streams are called from JavaScript. */
export interface StreamHandle {
  /** Set by its owner: whether it has started to read. */
  reading: boolean;
  /** Called with what arrives. */
  onread: unknown;
  /** @returns a negative error number, or 0. */
  readStart(): number;
  useUserBuffer(buffer: Buffer): void;
  writeLatin1String(request: WriteRequest | null, text: string): number | WriteRequest;
  writeBuffer(request: WriteRequest | null, bytes: Buffer): number | WriteRequest;
  /** Gives up unfinished writes, and then calls back. */
  close(callback?: () => void): void;
  /** Bytes that the system has not accepted yet. */
  readonly writeQueueSize: number;
  readonly bytesWritten: number;
  readonly bytesRead: number;
  /** Only of TCP. */
  setNoDelay?(on: boolean): number;
  getpeername?(peer: { address?: string }): number;
  getsockname?(own: { address?: string }): number;
}

const STREAM_METHODS = [
  'readStart',
  'useUserBuffer',
  'writeLatin1String',
  'writeBuffer',
  'close',
  'writeQueueSize',
  'bytesWritten',
  'bytesRead',
];

/** The class of handles that was last found to have the methods: there are two, of TCP and of Unix sockets. */
let knownClass: unknown;

function isStreamHandle(value: object | undefined): value is StreamHandle {
  if (value === undefined) return false;
  const itsClass = value.constructor;
  if (itsClass === knownClass) return true;
  if (!STREAM_METHODS.every((name) => name in value)) return false;
  if (itsClass !== Object) knownClass = itsClass;
  return true;
}

/** The handle that bytes can be read from and written to directly; undefined if the socket has none of that kind. */
export function streamHandle(socket: Socket): StreamHandle | undefined {
  const handle = handleOf(socket);
  return isStreamHandle(handle) ? handle : undefined;
}

// --- read ------------------------------------------------------------------------------------------------------------

/** The fields of a socket for the buffer that it reads into, and for the function that it calls with the number of bytes read. */
export interface ReaderFields {
  readonly buffer: symbol;
  readonly callback: symbol;
}

/**
 * The fields that the documented option `onread` of `new net.Socket()` sets. An accepted socket cannot be given that option.
 * Tested: the option sets these two, and makes the handle read into the buffer.
 */
export const readerFields = testOnce('read', (): ReaderFields | undefined => {
  let userBuffer: unknown;
  const handle = { readStart() {}, readStop() {}, close() {}, useUserBuffer: (given: unknown) => (userBuffer = given) };
  const onread = { buffer: Buffer.alloc(1), callback: () => true };
  const reading = new Socket({ handle, manualStart: true, onread } as object);
  const find = symbolsOf(reading);
  const [buffer, callback] = [find('kBuffer'), find('kBufferCb')];
  if (buffer === undefined || callback === undefined || userBuffer !== onread.buffer) return undefined;
  if (Reflect.get(reading, buffer) !== onread.buffer || Reflect.get(reading, callback) !== onread.callback)
    return undefined;
  return { buffer, callback };
});

// --- write -----------------------------------------------------------------------------------------------------------

/** Node's WriteWrap: one write that the system does not accept at once. */
export interface WriteRequest {
  handle?: StreamHandle;
  /** @param status a negative error number, or 0. */
  oncomplete?: (status: number) => void;
  /** Kept until the system has accepted them. */
  bytes?: Buffer;
  /** Since Node 24.22: how it ended, if it did before there was an `oncomplete`. */
  writeStatus?: number | null;
}

/**
 * Writes bytes, or a text of one byte per character.
 * @returns 0 if the system has accepted it, a negative error number, or the request that waits: its `oncomplete` will be called.
 */
export type DirectWrite = (handle: StreamHandle, data: string | Buffer) => number | WriteRequest;

/**
 * Tested: a socket passes its handle a text with an instance of WriteWrap, which has the handle and a callback in it, or since
 * Node 24.22 with null.
 */
export const directWrite = testOnce('write', (): DirectWrite | undefined => {
  let passed: unknown;
  const handle = {
    writeLatin1String(request: unknown) {
      passed = request;
      return 0;
    },
    readStart() {},
    readStop() {},
  };
  let error: unknown;
  const socket = new Socket({ handle, readable: false, manualStart: true } as object);
  socket.on('error', (failure) => (error = failure));
  socket.write('x', 'latin1');
  if (passed === null && error === undefined) return writeWithoutRequest;
  if (typeof passed !== 'object' || passed?.constructor.name !== 'WriteWrap') return undefined;
  const { handle: itsHandle, oncomplete } = passed as Record<string, unknown>;
  if (itsHandle !== handle || typeof oncomplete !== 'function') return undefined;
  return writeWithRequest(passed.constructor as new () => WriteRequest);
});

/** A request that was not needed serves the next write. */
function writeWithRequest(Request: new () => WriteRequest): DirectWrite {
  let spare: WriteRequest | undefined;
  return (handle, data) => {
    const request = spare ?? new Request();
    const status =
      typeof data === 'string' ? handle.writeLatin1String(request, data) : handle.writeBuffer(request, data);
    if (status !== 0 || handle.writeQueueSize === 0) {
      spare = request;
      return status;
    }
    spare = undefined;
    request.handle = handle;
    return request;
  };
}

/** Node makes a request if it needs one. */
const writeWithoutRequest: DirectWrite = (handle, data) => {
  const result = typeof data === 'string' ? handle.writeLatin1String(null, data) : handle.writeBuffer(null, data);
  if (typeof result === 'number') return result;
  // The write has ended already, or could not begin.
  if (handle.writeQueueSize === 0) return result.writeStatus ?? -constants.errno.EPIPE;
  result.handle = handle;
  return result;
};

// --- accept: connections without sockets --------------------------------------------------------------------------------

/** How `onread`, the function of Node that gets the bytes of every handle, finds and calls the owner of a handle. */
export interface HandleOwner extends ReaderFields {
  /** The field of a handle for its owner. */
  readonly field: symbol;
  /** A method of the owner that is called first. */
  readonly noteActivity: symbol;
  /** The owner's field for a function that makes buffers, or null. */
  readonly bufferMaker: symbol;
  readonly onread: () => void;
}

/**
 * Tested: a socket makes itself the owner of its handle, and `onread` calls the methods of another owner that is set instead.
 * Node keeps the result of the last read in a variable of the process, so here `onread` may act as if bytes, an end or an error
 * had come.
 */
export const handleOwner = testOnce('accept', (): HandleOwner | undefined => {
  const reader = readerFields();
  if (reader === undefined || directWrite() === undefined) return undefined;
  const handle: Record<PropertyKey, unknown> = { readStart() {}, readStop() {}, close() {} };
  const socket = new Socket({ handle, manualStart: true } as object);
  const field = symbolsOf(handle)('owner_symbol');
  const noteActivity = symbolsOf(Socket.prototype)('kUpdateTimer');
  const bufferMaker = symbolsOf(socket)('kBufferGen');
  const { onread } = handle;
  if (field === undefined || noteActivity === undefined || bufferMaker === undefined) return undefined;
  if (handle[field] !== socket || typeof onread !== 'function') return undefined;
  let calls = 0;
  const nothing = (): void => {};
  handle[field] = {
    [noteActivity]: () => void calls++,
    [reader.buffer]: Buffer.alloc(1),
    [reader.callback]: nothing,
    [bufferMaker]: null,
    destroyed: false,
    _readableState: { endEmitted: false },
    ...{ push: nothing, read: nothing, destroy: nothing },
  };
  onread.call(handle);
  return calls === 1 ? { ...reader, field, noteActivity, bufferMaker, onread: onread as () => void } : undefined;
});

/** Node publishes each accepted socket on this channel. If anything has subscribed, each connection needs a socket. */
const acceptedSockets = channel('net.server.socket');

type OnConnection = (this: unknown, error: number, client?: object) => void;

/**
 * Passes the connections of a listening server to `take`, before there is a socket; errors go to Node's own function. Tested: that
 * function makes a socket of a handle and emits 'connection'.
 * @returns false if this is not possible; then the server emits 'connection' as usual
 */
export function takeHandles(server: Server, take: (handle: StreamHandle) => void): boolean {
  const listening = handleOf(server);
  if (listening === undefined || handleOwner() === undefined || !('onconnection' in listening)) return false;
  // The test would publish its own socket to the subscribers.
  if (acceptedSockets.hasSubscribers) return false;
  const { onconnection } = listening;
  if (typeof onconnection !== 'function' || !makesSockets(onconnection as OnConnection)) return false;
  listening.onconnection = (error: number, client?: object): void => {
    if (error === 0 && !acceptedSockets.hasSubscribers && isStreamHandle(client)) take(client);
    else onconnection.call(listening, error, client);
  };
  return true;
}

function makesSockets(onconnection: OnConnection): boolean {
  const owner = handleOwner();
  const handle = { readStart() {}, readStop() {}, close() {} };
  const made: unknown[] = [];
  const server = new Server();
  server.emit = (...event: unknown[]) => made.push(...event) > 0;
  onconnection.call({ [owner?.field ?? '']: server }, 0, handle);
  const [event, socket] = made;
  return event === 'connection' && socket instanceof Socket && handleOf(socket) === handle;
}
