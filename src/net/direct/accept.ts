/** Passes the connections of a listener to a server: where Node lets paster, before there is a socket for each. */
import type { Server, Socket } from 'node:net';
import { Connection, type OpenConnection } from './connection.ts';
import { takeHandles } from './stream-internals.ts';

/** Called with each connection before the server. */
export type ConnectionObserver = (connection: OpenConnection) => void;

/** Those of paster's own listeners, whose sockets have no other options than a Connection has. */
const observersOf = new WeakMap<Server, readonly ConnectionObserver[]>();

/** Allows the connections of a listener to be passed on without sockets. */
export function allowDirectAccept(listener: Server, observers: readonly ConnectionObserver[]): void {
  observersOf.set(listener, observers);
}

/** @returns a function that undoes it, to be called when the listener has been closed. */
export function acceptConnections(listener: Server, accept: (connection: Connection) => void): () => void {
  const onSocket = (socket: Socket): void => accept(Connection.ofSocket(socket));
  listener.on('connection', onSocket);
  const observers = observersOf.get(listener);
  if (observers !== undefined) {
    takeHandles(listener, (handle) => {
      const connection = Connection.ofHandle(handle);
      for (const observe of observers) observe(connection);
      accept(connection);
    });
  }
  return () => void listener.off('connection', onSocket);
}
