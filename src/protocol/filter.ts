/** What a filter factory may return, as a Filter; and carries ready, drain, close and upgrade through what a filter returns. */
import { ConfigError } from '../errors.ts';
import { type AppLike, toApp } from './app.ts';
import { describeValue } from './describe.ts';
import { ERROR_MIDDLEWARE_HINT, isErrorMiddleware, type Middleware, middlewareFilter } from './middleware.ts';
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
 * Applies a filter. What the filter's own application does not say about upgrade, ready, drain and close is said by the
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
 * An application in front of `parts`: ready when they and itself are, in this order, and closed in the opposite one. Its
 * own `ready` and `close` run once each. Where one is not ready, those that were before it are closed.
 */
export function withLifecycle(front: App, parts: readonly App[], upgrade: App['upgrade'] = front.upgrade): App {
  const members: readonly Member[] = [...parts, front]
    .filter(({ ready, close }) => ready || close)
    .map((app) => ({ app, close: once(async () => void (await app.close?.())) }));
  const drained = [...parts, front].filter(({ drain }) => drain);
  if (members.length === 0 && parts.every(({ drain }) => !drain) && upgrade === front.upgrade) return front;
  const whole: App = (req, res) => front(req, res);
  if (members.some(({ app }) => app.ready)) whole.ready = once(() => readyInTurn(members));
  if (drained.length > 0) whole.drain = () => Promise.all(drained.map(async (app) => app.drain?.()));
  if (members.some(({ app }) => app.close)) whole.close = once(() => closeLastFirst(members));
  if (upgrade) whole.upgrade = (req, socket, head) => upgrade.call(front, req, socket, head);
  CALLED_ONCE.add(whole);
  return whole;
}

interface Member {
  readonly app: App;
  readonly close: () => Promise<void>;
}

/** @throws what the first one that is not ready throws; what closing the others throws then is of less interest. */
async function readyInTurn(members: readonly Member[]): Promise<void> {
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

/** One that fails does not keep the others from it. @throws the first failure, in the end. */
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
