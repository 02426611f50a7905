/**
 * Frameworks whose applications have a life cycle around an `http.Server` of their own: Nest, Hapi, Restify, Feathers, LoopBack and
 * Next. Their server gets the requests without listening, and paster starts and ends the application as their `listen()` does.
 */
import type { Server as HttpServer, IncomingMessage, RequestListener } from 'node:http';
import type { Duplex } from 'node:stream';
import type { App } from '../types.ts';
import { has, isObjectOrFunction } from './describe.ts';
import { asHttpServer, serverApp } from './server-app.ts';

/** The App of a framework's application. @returns undefined if the value is of none of these frameworks. */
export async function frameworkApp(value: unknown): Promise<App | undefined> {
  if (!isObjectOrFunction(value)) return undefined;
  if (isNest(value)) return nestApp(value);
  if (isHapi(value)) return hapiApp(value);
  if (isFeathers(value)) return feathersApp(value);
  if (isLoopBack(value)) return loopBackApp(value);
  if (isNext(value)) return nextApp(value);
  return appWithServer(value);
}

/** Adds what comes before the first request and after the last one. */
function withLife(app: App, ready: () => Promise<unknown>, close?: () => Promise<unknown>): App {
  const inner = app.close;
  app.ready = ready;
  app.close = async () => {
    await close?.();
    await inner?.();
  };
  return app;
}

/**
 * Keeps the `ready`, `drain`, `close` and `upgrade` that the user has set on a framework's application. Only own properties
 * count: a method of the class with that name (srvx's server has one) is the framework's and means something else.
 */
export function withHooks(app: App, value: object): App {
  for (const name of ['ready', 'drain', 'close', 'upgrade'] as const) {
    const hook: unknown = Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
    if (typeof hook === 'function') app[name] = (...args: unknown[]) => hook.apply(value, args);
  }
  return app;
}

interface Nest {
  init(): Promise<unknown>;
  close(): Promise<unknown>;
  getHttpServer(): HttpServer;
  getHttpAdapter(): { getInstance(): object };
  /** Removes the listeners of `enableShutdownHooks()`. Protected in Nest's types. */
  unsubscribeFromProcessSignals?(): void;
}

function isNest(value: object): value is Nest {
  return has(value, 'getHttpAdapter') && has(value, 'getHttpServer') && has(value, 'init') && has(value, 'close');
}

function nestApp(nest: Nest): App {
  // paster calls `close()`, which runs the hooks, after the requests in flight. The listeners of `enableShutdownHooks()` would run them a
  // second time, when the signal arrives. Modules can enable them too while they are initialized.
  const removeSignalListeners = (): void => {
    if (has(nest, 'unsubscribeFromProcessSignals')) nest.unsubscribeFromProcessSignals?.();
  };
  removeSignalListeners();
  const ready = async (): Promise<void> => {
    await nest.init();
    removeSignalListeners();
    const instance = nest.getHttpAdapter().getInstance() as { ready?(): PromiseLike<unknown> };
    // Fastify's; Express has none.
    if (has(instance, 'ready')) await instance.ready?.();
  };
  return withLife(serverApp(nest.getHttpServer()), ready, () => nest.close());
}

interface Hapi {
  readonly listener: HttpServer;
  initialize(): Promise<unknown>;
  stop(): Promise<unknown>;
}

function isHapi(value: object): value is Hapi {
  return has(value, 'initialize') && has(value, 'stop') && has(value, 'inject') && 'listener' in value;
}

function hapiApp(hapi: Hapi): App {
  return withLife(
    serverApp(hapi.listener),
    () => hapi.initialize(),
    () => hapi.stop(),
  );
}

interface Feathers {
  readonly services: object;
  readonly _isSetup?: boolean;
  setup(server: HttpServer): Promise<unknown>;
  teardown?(): Promise<unknown>;
  /** Of an application on Koa. */
  callback?(): RequestListener;
}

function isFeathers(value: object): value is Feathers {
  return (
    has(value, 'service') &&
    has(value, 'setup') &&
    'services' in value &&
    (has(value, 'callback') || has(value, 'handle'))
  );
}

/** As its `listen()`: services and transports such as Socket.IO are set up with a server. */
async function feathersApp(feathers: Feathers): Promise<App> {
  const { createServer } = await import('node:http');
  const handler = feathers.callback ? feathers.callback() : (feathers as unknown as RequestListener);
  const server = createServer((req, res) => handler(req, res));
  const ready = async () => feathers._isSetup || feathers.setup(server);
  return withLife(serverApp(server), ready, async () => feathers.teardown?.());
}

interface LoopBack {
  readonly requestHandler: RequestListener;
  readonly restServer: { readonly config: object };
  start(): Promise<unknown>;
  stop(): Promise<unknown>;
  removeSignalListener?(): void;
}

function isLoopBack(value: object): value is LoopBack {
  return 'restServer' in value && 'requestHandler' in value && has(value, 'start') && has(value, 'stop');
}

function loopBackApp(loopBack: LoopBack): App {
  const ready = async (): Promise<void> => {
    Object.assign(loopBack.restServer.config, { listenOnStart: false });
    await loopBack.start();
    // paster stops it, and LoopBack would end the process on the first signal.
    loopBack.removeSignalListener?.();
  };
  return withLife(
    (req, res) => loopBack.requestHandler(req, res),
    ready,
    () => loopBack.stop(),
  );
}

interface Next {
  prepare(): Promise<unknown>;
  getRequestHandler(): RequestListener;
  close?(): Promise<unknown>;
  /** Of Next's server for custom servers, once it is prepared. */
  readonly upgradeHandler?: (req: IncomingMessage, socket: Duplex, head: Buffer) => unknown;
  didWebSocketSetup?: boolean;
}

function isNext(value: object): value is Next {
  return has(value, 'getRequestHandler') && has(value, 'prepare');
}

function nextApp(next: Next): App {
  let handler: RequestListener | undefined;
  const app: App = (req, res) => handler?.(req, res);
  if ('upgradeHandler' in next) {
    // Next would take upgrades from paster's own server, past the filters.
    next.didWebSocketSetup = true;
    app.upgrade = (req, socket, head) => next.upgradeHandler?.(req, socket, head);
  }
  const ready = async (): Promise<void> => {
    await next.prepare();
    handler = next.getRequestHandler();
  };
  return withLife(app, ready, async () => next.close?.());
}

/** An object that has made an `http.Server` to listen with, as Restify's. */
async function appWithServer(value: object): Promise<App | undefined> {
  if (typeof value !== 'object' || !has(value, 'listen') || !has(value, 'pre')) return undefined;
  const server = await asHttpServer(Reflect.get(value, 'server'));
  return server && withHooks(serverApp(server), value);
}
