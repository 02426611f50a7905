/** Whether a request came through a proxy, whatever filters have made of it since. */
import type { IncomingMessage } from 'node:http';
import { PROXY_HEADERS } from './forwarded.ts';

/** On a request that is no longer as it came, so that its headers do not show it. Copied with the request. */
const kCameThroughProxy = Symbol('came through a proxy');

interface MarkedRequest extends IncomingMessage {
  [kCameThroughProxy]?: true;
}

/**
 * Whether a request shows that it came through a proxy: by a header that only proxies add (also those of RFC 7239 and RFC
 * 9110 section 7.6.3), or by HTTP/1.0, which nginx speaks to a server by default and clients no longer do.
 */
export function cameThroughProxy(req: MarkedRequest): boolean {
  if (req[kCameThroughProxy] || req.httpVersion === '1.0') return true;
  const { rawHeaders } = req;
  for (let i = 0; i < rawHeaders.length; i += 2) if (isOfProxies((rawHeaders[i] ?? '').toLowerCase())) return true;
  return false;
}

/** Keeps that knowledge on a request whose headers are about to be removed, or on one that is made for another one. */
export function markProxied(req: MarkedRequest): void {
  req[kCameThroughProxy] = true;
}

/** @param name in lower case */
export function isOfProxies(name: string): boolean {
  return name === 'via' || PROXY_HEADERS.has(name);
}
