/** An `http.Server` that is not listening, and what a framework has built around one, as an App. */
import type { Server as HttpServer, IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import type { Duplex } from 'node:stream';
import { ConfigError } from '../../errors.ts';
import { declineUpgrade } from '../default-handlers.ts';
import type { App } from '../types.ts';

/** The value, if it is a server of Node's. Its modules are imported only if it may be one: most applications are functions. */
export async function asHttpServer(value: unknown): Promise<HttpServer | undefined> {
  if (typeof value !== 'object' || value === null || !('listening' in value)) return undefined;
  const [http, https] = await Promise.all([import('node:http'), import('node:https')]);
  return value instanceof http.Server || value instanceof https.Server ? value : undefined;
}

/** Hands requests and upgrades to the server's listeners, and closes the server, which emits its 'close' event. */
export function serverApp(server: HttpServer): App {
  if (server.listening) {
    throw new ConfigError('PASTER_NOT_AN_APP', 'this http.Server is listening already', {
      hint: 'export it without calling listen(): paster listens for it',
    });
  }
  const app: App = (req, res) => server.emit('request', req, res);
  app.upgrade = upgradeThrough(server, app);
  let isClosed = false;
  server.once('close', () => {
    isClosed = true;
  });
  app.close = async () => {
    if (isClosed) return;
    const closed = new Promise((resolve) => server.once('close', resolve));
    server.close();
    await closed;
  };
  return app;
}

/** As in Node, an upgrade without a listener is an ordinary request. Whether there is a listener is known only then. */
export function upgradeThrough(server: HttpServer, app: App): NonNullable<App['upgrade']> {
  return (req: IncomingMessage, socket: Duplex, head: Buffer) =>
    server.listenerCount('upgrade') > 0 ? server.emit('upgrade', req, socket, head) : declineUpgrade(app, req, socket);
}

const NEXT_SERVER = /[\\/]next[\\/]dist[\\/]server[\\/]next\.js$/;

/**
 * An application around a handler of Next.js. With the first request, Next adds a listener for upgrades to `req.socket.server`: on
 * paster's own server the filters would not see them. The application gets a server of its own there.
 */
export async function withSocketServer(app: App): Promise<App> {
  if (app.upgrade || !Object.keys(createRequire(process.execPath).cache).some((file) => NEXT_SERVER.test(file)))
    return app;
  const { createServer } = await import('node:http');
  const server = createServer();
  const wrapped: App = (req, res) => {
    Reflect.set(req.socket, 'server', server);
    return app(req, res);
  };
  Object.assign(wrapped, app);
  wrapped.upgrade = upgradeThrough(server, wrapped);
  return wrapped;
}
