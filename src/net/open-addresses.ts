/** Opens the sockets of several addresses: all or none. A host name means every address that it has. */
import { isIP } from 'node:net';
import { errorCode } from '../errors.ts';
import { type Address, formatAddress, type TcpAddress } from './address.ts';
import { bindError } from './bind-errors.ts';
import type { ShareableSocket } from './inherited-sockets.ts';
import type { BindOptions } from './listener.ts';

export interface OpenSocket extends Pick<ShareableSocket, 'address' | 'ownedFile'> {
  close(): Promise<unknown>;
}

type Open<T> = (address: Address) => Promise<T>;

/** Attempts to find a port that is free on every address of a host name. */
const MAX_TRIES = 10;

/** How sockets are named by the requested address. */
export interface NamedSockets<T> {
  /** Open sockets: they are used, and neither opened nor closed. */
  readonly kept: ReadonlyMap<string, T>;
  readonly nameOf: (address: Address) => string;
}

/** @returns the sockets by the name of the requested address */
export async function openAddresses<T extends OpenSocket>(
  addresses: readonly Address[],
  options: BindOptions,
  open: (address: Address, options: BindOptions) => Promise<T>,
  { kept, nameOf }: NamedSockets<T> = { kept: new Map(), nameOf: formatAddress },
): Promise<Map<string, T>> {
  const opened = new Map<string, T>();
  const openOne: Open<T> = (address) => open(address, { ...options, ipv6Only: hasSibling(address, addresses) });
  try {
    for (const address of addresses) {
      const hosts = await hostsOf(address);
      const known = { kept: new Map([...kept, ...opened]), nameOf };
      const sockets =
        address.kind === 'tcp' && hosts.length > 1
          ? await openHosts(address, hosts, openOne, known)
          : new Map([await openNamed(address, openOne, known)]);
      for (const [name, socket] of sockets) opened.set(name, socket);
    }
    return opened;
  } catch (error) {
    await closeAll(opened, kept);
    throw error;
  }
}

/** The IP addresses of a host name, the IPv4 ones first, since most clients and users expect those. */
async function hostsOf(address: Address): Promise<string[]> {
  if (address.kind !== 'tcp' || isIP(address.host) !== 0) return [];
  try {
    // Loaded late, as in most files the host is an address.
    const { lookup } = process.getBuiltinModule('node:dns/promises');
    const found = await lookup(address.host, { all: true, order: 'ipv4first' });
    return [...new Set(found.map((each) => each.address))];
  } catch (error) {
    throw bindError(error, address);
  }
}

/** Opens one port on several addresses. With port 0, tries again with another port if one of the addresses has it in use. */
async function openHosts<T extends OpenSocket>(
  address: TcpAddress,
  hosts: readonly string[],
  open: Open<T>,
  named: NamedSockets<T>,
): Promise<Map<string, T>> {
  for (let tries = 1; ; tries++) {
    const opened = new Map<string, T>();
    try {
      await openAvailable(opened, address, hosts, open, named);
      return opened;
    } catch (error) {
      await closeAll(opened, named.kept);
      if (address.port !== 0 || errorCode(error) !== 'PASTER_LISTEN_EADDRINUSE' || tries === MAX_TRIES) throw error;
    }
  }
}

/** Adds what it opens to `opened`. Addresses that this machine does not have (no IPv6) are left out, unless it has none of them. */
async function openAvailable<T extends OpenSocket>(
  opened: Map<string, T>,
  address: TcpAddress,
  hosts: readonly string[],
  open: Open<T>,
  named: NamedSockets<T>,
): Promise<void> {
  let { port } = address;
  let unavailable: unknown;
  for (const host of hosts) {
    try {
      const [name, socket] = await openNamed({ ...address, host, port }, open, named);
      opened.set(name, socket);
      // Port 0 means any free port, but the same one on all addresses.
      if (socket.address.kind === 'tcp') port = socket.address.port;
    } catch (error) {
      if (!UNAVAILABLE.has(errorCode(error) ?? '')) throw error;
      unavailable = error;
    }
  }
  if (opened.size === 0) throw unavailable;
}

const UNAVAILABLE: ReadonlySet<string> = new Set(['PASTER_LISTEN_EADDRNOTAVAIL', 'PASTER_LISTEN_EAFNOSUPPORT']);

async function openNamed<T>(address: Address, open: Open<T>, { kept, nameOf }: NamedSockets<T>): Promise<[string, T]> {
  const name = nameOf(address);
  return [name, kept.get(name) ?? (await open(address))];
}

async function closeAll<T extends OpenSocket>(
  opened: ReadonlyMap<string, T>,
  kept: ReadonlyMap<string, T>,
): Promise<void> {
  const held = new Set(kept.values());
  await Promise.all([...opened.values()].filter((socket) => !held.has(socket)).map((socket) => socket.close()));
}

/** Whether the address is `::` and `0.0.0.0` is listed with the same port, which `::` would take as well. */
function hasSibling(address: Address, all: readonly Address[]): boolean {
  if (address.kind !== 'tcp' || address.host !== '::' || address.port === 0) return false;
  return all.some((other) => other.kind === 'tcp' && other.host === '0.0.0.0' && other.port === address.port);
}
