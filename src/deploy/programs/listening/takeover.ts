/**
 * A program that listens by itself is served through the filters and the server of the INI file: its first `http.Server` (or
 * that of `port`) behaves as if it listened and gets its requests from paster, but opens no port of its own.
 */
import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http';
import { type AddressInfo, Server as NetServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type ConfigError, formatError } from '../../../errors.ts';
import { sendPlainText } from '../../../http/error-response.ts';
import { servingAddress } from '../../../net/address.ts';
import { OWN_CODE } from '../../../own-files.ts';
import { declineUpgrade } from '../../../protocol/default-handlers.ts';
import { waitsForMessage } from '../../../protocol/polling-sessions.ts';
import type { App } from '../../../protocol/types.ts';
import { guardChildren, replaceChildren } from '../children/guard-children.ts';
import { formatRequested, isTemporary, type RequestedAddress } from '../children/listen-call.ts';
import { forksError, isPortOfForks } from '../cluster-worker.ts';
import {
  awaitsHandlers,
  type Callback,
  handlesHttp,
  isHotReloadServer,
  type ListenPolicy,
  replaceListen,
  setProgramPolicy,
} from './policy.ts';
import { ViteHotReload } from './vite-hot-reload.ts';

/** Whether only the program's own processes connect to a server: it is not for HTTP, on a Unix socket among the temporary files. */
function connectsOwnProcesses(server: NetServer, { path }: RequestedAddress): boolean {
  return !handlesHttp(server) && isTemporary(path);
}

export interface TakeoverOptions {
  /** The port of the server to take over, for a program that opens several. Default: the first HTTP server. */
  readonly port: number | undefined;
  /** The program's other servers open their own ports. Default: they open none. */
  readonly listenOthers: boolean;
  /** Reports a server that is not opened. */
  readonly warn: (message: string) => void;
}

/** What the program's threads and child processes load first. */
const CHILD_PRELOAD = join(OWN_CODE, 'deploy/programs/children/refuse-listen.js');

const CLOSED = 'the program has closed its server: requests get the status 503';

const closedApp: App = (_req, res) => sendPlainText(res, 503, {}, 'The program has closed its server.');

/** A program's server, once the program has called `listen()` on it. */
export class ListenTakeover implements ListenPolicy {
  readonly app: Promise<App>;
  /** The ports that the program has asked for, for messages. */
  readonly requested: RequestedAddress[] = [];
  readonly #options: TakeoverOptions;
  #found: TakenServer | undefined;
  readonly #others: TakenServer[] = [];
  readonly #hotReload = new ViteHotReload();
  /** Whether paster is ending the program, which may then close its server without a warning. */
  isStopping = false;
  #resolve: (app: App) => void = () => {};
  #reject: (error: ConfigError) => void = () => {};

  constructor(options: TakeoverOptions) {
    this.#options = options;
    this.app = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    replaceListen();
    // Replaced even if children may listen, since this also records where the program forks, for error messages.
    if (options.listenOthers) replaceChildren();
    else guardChildren(CHILD_PRELOAD);
    setProgramPolicy(this);
  }

