/**
 * The request that an application gets: Node's own IncomingMessage with the head that a CGI environment describes. It needs
 * no methods of its own class, since Express replaces the prototype of every request. Its GatewaySocket pushes the body, and
 * Node's `_read` asks that socket for more.
 */
import { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { addHeaderLines } from '../net/node-internals/messages.ts';
import { type Environ, environFromPairs } from './environ.ts';
import type { RequestHead } from './request-head.ts';
import type { GatewaySocket } from './socket.ts';

const kHead = Symbol('head');
const kEnviron = Symbol('environ');

export class GatewayRequest extends IncomingMessage {
  /** Where the web server has mounted the application; absent at the root. Express uses the same name. */
  declare baseUrl?: string;
  /** The target as the client sent it, if `url` is only a part of it. */
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
    setHeaderLines(this, head.rawHeaders);
  }
}

/** The class that libraries and users see. */
Object.defineProperty(GatewayRequest.prototype, 'constructor', { value: IncomingMessage });

/**
 * Defined on Node's own prototype, which every request keeps: an accessor on each request took a sixth of the time that paster's
 * JavaScript needs for a request, and most applications never read it. Requests of other servers have none until one is assigned.
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

/** Gives a request its header lines, name and value in turn, or its trailers if it is complete. */
export function setHeaderLines(request: IncomingMessage, lines: string[]): void {
  if (addHeaderLines(request, lines)) return;
  const kind = request.complete ? 'trailers' : 'headers';
  const { joined, distinct } = headersFrom(lines);
  // Gets the same prototype as Node's own object has, which differs between versions of Node.
  Object.setPrototypeOf(joined, Object.getPrototypeOf(request[kind]));
  Object.setPrototypeOf(distinct, Object.getPrototypeOf(request[`${kind}Distinct`]));
  Object.assign(request, {
    [request.complete ? 'rawTrailers' : 'rawHeaders']: lines,
    [kind]: joined,
    [`${kind}Distinct`]: distinct,
  });
}

/** If one of these headers comes twice, Node keeps the first value. The values of others are joined. */
const SINGLE_HEADERS: ReadonlySet<string> = new Set(
  (
    'age authorization content-length content-type etag expires from host if-modified-since if-unmodified-since ' +
    'last-modified location max-forwards proxy-authorization referer retry-after server user-agent'
  ).split(' '),
);

/** `headers` and `headersDistinct` of a request. */
function headersFrom(lines: readonly string[]): { joined: object; distinct: object } {
  const joined: Record<string, string | string[]> = Object.create(null);
  const distinct: Record<string, string[]> = Object.create(null);
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const [name, value] = [(lines[i] as string).toLowerCase(), lines[i + 1] as string];
    const values = [...(distinct[name] ?? []), value];
    distinct[name] = values;
    if (name === 'set-cookie') joined[name] = values;
    else if (values.length === 1) joined[name] = value;
    else if (!SINGLE_HEADERS.has(name)) joined[name] = values.join(name === 'cookie' ? '; ' : ', ');
  }
  return { joined, distinct };
}
