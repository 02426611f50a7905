/** The lines by which a person, and a script that waits, can tell that a server is ready. */
import { type Address, formatAddress } from '../net/address.ts';

/** `http://127.0.0.1:8080`, `fastcgi://unix:/path`, `fastcgi://host:port`. */
export function listenerUrl(scheme: string, address: Address): string {
  return `${scheme}://${formatAddress(address)}`;
}

export function announce(
  pid: number,
  scheme: string,
  addresses: readonly Address[],
  out: (line: string) => void,
): void {
  out(`Starting server in PID ${pid}.`);
  for (const address of addresses) out(`serving on ${listenerUrl(scheme, address)}`);
}
