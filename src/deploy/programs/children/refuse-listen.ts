/** Loaded into each thread and each child process of a program before its own code: `listen()` is an error there. */
import cluster from 'node:cluster';
import { Server } from 'node:net';
import { isMainThread } from 'node:worker_threads';
import { guardChildren } from './guard-children.ts';
import { formatRequested, isInherited, isTemporary, requestedAddress } from './listen-call.ts';

const where = isMainThread ? 'a child process' : 'a worker thread';

const { listen } = Server.prototype;
Server.prototype.listen = function (this: Server, ...args: unknown[]): Server {
  if (cluster.isWorker && isMainThread) return Reflect.apply(listen, this, withoutExclusive(args));
  const requested = requestedAddress(args);
  if (isInherited(args[0]) || isTemporary(requested.path)) return Reflect.apply(listen, this, args);
  const what = `calls listen() on ${formatRequested(requested)} in ${where}`;
  const error = new Error(`${what} (listen_others = true opens it, past the filters)`);
  // The first line of the stack is the caller's.
  Error.captureStackTrace(error, Server.prototype.listen);
  throw error;
} as Server['listen'];

/** A worker of node:cluster asks its parent for the port, which refuses it. */
function withoutExclusive([first, ...rest]: readonly unknown[]): unknown[] {
  const isExclusive = typeof first === 'object' && first !== null && 'exclusive' in first;
  return [isExclusive ? { ...first, exclusive: false } : first, ...rest];
}

// Threads and processes that this one starts must refuse too, even if it gives them other `execArgv`.
const PRELOAD = /^--require=(.*refuse-listen\.js)$/;
const [preload] = process.execArgv.flatMap((option) => PRELOAD.exec(option)?.[1] ?? []);
if (preload !== undefined) guardChildren(preload);
