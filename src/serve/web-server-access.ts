/** `check --as-user`: whether a web server that runs as some user could reach what a server section listens on. */
import type { LoadedServer } from '../deploy/load.ts';
import { ConfigError, type PasterError, RunError } from '../errors.ts';
import { type Network, Peers } from '../gateway/peers.ts';
import { findUser, groupsOf } from '../net/account.ts';
import { type Address, formatAddress, isLoopback } from '../net/address.ts';
import { type Identity, obstaclesTo } from '../net/socket-access.ts';
import { listenerUrl } from './announce.ts';

export interface Access {
  /** What keeps the user out, each with the cure, at the line that says where the server listens. */
  readonly obstacles: readonly PasterError[];
  /** What the user can reach, a sentence for each address. */
  readonly reachable: readonly string[];
}

/** A user by its name or number, with its groups. @throws ConfigError when there is none. */
export function identityOf(user: string): Identity {
  const account = findUser(user);
  return { name: account.name, uid: account.uid, groups: groupsOf(account) };
}

/** @param settings the server's own, of which `allow` counts */
export function accessTo(server: LoadedServer, settings: unknown, who: Identity): Access {
  const obstacles: PasterError[] = [];
  const reachable: string[] = [];
  const section = `[${server.context.sections[0]?.name ?? 'server'}]`;
  for (const address of server.addresses) {
    const found = obstaclesOn(address, server, allowed(settings), who);
    for (const each of found) server.locateAddress(each);
    obstacles.push(...found);
    if (found.length > 0) continue;
    const from = address.kind === 'tcp' && !isLoopback(address.host) ? whence(settings) : '';
    reachable.push(`${section} ${who.name} can connect to ${listenerUrl(server.scheme, address)}${from}`);
  }
  return { obstacles, reachable };
}

function obstaclesOn(
  address: Address,
  { bindOptions }: LoadedServer,
  allow: readonly Network[] | undefined,
  who: Identity,
): PasterError[] {
  switch (address.kind) {
    case 'unix':
      return obstaclesTo(address.path, who, bindOptions).map(
        ({ message, cure }) => new RunError('PASTER_NO_ACCESS', message, { hint: cure, setting: 'socket' }),
      );
    case 'tcp': {
      const peer = address.host === '::1' ? '::1' : '127.0.0.1';
      // Elsewhere a web server comes from an address of its own, which is what `allow` is for.
      if (!isLoopback(address.host) || new Peers(allow).admits(peer)) return [];
      const message = `allow keeps ${who.name} out of ${formatAddress(address)}: a web server on this machine comes from ${peer}`;
      return [new ConfigError('PASTER_NO_ACCESS', message, { hint: `add ${peer} to allow`, setting: 'allow' })];
    }
    case 'fd':
      return [];
  }
}

function allowed(settings: unknown): readonly Network[] | undefined {
  const has = typeof settings === 'object' && settings !== null && 'allow' in settings;
  return has ? (settings.allow as readonly Network[] | undefined) : undefined;
}

function whence(settings: unknown): string {
  const networks = allowed(settings);
  return networks?.length ? ` from ${networks.map(({ address, prefix }) => `${address}/${prefix}`).join(', ')}` : '';
}
