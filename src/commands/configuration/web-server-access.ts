/** `check --as-user`: whether a web server that runs as some user could reach what a server section listens on. */
import type { FactoryContext } from '../../deploy/context.ts';
import type { LoadedServer } from '../../deploy/load.ts';
import { ConfigError, type PasterError, RunError } from '../../errors.ts';
import { findUser, groupsOf } from '../../files/passwd.ts';
import { formatAddress, isLoopback, type TcpAddress, type UnixAddress } from '../../net/address.ts';
import { type Network, Peers } from '../../net/peers.ts';
import { obstaclesTo, type UserIdentity } from '../../net/socket-access.ts';
import { listenerUrl } from '../../serve/announce.ts';

export interface Access {
  /** What keeps the user out, each with the cure, at the line that says where the server listens. */
  readonly obstacles: readonly PasterError[];
  /** What the user can reach, and what was not checked: a sentence for each address without an obstacle. */
  readonly sentences: readonly string[];
}

/** A user by its name or number, with its groups. @throws ConfigError when there is none. */
export function identityOf(user: string): UserIdentity {
  const account = findUser(user);
  return { name: account.name, uid: account.uid, groups: groupsOf(account) };
}

/** @param settings the server's own, of which `allow` counts */
export function accessTo(server: LoadedServer, settings: unknown, who: UserIdentity): Access {
  const obstacles: PasterError[] = [];
  const sentences: string[] = [];
  const section = sectionName(server.context);
  for (const address of server.addresses) {
    const url = listenerUrl({ scheme: server.scheme, address });
    if (address.kind === 'fd') {
      sentences.push(`${section} not checked: another program opens ${url}`);
      continue;
    }
    const found = obstaclesOn(address, server, allowed(settings), who);
    for (const each of found) server.locateAddress(each);
    obstacles.push(...found);
    if (found.length > 0) continue;
    const from = address.kind === 'tcp' && !isLoopback(address.host) ? fromAllowed(settings) : '';
    sentences.push(`${section} ${who.name} can connect to ${url}${from}`);
  }
  return { obstacles, sentences };
}

/** The sentence for a server of another package: how it uses its address is unknown. */
export function notChecked(context: FactoryContext): string {
  return `${sectionName(context)} not checked: paster does not know how this server uses its address`;
}

function sectionName({ sections }: FactoryContext): string {
  return `[${sections[0]?.name ?? 'server'}]`;
}

function obstaclesOn(
  address: UnixAddress | TcpAddress,
  { bindOptions }: LoadedServer,
  allow: readonly Network[] | undefined,
  who: UserIdentity,
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
  }
}

function allowed(settings: unknown): readonly Network[] | undefined {
  const has = typeof settings === 'object' && settings !== null && 'allow' in settings;
  return has ? (settings.allow as readonly Network[] | undefined) : undefined;
}

function fromAllowed(settings: unknown): string {
  const networks = allowed(settings);
  return networks?.length ? ` from ${networks.map(({ address, prefix }) => `${address}/${prefix}`).join(', ')}` : '';
}
