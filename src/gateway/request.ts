/**
 * The request that an application sees: Node's own IncomingMessage, filled from the head that a CGI environment
 * describes. Nothing of it depends on its own class, for Express replaces the prototype of every request; the body is pushed
 * by the stand-in for its connection, and Node's `_read` asks for more through it.
 */
import { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { type Environ, environFromPairs } from './environ.ts';
import type { RequestHead } from './request-head.ts';
import type { GatewaySocket } from './socket.ts';

/** The part of IncomingMessage that Node's parser fills in and that the published types leave out. */
interface ParsedMessage {
  /** Keeps the pairs; `headers` and `headersDistinct` are made from them when they are first read. */
  _addHeaderLines(headers: string[], count: number): void;
}

const kHead = Symbol('head');
const kEnviron = Symbol('environ');

export class GatewayRequest extends IncomingMessage {
  /** Where the web server has mounted the application (only where it has): Express's name. */
  declare baseUrl?: string;
  /** The target as the client sent it, where `url` is only a part of it. */
  declare originalUrl?: string;
  /** The CGI environment that the request came with. */
  declare environ: Environ;
  declare upgrade: boolean;
  readonly [kHead]: RequestHead | undefined;
  [kEnviron]: Environ | undefined;

  constructor(head: RequestHead, socket: GatewaySocket) {
    super(socket as unknown as Socket);
    this[kHead] = head.isHttp2 ? undefined : head;
    this[kEnviron] = undefined;
    this.method = head.method;
    this.url = head.url;
    this.httpVersionMajor = head.isHttp2 ? 2 : 1;
    this.httpVersionMinor = head.httpVersionMinor;
    this.httpVersion = head.isHttp2 ? '2.0' : head.httpVersionMinor === 1 ? '1.1' : '1.0';
    this.upgrade = false;
    // At the root the application sees only the path that the web server has decided on, as behind HTTP.
    if (head.baseUrl !== '') {
      this.baseUrl = head.baseUrl;
      this.originalUrl = head.originalUrl;
    }
    (this as unknown as ParsedMessage)._addHeaderLines(head.rawHeaders, head.rawHeaders.length);
  }
}

/** What libraries and people read as the name of its class. */
Object.defineProperty(GatewayRequest.prototype, 'constructor', { value: IncomingMessage });

/** Gives a request that is complete its trailers; Node takes header lines for those of the head until then. */
export function setTrailers(request: GatewayRequest, rawTrailers: string[]): void {
  (request as unknown as ParsedMessage)._addHeaderLines(rawTrailers, rawTrailers.length);
}

/**
 * On Node's own prototype, because that is the one that every request keeps: an accessor of the request's own would cost more
 * than the rest of making it, and most applications never look. Other requests have none, and may be given one.
 */
Object.defineProperty(IncomingMessage.prototype, 'environ', {
  configurable: true,
  enumerable: false,
  get(this: GatewayRequest): Environ | undefined {
    const head = this[kHead];
    if (head === undefined) return undefined;
    this[kEnviron] ??= environFromPairs(head.pairs);
    return this[kEnviron];
  },
  set(this: GatewayRequest, value: Environ) {
    Object.defineProperty(this, 'environ', { value, configurable: true, enumerable: true, writable: true });
  },
});
