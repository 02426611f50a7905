/** The lines by which a person, and a script that waits, can tell that a server is ready. */

import { type Address, formatAddress } from '../net/address.ts';
import { addressOfDescriptor } from '../net/descriptor.ts';
import { printable } from '../printable.ts';

/** `http://127.0.0.1:8080`, `fastcgi://unix:/path`, `fastcgi://host:port`. */
export function listenerUrl(scheme: string, address: Address): string {
  const known = address.kind === 'fd' ? (addressOfDescriptor(address.fd) ?? address) : address;
  return `${scheme}://${formatAddress(known)}`;
}

/** Scripts read these two kinds of lines: they stay as they are. */
export function announcement(pid: number, scheme: string, addresses: readonly Address[]): string[] {
  return [
    `Starting server in PID ${pid}.`,
    ...addresses.map((address) => printable(`serving on ${listenerUrl(scheme, address)}`)),
  ];
}
