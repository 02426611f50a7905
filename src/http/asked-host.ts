/** The host that a client asks for: in HTTP/2 it stands beside the headers (RFC 9113 section 8.3.1). */
import type { IncomingMessage } from 'node:http';

/** @returns `host` or `host:port` as the client has written it; undefined where it names none. */
export function askedHost({ headers }: IncomingMessage): string | undefined {
  return headers.host ?? headers[':authority']?.toString();
}
