/**
 * Connections on their way from one process to another: the handle of an accepted socket, taken out of it. Nobody reads
 * from it meanwhile, so that what the peer sends waits in the kernel for the process that attaches it.
 *
 * Node's own way, `process.send(message, socket)`, makes a socket of it at every stop, which begins to read at once, and has
 * the server wait for connections that it no longer holds. The handle itself goes over IPC as it is; what is not public
 * about it, the property that it is in, is looked for, and where it is missing the connection closes.
 */
import { Socket } from 'node:net';

/** An open connection that has no socket in this process. */
export interface PassedConnection {
  /** Lets this process's copy go; with the last copy the connection ends. */
  close(): void;
}

interface Handle extends PassedConnection {
  onread: unknown;
  /** What its socket believes. */
  reading: boolean;
  readStop(): void;
}

/** Whether something that came over IPC is a connection. */
export function isConnection(value: unknown): value is PassedConnection {
  return isHandle(value);
}

function isHandle(value: unknown): value is Handle {
  return (
    typeof value === 'object' &&
    value !== null &&
    'readStop' in value &&
    typeof value.readStop === 'function' &&
    'close' in value &&
    typeof value.close === 'function'
  );
}

/**
 * Takes the connection out of its socket, which then closes as far as this process can see, while the peer notices nothing.
 * What has been read and not been used, or has been written and not left, would be lost: it is for the caller to see that
 * there is none. Undefined where the socket is closed, or closes now because this Node has no such way.
 */
export function detach(socket: Socket): PassedConnection | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (isHandle(handle)) {
    handle.readStop();
    handle.reading = false;
    handle.onread = () => {};
    Reflect.set(socket, '_handle', null);
  }
  socket.destroy();
  return isHandle(handle) ? handle : undefined;
}

/** A socket as a listener of `net/` accepts it. It reads as soon as this turn of the event loop is over. */
export function attach(connection: PassedConnection): Socket {
  const options: object = { handle: connection, allowHalfOpen: true };
  return new Socket(options);
}
