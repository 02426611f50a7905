/**
 * What an application, a filter, a server and their factories are. Types only; the adapters that turn the shapes of
 * frameworks into these are the other files of this folder.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server as NetServer, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from '../log.ts';
import type { Address } from '../net/address.ts';

/**
 * Settings as an INI file holds them: names to texts, case-sensitive. What paster passes to a factory has no prototype,
 * so that `__proto__` is a key like any other.
 */
export type Settings = Record<string, string>;

/**
 * A request handler, as `http.createServer` takes one, plus what a server calls around it. It may return a promise; one that is
 * rejected, like an error that is thrown, becomes a 500.
 */
export interface App {
  (req: IncomingMessage, res: ServerResponse): unknown;
  /** Takes over a connection that asked for another protocol (WebSocket); HTTP server only. */
  upgrade?(req: IncomingMessage, socket: Duplex, head: Buffer): unknown;
  /** Awaited before the first request. One that throws or rejects keeps the server from starting. */
  ready?(): unknown;
  /**
   * Called, and not awaited, when the server accepts no new connections and finishes the requests in flight: `close` follows.
   * For applications that respond to health checks or hold connections open. May be called more than once. If it returns a
   * promise, paster closes open WebSockets when that has settled, or after five seconds.
   */
  drain?(): unknown;
  /** Awaited after the last request. */
  close?(): unknown;
}

/**
 * Wraps an application in another one, as PEP 3333's middleware does. paster passes `ready`, `drain`, `close` and `upgrade` of
 * the inner one on; a filter need not.
 */
export type Filter = (app: App) => App | Promise<App>;

/** What `Server.serve` returns. */
export interface Running {
  /** Where it listens: an address for each listener, in the same order. */
  readonly addresses: readonly Address[];
  /** Settles when a server that ends by itself (CGI: after one request) has done so; rejects if it did not succeed. */
  readonly finished?: Promise<void>;
  /**
   * Graceful (the default): accepts no new connections, tells clients of kept connections to close them, and resolves when
   * the last response is out; after `timeout` seconds (default 30) it cuts what is left. Otherwise it cuts everything now.
   * Closes the listeners that it was given.
   */
  close(options?: CloseOptions): Promise<void>;
  /**
   * Serves a connection that the server of another process has handed over, like one that it accepts. Absent: the server
   * takes no such connections.
   */
  adopt?(socket: Socket): void;
  /**
   * Gives up some kept connections, each after its next response, so that other processes which have fewer can serve these
   * clients: `handOver`, as in `CloseOptions`, takes one, or the client makes a new one. 0: no more of them. Absent: clients stay where they are.
   */
  spread?(count: number, handOver: (socket: Socket) => void): void;
}

/** Options of `Running.close`. */
export interface CloseOptions {
  readonly graceful?: boolean;
  /** Seconds. */
  readonly timeout?: number;
  /**
   * Set if another process goes on serving: takes a connection that a client means to use again, instead of closing it.
   * Nothing may be in progress on it: no part of a request read, no part of a response unwritten. A server whose clients
   * lose nothing when a connection closes need not call it.
   */
  readonly handOver?: (socket: Socket) => void;
  /** Settles when the application has been told that the server drains, and may have closed its WebSockets. */
  readonly notified?: Promise<unknown>;
}

/** What an operator should know before it becomes an error. */
export interface ServerWarning {
  /** The setting that it is about. */
  readonly setting: string;
  readonly message: string;
}

/** Options of `Server.serve`. */
export interface ServeOptions {
  /** Where it logs. Default: nowhere. */
  readonly log?: Logger;
  /** False: another process of the same server logs what all of them would log alike. Default: true. */
  readonly isFirst?: boolean;
}

/** What a server that has a process for one request needs of the program that runs it. */
export interface OneShot {
  /** To be called before the application is loaded: what that prints must not become part of the response. */
  prepare(): void;
  /** Responds if the application cannot be loaded. */
  fail(): Promise<void>;
}

/** Speaks a protocol on listeners that paster has opened; what a `paste.server_factory` returns. */
export interface Server {
  /** What its addresses begin with on the terminal: `http`, `https`, `fastcgi`, `scgi`, `cgi`. */
  readonly scheme: string;
  /** Where to listen when the section says nothing. Absent: it listens nowhere (CGI). */
  readonly defaultAddress?: Address;
  /** Throws a ConfigError where listening would be unsafe, before anything is bound. */
  checkAddress?(address: Address): void;
  /** Reported by `check`, and by `serve` when it starts. */
  warnings?(): readonly ServerWarning[];
  /** Present: it serves one request, that of the process that it runs in, and ends (CGI). */
  readonly oneShot?: OneShot;
  /** Serves an application that is ready; the caller awaits its `ready()` before and its `close()` after. */
  serve(app: App, listeners: readonly NetServer[], options?: ServeOptions): Promise<Running>;
}
