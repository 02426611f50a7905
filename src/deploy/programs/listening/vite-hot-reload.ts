/**
 * Vite in middleware mode opens a server of its own for the WebSocket of its hot reload, on port 24678. paster does not open
 * that port: Vite's client is made to connect to the port that the page is from, and the program's main server passes these
 * WebSockets on to Vite's.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server as NetServer } from 'node:net';
import { removeHeaders } from '../../../http/override-client.ts';

/** `/@vite/client` below Vite's `base`. */
const CLIENT = /\/@vite\/client(?:\?|$)/;
/** In Vite's client: the port that it connects to, or null for that of the page. */
const CLIENT_PORT = /(\bhmrPort\s*=\s*)(\d+)/;
/** How Vite's client names its WebSockets: `vite-hmr`, `vite-ping`. */
const PROTOCOL = /^vite-(?:hmr|ping)$/;

export class ViteHotReload {
  /** Vite's servers, by the port that each asked for. */
  readonly #servers = new Map<number, NetServer>();
  /** The port that was removed from a client. */
  #removedPort: number | undefined;

  add(server: NetServer, port: number): void {
    this.#servers.set(port, server);
    // When its configuration changes, Vite opens the next server before it closes this one.
    server.once('close', () => this.#servers.get(port) === server && this.#servers.delete(port));
  }

  /** Makes Vite's client, if the request is for it, connect to the port of the page. */
  adaptClient(req: IncomingMessage, res: ServerResponse): void {
    if (this.#servers.size === 0 || !CLIENT.test(req.url ?? '')) return;
    // A browser may have the client of the same program without paster; a compressed one cannot be changed.
    removeHeaders(req, new Set(['accept-encoding', 'if-none-match']));
    const end = res.end;
    const endWithoutPort = (chunk: unknown, ...rest: unknown[]): ServerResponse =>
      Reflect.apply(end, res, [this.#withoutPort(chunk), ...rest]);
    res.end = endWithoutPort as ServerResponse['end'];
  }

  #withoutPort(chunk: unknown): unknown {
    if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array)) return chunk;
    return chunk.toString().replace(CLIENT_PORT, (whole, assignment: string, port: string) => {
      if (!this.#servers.has(Number(port))) return whole;
      this.#removedPort = Number(port);
      // The text keeps its length, which a header may give.
      return assignment + '0'.padEnd(port.length);
    });
  }

  /**
   * Vite's server that an upgrade is for.
   * @param main the program's own server, which may have other WebSockets of Vite's
   */
  serverFor({ headers }: IncomingMessage, main: NetServer): NetServer | undefined {
    if (!PROTOCOL.test(headers['sec-websocket-protocol'] ?? '')) return undefined;
    if (this.#removedPort !== undefined) return this.#servers.get(this.#removedPort);
    // A page may still have the client that a previous process sent.
    return main.listenerCount('upgrade') === 0 ? [...this.#servers.values()][0] : undefined;
  }
}
