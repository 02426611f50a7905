/**
 * Decides what `listen()` does on servers that are not paster's. A server of a program is taken over. In all other code of an
 * application `listen()` is an error, since requests to a port of its own would bypass the filters of the INI file.
 *
 * The first of these policies that is set decides:
 *
 * 1. that of a program, for all code (`setProgramPolicy`, see takeover.ts);
 * 2. that of code that is being loaded (`withPolicy`, see refusal.ts): for this code's calls alone, or, where 3. is set, for all code;
 * 3. that of a process in which paster serves, for all code (`setDefaultPolicy`).
 *
 * Without any, Node listens.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Server as HttpServer } from 'node:http';
import { Server as NetServer } from 'node:net';
import { isOwnServer } from '../../../net/address.ts';
import { requireOwn } from '../../../own-files.ts';
import { isInherited, type RequestedAddress, requestedAddress } from '../children/listen-call.ts';

export type Callback = (...args: unknown[]) => void;

/** Decides what `listen()` of a server that is not paster's does. */
export interface ListenPolicy {
  /** @returns whether the server was taken over; otherwise it opens its own port. */
  listen(server: NetServer, requested: RequestedAddress, callback: Callback | undefined): boolean;
}

interface Loading {
  readonly policy: ListenPolicy;
  isOver: boolean;
}

/** The policies of code that is being loaded, where they decide for all code; the innermost last. */
const loadPolicies: ListenPolicy[] = [];
/** The policy of a program, which overrides the others. */
let programPolicy: ListenPolicy | undefined;
/** The policy of code that is being loaded by a program that calls paster: it decides for this code's calls only, the program may listen. */
const loading = new AsyncLocalStorage<Loading>();
let loads = 0;
/** The policy of all code of a process in which paster serves. */
let defaultPolicy: ListenPolicy | undefined;
let isInstalled = false;

/** From now on, `policy` decides for all code. */
export function setProgramPolicy(policy: ListenPolicy): void {
  programPolicy = policy;
}

/** From now on, `policy` decides unless another one does. */
export function setDefaultPolicy(policy: ListenPolicy): void {
  defaultPolicy = policy;
}

/** `policy` decides for `run` until that has ended, unless a program's policy is set. */
export function withPolicy<T>(policy: ListenPolicy, run: () => Promise<T>): Promise<T> {
  // Before Node 24 an AsyncLocalStorage makes every promise slower: the import of 1,450 modules takes 5 % longer.
  return defaultPolicy ? forAllCode(policy, run) : forCallsOf(policy, run);
}

async function forAllCode<T>(policy: ListenPolicy, run: () => Promise<T>): Promise<T> {
  loadPolicies.push(policy);
  try {
    return await run();
  } finally {
    loadPolicies.splice(loadPolicies.lastIndexOf(policy), 1);
  }
}

async function forCallsOf<T>(policy: ListenPolicy, run: () => Promise<T>): Promise<T> {
  const load: Loading = { policy, isOver: false };
  loads++;
  try {
    return await loading.run(load, run);
  } finally {
    load.isOver = true;
    loads--;
    // Otherwise Node would go on tracking every asynchronous call of the application.
    if (loads === 0) loading.disable();
  }
}

/**
 * Replaces `listen()` of every server of this process, for good: a program may create its server at any time. This happens
 * before the first code of an application runs; packages that are imported ahead must find the same.
 */
export function replaceListen(): void {
  if (isInstalled) return;
  isInstalled = true;
  const { listen } = NetServer.prototype;
  NetServer.prototype.listen = function (this: NetServer, ...args: unknown[]): NetServer {
    const load = loading.getStore();
    const policy = programPolicy ?? (load?.isOver === false ? load.policy : (loadPolicies.at(-1) ?? defaultPolicy));
    if (!policy || isOwnServer(this) || isInherited(args[0])) return listenAsPrimary(listen, this, args);
    const callback = args.findLast((each) => typeof each === 'function') as Callback | undefined;
    if (policy.listen(this, requestedAddress(args), callback)) return this;
    return listenAsPrimary(listen, this, args);
  } as NetServer['listen'];
}

/** Listens by itself also in a worker of node:cluster, where Node would ask the parent for the port. */
function listenAsPrimary(listen: (...args: never[]) => unknown, server: object, args: readonly unknown[]) {
  // `listen` of Node loads it too.
  const cluster: typeof import('node:cluster').default = requireOwn('node:cluster');
  if (!cluster.isWorker) return Reflect.apply(listen, server, args);
  // Node looks at isPrimary before `listen` returns, or at `exclusive` when it has looked up a host.
  Object.assign(cluster, { isPrimary: true });
  try {
    return Reflect.apply(listen, server, withExclusive(args));
  } finally {
    Object.assign(cluster, { isPrimary: false });
  }
}

/** The arguments of `listen()` with `exclusive`, if they name a host. */
function withExclusive(args: readonly unknown[]): readonly unknown[] {
  const [first, host] = args;
  if (typeof first === 'object' && first !== null && 'host' in first) {
    return [{ ...first, exclusive: true }, ...args.slice(1)];
  }
  if (typeof host !== 'string') return args;
  const backlog = args.find((each, place) => place > 1 && typeof each === 'number');
  const callback = args.findLast((each) => typeof each === 'function');
  return [{ port: first, host, backlog, exclusive: true }, callback];
}

/** An HTTP server of Node's or one that works like it, with handlers: HTTPS and HTTP/2 servers have the same events. */
export function handlesHttp(server: NetServer): server is HttpServer {
  return server.listenerCount('request') > 0 || server.listenerCount('upgrade') > 0;
}

/** Whether it is one of Node's that may get its handlers later. Servers of other protocols do not have this method. */
export function awaitsHandlers(server: NetServer): boolean {
  return !handlesHttp(server) && typeof Reflect.get(server, 'setTimeout') === 'function';
}

/** A file of Vite, in the stack of a call. */
const VITE = /[\\/]node_modules[\\/](?:rolldown-)?vite[\\/]dist[\\/]/;

/** Vite's server responds to every request that asks for no WebSocket with this status. */
const UPGRADE_REQUIRED = /\b426\b/;

/**
 * Whether a server is Vite's for hot reload, and not the one that `vite dev` serves pages with.
 * @param listen its method, which is being called
 */
export function isHotReloadServer(server: NetServer, listen: (...args: never[]) => unknown): boolean {
  if (!server.listeners('request').some((each) => UPGRADE_REQUIRED.test(String(each)))) return false;
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, listen);
  return VITE.test(holder.stack?.split('\n')[1] ?? '');
}
