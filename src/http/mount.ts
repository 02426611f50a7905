/** Moves a request below a prefix, the way Express and WSGI both understand it. */
import type { IncomingMessage } from 'node:http';
import { percentDecode } from './percent.ts';

/** What frameworks and gateways add to a request. */
export interface MountedRequest extends IncomingMessage {
  /** The path that the application is mounted at, without a slash at the end (Express's name for SCRIPT_NAME). */
  baseUrl?: string;
  /** The URL as the client sent it (Express, Connect). */
  originalUrl?: string;
  /** The CGI environment, behind a gateway. */
  environ?: Record<string, string>;
}

/**
 * Cuts the first `length` characters off the path of `req.url`; they are added to `req.baseUrl`, and behind a gateway
 * PATH_INFO gives way to SCRIPT_NAME (PEP 3333, "environ Variables"). `req.originalUrl` keeps the whole.
 */
export function mountRequest(req: MountedRequest, length: number): void {
  if (length === 0) return;
  const url = req.url ?? '/';
  // Links that an application builds from a baseUrl of "//name" would lead to another host.
  const prefix = url.slice(0, length).replace(/^\/+/, '/');
  const rest = url.slice(length);
  req.originalUrl ??= url;
  req.baseUrl = (req.baseUrl ?? '') + prefix;
  req.url = rest.startsWith('/') ? rest : `/${rest}`;
  const { environ } = req;
  if (environ?.['PATH_INFO'] === undefined) return;
  const decoded = percentDecode(prefix);
  // Most web servers take slashes in a row for one.
  const mounted = [decoded, decoded.replace(/\/+/g, '/')].find((each) => environ['PATH_INFO']?.startsWith(each));
  if (mounted === undefined) return;
  environ['SCRIPT_NAME'] = (environ['SCRIPT_NAME'] ?? '') + mounted;
  environ['PATH_INFO'] = environ['PATH_INFO'].slice(mounted.length);
}

const ABSOLUTE = /^[a-z][a-z\d+.-]*:\/\/([^/?#]*)/i;

/**
 * Makes `GET http://host/path`, which every server has to accept, the request that it stands for: its host goes before
 * the Host header (RFC 9112 section 3.2.2). `req.originalUrl` keeps the whole.
 */
export function toOriginForm(req: MountedRequest): void {
  const url = req.url ?? '/';
  if (url.startsWith('/')) return;
  const [start, authority = ''] = ABSOLUTE.exec(url) ?? [];
  if (start === undefined) return;
  const path = url.slice(start.length);
  req.originalUrl ??= url;
  req.url = path.startsWith('/') ? path : `/${path}`;
  req.headers.host = authority.slice(authority.lastIndexOf('@') + 1);
}

/** Where the path of a URL ends: at its query, or at its end. */
export function pathEnd(url: string): number {
  const query = url.indexOf('?');
  return query === -1 ? url.length : query;
}

/**
 * Whether the client asked for the mount itself, without the slash after it. `url` is `/` for that too, since frameworks
 * want a path; in CGI it is an empty PATH_INFO.
 */
export function isAtMount({ url = '/', baseUrl, originalUrl }: MountedRequest): boolean {
  if (!baseUrl || originalUrl === undefined || url.slice(0, pathEnd(url)) !== '/') return false;
  return originalUrl.slice(0, pathEnd(originalUrl)) === baseUrl;
}
