/** Turns what a framework calls an application into an App. Nothing is started; `ready()` and `close()` are kept. */
import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http';
import { ConfigError } from '../errors.ts';
import { declineUpgrade } from './default-handlers.ts';
import { ERROR_MIDDLEWARE_HINT, isErrorMiddleware, type Middleware, middlewareApp } from './middleware.ts';
import { acceptWebSocket, type WebSocketOptions } from './shapes/crossws.ts';
import {
  describeValue,
  has,
  isClass,
  isFetchFunction,
  isFetchHandler,
  isObjectOrFunction,
  parameterNames,
} from './shapes/describe.ts';
import { fetchApp, refuseWebSocket } from './shapes/fetch-app.ts';
import {
  type ExpressLike,
  expressApp,
  type FastifyLike,
  fastifyApp,
  type KoaLike,
  koaApp,
  throwHonoErrors,
} from './shapes/framework-errors.ts';
import { frameworkApp, withHooks } from './shapes/frameworks.ts';
import { asHttpServer, serverApp, upgradeThrough } from './shapes/server-app.ts';
import type { App } from './types.ts';

/**
 * What an application factory may return, or a module export for `module:`: an App, an app of Express, Connect, Koa, Fastify,
 * Polka, Nest, Hapi, Restify, Feathers, LoopBack or Next, a router or other Connect middleware (404 for what it passes on), an
 * object with a web-standard `fetch(request)`, or an `http.Server` that is not listening. Anything else is a ConfigError that
 * says what was found.
 */
export type AppLike = App | object;

interface PolkaLike {
  handler(req: IncomingMessage, res: ServerResponse): unknown;
}

/**
 * An App made of `value`. The most specific shape is tried first, since Express is a function too and Fastify has a `server`.
 * @param owner what has made the value, for errors of requests: `[app:main] ./app.js`
 * @throws ConfigError that says what was found instead.
 */
export async function toApp(value: unknown, owner = 'the application'): Promise<App> {
  const server = await asHttpServer(value);
  if (server) return withHooks(serverApp(server), server);
  if (isFastify(value)) return withUpgrade(fastifyApp(value), value.server);
  const framework = await frameworkApp(value);
  if (framework) return framework;
  if (isKoa(value)) return withHooks(koaApp(value), value);
  if (isExpress(value)) return withHooks(expressApp(value), value);
  if (isPolka(value)) return withHooks((req, res) => value.handler(req, res), value);
  refuseOthers(value);
  if (isFetchHandler(value)) {
    throwHonoErrors(value);
    return withHooks(await fetchApp(value, owner), value);
  }
  if (isFetchFunction(value)) return withHooks(await fetchApp({ fetch: value }, owner), value);
  if (isServerEntry(value)) return serverEntryApp(value);
  if (typeof value === 'function' && value.length < 3) return value as App;
  if (takesParsedUrl(value)) return (req, res) => value(req, res);
  if (typeof value === 'function' && !isErrorMiddleware(value)) return middlewareApp(value as Middleware);
  throw notAnApp(value, isErrorMiddleware(value) ? ERROR_MIDDLEWARE_HINT : APPLICATIONS);
}

const APPLICATIONS =
  'an application is a function (req, res), an Express, Connect, Koa, Fastify, Polka, Nest, Hapi, Restify, Feathers or LoopBack app, an object with fetch(request), or an http.Server that is not listening';

function isFastify(value: unknown): value is FastifyLike & { readonly server: HttpServer } {
  return isObjectOrFunction(value) && has(value, 'routing') && has(value, 'ready') && 'server' in value;
}

function isKoa(value: unknown): value is KoaLike {
  return isObjectOrFunction(value) && has(value, 'callback') && 'middleware' in value;
}

function isExpress(value: unknown): value is ExpressLike {
  // A router has no listen: on its own it is middleware, which needs something behind it that responds with 404.
  return typeof value === 'function' && has(value, 'use') && has(value, 'handle') && has(value, 'listen');
}

function isPolka(value: unknown): value is PolkaLike {
  return isObjectOrFunction(value) && has(value, 'handler') && has(value, 'onError') && has(value, 'onNoMatch');
}

