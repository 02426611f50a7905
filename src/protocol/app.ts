/** Turns whatever a framework calls an application into an App. Nothing is started; `ready()` and `close()` are kept. */
import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { ConfigError } from '../errors.ts';
import { declineUpgrade } from './decline-upgrade.ts';
import { describeValue } from './describe.ts';
import { fetchApp, isFetchHandler } from './fetch.ts';
import { ERROR_MIDDLEWARE_HINT, isErrorMiddleware, type Middleware, middlewareApp } from './middleware.ts';
import type { App } from './types.ts';

/**
 * What an application factory may return, or a module export for `module:`: an App, an Express, Connect, Koa, Fastify or Polka
 * app, a router or other Connect middleware (what it hands on is not found), an object with a web-standard
 * `fetch(request)`, or an `http.Server` that is not listening. Anything else is a ConfigError that says what was found.
 */
export type AppLike = App | object;

interface FastifyLike {
  routing(req: IncomingMessage, res: ServerResponse): void;
  ready(): PromiseLike<unknown>;
  close(): PromiseLike<unknown>;
  readonly server: HttpServer;
}

interface KoaLike {
  callback(): (req: IncomingMessage, res: ServerResponse) => Promise<unknown>;
  createContext(req: IncomingMessage, res: ServerResponse): KoaContext;
}

interface PolkaLike {
  handler(req: IncomingMessage, res: ServerResponse): unknown;
}

/** What Koa builds absolute URLs from. */
interface KoaContext {
  originalUrl: string;
  readonly request: { originalUrl: string };
}

/**
 * An App made of `value`: a `(req, res)` function, Express or Connect, Koa, Fastify, Polka, middleware `(req, res, next)`,
 * anything with a web-standard `fetch(request)`, or an `http.Server` that is not listening. The most specific shape is asked for first, since
 * Express is a function too and Fastify has a `server`.
 * @throws ConfigError that says what was found instead.
 */
export async function toApp(value: unknown): Promise<App> {
  const server = await asHttpServer(value);
  if (server) return serverApp(server);
  if (isFastify(value)) return fastifyApp(value);
  if (isKoa(value)) return withHooks(koaApp(value), value);
  if (isExpress(value)) return withHooks(expressApp(value), value);
  if (isPolka(value)) return withHooks((req, res) => value.handler(req, res), value);
  if (isFetchHandler(value)) return withHooks(await fetchApp(value), value);
  if (typeof value === 'function' && value.length < 3) return value as App;
  if (isHandlerOfPolka(value)) return (req, res) => value(req, res);
  if (typeof value === 'function' && !isErrorMiddleware(value)) return middlewareApp(value as Middleware);
  throw new ConfigError('PASTER_NOT_AN_APP', `this is not an application: ${describeValue(value)}`, {
    hint: isErrorMiddleware(value)
      ? ERROR_MIDDLEWARE_HINT
      : 'an application is a function (req, res), an Express, Connect, Koa, Fastify or Polka app, an object with fetch(request), or an http.Server that is not listening',
  });
}

function has(value: unknown, name: string): boolean {
  return typeof (value as Record<string, unknown>)[name] === 'function';
}

function isObjectOrFunction(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

/** Node's modules for HTTP are imported only for something that may be theirs: most applications are functions. */
async function asHttpServer(value: unknown): Promise<HttpServer | undefined> {
  if (typeof value !== 'object' || value === null || !('listening' in value)) return undefined;
  const [http, https] = await Promise.all([import('node:http'), import('node:https')]);
  return value instanceof http.Server || value instanceof https.Server ? value : undefined;
}

function isFastify(value: unknown): value is FastifyLike {
  return isObjectOrFunction(value) && has(value, 'routing') && has(value, 'ready') && 'server' in value;
}

function isKoa(value: unknown): value is KoaLike {
  return isObjectOrFunction(value) && has(value, 'callback') && 'middleware' in value;
}

function isExpress(value: unknown): value is App {
  // A router has no listen: by itself it needs somebody to say what is not found.
  return typeof value === 'function' && has(value, 'use') && has(value, 'handle') && has(value, 'listen');
}

function isPolka(value: unknown): value is PolkaLike {
  return isObjectOrFunction(value) && has(value, 'handler') && has(value, 'onError') && has(value, 'onNoMatch');
}

/** Koa takes `req.url` for what the client has sent; below a prefix that is `req.originalUrl`, as Express has it. */
function koaApp(koa: KoaLike): App {
  const mounted: KoaLike = Object.create(koa);
  mounted.createContext = (req: IncomingMessage & { originalUrl?: string }, res) => {
    const context = koa.createContext(req, res);
    if (req.originalUrl !== undefined) context.originalUrl = context.request.originalUrl = req.originalUrl;
    return context;
  };
  return mounted.callback();
}

/**
 * Polka's `app.handler`, which is bound to its app. It has a third parameter, but a server must not give it any: version 0.5
 * takes it for the parsed URL, and 1.0 calls it instead of its own handlers.
 */
function isHandlerOfPolka(value: unknown): value is App {
  return typeof value === 'function' && value.name === 'bound handler' && value.length === 3;
}

/** Called without `next`, Express and Connect answer 404 and 500 by themselves. */
function expressApp(express: App): App {
  return (req, res) => express(req, res);
}

/**
 * The `ready`, `drain`, `close` and `upgrade` that somebody has put on his framework's application. Only what is its own: a
 * class's method of that name (srvx's server has one) is the framework's, and means something else.
 */
function withHooks(app: App, value: object): App {
  for (const name of ['ready', 'drain', 'close', 'upgrade'] as const) {
    const hook: unknown = Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
    if (typeof hook === 'function') app[name] = (...args: unknown[]) => hook.apply(value, args);
  }
  return app;
}

function fastifyApp(fastify: FastifyLike): App {
  const app: App = (req, res) => fastify.routing(req, res);
  app.ready = () => fastify.ready();
  app.close = () => fastify.close();
  app.upgrade = upgradeThrough(fastify.server, app);
  return app;
}

function serverApp(server: HttpServer): App {
  if (server.listening) {
    throw new ConfigError('PASTER_NOT_AN_APP', 'this http.Server is listening already', {
      hint: 'export it without calling listen(): paster listens for it',
    });
  }
  const app: App = (req, res) => server.emit('request', req, res);
  app.upgrade = upgradeThrough(server, app);
  return app;
}

/** As Node, which takes an upgrade that nobody listens for as an ordinary request. Who listens is known only when it comes. */
function upgradeThrough(server: HttpServer, app: App): NonNullable<App['upgrade']> {
  return (req: IncomingMessage, socket: Duplex, head: Buffer) =>
    server.listenerCount('upgrade') > 0 ? server.emit('upgrade', req, socket, head) : declineUpgrade(app, req, socket);
}
