/** Opens what a server listens on: its section's addresses, or in their place what systemd has opened. */
import type { LoadedServer } from '../deploy/load.ts';
import { findUser, groupId } from '../net/account.ts';
import { type Address, formatAddress } from '../net/address.ts';
import type { BindOptions } from '../net/listener.ts';

/** Whose the server is to be, if not of who starts it. */
export interface Ownership {
  readonly user: string | undefined;
  readonly group: string | undefined;
}

/**
 * Opens all of them, or none. `passed` are systemd's, in its order; of what is `kept`, by the address that was asked for,
 * nothing is opened or closed.
 */
export async function openAll<T extends { close(): Promise<unknown> }>(
  server: LoadedServer,
  passed: readonly Address[],
  ownership: Ownership,
  open: (address: Address, options: BindOptions) => Promise<T>,
  kept: ReadonlyMap<string, T> = new Map(),
): Promise<Map<string, T>> {
  const opened: T[] = [];
  const all = new Map<string, T>();
  const options = { ...socketOwner(ownership), ...server.bindOptions };
  try {
    for (const address of passed) server.checkAddress(address);
    for (const address of passed.length > 0 ? passed : server.addresses) {
      const name = formatAddress(address);
      const known = kept.get(name);
      const socket = known ?? (await open(address, { ...options, ipv6Only: hasSibling(address, server.addresses) }));
      if (!known) opened.push(socket);
      all.set(name, socket);
    }
    return all;
  } catch (error) {
    await Promise.all(opened.map((each) => each.close()));
    throw server.locateAddress(error);
  }
}

/** Whether `::` is listed beside `0.0.0.0` with the same port, which it would take as well. */
function hasSibling(address: Address, all: readonly Address[]): boolean {
  if (address.kind !== 'tcp' || address.host !== '::' || address.port === 0) return false;
  return all.some((other) => other.kind === 'tcp' && other.host === '0.0.0.0' && other.port === address.port);
}

/** A socket file that root makes for a server of somebody else's is that one's, unless the section says otherwise. */
function socketOwner({ user, group }: Ownership): BindOptions {
  if (process.getuid?.() !== 0) return {};
  const account = user === undefined ? undefined : findUser(user);
  const gid = group === undefined ? account?.gid : groupId(group);
  return { ...(account ? { owner: account.uid } : {}), ...(gid === undefined ? {} : { group: gid }) };
}