/** What builds of frameworks export: Nitro's `listener` and `websocket`, and `handler` of SvelteKit's and Astro's Node adapters. */
interface ServerEntry {
  readonly listener?: App;
  readonly handler?: App;
  readonly websocket?: WebSocketOptions;
}

function isServerEntry(value: unknown): value is ServerEntry {
  if (typeof value !== 'object' || value === null) return false;
  // A handler of AWS Lambda has the same name.
  const [handler] = [(value as ServerEntry).listener ?? (value as ServerEntry).handler];
  return typeof handler === 'function' && parameterNames(handler)[0] !== 'event';
}

async function serverEntryApp({ listener, handler, websocket }: ServerEntry): Promise<App> {
  const inner = await toApp(listener ?? handler);
  const app: App = (req, res) => inner(req, res);
  if (!websocket) return app;
  app.upgrade = async (req, socket, head) => {
    if (await acceptWebSocket(websocket, req, socket, head)) return;
    declineUpgrade((_req, res) => refuseWebSocket(res, true), req, socket);
  };
  return app;
}

/**
 * A handler whose third parameter is not `next`: that of Next's `app.getRequestHandler()`, `(req, res, parsedUrl)`, and Polka's
 * `app.handler`, which is bound to its app. Polka 0.5 takes a third argument for the parsed URL, and 1.0 calls it instead of its
 * own handlers.
 */
function takesParsedUrl(value: unknown): value is App {
  if (typeof value !== 'function' || value.length !== 3) return false;
  return BOUND_HANDLERS.has(value.name) || /^_?parsed|url/i.test(parameterNames(value)[2] ?? '');
}

/** Names of bound functions, whose parameters have none: Polka's `handler`, and `handleRequest` of Next's server. */
const BOUND_HANDLERS: ReadonlySet<string> = new Set(['bound handler', 'bound handleRequest']);

function withUpgrade(app: App, server: HttpServer): App {
  app.upgrade = upgradeThrough(server, app);
  return app;
}

// --- values that are no applications, but whose shape tells what to write instead ----------------------------------

interface Other {
  readonly what: string;
  readonly cure: string;
  is(value: object): boolean;
}

const ALL =
  (...names: string[]) =>
  (value: object): boolean =>
    names.every((name) => has(value, name));

const LISTENS = (program: string): string =>
  `it listens by itself: write use = listen:${program}, the program that starts it`;

const OTHERS: readonly Other[] = [
  { what: 'a Sails application', cure: LISTENS('./app.js'), is: ALL('lift', 'lower', 'load') },
  {
    what: 'a Strapi instance',
    cure: LISTENS('./server.js'),
    is: (value) => ALL('start', 'load', 'destroy')(value) && 'server' in value && ('db' in value || 'plugins' in value),
  },
  { what: 'an AdonisJS application', cure: LISTENS('./bin/server.js'), is: ALL('httpServer', 'createApp', 'tap') },
  {
    what: 'an Apollo server',
    cure: 'it takes requests through an integration: mount expressMiddleware(server) in an Express app and export that app',
    is: ALL('executeOperation', 'executeHTTPGraphQLRequest'),
  },
  {
    what: 'a Nest application context',
    cure: 'it serves no requests: export the result of NestFactory.create()',
    is: ALL('select', 'resolve', 'registerRequestByContextId'),
  },
  {
    what: 'a server build of React Router',
    cure: 'export the result of createRequestHandler(build)',
    is: (value) => typeof value === 'object' && 'routes' in value && 'assets' in value && 'entry' in value,
  },
  {
    what: 'a class',
    cure: 'export an application that is made with it',
    is: (value) => isClass(value) && !has(value, 'fetch'),
  },
];

/** @throws ConfigError for what is no application although it may look like one. */
function refuseOthers(value: unknown): void {
  if (!isObjectOrFunction(value)) return;
  const other = OTHERS.find(({ is }) => is(value));
  if (other)
    throw new ConfigError('PASTER_NOT_AN_APP', `this is ${other.what}: ${describeValue(value)}`, { hint: other.cure });
}

function notAnApp(value: unknown, hint: string): ConfigError {
  return new ConfigError('PASTER_NOT_AN_APP', `this is not an application: ${describeValue(value)}`, { hint });
}