  listen(server: NetServer, requested: RequestedAddress, callback: Callback | undefined): boolean {
    this.requested.push(requested);
    const { listenOthers, warn } = this.#options;
    if (this.#found?.server === server) {
      this.#found.listen(requested, callback);
      return true;
    }
    // Some programs start again with a new server, after they have closed the first one.
    if (!this.#found?.isListening && this.#isMain(server, requested)) {
      this.#take(new TakenServer(server, requested, callback, this.#hotReload));
      return true;
    }
    if (isPortOfForks()) {
      const error = forksError();
      if (this.#found) warn(formatError(error));
      else this.#reject(error);
      return true;
    }
    const { port } = this.#options;
    if (!this.#found && awaitsHandlers(server) && (port === undefined || port === requested.port)) {
      this.#takeWithHandlers(new TakenServer(server, requested, callback, this.#hotReload));
      return true;
    }
    if (listenOthers || connectsOwnProcesses(server, requested)) return false;
    this.#others.push(new TakenServer(server, requested, callback));
    if (isHotReloadServer(server, NetServer.prototype.listen)) {
      this.#hotReload.add(server, requested.port);
      return true;
    }
    const message = `the program's server on ${formatRequested(requested)} is not opened; listen_others = true opens it`;
    // A program that looks for a free port closes the server as soon as it listens.
    server.once('listening', () => {
      if (server.listening) warn(message);
    });
    return true;
  }

  #isMain(server: NetServer, requested: RequestedAddress): server is HttpServer {
    const { port } = this.#options;
    if (!handlesHttp(server)) return false;
    // Vite's server for hot reload may listen before the program's own.
    if (port === undefined) return !isHotReloadServer(server, NetServer.prototype.listen);
    return port === requested.port;
  }

  #take(taken: TakenServer): void {
    this.#found = taken;
    taken.server.on('close', () => {
      if (!this.isStopping && this.#found === taken && !taken.isListening) this.#options.warn(CLOSED);
    });
    this.#resolve(this.#makeApp(taken));
  }

