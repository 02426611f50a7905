/** Passes the connections of a listener to a server, without making a `net.Socket` for each if this Node allows that. */
import type { Server, Socket } from 'node:net';
import { Connection, type OpenConnection } from './connection.ts';
import { type StreamHandle, takeHandles } from './stream-internals.ts';
import { keepConnection, keepsConnections } from './waiting.ts';

/** Called with each connection before the server. */
export type ConnectionObserver = (connection: OpenConnection) => void;

/** By listener: only paster's own listeners are in it, since sockets of others may have options that a Connection lacks. */
const observersOf = new WeakMap<Server, readonly ConnectionObserver[]>();

/** Allows the connections of a listener to be passed on without sockets. */
export function allowDirectAccept(listener: Server, observers: readonly ConnectionObserver[]): void {
  observersOf.set(listener, observers);
}

/**
 * Calls `accept` with each connection of a listener.
 * @returns a function that undoes this, to be called when the listener has been closed
 */
export function acceptConnections(listener: Server, accept: (connection: Connection) => void): () => void {
  const onSocket = (socket: Socket): void => accept(Connection.ofSocket(socket));
  listener.on('connection', onSocket);
  const observers = observersOf.get(listener);
  if (observers !== undefined) {
    const pass = (handle: StreamHandle): void => {
      const connection = Connection.ofHandle(handle);
      for (const observe of observers) observe(connection);
      accept(connection);
    };
    takeHandles(listener, (handle) => {
      if (keepsConnections(listener)) keepConnection(listener, () => pass(handle));
      else pass(handle);
    });
  }
  return () => void listener.off('connection', onSocket);
}
