/** Converts heads of HTTP/2 (RFC 9113 section 8) to and from those of a gateway's request and response. */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { EnvironPairs } from '../../gateway/environ.ts';
import type { RequestHead } from '../../gateway/request-head.ts';

export class Http2RequestHead implements RequestHead {
  readonly isHttp2 = true;
  readonly method: string;
  readonly url: string;
  readonly baseUrl = '';
  readonly originalUrl: string;
  readonly httpVersionMinor = 0;
  readonly rawHeaders: string[] = [];
  readonly contentLength: number | undefined;
  readonly chunked: boolean;
  readonly encrypted: boolean;
  readonly connection: TLSSocket | undefined;
  readonly #socket: Socket;
  #pairs: EnvironPairs | undefined;

  /** @param isWhole the request has no body. */
  constructor(headers: IncomingHttpHeaders, rawHeaders: readonly string[], isWhole: boolean, socket: Socket) {
    this.method = headers[':method'] ?? 'GET';
    this.url = headers[':path'] ?? '/';
    this.originalUrl = this.url;
    this.connection = isTls(socket) ? socket : undefined;
    this.encrypted = this.connection !== undefined;
    this.#socket = socket;
    const authority = headers[':authority'];
    if (authority !== undefined) this.rawHeaders.push('host', authority);
    for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
      const name = rawHeaders[i] as string;
      if (name.startsWith(':') || (name === 'host' && authority !== undefined)) continue;
      this.rawHeaders.push(name, rawHeaders[i + 1] as string);
    }
    const length = headers['content-length'];
    this.contentLength = length === undefined ? undefined : Number(length);
    // Body parsers assume that a request with neither length nor encoding has no body.
    this.chunked = length === undefined && !isWhole;
    if (this.chunked) this.rawHeaders.push('transfer-encoding', 'chunked');
  }

  /** The addresses at both ends of the connection. */
  get pairs(): EnvironPairs {
    this.#pairs ??= addresses(this.#socket);
    return this.#pairs;
  }
}

function isTls(socket: Socket | TLSSocket): socket is TLSSocket {
  return 'encrypted' in socket && socket.encrypted === true;
}

function addresses({ remoteAddress = '', remotePort, localAddress = '', localPort }: Socket): string[] {
  const remote = ['REMOTE_ADDR', remoteAddress, 'REMOTE_PORT', String(remotePort ?? '')];
  return [...remote, 'SERVER_ADDR', localAddress, 'SERVER_PORT', String(localPort ?? '')];
}

/** Whether a request names two hosts: a server must not choose (RFC 9113 section 8.3.1). */
export function hasTwoHosts({ ':authority': authority, host }: IncomingHttpHeaders): boolean {
  return authority !== undefined && host !== undefined && authority.toLowerCase() !== host.toLowerCase();
}

/** The HTTP/2 headers of a CGI response (`Status: 200 OK`) or of an interim one (`HTTP/1.1 103 Early Hints`). */
export function http2Headers(head: string): OutgoingHttpHeaders {
  const [start = '', ...lines] = head.split('\r\n');
  return { ':status': Number(/ (\d{3})/.exec(start)?.[1]), ...fields(lines) };
}

/** Header fields or trailers from lines `Name: value`. */
export function fields(lines: readonly string[]): Record<string, string | string[]> {
  const all: Record<string, string | string[]> = Object.create(null);
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon === -1) continue;
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 2);
    const before = all[name];
    all[name] = before === undefined ? value : [before, value].flat();
  }
  return all;
}
