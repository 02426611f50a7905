/** Turns Connect and Express middleware, `(req, res, next)`, into a filter, or into an application with nothing behind it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { asError } from '../errors.ts';
import { notFound } from './default-handlers.ts';
import type { App } from './types.ts';

/**
 * Connect and Express middleware: responds, or calls `next()` to pass the request on. `next(error)` is a failure, responded to with
 * 500; the words `'route'` and `'router'` mean `next()`, as in Express.
 */
export type Middleware = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => unknown;

/** Whether a function has the fourth parameter of Connect's error handlers, which only a framework's own stack calls. */
export function isErrorMiddleware(value: unknown): boolean {
  return typeof value === 'function' && value.length > 3;
}

export const ERROR_MIDDLEWARE_HINT =
  'Connect middleware for errors (error, req, res, next) belongs in an Express or Connect app, behind its routes';

/** Connect middleware as a Filter: the application is what `next()` calls, and an error given to `next` is thrown. */
export function middlewareFilter(middleware: Middleware): (app: App) => App {
  return (app) => (req, res) =>
    new Promise<void>((resolve, reject) => {
      const next = (error?: unknown): void => {
        // Connect's own routers use these two words to mean "not me, the next one".
        if (error !== undefined && error !== null && error !== 'route' && error !== 'router') {
          reject(asError(error));
          return;
        }
        try {
          Promise.resolve(app(req, res)).then(() => resolve(), reject);
        } catch (thrown) {
          reject(thrown);
        }
      };
      try {
        // Middleware may return long before it calls next, so its return counts only if it has responded itself.
        Promise.resolve(middleware(req, res, next)).then(() => {
          if (res.writableEnded) resolve();
        }, reject);
      } catch (thrown) {
        reject(thrown);
      }
    });
}

/** Middleware as an application, such as a router on its own: what it does not respond to is a 404. */
export function middlewareApp(middleware: Middleware): App {
  return middlewareFilter(middleware)(notFound);
}
