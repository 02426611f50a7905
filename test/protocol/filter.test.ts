/** Filters and Connect middleware around applications, and the members that pass through them. */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { callApp } from '../../src/http/error-response.ts';
import { silentLogger } from '../../src/log.ts';
import { applyFilter, toFilter, withLifecycle } from '../../src/protocol/filter.ts';
import { middlewareFilter } from '../../src/protocol/middleware.ts';
import type { App, Filter } from '../../src/protocol/types.ts';

const hello: App = (_req, res) => res.end('hello');

async function get(app: App): Promise<Response> {
  const server = createServer((req, res) => callApp(app, req, res, silentLogger)).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  return fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
}

function recording(steps: string[], name: string): App {
  const app: App = (_req, res) => res.end(name);
  app.ready = () => steps.push(`${name} ready`);
  app.close = () => steps.push(`${name} close`);
  return app;
}

describe('toFilter', () => {
  test('distinguishes a filter from middleware by its parameters', async () => {
    const filter: Filter = (app) => (req, res) => {
      res.setHeader('x-filter', '1');
      return app(req, res);
    };
    expect((await get(await applyFilter(toFilter(filter), hello))).headers.get('x-filter')).toBe('1');
    const middleware = (_req: IncomingMessage, res: ServerResponse, next: () => void) => {
      res.setHeader('x-middleware', '1');
      next();
    };
    expect((await get(await applyFilter(toFilter(middleware), hello))).headers.get('x-middleware')).toBe('1');
  });

  test.each([
    [(_a: unknown, _b: unknown) => {}],
    [(_a: unknown, _b: unknown, _c: unknown, _d: unknown) => {}],
    [{}],
    [undefined],
  ])('%s is not a filter', (value) => {
    expect(() => toFilter(value)).toThrow('this is not a filter');
  });

  test('Connect middleware for errors is refused with a hint', () => {
    const onError = (_error: Error, _req: unknown, _res: unknown, _next: unknown) => {};
    expect(() => toFilter(onError)).toThrow('this is not a filter: the function onError of 4 parameters');
    expect(() => toFilter(onError)).toThrow(expect.objectContaining({ hint: expect.stringContaining('for errors') }));
  });
});

describe('middleware', () => {
  test('may respond itself', async () => {
    const filter = middlewareFilter((_req, res) => res.end('mine'));
    expect(await (await get(await applyFilter(filter, hello))).text()).toBe('mine');
  });

  test.each([
    [
      'throws',
      () => {
        throw new Error('on purpose');
      },
    ],
    [
      'rejects',
      async () => {
        throw new Error('on purpose');
      },
    ],
    [
      'passes an error to next',
      (_req: unknown, _res: unknown, next: (error: unknown) => void) => next(new Error('on purpose')),
    ],
    ['passes a text to next', (_req: unknown, _res: unknown, next: (error: unknown) => void) => next('on purpose')],
  ])('that %s causes a 500', async (_what, middleware) => {
    expect((await get(await applyFilter(middlewareFilter(middleware), hello))).status).toBe(500);
  });

  test('that calls next later still reports errors of the application', async () => {
    const later = middlewareFilter((_req, _res, next) => void setImmediate(next));
    const failing: App = async () => {
      throw new Error('on purpose');
    };
    expect((await get(await applyFilter(later, failing))).status).toBe(500);
  });

  test('may call next with "route" to be skipped', async () => {
    const filter = middlewareFilter((_req, _res, next) => next('route'));
    expect(await (await get(await applyFilter(filter, hello))).text()).toBe('hello');
  });
});

describe('the lifecycle', () => {
  test('passes through filters without their own', async () => {
    const steps: string[] = [];
    const inner = recording(steps, 'app');
    inner.upgrade = () => steps.push('upgrade');
    const silent: Filter = (app) => (req, res) => app(req, res);
    const app = await applyFilter(silent, await applyFilter(silent, inner));
    await app.ready?.();
    await app.ready?.();
    app.upgrade?.({} as never, {} as never, Buffer.alloc(0));
    await app.close?.();
    expect(steps).toEqual(['app ready', 'upgrade', 'app close']);
  });

  test('runs from the inside out, and back', async () => {
    const steps: string[] = [];
    const app = await applyFilter(() => recording(steps, 'filter'), recording(steps, 'app'));
    await app.ready?.();
    await app.close?.();
    expect(steps).toEqual(['app ready', 'filter ready', 'filter close', 'app close']);
  });

  test('is not run twice by a filter that passes it on itself', async () => {
    const steps: string[] = [];
    const forwarding: Filter = (app) => {
      const front: App = (req, res) => app(req, res);
      front.ready = () => app.ready?.();
      front.close = () => app.close?.();
      return front;
    };
    const app = await applyFilter(forwarding, await applyFilter(forwarding, recording(steps, 'app')));
    await app.ready?.();
    await app.close?.();
    expect(steps).toEqual(['app ready', 'app close']);
  });

  test('closes the parts that are ready, the last first, if one part does not get ready', async () => {
    const steps: string[] = [];
    const [one, two, three, four] = ['one', 'two', 'three', 'four'].map((name) => recording(steps, name)) as [
      App,
      App,
      App,
      App,
    ];
    three.ready = async () => {
      throw new Error('on purpose');
    };
    two.close = () => {
      steps.push('two fails to close');
      throw new Error('not reported');
    };
    const app = withLifecycle(four, [one, two, three], undefined);
    await expect(app.ready?.()).rejects.toThrow('on purpose');
    expect(steps).toEqual(['one ready', 'two ready', 'two fails to close', 'one close']);
  });

  test('closes the other parts if one part fails to close, and reports the error', async () => {
    const steps: string[] = [];
    const filter = recording(steps, 'filter');
    filter.close = () => {
      throw new Error('on purpose');
    };
    const app = await applyFilter(() => filter, recording(steps, 'app'));
    await expect(app.close?.()).rejects.toThrow('on purpose');
    expect(steps).toEqual(['app close']);
  });

  test('of a part that is mounted twice runs once', async () => {
    const steps: string[] = [];
    const part = withLifecycle(recording(steps, 'part'), [], undefined);
    const app = withLifecycle(hello, [part, part], undefined);
    await app.ready?.();
    await app.close?.();
    expect(steps).toEqual(['part ready', 'part close']);
  });
});

test('drain reaches every part, through filters and in front of several parts', async () => {
  const steps: string[] = [];
  const draining = (name: string): App =>
    Object.assign<App, Partial<App>>((_req, res) => res.end(name), { drain: () => steps.push(name) });
  const filtered = await applyFilter((app) => (req, res) => app(req, res), draining('inner'));
  const whole = withLifecycle(draining('front'), [filtered, recording(steps, 'other'), draining('part')], undefined);
  await whole.drain?.();
  expect(steps.sort()).toEqual(['front', 'inner', 'part']);
  expect(withLifecycle(hello, [filtered], undefined).drain).toBeTypeOf('function');
  expect(withLifecycle(hello, [recording(steps, 'other')], undefined).drain).toBeUndefined();
});
