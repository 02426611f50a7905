/** Servers that the tests of proxies connect to, and a client that sends bytes. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, createServer as createNetServer, type Socket } from 'node:net';
import { type ProxyOptions, proxy } from '../../../src/apps/proxy/proxy.ts';
import { whenOver } from '../../helpers/programs/lifetime.ts';
import { listen } from '../../protocol/listen.ts';

type Listener = (req: IncomingMessage, res: ServerResponse) => unknown;

/** Starts a server of Node, which closes with the test. */
export async function startServer(
  server: Server,
  at: { port: number; host: string } | { path: string },
): Promise<void> {
  server.listen(at);
  await once(server, 'listening');
  whenOver(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
}

export const originOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

/** Starts an HTTP server. @returns its origin. */
export async function upstream(listener: Listener): Promise<string> {
  const server = createServer(listener);
  await startServer(server, { port: 0, host: '127.0.0.1' });
  return originOf(server);
}

/** Starts an HTTP server and a proxy in front of it. @returns the origin of the proxy. */
export async function proxied(listener: Listener, options: Partial<ProxyOptions> = {}): Promise<string> {
  return listen(await proxy({ address: await upstream(listener), ...options }));
}

/** Starts a server that sends exactly these bytes to each client, and records what it receives. */
export async function rawUpstream(
  response: string | ((socket: Socket) => void),
): Promise<{ address: string; heard: string[] }> {
  const heard: string[] = [];
  const sockets = new Set<Socket>();
  const server = createNetServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).setEncoding('latin1');
    socket.on('data', (text: string) => heard.push(text));
    if (typeof response === 'function') response(socket);
    else socket.once('data', () => socket.end(response));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenOver(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, heard };
}

/** Sends these bytes. @returns everything received until the connection ends. */
export async function sendBytes(origin: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(origin);
  const socket = connect(Number(port), hostname).setEncoding('latin1');
  let text = '';
  socket.on('data', (part: string) => {
    text += part;
  });
  socket.on('error', () => {});
  socket.write(bytes, 'latin1');
  await once(socket, 'close');
  return text;
}

/** Responds with the head of the request, as JSON: a `Head`. */
export const echoHead: Listener = (req, res) =>
  res.end(JSON.stringify({ method: req.method, url: req.url, headers: req.headers }));

export interface Head {
  readonly method: string;
  readonly url: string;
  readonly headers: Record<string, string>;
}
