/** Turns what a filter factory returns into a Filter, and passes ready, drain, close and upgrade through filtered applications. */
import type { ServerResponse } from 'node:http';
import { ConfigError } from '../errors.ts';
import { takeLists } from '../http/response/header-lists.ts';
import { type AppLike, toApp } from './app.ts';
import { ERROR_MIDDLEWARE_HINT, isErrorMiddleware, type Middleware, middlewareFilter } from './middleware.ts';
import { describeValue } from './shapes/describe.ts';
import { keepRefusing, refusesUpgrades } from './shapes/fetch-app.ts';
import type { App, Filter } from './types.ts';

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
    hint: isErrorMiddleware(value)
      ? ERROR_MIDDLEWARE_HINT
      : 'a filter is a function (app) that returns an app, or Connect middleware (req, res, next)',
  });
}

/**
 * Applies a filter. Where the application that it returns has no upgrade, ready, drain or close, that of the application
 * behind it is used, so that a filter of three lines does not break WebSockets. Nothing runs twice if a filter passes them
 * on itself.
 */
export async function applyFilter(filter: Filter, app: App): Promise<App> {
  const inner = onceOnly(behindFilter(app));
  const filtered = await toApp((await filter(inner)) as AppLike);
  if (filtered === inner) return inner;
  const upgrade = refusesUpgrades(filtered) ? inner.upgrade : undefined;
  const whole = withLifecycle(filtered, [inner], upgrade ?? filtered.upgrade ?? inner.upgrade);
  FILTERED.add(whole);
  return whole;
}

/** Applications that `applyFilter` has made: `behindFilter` has already wrapped the innermost one. */
const FILTERED = new WeakSet<App>();

/** The application as a filter calls it: it may pass a list to `writeHead`, whatever headers the filter has set. */
function behindFilter(app: App): App {
  if (FILTERED.has(app)) return app;
  const behind: App = (req, res) => {
    if (hasHeaders(res)) takeLists(res);
    return app(req, res);
  };
  // Filters find the application's other properties on it too.
  return Object.setPrototypeOf(behind, app);
}

/** A caller, such as a unit test, may pass a response that has only the methods it expects to be used. */
function hasHeaders(res: Partial<ServerResponse>): boolean {
  return res.getHeaderNames !== undefined && res.getHeaderNames().length > 0;
}

/** Applications whose `ready` and `close` run once, however often they are called. */
const CALLED_ONCE = new WeakSet<App>();

/** The application with a `ready` and a `close` that run once, however many callers they have. */
export function onceOnly(app: App): App {
  return CALLED_ONCE.has(app) ? app : withLifecycle(app, [], app.upgrade);
}

/**
 * An application in front of `parts`: it is ready when the parts and then itself are ready, and closed in the opposite order.
 * Its own `ready` and `close` run once each. If one is not ready, those that were ready before it are closed.
 *
 * @param upgrade what upgrades the connection: `front.upgrade` if the front does, or that of the part behind it
 */
export function withLifecycle(front: App, parts: readonly App[], upgrade: App['upgrade']): App {
  const members: readonly Member[] = [...parts, front]
    .filter(({ ready, close }) => ready || close)
    .map((app) => ({ app, close: once(async () => void (await app.close?.())) }));
  const drained = [...parts, front].filter(({ drain }) => drain);
  if (members.length === 0 && parts.every(({ drain }) => !drain) && upgrade === front.upgrade) return front;
  const wrapped: App = (req, res) => front(req, res);
  if (members.some(({ app }) => app.ready)) wrapped.ready = once(() => readyInOrder(members));
  if (drained.length > 0) wrapped.drain = () => Promise.all(drained.map(async (app) => app.drain?.()));
  if (members.some(({ app }) => app.close)) wrapped.close = once(() => closeLastFirst(members));
  if (upgrade) wrapped.upgrade = (req, socket, head) => upgrade.call(front, req, socket, head);
  if (upgrade === front.upgrade) keepRefusing(wrapped, front);
  CALLED_ONCE.add(wrapped);
  return wrapped;
}

interface Member {
  readonly app: App;
  readonly close: () => Promise<void>;
}

/** @throws what the first one that is not ready throws; errors of closing the others are dropped. */
async function readyInOrder(members: readonly Member[]): Promise<void> {
  const readied: Member[] = [];
  for (const member of members) {
    try {
      await member.app.ready?.();
    } catch (error) {
      await closeLastFirst(readied).catch(() => {});
      throw error;
    }
    readied.push(member);
  }
}

/** Closes all of them even if one fails. @throws the first failure, in the end. */
async function closeLastFirst(members: readonly Member[]): Promise<void> {
  const failures: unknown[] = [];
  for (const member of [...members].reverse()) {
    try {
      await member.close();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}

function once(step: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => {
    done ??= step();
    return done;
  };
}
