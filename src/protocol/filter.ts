/** Turns Connect middleware into a Filter, and carries ready, close and upgrade through whatever a filter returns. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ConfigError } from '../errors.ts';
import { type AppLike, toApp } from './app.ts';
import { describeValue } from './describe.ts';
import type { App, Filter } from './types.ts';

/**
 * Connect and Express middleware: answers, or calls `next()` to hand the request on. `next(error)` is a failure, answered
 * with 500; the words `'route'` and `'router'` mean `next()`, as there.
 */
export type Middleware = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => unknown;

/**
 * What a filter factory may return: a Filter, a function of one parameter; or Connect middleware, one of three. Anything
 * else is a ConfigError that says what was found.
 */
export type FilterLike = Filter | Middleware;

/**
 * A Filter made of `value`: a function of three parameters is Connect middleware, one of fewer is a Filter.
 * @throws ConfigError that says what was found instead.
 */
export function toFilter(value: unknown): Filter {
  if (typeof value === 'function' && value.length === 3) return middlewareFilter(value as Middleware);
  if (typeof value === 'function' && value.length < 2) return value as Filter;
  throw new ConfigError('PASTER_NOT_A_FILTER', `this is not a filter: ${describeValue(value)}`, {
    hint: 'a filter is a function (app) that returns an app, or Connect middleware (req, res, next)',
  });
}

/** Connect middleware as a Filter: the application is what `next()` calls, and an error given to `next` is thrown. */
export function middlewareFilter(middleware: Middleware): Filter {
  return (app) => (req, res) =>
    new Promise<void>((resolve, reject) => {
      const next = (error?: unknown): void => {
        // Connect's own routers use these two words to mean "not me, the next one".
        if (error !== undefined && error !== null && error !== 'route' && error !== 'router') {
          reject(error instanceof Error ? error : new Error(String(error)));
          return;
        }
        try {
          Promise.resolve(app(req, res)).then(() => resolve(), reject);
        } catch (thrown) {
          reject(thrown);
        }
      };
      try {
        // A middleware may return long before it calls next, so returning settles nothing unless it answered itself.
        Promise.resolve(middleware(req, res, next)).then(() => {
          if (res.writableEnded) resolve();
        }, reject);
      } catch (thrown) {
        reject(thrown);
      }
    });
}

/**
 * Applies a filter. What the filter's own application does not say about upgrade, ready and close is said by the
 * application behind it, so that a filter of three lines does not cut a WebSocket off. One that does hand them on by
 * itself makes nothing happen twice.
 */
export async function applyFilter(filter: Filter, app: App): Promise<App> {
  const behind = onceOnly(app);
  const filtered = await toApp((await filter(behind)) as AppLike);
  if (filtered === behind) return behind;
  return withLifecycle(filtered, [behind], filtered.upgrade ?? behind.upgrade);
}

/** Applications whose `ready` and `close` run once, however often they are called. */
const CALLED_ONCE = new WeakSet<App>();

/** The application with a `ready` and a `close` that run once, whoever calls them. */
export function onceOnly(app: App): App {
  return CALLED_ONCE.has(app) ? app : withLifecycle(app, []);
}

/**
 * An application in front of `parts`: ready when they and itself are, and closed before they are. Its own `ready` and
 * `close` run once each.
 */
export function withLifecycle(front: App, parts: readonly App[], upgrade: App['upgrade'] = front.upgrade): App {
  const ready = [...parts, front].filter((app) => app.ready).map((app) => () => app.ready?.());
  const close = [front, ...parts].filter((app) => app.close).map((app) => () => app.close?.());
  if (ready.length === 0 && close.length === 0 && upgrade === front.upgrade) return front;
  const app: App = (req, res) => front(req, res);
  if (ready.length > 0) app.ready = once(() => inTurn(ready));
  if (close.length > 0) app.close = once(() => allInTurn(close));
  if (upgrade) app.upgrade = (req, socket, head) => upgrade.call(front, req, socket, head);
  CALLED_ONCE.add(app);
  return app;
}

/** One that fails does not keep the others from it. @throws the first failure, in the end. */
async function allInTurn(steps: readonly (() => unknown)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}

async function inTurn(steps: readonly (() => unknown)[]): Promise<void> {
  for (const step of steps) await step();
}

function once(step: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => {
    done ??= step();
    return done;
  };
}
