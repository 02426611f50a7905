/** Where a server listens: a TCP host and port, the path of a Unix socket, or an inherited descriptor. */
import type { Server } from 'node:net';

/** A TCP address: a host name or IP address, and a port from 0 (any free one) to 65535. */
export interface TcpAddress {
  readonly kind: 'tcp';
  readonly host: string;
  readonly port: number;
}

/** A Unix socket, by the path of its file. */
export interface UnixAddress {
  readonly kind: 'unix';
  readonly path: string;
}

/** A socket that the process was started with, by its descriptor. */
export interface DescriptorAddress {
  readonly kind: 'fd';
  readonly fd: number;
}

/** Where a server listens; `kind` says which of the three it is. */
export type Address = TcpAddress | UnixAddress | DescriptorAddress;

/** An address with the protocol that is spoken there. */
export interface Endpoint {
  /** `http`, `fastcgi`, ... */
  readonly scheme: string;
  readonly address: Address;
}

/** `127.0.0.1:8080`, `[::1]:8080`, `unix:/path`, `fd:0`: the notation of the `listen` setting. */
export function formatAddress(address: Address): string {
  switch (address.kind) {
    case 'tcp':
      return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
    case 'unix':
      return `unix:${address.path}`;
    case 'fd':
      return `fd:${address.fd}`;
  }
}

const TCP = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/;

/** Reads the notation of `formatAddress`; undefined for anything else. An empty host or `*` is every IPv4 address. */
export function parseAddress(text: string): Address | undefined {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length);
    return path === '' ? undefined : { kind: 'unix', path };
  }
  const descriptor = /^fd:(\d{1,9})$/.exec(text);
  if (descriptor) return { kind: 'fd', fd: Number(descriptor[1]) };
  const tcp = TCP.exec(text);
  if (!tcp) return undefined;
  const port = Number(tcp[3]);
  if (port > 65535) return undefined;
  const host = tcp[1] ?? tcp[2] ?? '';
  return { kind: 'tcp', host: host === '' || host === '*' ? '0.0.0.0' : host, port };
}

/** Whether only this machine can reach the address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^(?:::ffff:)?127(?:\.\d{1,3}){3}$/i.test(host);
}

/** The address of a server that listens. */
export function addressOfServer(server: Server): Address {
  const address = server.address();
  // Node does not know the path of a Unix socket that it has inherited, such as FastCGI's on descriptor 0.
  if (address === null) return { kind: 'fd', fd: 0 };
  if (typeof address === 'string') return { kind: 'unix', path: address };
  return { kind: 'tcp', host: address.address, port: address.port };
}

let serving: Address | undefined;

/** Where this process serves the application, for a program that sends requests to its own server; undefined before that is known. */
export function servingAddress(): Address | undefined {
  return serving;
}

/** Sets what `servingAddress` returns: the first of the addresses that clients reach. */
export function setServingAddress(address: Address | undefined): void {
  serving = address;
}

const ownServers = new WeakSet<object>();

/** Marks a `net.Server` as one of paster's listeners, and not the application's. */
export function markOwnServer(server: object): void {
  ownServers.add(server);
}

export function isOwnServer(server: object): boolean {
  return ownServers.has(server);
}
