/** Parses the addresses in a proxy's settings, and the hosts in settings and Host headers. */

/** The HTTP server that a proxy forwards requests to. */
export interface ProxyTarget {
  readonly scheme: 'http' | 'https';
  /** The name or address; `localhost` for a Unix socket. IPv6 without brackets. */
  readonly host: string;
  readonly port: number | undefined;
  /** The path of a Unix socket. */
  readonly socketPath: string | undefined;
  /** Prepended to the paths of requests; without a slash at the end. */
  readonly path: string;
}

const UNIX_ADDRESS = /^(?:http:\/\/)?unix:(?<socket>\/[^:\s]*)(?::(?<path>\/[^?#\s]*)?)?$/;

/** The addresses that `parseTarget` accepts, for messages. */
export const ADDRESS_FORMS =
  'http://host:port/path, https://host:port/path, unix:/path/of/socket or unix:/path/of/socket:/path';

/**
 * Parses an address in one of these forms.
 * @throws Error for any other form, such as one with a query or a password.
 */
export function parseTarget(text: string): ProxyTarget {
  const unix = UNIX_ADDRESS.exec(text)?.groups;
  if (unix) {
    const path = withoutSlash(unix['path'] ?? '');
    return { scheme: 'http', host: 'localhost', port: undefined, socketPath: unix['socket'], path };
  }
  if (!/^https?:\/\/[^\s?#@]+$/i.test(text) || !URL.canParse(text))
    throw new Error(`"${text}" is not the address of an HTTP server`);
  const { protocol, hostname, port, pathname } = new URL(text);
  return {
    scheme: protocol === 'https:' ? 'https' : 'http',
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? undefined : Number(port),
    socketPath: undefined,
    path: withoutSlash(pathname),
  };
}

function withoutSlash(path: string): string {
  return path.replace(/(?<!\/)\/+$/, '');
}

/** The Host header for a target, with the port unless it is the scheme's standard one. */
export function hostHeader({ scheme, host, port }: Pick<ProxyTarget, 'scheme' | 'host' | 'port'>): string {
  const name = host.includes(':') ? `[${host}]` : host;
  return port === undefined || port === standardPort(scheme) ? name : `${name}:${port}`;
}

/** The target's address for messages. */
export function describeTarget(at: ProxyTarget): string {
  return at.socketPath === undefined ? `${at.scheme}://${hostHeader(at)}` : `unix:${at.socketPath}`;
}

function standardPort(scheme: 'http' | 'https'): number {
  return scheme === 'https' ? 443 : 80;
}

/** A host and a port, as in a Host header, `force_host` and `allowed_hosts`. */
export interface HostAndPort {
  /** In lower case; IPv6 without brackets. */
  readonly host: string;
  readonly port: number | undefined;
}

const HOST_AND_PORT = /^(?:(?<name>[a-z\d](?:[a-z\d._-]*[a-z\d])?)|\[(?<address>[\da-f:.]+)\])(?::(?<port>\d{1,5}))?$/;

/** @returns undefined if the text is not a host, such as `user@host`, `host/path` or two hosts. */
export function parseHost(text: string): HostAndPort | undefined {
  const { name, address, port } = HOST_AND_PORT.exec(text.toLowerCase())?.groups ?? {};
  const host = name ?? address;
  const number = port === undefined ? undefined : Number(port);
  if (host === undefined || (number !== undefined && (number < 1 || number > 65_535))) return undefined;
  return { host, port: number };
}

/** Whether both name the same port of the same host, for a scheme. */
export function isSameHost(one: HostAndPort, other: HostAndPort, scheme: 'http' | 'https'): boolean {
  const port = ({ port }: HostAndPort): number => port ?? standardPort(scheme);
  return one.host === other.host && port(one) === port(other);
}
