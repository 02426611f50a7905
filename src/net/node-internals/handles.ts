/**
 * Node's handles: what the system has accepted of a connection, connections without their sockets, and sockets that this process
 * does not accept on. test-once.ts says how they are tested.
 */
import net, { Socket } from 'node:net';
import { testOnce } from './test-once.ts';

// --- handle: what the system has accepted of a connection, and connections without their sockets --------------------------

/** The handles of this Node are objects with the methods that are used here: tested with the first one. */
const handlesAreKnown = testOnce('handle', () => true);

export function handleOf(of: Socket | net.Server): object | undefined {
  const handle: unknown = Reflect.get(of, '_handle');
  return typeof handle === 'object' && handle !== null ? handle : undefined;
}

/** Bytes that the system has accepted of a TCP or Unix socket and bytes that wait, those of TLS and HTTP/2 on it included. */
export interface WriteProgress {
  readonly accepted: number;
  readonly waiting: number;
}

/** Undefined where the socket has closed, or where Node does not say. */
export function writeProgress(socket: Socket): WriteProgress | undefined {
  const handle = handlesAreKnown() ? (handleOf(socket) as Partial<Record<string, unknown>> | undefined) : undefined;
  const { bytesWritten, writeQueueSize: waiting } = handle ?? {};
  if (typeof bytesWritten !== 'number' || typeof waiting !== 'number') return undefined;
  return { accepted: bytesWritten - waiting, waiting };
}

/** The bytes that have been sent. `bytesWritten` counts those in the queue too, and decreases if they are never sent. */
export function bytesDispatched(socket: Pick<Socket, 'bytesWritten'>): number {
  const dispatched: unknown = handlesAreKnown() ? Reflect.get(socket, '_bytesDispatched') : undefined;
  return typeof dispatched === 'number' ? dispatched : socket.bytesWritten;
}

/** An open connection without a socket in this process. It can be sent to another process. */
export interface ConnectionHandle {
  /** Closes this process's copy; with the last copy the connection ends. */
  close(): void;
}

/** Whether a socket, and TLS on it, asks its handle for the address of its peer. Tested: a socket does. */
export const canReplacePeer = testOnce('handle', () => {
  const socket = new Socket({ handle: { close() {} }, manualStart: true } as object);
  replacePeer(socket, { port: 1 });
  return socket.remotePort === 1 ? true : undefined;
});

/** Makes TLS on a connection have another peer than the one that it came from. */
export function replacePeer(socket: Socket, peer: object): void {
  const getpeername = (out: object): number => {
    Object.assign(out, peer);
    // No error.
    return 0;
  };
  Object.assign(handleOf(socket) ?? {}, { getpeername });
}

interface ReadingHandle extends ConnectionHandle {
  onread: unknown;
  /** Whether the socket takes the handle for one that reads. */
  reading: boolean;
  readStop(): void;
}

export function isConnectionHandle(value: unknown): value is ConnectionHandle {
  return isReadingHandle(value);
}

function isReadingHandle(value: unknown): value is ReadingHandle {
  if (typeof value !== 'object' || value === null || !('readStop' in value && 'close' in value)) return false;
  return typeof value.readStop === 'function' && typeof value.close === 'function';
}

/**
 * Takes the handle out of a socket, which can then be destroyed without closing the connection. Nothing is read any more.
 * Undefined if the socket is closed, or if this Node has no such handles.
 */
export function takeHandle(socket: Socket): ConnectionHandle | undefined {
  const handle = handlesAreKnown() ? handleOf(socket) : undefined;
  if (!isReadingHandle(handle)) return undefined;
  handle.readStop();
  handle.reading = false;
  handle.onread = ignore;
  Reflect.set(socket, '_handle', null);
  return handle;
}

function ignore(): void {}

/** A socket for a handle. It begins to read when this turn of the event loop is over. */
export function socketOf(handle: ConnectionHandle): Socket {
  return new Socket({ handle, allowHalfOpen: true } as object);
}

// --- listen: a socket that this process does not accept on ---------------------------------------------------------------

/** A bound TCP or Unix socket. */
export interface ServerHandle {
  readonly fd: number;
  close(callback?: () => void): void;
  getsockname?(name: object): number;
}

/** The descriptor that a server of this process listens on. */
export const descriptorOf = (server: net.Server): number | undefined =>
  handlesAreKnown() ? (handleOf(server) as Partial<ServerHandle> | undefined)?.fd : undefined;

/** Binds without listening. `type`: 4 and 6 for the versions of IP, -1 for a path. @returns a handle, or an error number. */
type CreateServerHandle = (address: string, port: number, type: number, fd?: number, flags?: number) => unknown;

export const createServerHandle = testOnce('listen', (): CreateServerHandle | undefined => {
  const create = '_createServerHandle' in net ? net._createServerHandle : undefined;
  return typeof create === 'function' ? (create as CreateServerHandle) : undefined;
});

export function isServerHandle(value: unknown): value is ServerHandle {
  if (typeof value !== 'object' || value === null || !('fd' in value && 'close' in value)) return false;
  return typeof value.fd === 'number' && value.fd >= 0 && typeof value.close === 'function';
}

/** A bound socket that Node can watch, so that paster learns when a connection waits on it. */
interface WaitingHandle extends ServerHandle {
  onread: () => void;
  /** Marks the descriptor as one that can be read. */
  open(fd: number): number;
  readStart(): number;
  readStop(): number;
}

/** Tested: a bound socket can be asked, and again after that. */
export const canWaitForConnections = testOnce('listen', () => {
  const handle = createServerHandle()?.('127.0.0.1', 0, 4);
  if (!isServerHandle(handle)) return undefined;
  for (let round = 0; round < 2; round++) whenConnectionWaits(handle, () => {})();
  handle.close();
  return true;
});

/**
 * Calls a function once a connection waits on a socket that listens, and accepts nothing. Node watches the socket as one that it
 * reads from. When a connection waits, Node tries to read, and the system refuses.
 * @returns a function that ends the wait
 * @throws Error if this Node cannot; see `canWaitForConnections`
 */
export function whenConnectionWaits(handle: ServerHandle, onWaiting: () => void): () => void {
  const waiting = handle as WaitingHandle;
  const stopAndTell = (): void => {
    waiting.readStop();
    onWaiting();
  };
  waiting.onread = stopAndTell;
  if (waiting.open(handle.fd) !== 0 || waiting.readStart() !== 0) throw new Error('the socket cannot be watched');
  return () => {
    if (handle.fd >= 0) waiting.readStop();
  };
}

/** The handle of an open socket. */
export function serverHandleOf(fd: number): ServerHandle | undefined {
  const create = createServerHandle() as ((address: null, port: null, type: null, fd: number) => unknown) | undefined;
  const handle = create?.(null, null, null, fd);
  return isServerHandle(handle) ? handle : undefined;
}