  /** The server that listens now, or responds with 503 if the program has closed it: paster's sockets stay open. */
  #makeApp(first: TakenServer): App {
    const current = (): App => {
      const taken = this.#found ?? first;
      // While paster stops, only requests on connections that were accepted earlier get here.
      return taken.isListening || this.isStopping ? taken.app : closedApp;
    };
    const app: App = (req, res) => current()(req, res);
    app.upgrade = (req, socket, head) => {
      const { upgrade } = current();
      return upgrade ? upgrade(req, socket, head) : declineUpgrade(closedApp, req, socket);
    };
    return app;
  }

  /** Takes a server that listens already when the program adds a handler of requests, unless another one has been taken. */
  #takeWithHandlers(taken: TakenServer): void {
    this.#others.push(taken);
    const { server } = taken;
    const look = (event: string): void => {
      if (event !== 'request' && event !== 'upgrade') return;
      server.off('newListener', look);
      if (!this.#found) this.#take(taken);
    };
    server.on('newListener', look);
  }

  /** Why none of the program's servers was taken, for a message when the program has nothing left to do. */
  get noServerReason(): string {
    const addresses = this.requested.map(formatRequested).join(' and ');
    return addresses === ''
      ? 'the program has ended without calling listen() of an HTTP server'
      : `the program listens on ${addresses}, but has no server there that handles "request" events`;
  }

  /** Requests in flight, without those that wait for messages. */
  get inflight(): number {
    return this.#found ? this.#found.inflight - this.#found.polling : 0;
  }

  /** Connections that stay open until the program ends them: those that it has upgraded, and long polls of Socket.IO. */
  get lasting(): number {
    return this.#found ? this.#found.upgraded + this.#found.polling : 0;
  }

  /** Ends the program's servers as their own `close()` does. */
  close(): void {
    this.isStopping = true;
    for (const each of [this.#found, ...this.#others]) each?.server.close();
  }
}

/** Node's listeners of 'connection': they would read from the socket, that of node:https as TLS. */
const NODES_LISTENERS: ReadonlySet<string> = new Set(['connectionListener', 'tlsConnectionListener']);

/** A server of the program that opens no port: its methods are replaced, so that the program finds it listening. */
class TakenServer {
  readonly server: NetServer;
  readonly app: App;
  readonly #requested: RequestedAddress;
  readonly #hotReload: ViteHotReload | undefined;
  readonly #sockets = new WeakSet<Socket>();
  isListening = false;
  inflight = 0;
  polling = 0;
  upgraded = 0;

  constructor(
    server: NetServer,
    requested: RequestedAddress,
    callback: Callback | undefined,
    hotReload?: ViteHotReload,
  ) {
    this.server = server;
    this.#hotReload = hotReload;
    this.#requested = requested;
    this.app = this.#makeApp();
    Object.defineProperty(server, 'listening', { configurable: true, get: () => this.isListening });
    Object.assign(server, {
      address: () => this.#address(),
      close: (done?: Callback) => this.#close(done),
      getConnections: (done: Callback) => void process.nextTick(done, null, this.inflight),
      ref: () => server,
      unref: () => server,
    });
    this.listen(requested, callback);
  }

  /** For the first time, or after a `close()`. */
  listen({ signal }: RequestedAddress, callback: Callback | undefined): void {
    const { server } = this;
    if (this.isListening) {
      throw Object.assign(new Error('Listen method has been called more than once without closing.'), {
        code: 'ERR_SERVER_ALREADY_LISTEN',
      });
    }
    if (callback) server.once('listening', callback);
    this.isListening = true;
    process.nextTick(() => server.emit('listening'));
    if (signal) this.#closeWith(signal);
  }

  #closeWith(signal: AbortSignal): void {
    const close = (): void => void (this.isListening && this.server.close());
    if (signal.aborted) process.nextTick(close);
    signal.addEventListener('abort', close, { once: true });
    this.server.once('close', () => signal.removeEventListener('abort', close));
  }

  /** As `net.Server.address()`: the address that clients reach, once it is known. */
  #address(): AddressInfo | string | null {
    if (!this.isListening) return null;
    const { port, path } = this.#requested;
    const address =
      servingAddress() ?? (path === undefined ? { kind: 'tcp', host: '127.0.0.1', port } : { kind: 'unix', path });
    if (address.kind === 'unix') return address.path;
    if (address.kind === 'fd') return { address: '127.0.0.1', family: 'IPv4', port };
    const { host } = address;
    return { address: host, family: host.includes(':') ? 'IPv6' : 'IPv4', port: address.port };
  }

  /** As `http.Server.close()`: 'close' comes when the requests in flight have ended. */
  #close(done: Callback | undefined): NetServer {
    const { server } = this;
    if (!this.isListening) {
      const error = Object.assign(new Error('Server is not running.'), { code: 'ERR_SERVER_NOT_RUNNING' });
      if (done) process.nextTick(done, error);
      return server;
    }
    this.isListening = false;
    if (done) server.once('close', done);
    if (this.inflight === 0) process.nextTick(() => server.emit('close'));
    return server;
  }

  #ended(): void {
    if (--this.inflight === 0 && !this.isListening) this.server.emit('close');
  }

  #makeApp(): App {
    const { server } = this;
    const app: App = (req: IncomingMessage, res: ServerResponse) => {
      const polls = waitsForMessage(req) ? 1 : 0;
      this.inflight++;
      this.polling += polls;
      res.once('close', () => {
        this.polling -= polls;
        this.#ended();
      });
      this.#announce(req.socket);
      this.#hotReload?.adaptClient(req, res);
      server.emit('request', req, res);
    };
    app.upgrade = (req, socket, head) => {
      const upgrading = this.#hotReload?.serverFor(req, server) ?? server;
      if (upgrading.listenerCount('upgrade') === 0) return declineUpgrade(app, req, socket);
      this.upgraded++;
      socket.once('close', () => this.upgraded--);
      this.#announce(req.socket);
      return upgrading.emit('upgrade', req, socket, head);
    };
    return app;
  }

  /**
   * Reports each connection once to the program's own listeners, which may count or close connections. Next.js waits for
   * upgrades on the server of a request's socket. That must not be paster's server: upgrades would bypass the filters.
   */
  #announce(socket: Socket): void {
    Reflect.set(socket, 'server', this.server);
    if (this.#sockets.has(socket)) return;
    this.#sockets.add(socket);
    for (const listener of this.server.listeners('connection')) {
      if (!NODES_LISTENERS.has(listener.name)) Reflect.apply(listener, this.server, [socket]);
    }
  }
}
