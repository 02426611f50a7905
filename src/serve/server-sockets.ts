/** Finds out to which of the servers that are served together each socket belongs. */
import { resolve } from 'node:path';
import type { NamedServer, NamedServers } from '../deploy/server/server-group.ts';
import { ConfigError } from '../errors.ts';
import type { ServerAddress } from '../metrics/server-status.ts';
import { type Address, type Endpoint, formatAddress } from '../net/address.ts';
import { addressOfDescriptor } from '../net/inherited-sockets.ts';
import type { BindOptions } from '../net/listener.ts';
import { listenerUrl } from './announce.ts';
import type { OpenedServer } from './plan.ts';

/** Opens a socket. */
export type OpenOne<T> = (address: Address, options: BindOptions) => Promise<T>;

/** A server with its open sockets, by the names of their addresses. */
export interface OpenedSockets<T> extends NamedServer {
  readonly sockets: ReadonlyMap<string, T>;
}

/** The sockets of all servers, in the order of the servers. */
export function allSockets<T>(opened: readonly OpenedSockets<T>[]): T[] {
  return opened.flatMap(({ sockets }) => [...sockets.values()]);
}

export interface ServerEndpoint extends Endpoint {
  /** The name of the server. */
  readonly server: string;
}

export function endpointsOf(opened: readonly OpenedSockets<{ readonly address: Address }>[]): ServerEndpoint[] {
  return opened.flatMap(({ name, server: { scheme }, sockets }) =>
    [...sockets.values()].map(({ address }) => ({ server: name, scheme, address })),
  );
}

/** The endpoints of a plan. @param sockets in the order of the servers */
export function plannedEndpoints(
  servers: readonly OpenedServer[],
  sockets: readonly { readonly address: Address }[],
): ServerEndpoint[] {
  const owners = servers.flatMap((each) => Array.from({ length: each.sockets }, () => each));
  return owners.flatMap(({ name, scheme }, index) => {
    const socket = sockets[index];
    return socket ? { server: name, scheme, address: socket.address } : [];
  });
}

/** The endpoints as a status shows them. */
export function serverAddresses(endpoints: readonly ServerEndpoint[]): ServerAddress[] {
  return endpoints.map((each) => ({ server: each.server, url: listenerUrl(each) }));
}

/** Names the sockets of a server: by the address, unless each server takes a free port there. */
export function addressNames({ name }: NamedServer, servers: NamedServers): (address: Address) => string {
  return (address) => {
    const isAnyPort = servers.length > 1 && address.kind === 'tcp' && address.port === 0;
    return isAnyPort ? `${formatAddress(address)} of ${name}` : formatAddress(address);
  };
}

/**
 * Gives each socket of systemd to the server whose section names its address; a single server gets all of them.
 * @throws ConfigError for a socket that no section names
 */
export function passedSocketsByServer(
  passed: readonly Address[],
  servers: NamedServers,
): ReadonlyMap<NamedServer, readonly Address[]> {
  const [first, ...others] = servers;
  if (others.length === 0) return new Map([[first, passed]]);
  const shares = new Map<NamedServer, Address[]>();
  for (const address of passed) {
    const actual = address.kind === 'fd' ? (addressOfDescriptor(address.fd) ?? address) : address;
    const owner = servers.find(({ server }) => server.addresses.some((each) => isSocketOf(each, actual)));
    if (!owner) {
      const names = servers.map(({ name }) => `[server:${name}]`).join(' and ');
      throw new ConfigError(
        'PASTER_SERVERS',
        `systemd has opened ${formatAddress(actual)}, which ${names} do not name`,
        {
          location: first.server.context.sections[0]?.location,
          hint: 'write the same address in ListenStream= of the unit and in the section of its server',
        },
      );
    }
    shares.set(owner, [...(shares.get(owner) ?? []), address]);
  }
  return shares;
}

/** The same path or the same port. Addresses are not compared, because systemd may write a wildcard in another way. */
function isSocketOf(configured: Address, actual: Address): boolean {
  if (configured.kind === 'unix') return actual.kind === 'unix' && resolve(configured.path) === actual.path;
  return configured.kind === 'tcp' && actual.kind === 'tcp' && configured.port === actual.port;
}
