/** Passes requests and upgrades to another process of the server, on a connection of their own. */
import { type ClientRequest, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { forwardedTrailers, refusalOf, responseHeaders } from './forwarded-headers.ts';
import { connectToProcess } from './preamble.ts';

/** Headers that this process has handled. With `upgrade`, the other process might upgrade the connection of an ordinary request. */
const NOT_FORWARDED: ReadonlySet<string> = new Set(['transfer-encoding', 'expect', 'upgrade']);
/** What Node refuses in a request line. */
const UNSENDABLE = /[^\x21-\xff]/;
const BODY_METHODS: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

/** Passes a request to the process of a socket. @returns false if that process is gone: nothing has been read or written. */
export async function forwardRequest(path: string, req: IncomingMessage, res: ServerResponse): Promise<boolean> {
  const { method = 'GET', url = '/' } = req;
  // The other process could parse such a request differently.
  if (refusalOf(req) !== undefined || UNSENDABLE.test(url)) return false;
  const connection = await connectToProcess(path, req);
  if (!connection) return false;
  if (res.destroyed) {
    connection.destroy();
    return true;
  }
  const sent = request({ method, path: url, headers: forwardedHeaders(req), createConnection: () => connection });
  // This connection serves one request only, whatever the headers say about the client's connection.
  res.once('close', () => connection.destroy());
  req.once('close', () => !req.complete && connection.destroy());
  sent.on('error', () => sendFailure(res));
  sent.on('response', (response) => respond(response, res));
  sendBody(req, sent);
  return true;
}

function forwardedHeaders({ method = 'GET', headers, rawHeaders }: IncomingMessage): string[] {
  const lines: string[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? '';
    if (!NOT_FORWARDED.has(name.toLowerCase())) lines.push(name, rawHeaders[index + 1] ?? '');
  }
  if (headers['transfer-encoding'] !== undefined) lines.push('Transfer-Encoding', 'chunked');
  else if (headers['content-length'] === undefined && BODY_METHODS.has(method)) lines.push('Content-Length', '0');
  return lines;
}

function sendBody(req: IncomingMessage, sent: ClientRequest): void {
  req.once('end', () => {
    const trailers = forwardedTrailers(req);
    if (trailers && req.headers['transfer-encoding'] !== undefined) sent.addTrailers(trailers);
    sent.end();
  });
  req.pipe(sent, { end: false });
}

function respond(response: IncomingMessage, res: ServerResponse): void {
  for (const [name, values] of responseHeaders(response)) {
    res.setHeader(name, values.length === 1 ? (values[0] ?? '') : values);
  }
  if (response.statusMessage) res.statusMessage = response.statusMessage;
  res.writeHead(response.statusCode ?? 502);
  // Sends the head at once.
  res.write(Buffer.alloc(0));
  response.on('end', () => {
    if (!response.complete) return;
    const trailers = forwardedTrailers(response);
    if (trailers) res.addTrailers(trailers);
    res.end();
  });
  response.on('close', () => !response.complete && res.destroy());
  response.pipe(res, { end: false });
}

/** The other process has died with the request. */
function sendFailure(res: ServerResponse): void {
  if (res.headersSent) {
    res.destroy();
    return;
  }
  res.writeHead(502, { 'content-type': 'text/plain; charset=utf-8' });
  res.end('The process that had this request has ended.\n');
}

/** Passes an upgrade in the same way, and then pipes all bytes in both directions. */
export async function forwardUpgrade(
  path: string,
  req: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<boolean> {
  const connection = await connectToProcess(path, req);
  if (!connection) return false;
  const { method = 'GET', url = '/', rawHeaders } = req;
  let lines = `${method} ${url} HTTP/1.1\r\n`;
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    lines += `${rawHeaders[index]}: ${rawHeaders[index + 1]}\r\n`;
  }
  connection.write(`${lines}\r\n`, 'latin1');
  connection.write(head);
  join(socket, connection);
  return true;
}

function join(client: Duplex, connection: Socket): void {
  client.on('error', () => client.destroy());
  client.once('close', () => connection.destroy());
  connection.once('close', () => client.end());
  client.pipe(connection).pipe(client);
}
