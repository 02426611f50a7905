/**
 * Shows an application another client than the connection's: the one that a proxy in front has told of. Whatever the
 * application asks - `req.socket.remoteAddress`, `req.socket.encrypted` (Express's `req.protocol`), Host, the CGI
 * environment - has one answer.
 */
import type { Socket } from 'node:net';
import type { MountedRequest } from './mount.ts';
import { isOfProxies, markProxied } from './proxied.ts';

/** What is different; what is left out stays as it is. */
export interface Presented {
  /** An IP address. */
  readonly address?: string | undefined;
  readonly encrypted?: boolean | undefined;
  /** Host, with the port where it is not the scheme's own. */
  readonly host?: string | undefined;
}

/** Changes the request, not the connection: that may carry somebody else's request next. */
export function present(req: MountedRequest, { address, encrypted, host }: Presented): void {
  const shown = new Map<PropertyKey, unknown>();
  if (address !== undefined) {
    shown.set('remoteAddress', address);
    shown.set('remoteFamily', address.includes(':') ? 'IPv6' : 'IPv4');
    shown.set('remotePort', undefined);
  }
  if (encrypted !== undefined) shown.set('encrypted', encrypted);
  if (shown.size > 0) {
    const value = socketFacade(req.socket, shown);
    Object.defineProperty(req, 'socket', { value, writable: true, enumerable: true, configurable: true });
  }
  if (host !== undefined) setHost(req, host);
  if (req.environ) changeEnviron(req.environ, { address, encrypted, host });
}

/** The socket, but for some properties. Methods are called on the socket itself: its private fields are there only. */
function socketFacade(socket: Socket, shown: ReadonlyMap<PropertyKey, unknown>): Socket {
  return new Proxy(socket, {
    get(target, name) {
      if (shown.has(name)) return shown.get(name);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' && name !== 'constructor' ? value.bind(target) : value;
    },
    set: (target, name, value) => Reflect.set(target, name, value, target),
    has: (target, name) => shown.has(name) || Reflect.has(target, name),
  });
}

function setHost(req: MountedRequest, host: string): void {
  removeHeaders(req, new Set(['host']));
  req.rawHeaders.push('Host', host);
  req.headers.host = host;
  // HTTP/2's name for it.
  if (':authority' in req.headers) req.headers[':authority'] = host;
}

/** Takes headers out of a request as if they had never come. @param names in lower case */
export function removeHeaders(req: MountedRequest, names: ReadonlySet<string>): void {
  const { rawHeaders, headers } = req;
  if ([...names].some((name) => isOfProxies(name) && headers[name] !== undefined)) markProxied(req);
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
  if (environ) for (const name of names) delete environ[`HTTP_${name.replaceAll('-', '_').toUpperCase()}`];
}

function changeEnviron(environ: Record<string, string>, { address, encrypted, host }: Presented): void {
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
