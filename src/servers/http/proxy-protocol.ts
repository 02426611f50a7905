/**
 * The PROXY protocol, versions 1 and 2: a load balancer sends the address of its client at the beginning of a connection, so that
 * applications, logs and metrics see that address (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt). The addresses in
 * `proxy_protocol` must send this header; from any other address it is refused, since a client could claim any address.
 */
import { isIPv4, isIPv6, type Socket, SocketAddress } from 'node:net';
import { clientAddress } from '../../http/client-address.ts';
import { replacePeer } from '../../net/node-internals/handles.ts';
import { type Network, Peers } from '../../net/peers.ts';
import type { Connections } from './connections.ts';
import { Deadlines } from './deadlines.ts';

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
    return kind === 'absent' ? undefined : 'it sent a PROXY header, but proxy_protocol does not name its address';
  if (kind === 'malformed') return 'its PROXY header is malformed';
  return kind === 'absent' ? 'it sent no PROXY header, which proxy_protocol requires of its address' : undefined;
}

// --- reading the header

/** The other end of the connection that the load balancer has accepted. */
interface ProxiedClient {
  readonly address: string;
  readonly port: number;
  readonly family: 'IPv4' | 'IPv6';
}

/**
 * `incomplete`: more bytes decide. `absent`: the bytes are no such header. `malformed`: they begin like one.
 * `client` is undefined if the load balancer speaks for itself, as in a health check, or knows no address.
 */
type ProxyHeader =
  | { readonly kind: 'incomplete' | 'absent' | 'malformed' }
  | { readonly kind: 'complete'; readonly length: number; readonly client: ProxiedClient | undefined };

const INCOMPLETE: ProxyHeader = { kind: 'incomplete' };
const ABSENT: ProxyHeader = { kind: 'absent' };
const MALFORMED: ProxyHeader = { kind: 'malformed' };

const START_1 = Buffer.from('PROXY ');
const START_2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n');
/** With the line end; the longest one is that of UNKNOWN with two IPv6 addresses. */
const MAX_LENGTH_1 = 107;
/** Version 2 allows 65,551. HAProxy and the clouds send less than 1,000 bytes; nginx accepts 4,096. */
const MAX_LENGTH_2 = 4096;
/** The start, version and command, family, length. */
const FIXED_2 = START_2.length + 4;

/** Reads the header at the beginning of `bytes`, which are all bytes that have been received so far. */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (beginsLike(bytes, START_1)) return bytes.length < START_1.length ? INCOMPLETE : readVersion1(bytes);
  if (beginsLike(bytes, START_2)) return bytes.length < FIXED_2 ? INCOMPLETE : readVersion2(bytes);
  return ABSENT;
}

function beginsLike(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length);
  return bytes.compare(start, 0, length, 0, length) === 0;
}

function readVersion1(bytes: Buffer): ProxyHeader {
  const text = bytes.toString('latin1', 0, Math.min(bytes.length, MAX_LENGTH_1));
  const end = text.indexOf('\r\n');
  if (end === -1) return bytes.length < MAX_LENGTH_1 ? INCOMPLETE : MALFORMED;
  const words = text.slice(START_1.length, end).split(' ');
  const [family, source = '', target = '', sourcePort = '', targetPort = ''] = words;
  const length = end + 2;
  if (family === 'UNKNOWN') return { kind: 'complete', length, client: undefined };
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isBareIPv6 : undefined;
  if (words.length !== 5 || !isAddress?.(source) || !isAddress(target)) return MALFORMED;
  const port = portOf(sourcePort);
  if (port === undefined || portOf(targetPort) === undefined) return MALFORMED;
  const client = family === 'TCP4' ? { address: source, port, family: 'IPv4' as const } : ipv6Client(source, port);
  return { kind: 'complete', length, client };
}

/** An address with a zone is of no use to another machine. */
function isBareIPv6(address: string): boolean {
  return isIPv6(address) && !address.includes('%');
}

function portOf(digits: string): number | undefined {
  const port = /^(?:0|[1-9]\d{0,4})$/.test(digits) ? Number(digits) : Number.POSITIVE_INFINITY;
  return port <= 65_535 ? port : undefined;
}

const VERSION_2 = 0x20;
const LOCAL = 0x20;
const PROXY = 0x21;
const TCP_4 = 0x11;
const TCP_6 = 0x21;
/** Two addresses and two ports. */
const ADDRESSES_4 = 12;
const ADDRESSES_6 = 36;

function readVersion2(bytes: Buffer): ProxyHeader {
  const command = bytes.readUInt8(START_2.length);
  const family = bytes.readUInt8(START_2.length + 1);
  const size = bytes.readUInt16BE(START_2.length + 2);
  const length = FIXED_2 + size;
  if ((command & 0xf0) !== VERSION_2 || (command !== LOCAL && command !== PROXY)) return MALFORMED;
  if (length > MAX_LENGTH_2) return MALFORMED;
  const needed = family === TCP_4 ? ADDRESSES_4 : family === TCP_6 ? ADDRESSES_6 : 0;
  if (command === PROXY && size < needed) return MALFORMED;
  if (bytes.length < length) return INCOMPLETE;
  // What follows the addresses are additions (TLV), which are of no use here.
  return { kind: 'complete', length, client: command === PROXY ? clientOf(bytes, family) : undefined };
}

/** Undefined for families without an address that an HTTP server knows: Unix sockets, UDP, unspecified. */
function clientOf(bytes: Buffer, family: number): ProxiedClient | undefined {
  const at = FIXED_2;
  if (family === TCP_4) {
    return { address: bytes.subarray(at, at + 4).join('.'), port: bytes.readUInt16BE(at + 8), family: 'IPv4' };
  }
  if (family !== TCP_6) return undefined;
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(at + 2 * index).toString(16));
  return ipv6Client(groups.join(':'), bytes.readUInt16BE(at + 32));
}

/** In the spelling that Node has for the address of a connection. */
function ipv6Client(address: string, port: number): ProxiedClient {
  return { address: new SocketAddress({ address, family: 'ipv6' }).address, port, family: 'IPv6' };
}
