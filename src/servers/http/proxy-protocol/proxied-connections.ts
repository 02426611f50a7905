/**
 * Connections of load balancers that begin with a header which names their client. The header is required of the addresses in
 * `proxy_protocol`; from others it is refused, since anyone could claim any address. Applications, logs and metrics then see the
 * address of the client.
 */
import type { Socket } from 'node:net';
import { clientAddress } from '../../../http/client-address.ts';
import { replacePeer } from '../../../net/node-internals/handles.ts';
import { type Network, Peers } from '../../../net/peers.ts';
import type { Connections } from '../connections.ts';
import { Deadlines } from '../deadlines.ts';
import { type ProxiedClient, type ProxyHeader, readProxyHeader } from './header.ts';

const BAD_REQUEST = 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n';

export interface ProxyProtocolOptions {
  /** Who sends the header. */
  readonly senders: readonly Network[];
  /** Seconds within which it has to arrive; 0: any. */
  readonly timeout: number;
  readonly connections: Connections;
}

export class ProxiedConnections {
  readonly #senders: Peers;
  readonly #connections: Connections;
  readonly #waiting: Deadlines<Socket>;

  constructor({ senders, timeout, connections }: ProxyProtocolOptions) {
    this.#senders = new Peers(senders);
    this.#connections = connections;
    this.#waiting = new Deadlines(timeout, (socket) => socket.destroy());
  }

  /** Reads the header of a new connection. @param open takes the connection, which is paused, at the first byte behind the header */
  receive(socket: Socket, open: (socket: Socket) => void): void {
    const peer = clientAddress({ socket });
    const isSender = peer !== undefined && this.#senders.admits(peer);
    let received: Buffer | undefined;
    const read = (bytes: Buffer): void => {
      received = received ? Buffer.concat([received, bytes]) : bytes;
      const header = readProxyHeader(received);
      if (header.kind === 'incomplete') return;
      this.#waiting.stop(socket);
      socket.pause();
      socket.off('data', read);
      socket.off('end', close);
      socket.off('error', close);
      socket.off('close', forget);
      const reason = refusal(header, isSender);
      if (reason !== undefined) {
        this.#connections.logRefusal(socket, reason);
        this.#connections.turnAway(socket, BAD_REQUEST);
        return;
      }
      let rest = received;
      if (header.kind === 'complete') {
        if (header.client) showClient(socket, header.client);
        rest = received.subarray(header.length);
      }
      if (rest.length > 0) socket.unshift(rest);
      open(socket);
    };
    const close = (): void => void socket.destroy();
    const forget = (): void => this.#waiting.stop(socket);
    socket.on('data', read);
    socket.on('end', close);
    socket.on('error', close);
    socket.on('close', forget);
    this.#waiting.start(socket);
  }

  end(): void {
    this.#waiting.end();
  }
}

/** Sets the address of a socket's peer: its properties, and for TLS, which does not read them, what the handle returns. */
function showClient(socket: Socket, client: ProxiedClient): void {
  const { address, port, family } = client;
  const properties = { configurable: true, enumerable: true };
  Object.defineProperties(socket, {
    remoteAddress: { ...properties, value: address },
    remotePort: { ...properties, value: port },
    remoteFamily: { ...properties, value: family },
  });
  replacePeer(socket, client);
}

/** Why a connection is refused; undefined: it is not. */
function refusal({ kind }: ProxyHeader, isSender: boolean): string | undefined {
  if (!isSender)
    return kind === 'absent' ? undefined : 'it sent a PROXY header, and proxy_protocol does not name its address';
  if (kind === 'malformed') return 'its PROXY header is malformed';
  return kind === 'absent' ? 'it sent no PROXY header, which proxy_protocol requires of its address' : undefined;
}
