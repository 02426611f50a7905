/** Opens what a server listens on: its section's addresses, or in their place what systemd has opened. */
import type { LoadedServer } from '../deploy/load.ts';
import { findUser, groupId } from '../net/account.ts';
import type { Address } from '../net/address.ts';
import type { BindOptions } from '../net/listener.ts';
import { type OpenSocket, openAddresses } from '../net/open-addresses.ts';

/** Whose the server is to be, if not of who starts it. */
export interface Ownership {
  readonly user: string | undefined;
  readonly group: string | undefined;
}

/** Opens all of them, or none. `passed` are systemd's, in its order, and `kept` is for `openAddresses`. */
export async function openAll<T extends OpenSocket>(
  server: LoadedServer,
  passed: readonly Address[],
  ownership: Ownership,
  open: (address: Address, options: BindOptions) => Promise<T>,
  kept?: ReadonlyMap<string, T>,
): Promise<Map<string, T>> {
  for (const address of passed) server.checkAddress(address);
  const options = { ...socketOwner(ownership), ...server.bindOptions };
  try {
    return await openAddresses(passed.length > 0 ? passed : server.addresses, options, open, kept);
  } catch (error) {
    throw server.locateAddress(error);
  }
}

/** A socket file that root makes for a server of somebody else's is that one's, unless the section says otherwise. */
function socketOwner({ user, group }: Ownership): BindOptions {
  if (process.getuid?.() !== 0) return {};
  const account = user === undefined ? undefined : findUser(user);
  const gid = group === undefined ? account?.gid : groupId(group);
  return { ...(account ? { owner: account.uid } : {}), ...(gid === undefined ? {} : { group: gid }) };
}
