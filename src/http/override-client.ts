/**
 * Shows an application the client that a proxy in front has reported, instead of the connection's: in `req.socket.remoteAddress`,
 * `req.socket.encrypted` (Express's `req.protocol`), Host and the CGI environment.
 */
import type { Socket } from 'node:net';
import { headerVariable, isAddedByProxies, markProxied } from './client-address.ts';
import type { MountedRequest } from './mount.ts';

/** What is overridden. */
export interface ClientOverride {
  /** An IP address. */
  readonly address?: string | undefined;
  readonly encrypted?: boolean | undefined;
  /** The value of Host: with the port, unless that is the scheme's default. */
  readonly host?: string | undefined;
}

/** Changes the request, not the connection, whose next request may be another client's. */
export function overrideClient(req: MountedRequest, { address, encrypted, host }: ClientOverride): void {
  const overridden = new Map<PropertyKey, unknown>();
  if (address !== undefined) {
    overridden.set('remoteAddress', address);
    overridden.set('remoteFamily', address.includes(':') ? 'IPv6' : 'IPv4');
    overridden.set('remotePort', undefined);
  }
  if (encrypted !== undefined) overridden.set('encrypted', encrypted || undefined);
  if (overridden.size > 0) {
    const value = socketFacade(req.socket, overridden);
    Object.defineProperty(req, 'socket', { value, writable: true, enumerable: true, configurable: true });
  }
  if (host !== undefined) setHost(req, host);
  if (req.environ) overrideEnviron(req.environ, { address, encrypted, host });
}

/**
 * The socket with other values of some properties. Methods are called on the socket itself, which has the private fields.
 * Without TLS there is no `encrypted`, as in Node: applications ask `'encrypted' in req.socket`.
 */
function socketFacade(socket: Socket, overridden: Map<PropertyKey, unknown>): Socket {
  return new Proxy(socket, {
    get(target, name) {
      if (overridden.has(name)) return overridden.get(name);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' && name !== 'constructor' ? value.bind(target) : value;
    },
    set(target, name, value) {
      if (!overridden.has(name)) return Reflect.set(target, name, value, target);
      overridden.set(name, value);
      return true;
    },
    has: (target, name) =>
      overridden.has(name) && name === 'encrypted' ? overridden.get(name) !== undefined : Reflect.has(target, name),
  });
}

function setHost(req: MountedRequest, host: string): void {
  removeHeaders(req, new Set(['host']));
  req.rawHeaders.push('Host', host);
  req.headers.host = host;
  // The name of Host in HTTP/2.
  if (':authority' in req.headers) req.headers[':authority'] = host;
}

/** Removes headers from a request, its raw headers and its CGI environment. @param names in lower case */
export function removeHeaders(req: MountedRequest, names: ReadonlySet<string>): void {
  const { rawHeaders, headers } = req;
  if ([...names].some((name) => isAddedByProxies(name) && headers[name] !== undefined)) markProxied(req);
  for (const name of names) delete headers[name];
  let kept = 0;
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    if (names.has(name.toLowerCase())) continue;
    rawHeaders[kept++] = name;
    rawHeaders[kept++] = rawHeaders[index + 1] as string;
  }
  rawHeaders.length = kept;
  const { environ } = req;
  if (environ) for (const name of names) delete environ[headerVariable(name)];
}

function overrideEnviron(environ: Record<string, string>, { address, encrypted, host }: ClientOverride): void {
  if (address !== undefined) {
    environ['REMOTE_ADDR'] = address;
    delete environ['REMOTE_PORT'];
    delete environ['REMOTE_HOST'];
  }
  if (encrypted !== undefined) {
    environ['REQUEST_SCHEME'] = encrypted ? 'https' : 'http';
    if (encrypted) environ['HTTPS'] = 'on';
    else delete environ['HTTPS'];
  }
  if (host === undefined) return;
  const [, name = host, port] = /^(.*?)(?::(\d+))?$/.exec(host) ?? [];
  environ['HTTP_HOST'] = host;
  environ['SERVER_NAME'] = name;
  environ['SERVER_PORT'] = port ?? (environ['HTTPS'] === 'on' ? '443' : '80');
}
