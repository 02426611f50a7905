/** Loaded into each thread of a program before the thread's own code: `listen()` is an error there. */
import { Server } from 'node:net';
import { formatRequested, isInherited, isTemporary, requestedAddress } from './listen-call.ts';

const { listen } = Server.prototype;
Server.prototype.listen = function (this: Server, ...args: unknown[]): Server {
  const requested = requestedAddress(args);
  if (isInherited(args[0]) || isTemporary(requested.path)) return Reflect.apply(listen, this, args);
  const what = `calls listen() on ${formatRequested(requested)} in a worker thread`;
  const error = new Error(`${what} (listen_others = true opens it, past the filters)`);
  // The first line of the stack is the caller's.
  Error.captureStackTrace(error, Server.prototype.listen);
  throw error;
} as Server['listen'];
