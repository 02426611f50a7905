/**
 * The vocabulary: what an application, a filter, a server and their factories are. Types only; the adapters that turn
 * other people's shapes into these stand beside this file.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server as NetServer, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from '../log.ts';
import type { Address } from '../net/address.ts';

/**
 * Configuration as an INI file holds it: names to texts, case-sensitive. What paster passes to a factory has no prototype,
 * so that `__proto__` is a key like any other.
 */
export type Settings = Record<string, string>;

/**
 * A request handler, as `http.createServer` takes one, plus what a server calls around it. It may return a promise; one
 * that is rejected, like an error that is thrown, is answered with 500.
 */
export interface App {
  (req: IncomingMessage, res: ServerResponse): unknown;
  /** Takes over a connection that asked for another protocol (WebSocket); HTTP server only. */
  upgrade?(req: IncomingMessage, socket: Duplex, head: Buffer): unknown;
  /** Awaited before the first request. One that throws or rejects keeps the server from starting. */
  ready?(): unknown;
  /**
   * Told, and not waited for, that the server accepts nothing new any more and finishes what it has: `close` follows. For
   * whoever answers health checks or holds connections open. May be called more than once.
   */
  drain?(): unknown;
  /** Awaited after the last request. */
  close?(): unknown;
}

/**
 * Wraps an application in another one, as PEP 3333's middleware does. `ready`, `drain`, `close` and `upgrade` of the inner
 * one are carried by paster; a filter need not hand them on.
 */
export type Filter = (app: App) => App | Promise<App>;

/** What `Server.serve` gives back. */
export interface Running {
  /** Where it listens, one a listener, in the order of the listeners. */
  readonly addresses: readonly Address[];
  /** Settles when a server that ends by itself (CGI: after one request) has done so; rejects if it did not succeed. */
  readonly finished?: Promise<void>;
  /**
   * Graceful (the default): accept nothing new, tell kept-alive clients to go, resolve when the last answer is out,
   * or after `timeout` seconds (default 30) cut what is left. Otherwise: cut everything now.
   * Closes the listeners it was given.
   */
  close(options?: CloseOptions): Promise<void>;
  /**
   * Serves a connection that another process's server of this protocol has handed over, like one that it accepts. Absent:
   * the server has no use for such connections.
   */
  adopt?(socket: Socket): void;
}

/** Options of `Running.close`. */
export interface CloseOptions {
  readonly graceful?: boolean;
  /** Seconds. */
  readonly timeout?: number;
  /**
   * Where somebody else goes on serving: takes a connection that a client means to use again, in the place of closing it,
   * with nothing under way on it: no part of a request read, no part of an answer unwritten. A server for whose clients
   * closing is no loss need not call it.
   */
  readonly handOver?: (socket: Socket) => void;
}

/** Options of `Server.serve`. */
export interface ServeOptions {
  /** Where it writes what it has to say. Default: nowhere. */
  readonly log?: Logger;
}

/** What a server that has a process for one request asks of whoever keeps that process. */
export interface OneShot {
  /** To be called before the application is loaded: what it prints must not become the answer. */
  prepare(): void;
  /** Answers in place of an application that cannot be loaded. */
  fail(): Promise<void>;
}

/** Speaks a protocol on listeners that somebody else has opened; what a `paste.server_factory` makes. */
export interface Server {
  /** What its addresses begin with on the terminal: `http`, `https`, `fastcgi`, `scgi`, `cgi`. */
  readonly scheme: string;
  /** Where to listen when the section says nothing. Absent: it listens nowhere (CGI). */
  readonly defaultAddress?: Address;
  /** Throws a ConfigError where listening would be unsafe, before anything is bound. */
  checkAddress?(address: Address): void;
  /** Present: it serves one request, that of the process that it runs in, and ends (CGI). */
  readonly oneShot?: OneShot;
  /** Takes an application that is ready; whoever calls this awaits its `ready()` before and its `close()` after. */
  serve(app: App, listeners: readonly NetServer[], options?: ServeOptions): Promise<Running>;
}
