/**
 * Bytes in and out of an accepted connection past the queues of `net.Socket`, which cost a small request more than
 * everything else: what arrives is read into one buffer for all connections, and a short text leaves in one call.
 *
 * Both stand on parts of Node that are not public: the properties behind the documented option `onread` of `new
 * net.Socket()`, which an accepted socket cannot be given, and the handle that a socket writes to. They are looked for
 * once, by their names, and where one is missing nothing is lost but time: the caller uses the socket's own events and
 * `write`. Errors, ends, pauses and closing stay with the socket in every case.
 */
import { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';

/** What libuv reads at most at a time. */
const READ_SIZE = 64 * 1024;

/** What Node hands to the system without making a buffer of it first. */
const DIRECT_LIMIT = 16 * 1024;

/** Told of a write that has left, or has failed; `of` is whatever the writer was given along with it. */
type WriteDone<T> = (of: T, error?: Error) => void;

/** The part of a socket's handle that is used here. */
interface StreamHandle {
  useUserBuffer(buffer: Buffer): void;
  /** A negative error number, or 0. */
  writeLatin1String(request: WriteRequest, text: string): number;
  writeBuffer(request: WriteRequest, bytes: Buffer): number;
  /** Bytes that the system has not taken yet. */
  readonly writeQueueSize: number;
}

/** Node's WriteWrap: carries one write that the system does not take at once. */
interface WriteRequest {
  handle?: StreamHandle;
  /** A negative error number, or 0. */
  oncomplete?: (status: number) => void;
  /** Kept until the system has taken them. */
  bytes?: Buffer;
}

type WriteRequestClass = new () => WriteRequest;

/** All connections read into it, one after the other: nobody may keep a view of it. */
const readBuffer = Buffer.allocUnsafeSlow(READ_SIZE);

const READER = readerProperties();
const WriteRequest = findWriteRequest();

function readerProperties(): { buffer: symbol; callback: symbol } | undefined {
  const symbols = Object.getOwnPropertySymbols(new Socket());
  const named = (name: string) => symbols.find((symbol) => symbol.description === name);
  const [buffer, callback] = [named('kBuffer'), named('kBufferCb')];
  return buffer === undefined || callback === undefined ? undefined : { buffer, callback };
}

/** The class of what a socket gives its handle along with a text. */
function findWriteRequest(): WriteRequestClass | undefined {
  let found: unknown;
  const handle = {
    writeLatin1String(request: unknown) {
      found = request;
      return 0;
    },
    readStart() {},
    readStop() {},
  };
  try {
    const socket = new Socket({ handle, readable: false, manualStart: true } as object);
    socket.write('x', 'latin1');
  } catch {
    return undefined;
  }
  const made = found === null || typeof found !== 'object' ? undefined : found.constructor;
  return made?.name === 'WriteWrap' ? (made as WriteRequestClass) : undefined;
}

/** Whether this Node lets bytes be read and written directly; where not, `takeBytes` and `DirectWriter` decline. */
export const directIo = { reads: READER !== undefined, writes: WriteRequest !== undefined };

function handleOf(socket: Socket): StreamHandle | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (handle === null || typeof handle !== 'object') return undefined;
  if (
    !(
      'useUserBuffer' in handle &&
      'writeLatin1String' in handle &&
      'writeBuffer' in handle &&
      'writeQueueSize' in handle
    )
  )
    return undefined;
  return handle as unknown as StreamHandle;
}

/**
 * Calls `take` with what arrives on a socket that was just accepted, where 'data' listeners would be called: the first
 * `length` bytes of a buffer, valid during the call only, so that what is to be kept is copied. False where this Node or this socket has no such way.
 */
export function takeBytes(socket: Socket, take: (bytes: Buffer, length: number) => void): boolean {
  const handle = handleOf(socket);
  // What has been read already lies in the socket's own queue.
  if (READER === undefined || handle === undefined || socket.readableLength > 0) return false;
  Reflect.set(socket, READER.buffer, readBuffer);
  Reflect.set(socket, READER.callback, (length: number, buffer: Buffer) => {
    take(buffer, length);
    return true;
  });
  handle.useUserBuffer(readBuffer);
  return true;
}

/** Writes short pieces to a socket, in order with what `socket.write` writes. */
export class DirectWriter {
  readonly #socket: Socket;
  readonly #handle: StreamHandle | undefined;
  /** A piece is under way that the system did not take at once; `socket.writableLength` does not count it. */
  waiting = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#handle = WriteRequest === undefined ? undefined : handleOf(socket);
  }

  /**
   * Writes bytes, or a text of a byte a character. True: they have left or are about to, and `done(of)` will be called,
   * later. False: not taken, the socket has other bytes to write first, or has ended; use `socket.write`.
   */
  write<T>(data: string | Buffer, done: WriteDone<T>, of: T): boolean {
    const socket = this.#socket;
    const handle = this.#handle;
    if (handle === undefined || this.waiting || data.length > DIRECT_LIMIT) return false;
    if (socket.writableLength > 0 || !socket.writable || socket.connecting) return false;
    const request = spare ?? (new (WriteRequest as WriteRequestClass)() as WriteRequest);
    const status =
      typeof data === 'string' ? handle.writeLatin1String(request, data) : handle.writeBuffer(request, data);
    if (status < 0) {
      const error = writeError(status);
      process.nextTick(done, of, error);
      socket.destroy(error);
      return true;
    }
    // Taken in the call: the request was not needed and serves the next write.
    if (handle.writeQueueSize === 0) {
      spare = request;
      process.nextTick(done, of);
      return true;
    }
    spare = undefined;
    this.waiting = true;
    request.handle = handle;
    if (typeof data !== 'string') request.bytes = data;
    request.oncomplete = (late) => {
      this.waiting = false;
      const error = late < 0 ? writeError(late) : undefined;
      done(of, error);
      if (error !== undefined) socket.destroy(error);
    };
    return true;
  }
}

let spare: WriteRequest | undefined;

function writeError(status: number): Error {
  const code = getSystemErrorName(status);
  return Object.assign(new Error(`write ${code}`), { code, errno: status, syscall: 'write' });
}
