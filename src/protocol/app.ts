/** Turns whatever a framework calls an application into an App. Nothing is started; `ready()` and `close()` are kept. */
import { Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Server as HttpsServer } from 'node:https';
import type { Duplex } from 'node:stream';
import { ConfigError } from '../errors.ts';
import { describeValue } from './describe.ts';
import { fetchApp, isFetchHandler } from './fetch.ts';
import type { App } from './types.ts';

/** An application in one of the shapes that `toApp` knows. */
export type AppLike = App | object;

interface FastifyLike {
  routing(req: IncomingMessage, res: ServerResponse): void;
  ready(): PromiseLike<unknown>;
  close(): PromiseLike<unknown>;
  readonly server: HttpServer;
}

interface KoaLike {
  callback(): (req: IncomingMessage, res: ServerResponse) => Promise<unknown>;
}

/**
 * An App made of `value`: a `(req, res)` function, Express or Connect, Koa, Fastify, anything with a web-standard
 * `fetch(request)`, or an `http.Server` that is not listening. The most specific shape is asked for first, since
 * Express is a function too and Fastify has a `server`.
 * @throws ConfigError that says what was found instead.
 */
export async function toApp(value: unknown): Promise<App> {
  if (value instanceof HttpServer || value instanceof HttpsServer) return serverApp(value);
  if (isFastify(value)) return fastifyApp(value);
  if (isKoa(value)) return value.callback();
  if (isExpress(value)) return expressApp(value);
  if (isFetchHandler(value)) return fetchApp(value);
  if (typeof value === 'function') return value as App;
  throw new ConfigError('PASTER_NOT_AN_APP', `this is not an application: ${describeValue(value)}`, {
    hint: 'an application is a function (req, res), an Express, Connect, Koa or Fastify app, an object with fetch(request), or an http.Server that is not listening',
  });
}

function has(value: unknown, name: string): boolean {
  return typeof (value as Record<string, unknown>)[name] === 'function';
}

function isObjectOrFunction(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

function isFastify(value: unknown): value is FastifyLike {
  return isObjectOrFunction(value) && has(value, 'routing') && has(value, 'ready') && 'server' in value;
}

function isKoa(value: unknown): value is KoaLike {
  return isObjectOrFunction(value) && has(value, 'callback') && 'middleware' in value;
}

function isExpress(value: unknown): value is App {
  return typeof value === 'function' && has(value, 'use') && has(value, 'handle');
}

/** Called without `next`, Express and Connect answer 404 and 500 by themselves. */
function expressApp(express: App): App {
  return (req, res) => express(req, res);
}

function fastifyApp(fastify: FastifyLike): App {
  const app: App = (req, res) => fastify.routing(req, res);
  app.ready = () => fastify.ready();
  app.close = () => fastify.close();
  app.upgrade = upgradeThrough(fastify.server);
  return app;
}

function serverApp(server: HttpServer): App {
  if (server.listening) {
    throw new ConfigError('PASTER_NOT_AN_APP', 'this http.Server is listening already', {
      hint: 'export it without calling listen(): paster listens for it',
    });
  }
  const app: App = (req, res) => server.emit('request', req, res);
  app.upgrade = upgradeThrough(server);
  return app;
}

/** Node ends the connection of an upgrade that nobody listens for; so do we. */
function upgradeThrough(server: HttpServer): NonNullable<App['upgrade']> {
  return (req: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (!server.emit('upgrade', req, socket, head)) socket.destroy();
  };
}
