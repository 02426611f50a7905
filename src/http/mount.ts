/** Mounts a request below a prefix, as Express and WSGI do. */
import type { IncomingMessage } from 'node:http';
import { pathEnd, percentDecode } from './url-path.ts';

/** The properties that frameworks and gateways add to a request. */
export interface MountedRequest extends IncomingMessage {
  /** The path that the application is mounted at, without a slash at the end (Express's name for SCRIPT_NAME). */
  baseUrl?: string;
  /** The URL as the client sent it (Express, Connect). */
  originalUrl?: string;
  /** The CGI environment, behind a gateway. */
  environ?: Record<string, string>;
}

/**
 * Moves the first `length` characters of the path from `req.url` to `req.baseUrl`, and behind a gateway from PATH_INFO to SCRIPT_NAME
 * (PEP 3333, "environ Variables"). `req.originalUrl` keeps the whole.
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
  // Most web servers merge slashes in a row.
  const mounted = [decoded, decoded.replace(/\/+/g, '/')].find((each) => environ['PATH_INFO']?.startsWith(each));
  if (mounted === undefined) return;
  environ['SCRIPT_NAME'] = (environ['SCRIPT_NAME'] ?? '') + mounted;
  environ['PATH_INFO'] = environ['PATH_INFO'].slice(mounted.length);
}

/**
 * How an application finds out where it is mounted. `stripped`: the rest of the path in `req.url` and the mount in
 * `req.baseUrl`. `whole`: the path as the client sent it in `req.url`. `express`: as `stripped`, and `req.originalUrl` has the
 * whole path, mount included. `proxied`: the rest of the path only, as behind a proxy that removes the mount.
 */
export type MountConvention = 'stripped' | 'whole' | 'express' | 'proxied';

/** Changes a mounted request to the convention of the application that is about to get it. */
export function applyConvention(req: MountedRequest, convention: MountConvention): void {
  if (convention === 'stripped' || !req.baseUrl) return;
  if (convention === 'proxied') {
    req.originalUrl = req.url ?? '/';
    req.baseUrl = '';
    return;
  }
  const whole = wholeTarget(req);
  if (convention === 'express') {
    req.originalUrl = whole;
    return;
  }
  req.url = whole;
  req.baseUrl = '';
  const { environ } = req;
  if (environ?.['PATH_INFO'] === undefined) return;
  environ['PATH_INFO'] = (environ['SCRIPT_NAME'] ?? '') + environ['PATH_INFO'];
  environ['SCRIPT_NAME'] = '';
}

/** The mount and `req.url` together, as the client spelled them: the mount itself without a slash behind it if it sent none. */
function wholeTarget({ url = '/', baseUrl = '', originalUrl = '' }: MountedRequest): string {
  const sent = originalUrl.slice(ABSOLUTE.exec(originalUrl)?.[0].length ?? 0);
  const path = sent.slice(0, pathEnd(sent));
  const mount = percentDecode(baseUrl);
  if (url.slice(0, pathEnd(url)) === '/' && percentDecode(path) === mount) return path + url.slice(1);
  const isKept = sent.endsWith(url) && percentDecode(sent.slice(0, sent.length - url.length)) === mount;
  return isKept ? sent : baseUrl + url;
}

const ABSOLUTE = /^[a-z][a-z\d+.-]*:\/\/([^/?#]*)/i;

/**
 * Turns the target of `GET http://host/path`, which every server has to accept, into a path. Its host overrides the Host header
 * (RFC 9112 section 3.2.2). `req.originalUrl` keeps the whole.
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

/**
 * Whether the client asked for the mount itself, without a slash behind it. `url` is `/` then too, since frameworks need a path; in
 * CGI, PATH_INFO is empty.
 */
export function isAtMount({ url = '/', baseUrl, originalUrl }: MountedRequest): boolean {
  if (!baseUrl || originalUrl === undefined || url.slice(0, pathEnd(url)) !== '/') return false;
  return originalUrl.slice(0, pathEnd(originalUrl)) === baseUrl;
}
