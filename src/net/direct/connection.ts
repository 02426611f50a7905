/**
 * A connection that a server has accepted, without a `net.Socket` as long as possible: all connections read into one buffer, a
 * short text is written in one call, and a socket is made only when it is asked for. To make and close a socket costs as much as
 * the rest of a request on a connection of its own.
 *
 * This needs parts of Node that are not public (see stream-internals.ts). If they do not work, the connection has a socket from
 * the start, and uses its events and methods. Once there is a socket, it handles errors, ends, pauses and closing.
 */
import { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';
import { bytesDispatched, socketOf } from '../node-internals/handles.ts';
import { directWrite, handleOwner, readerFields, type StreamHandle, streamHandle } from './stream-internals.ts';

/** The most that libuv reads at a time. */
const READ_SIZE = 64 * 1024;

/** The longest data that Node passes to the system without making a buffer of it first. */
const DIRECT_LIMIT = 16 * 1024;

/** All connections read into this buffer, one after the other, so no view of it may be kept. */
const readBuffer = Buffer.allocUnsafeSlow(READ_SIZE);

const reader = readerFields();
const writeDirectly = directWrite();
const owner = handleOwner();

/** Whether this Node lets bytes be read and written directly, and connections be accepted without sockets. */
export const direct = {
  reads: reader !== undefined,
  writes: writeDirectly !== undefined,
  accepts: owner !== undefined,
};

/** Called when the system has accepted a write, or the write has failed; `of` is the value that `write` was given for it. */
type WriteDone<T> = (of: T, error?: Error) => void;

/** What the metrics need of a connection: a Connection or a socket. */
export interface OpenConnection {
  readonly bytesRead: number;
  readonly bytesWritten: number;
  once(event: 'close', listener: () => void): unknown;
}

/** Gets the events of a connection. */
export interface ConnectionUser {
  /** `length` bytes have arrived. They are valid during the call only, so that the user has to copy what it keeps. */
  data(bytes: Buffer, length: number): void;
  /** The system has accepted what the socket had to write. */
  drained(): void;
  /** The peer has closed its side. */
  ended(): void;
  /** Nothing has happened for the time of `setTimeout`. */
  silent(): void;
  failed(error: Error): void;
  closed(): void;
}

export class Connection implements OpenConnection {
  /** The peer's address; undefined for a Unix socket, and for a peer that has reset the connection. */
  readonly remoteAddress: string | undefined;
  readonly #handle: StreamHandle | undefined;
  #socket: Socket | undefined;
  #user: ConnectionUser | undefined;
  #closeListeners: (() => void)[] | undefined;
  /** Closed, or about to be. */
  #isOver = false;
  #error: Error | undefined;
  #bytesRead = 0;
  #bytesWritten = 0;
  /** A write is in progress that the system did not accept at once; the socket's `writableLength` does not count it. */
  #waiting = false;

  private constructor(handle: StreamHandle | undefined, socket: Socket | undefined) {
    this.#handle = handle;
    this.#socket = socket;
    this.remoteAddress = socket === undefined ? addressOf(handle, 'getpeername') : socket.remoteAddress;
    socket?.once('close', () => this.#closed());
  }

  static ofSocket(socket: Socket): Connection {
    return new Connection(streamHandle(socket), socket);
  }

  /** Only where this Node accepts directly. */
  static ofHandle(handle: StreamHandle): Connection {
    handle.setNoDelay?.(true);
    return new Connection(handle, undefined);
  }

  /** Undefined for a Unix socket. */
  get localAddress(): string | undefined {
    return this.#socket === undefined ? addressOf(this.#handle, 'getsockname') : this.#socket.localAddress;
  }

  /** Begins to read. */
  begin(user: ConnectionUser): void {
    this.#user = user;
    const handle = this.#handle;
    if (this.#socket !== undefined) {
      this.#connect(this.#socket, user, this.#readsDirectly(this.#socket));
    } else if (handle !== undefined && owner !== undefined) {
      Reflect.set(handle, owner.field, this);
      handle.onread = owner.onread;
      handle.useUserBuffer(readBuffer);
      handle.reading = true;
      const status = handle.readStart();
      if (status < 0) this.destroy(systemError('read', status));
    }
  }

  /** Makes a socket read into the shared buffer, unless it has already read something into its own queue. */
  #readsDirectly(socket: Socket): boolean {
    if (reader === undefined || this.#handle === undefined || socket.readableLength > 0) return false;
    this.#handle.useUserBuffer(readBuffer);
    return true;
  }

  #connect(socket: Socket, user: ConnectionUser, readsDirectly: boolean): void {
    if (readsDirectly && reader !== undefined) {
      Reflect.set(socket, reader.buffer, readBuffer);
      Reflect.set(socket, reader.callback, (length: number, buffer: Buffer) => {
        user.data(buffer, length);
        return true;
      });
    } else {
      socket.on('data', (bytes: Buffer) => user.data(bytes, bytes.length));
    }
    socket.on('drain', () => user.drained());
    socket.on('end', () => user.ended());
    socket.on('timeout', () => user.silent());
    socket.on('error', (error) => user.failed(error));
  }

  /** Its socket, which is made now if there was none. From then on, everything goes through it. */
  get socket(): Socket {
    this.#socket ??= this.#makeSocket();
    return this.#socket;
  }

  #makeSocket(): Socket {
    const handle = this.#handle;
    if (this.#isOver || handle === undefined) return new Socket().on('error', () => {}).destroy();
    // It goes on reading into the buffer that the handle has been given.
    const socket = socketOf(handle);
    socket.once('close', () => this.#closed());
    if (this.#user !== undefined) this.#connect(socket, this.#user, true);
    return socket;
  }

  /** Whether bytes have arrived that were not passed to the user. */
  get hasUnread(): boolean {
    return this.#socket !== undefined && this.#socket.readableLength > 0;
  }

  /** Whether the system has not accepted all that was written. */
  get hasUnsent(): boolean {
    return this.#waiting || this.writableLength > 0;
  }

  /** Bytes in the socket's queue. */
  get writableLength(): number {
    return this.#socket === undefined ? 0 : this.#socket.writableLength;
  }

  get writableNeedDrain(): boolean {
    return this.#socket?.writableNeedDrain ?? false;
  }

  /**
   * Writes bytes, or a text of one byte per character, and calls `done(of)` later.
   * @returns false if that is not possible now: then nothing is written, and `socket.write` has to be used
   */
  write<T>(data: string | Buffer, done: WriteDone<T>, of: T): boolean {
    const handle = this.#handle;
    if (handle === undefined || writeDirectly === undefined || this.#waiting || data.length > DIRECT_LIMIT)
      return false;
    const socket = this.#socket;
    if (socket === undefined ? this.#isOver : socket.writableLength > 0 || !socket.writable || socket.connecting)
      return false;
    const result = writeDirectly(handle, data);
    if (result === 0) {
      process.nextTick(done, of);
    } else if (typeof result === 'number') {
      const error = systemError('write', result);
      process.nextTick(done, of, error);
      this.destroy(error);
    } else {
      this.#waiting = true;
      if (typeof data !== 'string') result.bytes = data;
      const complete: typeof result.oncomplete = (status) => {
        this.#waiting = false;
        const error = status < 0 ? systemError('write', status) : undefined;
        done(of, error);
        if (error !== undefined) this.destroy(error);
      };
      result.oncomplete = complete;
    }
    return true;
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  /** Calls the user's `silent` when nothing has happened for this time; 0: never. */
  setTimeout(milliseconds: number): void {
    if (milliseconds > 0) this.socket.setTimeout(milliseconds);
    else this.#socket?.setTimeout(0);
  }

  /** Its socket, to be handed over to another process. */
  release(): Socket {
    const { socket } = this;
    this.#noteBytes();
    return socket;
  }

  // --- members that a socket has too, for the metrics and for Node's `onread` --------------------------------------------

  once(_event: 'close', listener: () => void): void {
    this.#closeListeners ??= [];
    this.#closeListeners.push(listener);
  }

  get bytesRead(): number {
    return Math.max(this.#bytesRead, this.#counted('bytesRead'));
  }

  get bytesWritten(): number {
    return Math.max(this.#bytesWritten, this.#counted('bytesWritten'));
  }

  #counted(count: 'bytesRead' | 'bytesWritten'): number {
    if (this.#socket !== undefined)
      return count === 'bytesRead' ? this.#socket.bytesRead : bytesDispatched(this.#socket);
    return this.#isOver ? 0 : (this.#handle?.[count] ?? 0);
  }

  /** Keeps the counts, since a handle that was closed or handed over has none. */
  #noteBytes(): void {
    this.#bytesRead = this.bytesRead;
    this.#bytesWritten = this.bytesWritten;
  }

  get destroyed(): boolean {
    return this.#isOver;
  }

  /** Closes the connection. Bytes that the system has not accepted are lost. */
  destroy(error?: Error): void {
    if (this.#socket !== undefined) {
      this.#socket.destroy(error);
    } else if (!this.#isOver) {
      if (this.#closeListeners !== undefined) this.#noteBytes();
      this.#isOver = true;
      this.#error = error;
      if (this.#waiting) {
        this.#handle?.close(() => this.finish());
      } else {
        this.#handle?.close();
        process.nextTick(finish, this);
      }
    }
  }

  #closed(): void {
    this.#isOver = true;
    this.#user?.closed();
    if (this.#closeListeners !== undefined) for (const listener of this.#closeListeners) listener();
  }

  /** To be called when it has been destroyed and its writes have ended. */
  finish(): void {
    if (this.#error !== undefined) this.#user?.failed(this.#error);
    this.#closed();
  }

  /** Called by `onread` with null when the peer has closed its side. A socket that is made later reads again and sees the end too. */
  push(): void {
    if (this.#handle !== undefined) this.#handle.reading = false;
    this.#user?.ended();
  }

  read(): void {}

  // Other members that `onread` uses.
  static {
    if (owner !== undefined) {
      const take = function (this: Connection, length: number, buffer: Buffer): void {
        this.#user?.data(buffer, length);
      };
      Object.defineProperties(Connection.prototype, {
        [owner.noteActivity]: { value() {} },
        [owner.buffer]: { value: readBuffer },
        [owner.bufferMaker]: { value: null },
        [owner.callback]: { value: take },
        _readableState: { value: { endEmitted: false } },
      });
    }
  }
}

function finish(connection: Connection): void {
  connection.finish();
}

function addressOf(handle: StreamHandle | undefined, get: 'getpeername' | 'getsockname'): string | undefined {
  const found: { address?: string } = {};
  handle?.[get]?.(found);
  return found.address;
}

function systemError(syscall: string, status: number): Error {
  const code = getSystemErrorName(status);
  return Object.assign(new Error(`${syscall} ${code}`), { code, errno: status, syscall });
}
