/**
 * The connection on which one process of a server passes a request to another. It begins with a preamble, a line of JSON
 * that says what the request itself does not: the client's address, TLS, the mount. The other process
 * acknowledges it with a line end. Until then nothing of the request has been sent, so a process that is gone loses none.
 */
import type { IncomingMessage } from 'node:http';
import { createConnection, type Server, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { MountedRequest } from '../../http/mount.ts';

/** What the receiving process needs to know about the client's connection. */
interface Preamble {
  /** The client's certificate. */
  readonly certificate: unknown;
  /** Properties of the socket. */
  readonly socket: Readonly<Record<string, unknown>>;
  /** Properties of the request. */
  readonly request: Readonly<Record<string, unknown>>;
}

const SOCKET_PROPERTIES = ['remoteAddress', 'remotePort', 'remoteFamily', 'localAddress', 'localPort'] as const;
const LINE_END = 0x0a;
/** A CGI environment can be large, but not larger than servers accept. */
const LONGEST_PREAMBLE = 8 * 1024 * 1024;

function preambleOf(req: MountedRequest): Preamble {
  const { socket, baseUrl, originalUrl, environ } = req;
  const known: Record<string, unknown> = {};
  for (const name of SOCKET_PROPERTIES) known[name] = socket[name];
  let certificate: unknown;
  if ('encrypted' in socket && socket.encrypted === true) {
    const { authorized, authorizationError, getPeerCertificate } = socket as Partial<TLSSocket>;
    Object.assign(known, { encrypted: true, authorized, authorizationError });
    certificate = getPeerCertificate?.call(socket);
  }
  return { socket: known, certificate, request: { baseUrl, originalUrl, environ } };
}

/** Connects to a process by its socket. @returns undefined if it is gone */
export function connectToProcess(path: string, req: IncomingMessage): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    const gone = (): void => resolve(undefined);
    socket.on('error', () => socket.destroy());
    socket.once('close', gone);
    socket.write(`${JSON.stringify(preambleOf(req))}\n`);
    // The process sends nothing more until it has a request.
    socket.once('data', () => {
      socket.off('close', gone);
      resolve(socket);
    });
  });
}

function reviveBuffer(_key: string, value: unknown): unknown {
  const { type, data } = (value ?? {}) as { readonly type?: unknown; readonly data?: unknown };
  return type === 'Buffer' && Array.isArray(data) ? Buffer.from(data) : value;
}

/** Reads the preambles of connections to this process. */
export class Preambles {
  readonly #preambles = new WeakMap<Socket, Preamble>();

  /** Passes each connection of `listener` on to `server` when its preamble has come. */
  receive(listener: Server, server: Server): void {
    listener.on('connection', (socket) => {
      socket.on('error', () => socket.destroy());
      const pieces: Buffer[] = [];
      let length = 0;
      const read = (piece: Buffer): void => {
        const end = piece.indexOf(LINE_END);
        pieces.push(end === -1 ? piece : piece.subarray(0, end));
        length += piece.length;
        if (length > LONGEST_PREAMBLE) socket.destroy();
        if (end === -1 || socket.destroyed) return;
        socket.off('data', read);
        this.#take(socket, Buffer.concat(pieces).toString());
        socket.write('\n');
        server.emit('connection', socket);
      };
      socket.on('data', read);
    });
  }

  #take(socket: Socket, text: string): void {
    const preamble = JSON.parse(text, reviveBuffer) as Preamble;
    const { certificate } = preamble;
    if (certificate) Object.defineProperty(socket, 'getPeerCertificate', { value: () => certificate });
    for (const [name, value] of Object.entries(preamble.socket)) Object.defineProperty(socket, name, { value });
    this.#preambles.set(socket, preamble);
  }

  /** Completes a request that came on such a connection. */
  complete(req: IncomingMessage): void {
    Object.assign(req, this.#preambles.get(req.socket)?.request);
  }
}
