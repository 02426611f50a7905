/** The lines by which a person, and a script that waits, can tell that a server is ready. */

import { type Address, formatAddress } from '../net/address.ts';
import { addressOfDescriptor } from '../net/descriptor.ts';
import { printableLine } from '../printable.ts';

/** `http://127.0.0.1:8080`, `fastcgi://unix:/path`, `fastcgi://host:port`. */
export function listenerUrl(scheme: string, address: Address): string {
  const known = address.kind === 'fd' ? (addressOfDescriptor(address.fd) ?? address) : address;
  return `${scheme}://${formatAddress(known)}`;
}

/**
 * The first address that a browser on this machine can go to, if there is one. "Every address" is none of them: it
 * stands for this machine's own.
 */
export function browserUrl(scheme: string, addresses: readonly Address[]): string | undefined {
  if (scheme !== 'http' && scheme !== 'https') return undefined;
  const tcp = addresses.find((address) => address.kind === 'tcp');
  return tcp && listenerUrl(scheme, isWildcard(tcp) ? { ...tcp, host: 'localhost' } : tcp);
}

function isWildcard(address: Address): boolean {
  return address.kind === 'tcp' && (address.host === '0.0.0.0' || address.host === '::');
}

/**
 * Scripts read the first two kinds of lines: they stay as they are. Where all of them say "every address", a person
 * learns, as from Paste, what to open.
 */
export function announcement(pid: number, scheme: string, addresses: readonly Address[]): string[] {
  const url = addresses.every(isWildcard) ? browserUrl(scheme, addresses) : undefined;
  return [
    `Starting server in PID ${pid}.`,
    ...addresses.map((address) => printableLine(`serving on ${listenerUrl(scheme, address)}`)),
    ...(url === undefined ? [] : [`view at ${url}`]),
  ];
}
