/**
 * Which peers may connect to a gateway server. A peer can claim any client address and any user, so over TCP it has to be a
 * known web server: one of the list, or without a list one on this machine. A peer on a Unix socket has passed the
 * permissions of its file.
 */
import { BlockList, isIP } from 'node:net';
import { asList } from '../config/settings/convert.ts';
import type { SettingType } from '../config/settings/setting-types.ts';
import { ConfigError } from '../errors.ts';
import { type Address, formatAddress, isLoopback } from './address.ts';

/** An address, or a block of them in CIDR notation. */
export interface Network {
  readonly address: string;
  readonly family: 'ipv4' | 'ipv6';
  readonly prefix: number;
}

/** The type of the setting `allow`. */
export const networks: SettingType<readonly Network[]> = {
  allowed: 'addresses and CIDR blocks such as 10.0.0.5 or 10.1.0.0/16, separated by spaces or commas',
  parse: (text) =>
    asList(text.replaceAll(',', ' ')).map((word) => {
      const network = parseNetwork(word);
      if (network === undefined) throw new Error(`"${word}" is neither an address nor a CIDR block`);
      return network;
    }),
};

export function parseNetwork(word: string): Network | undefined {
  const [address = '', bits, ...rest] = word.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return undefined;
  const longest = version === 4 ? 32 : 128;
  if (bits !== undefined && !/^\d{1,3}$/.test(bits)) return undefined;
  const prefix = bits === undefined ? longest : Number(bits);
  if (prefix > longest) return undefined;
  return { address, family: version === 4 ? 'ipv4' : 'ipv6', prefix };
}

/** The addresses of a connection, as a socket has them. */
export interface ConnectionAddresses {
  readonly remoteAddress?: string | undefined;
  readonly localAddress?: string | undefined;
}

export class Peers {
  readonly #list: BlockList | undefined;

  /** @param allowed the web servers; without any: this machine only. */
  constructor(allowed: readonly Network[] | undefined) {
    if (allowed === undefined || allowed.length === 0) return;
    this.#list = new BlockList();
    for (const { address, family, prefix } of allowed) this.#list.addSubnet(address, prefix, family);
  }

  /**
   * Whether the peer of a connection may connect. On a Unix socket, which has no addresses, it may. A peer that has reset its TCP
   * connection has no address any more, but what it sent before can still be read, so it must be refused.
   */
  admitsConnection({ remoteAddress, localAddress }: ConnectionAddresses): boolean {
    return remoteAddress === undefined ? localAddress === undefined : this.admits(remoteAddress);
  }

  admits(address: string): boolean {
    if (this.#list === undefined) return isLoopback(address);
    const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
    if (mapped !== undefined) return this.#list.check(mapped, 'ipv4');
    const version = isIP(address);
    return version !== 0 && this.#list.check(address, version === 4 ? 'ipv4' : 'ipv6');
  }

  /** @throws ConfigError for a TCP address that other machines can reach if no web servers are listed. */
  checkAddress(address: Address, protocol: string): void {
    if (address.kind !== 'tcp' || isLoopback(address.host) || this.#list !== undefined) return;
    throw new ConfigError(
      'PASTER_OPEN_GATEWAY',
      `${protocol} on ${formatAddress(address)} would accept any client address and any user from everyone who can connect`,
      { hint: 'name the web servers with "allow", or listen on 127.0.0.1 or a Unix socket' },
    );
  }
}
