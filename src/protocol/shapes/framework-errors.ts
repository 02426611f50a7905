/** Errors that a framework would respond to itself, handed to the filter that shows them to a developer. */
import { subscribe } from 'node:diagnostics_channel';
import type { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { showsErrors } from '../../http/error-page/developer-tools.ts';
import type { App } from '../types.ts';
import { has, isObjectOrFunction } from './describe.ts';

type Fail = (error: unknown) => void;

/** Hands the errors of an application's requests to the filter, by the promise that `during` returns. */
class Failures {
  readonly #callers = new WeakMap<IncomingMessage, Fail>();

  /** Calls the application, and rejects with the error that `take` gets for this request. */
  during(req: IncomingMessage, res: ServerResponse, call: () => unknown): unknown {
    if (!showsErrors(req)) return call();
    return new Promise<void>((resolve, reject) => {
      this.#callers.set(req, reject);
      res.once('close', resolve);
      // Frameworks return before they have responded, and some a promise that is rejected.
      Promise.resolve(call()).catch(reject);
    });
  }

  /** Takes an error instead of the framework, unless the client has caused it. @returns whether it is taken. */
  take(req: IncomingMessage, res: ServerResponse, error: unknown): boolean {
    const fail = this.#callers.get(req);
    if (!fail || res.headersSent || statusOf(error) < 500) return false;
    fail(error);
    return true;
  }
}

function statusOf(error: unknown): number {
  const { status, statusCode } = Object(error) as { status?: unknown; statusCode?: unknown };
  const given = [status, statusCode].find((each) => typeof each === 'number');
  return typeof given === 'number' ? given : 500;
}

// --- Express

export interface ExpressLike extends App {
  use(
    handler: (error: unknown, req: IncomingMessage, res: ServerResponse, next: (error: unknown) => void) => void,
  ): void;
}

/** Without a `next` argument Express and Connect respond with 404 and 500 themselves. */
export function expressApp(express: ExpressLike): App {
  const failures = new Failures();
  let isAdded = false;
  return (req, res) => {
    if (!isAdded && showsErrors(req)) {
      isAdded = true;
      // Behind all routes and handlers of the application: gets only what Express would respond to itself.
      express.use((error, failed, response, next) => {
        if (!failures.take(failed, response, error)) next(error);
      });
    }
    return failures.during(req, res, () => express(req, res));
  };
}

// --- Koa

export interface KoaLike extends EventEmitter {
  readonly onerror: (error: Error) => void;
  callback(): (req: IncomingMessage, res: ServerResponse) => Promise<unknown>;
  createContext(req: IncomingMessage, res: ServerResponse): KoaContext;
}

/** The part of Koa's context that it builds absolute URLs from, and its response to an error. */
interface KoaContext {
  onerror(error: unknown): void;
  originalUrl: string;
  readonly request: { originalUrl: string };
}

/** Koa takes `req.url` for what the client sent; below a prefix that is in `req.originalUrl`, as with Express. */
export function koaApp(koa: KoaLike): App {
  const failures = new Failures();
  const mounted: KoaLike = Object.create(koa);
  mounted.createContext = (req: IncomingMessage & { originalUrl?: string }, res) => {
    const context = koa.createContext(req, res);
    if (req.originalUrl !== undefined) context.originalUrl = context.request.originalUrl = req.originalUrl;
    if (showsErrors(req)) {
      const respond = context.onerror;
      function onerror(this: KoaContext, error: unknown): void {
        if (!error || !failures.take(req, res, error)) respond.call(this, error);
        // Koa's own listener only logs, which the caller does too.
        else if (koa.listeners('error').some((each) => each !== koa.onerror)) koa.emit('error', error, context);
      }
      context.onerror = onerror;
    }
    return context;
  };
  const handle = mounted.callback();
  return (req, res) => failures.during(req, res, () => handle(req, res));
}

// --- Fastify

export interface FastifyLike {
  routing(req: IncomingMessage, res: ServerResponse): void;
  ready(): PromiseLike<unknown>;
  close(): PromiseLike<unknown>;
}

/** What Fastify reports on a diagnostics channel when a route fails, before it responds. */
interface FastifyFailure {
  readonly error: unknown;
  readonly request: { readonly raw: IncomingMessage; readonly server?: { readonly errorHandler?: { name: string } } };
  readonly reply: FastifyReply;
}

interface FastifyReply {
  readonly raw: ServerResponse;
  readonly statusCode: number;
  send(payload: unknown): unknown;
  hijack(): unknown;
}

const ROUTE_FAILED = 'tracing:fastify.request.handler:error';

/**
 * The App has no `upgrade`. paster takes an error of a route if Fastify's own error handler would respond to it. If the application
 * has an error handler, paster takes the error that this handler throws or sends.
 */
export function fastifyApp(fastify: FastifyLike): App {
  const failures = new Failures();
  let isListening = false;
  const app: App = (req, res) => {
    if (!isListening && showsErrors(req)) {
      isListening = true;
      // The application has been started by now, and takes no handler of ours.
      subscribe(ROUTE_FAILED, (message) => {
        const { error, request, reply } = message as FastifyFailure;
        const take = (failure: unknown): boolean => failures.take(request.raw, reply.raw, failure);
        if (request.server?.errorHandler?.name !== 'defaultErrorHandler') takeFromHandler(reply, take);
        else if (take(error)) reply.hijack();
      });
    }
    return failures.during(req, res, () => fastify.routing(req, res));
  };
  app.ready = () => fastify.ready();
  app.close = () => fastify.close();
  return app;
}

/** Fastify's first call of `send` passes the error to the application's error handler; a second call has what this one throws or sends. */
function takeFromHandler(reply: FastifyReply, take: (error: unknown) => boolean): void {
  const { send } = reply;
  let isHandled = false;
  const takeOrSend = (payload: unknown): unknown => {
    const isError = isHandled && payload instanceof Error && (reply.statusCode < 400 || reply.statusCode >= 500);
    isHandled = true;
    return isError && take(payload) ? reply.hijack() : send.call(reply, payload);
  };
  reply.send = takeOrSend;
}

// --- Hono

/** The bindings are what the adapter for `fetch` passes. */
type HonoErrorHandler = (error: Error, context: { readonly env?: { readonly incoming?: IncomingMessage } }) => unknown;

interface HonoLike {
  readonly errorHandler: HonoErrorHandler;
  onError(handler: HonoErrorHandler): void;
}

/** Makes an application of Hono throw what its own handler would log and respond to with a bare 500. Not in production. */
export function throwHonoErrors(app: object): void {
  if (process.env['NODE_ENV'] === 'production' || !isHono(app) || app.errorHandler.name !== 'errorHandler') return;
  const { errorHandler } = app;
  app.onError((error, context) => {
    const { incoming } = context.env ?? {};
    // Hono's own handler knows errors that are responses.
    if (!incoming || !showsErrors(incoming) || 'getResponse' in error) return errorHandler(error, context);
    throw error;
  });
}

function isHono(value: unknown): value is HonoLike {
  return isObjectOrFunction(value) && has(value, 'errorHandler') && has(value, 'onError');
}
