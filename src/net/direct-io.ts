/**
 * Bytes in and out of an accepted connection past the queues of `net.Socket`, which cost a small request more than
 * everything else: what arrives is read into one buffer for all connections, and a short text leaves in one call.
 *
 * Both need parts of Node that are not public (see node-internals.ts). Where these do not serve, the functions decline, and the
 * caller uses the socket's own events and `write`. Errors, ends, pauses and closing stay with the socket in every case.
 */
import type { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';
import {
  readerFields,
  type StreamHandle,
  streamHandle,
  type WriteRequest,
  writeRequestClass,
} from './node-internals.ts';

/** The most that libuv reads at a time. */
const READ_SIZE = 64 * 1024;

/** The longest data that Node passes to the system without making a buffer of it first. */
const DIRECT_LIMIT = 16 * 1024;

/** Called when a write has left or failed; `of` is what the writer was given with it. */
type WriteDone<T> = (of: T, error?: Error) => void;

/** All connections read into it, one after the other, so no view of it may be kept. */
const readBuffer = Buffer.allocUnsafeSlow(READ_SIZE);

const reader = readerFields();
const WriteRequestClass = writeRequestClass();

/** Whether this Node lets bytes be read and written directly; if not, `takeBytes` and `DirectWriter` decline. */
export const directIo = { reads: reader !== undefined, writes: WriteRequestClass !== undefined };

/**
 * Calls `take` with what arrives on a socket that was just accepted, instead of 'data' listeners: the first `length` bytes of a
 * buffer, valid during the call only, so that the caller has to copy what it keeps. False if this is not possible.
 */
export function takeBytes(socket: Socket, take: (bytes: Buffer, length: number) => void): boolean {
  const handle = streamHandle(socket);
  // What has been read already is in the socket's own queue.
  if (reader === undefined || handle === undefined || socket.readableLength > 0) return false;
  Reflect.set(socket, reader.buffer, readBuffer);
  Reflect.set(socket, reader.callback, (length: number, buffer: Buffer) => {
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
  /** A write is in progress that the system did not accept at once; `socket.writableLength` does not count it. */
  waiting = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#handle = WriteRequestClass === undefined ? undefined : streamHandle(socket);
  }

  /**
   * Writes bytes, or a text of one byte per character. True: they have left or will leave, and `done(of)` will be called
   * later. False: declined, since the socket has other bytes to write first or has ended; use `socket.write`.
   */
  write<T>(data: string | Buffer, done: WriteDone<T>, of: T): boolean {
    const socket = this.#socket;
    const handle = this.#handle;
    if (handle === undefined || WriteRequestClass === undefined || this.waiting || data.length > DIRECT_LIMIT)
      return false;
    if (socket.writableLength > 0 || !socket.writable || socket.connecting) return false;
    const request = spare ?? new WriteRequestClass();
    const status =
      typeof data === 'string' ? handle.writeLatin1String(request, data) : handle.writeBuffer(request, data);
    if (status < 0) {
      const error = writeError(status);
      process.nextTick(done, of, error);
      socket.destroy(error);
      return true;
    }
    // Accepted at once: the request was not needed and serves the next write.
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
