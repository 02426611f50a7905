/** The connections of a proxy to other servers, kept and shared by its requests. */
import { type ClientRequestArgs, Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent, type RequestOptions } from 'node:https';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';

export { HttpAgent };

/**
 * The server proves that it has the name by which it is configured. Node would take that of the Host header, which is what
 * a client writes: another certificate would be asked for, and connections be kept for each name that anybody makes up.
 */
export class NamedAgent extends HttpsAgent {
  override getName(options: RequestOptions): string {
    return super.getName(named(options));
  }

  override createConnection(
    options: ClientRequestArgs,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    return super.createConnection(named(options), callback);
  }
}

/** A certificate for an address needs no name (RFC 6066 section 3). */
function named<T extends ClientRequestArgs>(options: T): T & { readonly servername: string } {
  const host = options.host ?? '';
  return { ...options, servername: isIP(host) === 0 ? host : '' };
}
