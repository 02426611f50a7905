/** Every kind of application responds over a real HTTP server, with its body, an upload, an unknown path and an error. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { format as formatUrl } from 'node:url';
import type { HttpBindings } from '@hono/node-server';
import { getConnInfo } from '@hono/node-server/conninfo';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import connect from 'connect';
import express from 'express';
import fastify from 'fastify';
import { H3 } from 'h3';
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { ipRestriction } from 'hono/ip-restriction';
import Koa from 'koa';
import { serve as srvx } from 'srvx';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type AppLike, toApp } from '../../src/protocol/app.ts';
import { isHandler } from '../../src/protocol/shapes/describe.ts';
import { listen } from './listen.ts';

const require = createRequire(import.meta.url);
const express4 = require('express4') as typeof express;
const Koa2 = require('koa2') as typeof Koa;

function expressLike(make: typeof express): AppLike {
  const app = make();
  app.post('/echo', (req, res) => req.pipe(res.type('text/plain')));
  app.get('/fail', () => {
    throw new Error('on purpose');
  });
  app.get('/hello', (req, res) => void res.send(`hello ${req.query['name']}`));
  // Without this Express writes the error to the terminal.
  app.use((_error: Error, _req: express.Request, res: express.Response, _next: express.NextFunction) => {
    res.status(500).send('failed');
  });
  return app;
}

function koaLike(Make: typeof Koa): AppLike {
  const app = new Make();
  app.silent = true;
  app.use(async (ctx) => {
    if (ctx.path === '/echo') ctx.body = ctx.req;
    else if (ctx.path === '/hello') ctx.body = `hello ${ctx.query['name']}`;
    else if (ctx.path === '/fail') throw new Error('on purpose');
  });
  return app;
}

const answer = async (fetched: Request): Promise<Response> => {
  const { pathname, searchParams } = new URL(fetched.url);
  if (pathname === '/echo') return new Response(fetched.body, { headers: { 'content-type': 'text/plain' } });
  if (pathname === '/hello') return new Response(`hello ${searchParams.get('name')}`);
  if (pathname === '/fail') throw new Error('on purpose');
  return new Response('not found', { status: 404 });
};

const nodeHandler = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
  const url = new URL(req.url ?? '/', 'http://x');
  if (url.pathname === '/fail') throw new Error('on purpose');
  if (url.pathname === '/echo') return void req.pipe(res);
  res.statusCode = url.pathname === '/hello' ? 200 : 404;
  res.end(`hello ${url.searchParams.get('name')}`);
};

const SHAPES: Record<string, () => AppLike | Promise<AppLike>> = {
  'a Node listener': () => nodeHandler,
  'Express 5': () => expressLike(express),
  'Express 4': () => expressLike(express4),
  Connect: () => {
    const app = connect();
    app.use('/hello', (req, res) => res.end(`hello ${new URL(req.url ?? '', 'http://x').searchParams.get('name')}`));
    app.use('/echo', (req, res) => void req.pipe(res));
    app.use('/fail', (_req, _res, next) => next(Object.assign(new Error('on purpose'), { stack: '' })));
    return app;
  },
  'Koa 3': () => koaLike(Koa),
  'Koa 2': () => koaLike(Koa2),
  'Fastify 5': () => {
    const app = fastify();
    app.addContentTypeParser('*', (_req, payload, done) => done(null, payload));
    app.post('/echo', (req, reply) => reply.send(req.body));
    app.get('/hello', async (req) => `hello ${(req.query as { name: string }).name}`);
    app.get('/fail', async () => {
      throw new Error('on purpose');
    });
    return app;
  },
  Hono: () => {
    const app = new Hono();
    app.post('/echo', (c) => new Response(c.req.raw.body));
    app.get('/hello', (c) => c.text(`hello ${c.req.query('name')}`));
    app.get('/fail', () => {
      throw new Error('on purpose');
    });
    app.onError((_error, c) => c.text('failed', 500));
    return app;
  },
  'h3 v2': () => {
    const app = new H3({ silent: true });
    app.post('/echo', (event) => event.req.body);
    app.get('/hello', (event) => `hello ${event.url.searchParams.get('name')}`);
    app.get('/fail', () => {
      throw new Error('on purpose');
    });
    return app;
  },
  srvx: () => srvx({ fetch: answer, manual: true, silent: true }),
  'plain fetch': () => ({ fetch: answer }),
  'an idle http.Server': () =>
    createServer((req, res) => void nodeHandler(req, res).catch(() => res.writeHead(500).end())),
};

describe.each(Object.entries(SHAPES))('%s', (_name, make) => {
  test('responds to a query, an upload, an unknown path, and when it throws', async () => {
    const url = await listen(await toApp(await make()));
    const hello = await fetch(`${url}/hello?name=a%20b`);
    expect([hello.status, await hello.text()]).toEqual([200, 'hello a b']);
    const echo = await fetch(`${url}/echo`, {
      method: 'POST',
      body: 'x'.repeat(100_000),
      headers: { 'content-type': 'text/x' },
    });
    expect(await echo.text()).toBe('x'.repeat(100_000));
    expect((await fetch(`${url}/nothing`)).status).toBe(404);
    expect((await fetch(`${url}/fail`)).status).toBe(500);
  });
});

describe.each([
  ['Express 5', () => express.Router()],
  ['Express 4', () => express4.Router()],
])('a router of %s', (_name, make) => {
  test('is an application: unhandled requests respond 404, and errors 500', async () => {
    const router = make();
    router.get('/hello', (_req, res) => void res.end('hello'));
    router.get('/fail', (_req, _res, next) => next(new Error('on purpose')));
    const url = await listen(await toApp(router));
    expect(await (await fetch(`${url}/hello`)).text()).toBe('hello');
    expect((await fetch(`${url}/nothing`)).status).toBe(404);
    expect((await fetch(`${url}/fail`)).status).toBe(500);
  });
});

/** Like Polka: 0.5 expects a parsed URL as its third argument, and 1.0 calls the third argument instead of its handlers. */
class PolkaLike {
  constructor() {
    this.handler = this.handler.bind(this);
  }
  onError(): void {}
  onNoMatch(): void {}
  handler(_req: IncomingMessage, res: ServerResponse, third: unknown): void {
    res.end(`given ${typeof third}`);
  }
}

test.each([
  ['an app of Polka', new PolkaLike()],
  ['its bound handler', new PolkaLike().handler],
])('%s is an application', async (_what, value) => {
  const url = await listen(await toApp(value));
  expect(await (await fetch(url)).text()).toBe('given undefined');
});

describe('the third argument', () => {
  type Handler = (req: IncomingMessage, res: ServerResponse, third?: never) => void;

  /** Like `app.getRequestHandler()` of Next 15 and 16, which passes its argument to `url.format()`. */
  const nextHandler = async (req: IncomingMessage, res: ServerResponse, parsedUrl?: never): Promise<void> => {
    if (parsedUrl) req.url = formatUrl(parsedUrl);
    res.end(req.url);
  };
  class NextServer {
    async handleRequest(req: IncomingMessage, res: ServerResponse, parsedUrl?: never): Promise<void> {
      return nextHandler(req, res, parsedUrl);
    }
  }
  const next = new NextServer();
  function named(req: IncomingMessage, res: ServerResponse, url?: never): void {
    void nextHandler(req, res, url);
  }

  test.each<[string, Handler]>([
    ['the handler of Next', nextHandler],
    ['Next’s own server', next.handleRequest.bind(next)],
    ['a function with a parameter for the URL', named],
  ])('is not given to %s', async (_what, handler) => {
    const url = await listen(await toApp(handler));
    expect(await (await fetch(`${url}/a?b=c`)).text()).toBe('/a?b=c');
  });

  const router = express.Router();

  test.each<[string, object]>([
    ['async middleware', async (_req: unknown, _res: unknown, next: () => void) => next()],
    ['middleware with minified names', (_a: unknown, b: { destroyed: boolean }, c: () => void) => b.destroyed || c()],
    ['middleware with another parameter name', (_req: unknown, _res: unknown, done: () => void) => done()],
    ['a bound router', Reflect.get(router, 'handle').bind(router)],
  ])('is next() for %s', async (_what, middleware) => {
    const url = await listen(await toApp(middleware));
    expect((await fetch(url)).status).toBe(404);
  });
});

test('Connect middleware for errors is not an application', async () => {
  const onError = (_error: Error, _req: unknown, _res: unknown, _next: unknown) => {};
  await expect(toApp(onError)).rejects.toThrow(
    expect.objectContaining({
      message: 'this is not an application: the function onError of 4 parameters',
      hint: expect.stringContaining('middleware for errors'),
    }),
  );
});

test('an http.Server that listens already is refused', async () => {
  const server = createServer().listen(0);
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  await expect(toApp(server)).rejects.toThrow('is listening already');
});

test.each([
  [undefined, 'undefined'],
  [42, '42'],
  ['text', 'the text "text"'],
  [{ a: 1 }, 'an object with a'],
  [Promise.resolve(), 'a promise'],
])('%s is not an application', async (value, found) => {
  await expect(toApp(value)).rejects.toThrow(`this is not an application: ${found}`);
});

test.each(['Fastify 5', 'an idle http.Server'])(
  '%s ignores a request to upgrade, and responds normally',
  async (shape) => {
    const url = await listen(await toApp(await SHAPES[shape]?.()));
    const upgrading = request(`${url}/hello?name=x`, { headers: { connection: 'Upgrade', upgrade: 'h2c' } }).end();
    const [response] = (await once(upgrading, 'response')) as [IncomingMessage];
    expect(response.statusCode).toBe(200);
    expect(Buffer.concat(await response.toArray()).toString()).toBe('hello x');
  },
);

test('upgrades reach an http.Server', async () => {
  const server = createServer();
  server.on('upgrade', (_req, socket) => {
    socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n');
  });
  const url = await listen(await toApp(server));
  const upgrading = request(url, { headers: { connection: 'Upgrade', upgrade: 'test' } }).end();
  const [response, socket] = (await once(upgrading, 'upgrade')) as [IncomingMessage, import('node:net').Socket];
  socket.destroy();
  expect(response.statusCode).toBe(101);
});

describe('the Request of a fetch handler', () => {
  test('can be copied into another Request, as Hono’s bodyLimit does', async () => {
    const app = new Hono().use(bodyLimit({ maxSize: 1000, onError: (c) => c.text('too large', 413) }));
    app.post('/', async (c) => c.text(`${c.req.raw instanceof Request} ${await c.req.text()}`));
    const url = await listen(await toApp(app));
    const post = async (...pieces: string[]): Promise<string> => {
      const body = new ReadableStream({
        start(controller) {
          for (const piece of pieces) controller.enqueue(new TextEncoder().encode(piece));
          controller.close();
        },
      });
      return (await fetch(url, { method: 'POST', body, duplex: 'half' } as RequestInit)).text();
    };
    expect(await post('a', 'bc')).toBe('true abc');
    expect(await post('a'.repeat(600), 'b'.repeat(600))).toBe('too large');
  });

  test('has Node’s request and response, like @hono/node-server', async () => {
    const app = new Hono<{ Bindings: HttpBindings }>();
    app.get('/info', (c) => c.text(`${getConnInfo(c).remote.address} ${c.env.incoming.url}`));
    app.get('/allowed', ipRestriction(getConnInfo, { allowList: ['127.0.0.1'] }), (c) => c.text('in'));
    app.get('/denied', ipRestriction(getConnInfo, { denyList: ['127.0.0.0/8'] }), (c) => c.text('in'));
    app.get('/sent', (c) => {
      c.env.outgoing.writeHead(203).end('by itself');
      return RESPONSE_ALREADY_SENT;
    });
    const url = await listen(await toApp(app));
    const get = async (path: string): Promise<string> => {
      const response = await fetch(url + path);
      return `${response.status} ${await response.text()}`;
    };
    expect(await get('/info')).toBe('200 127.0.0.1 /info');
    expect(await get('/allowed')).toBe('200 in');
    expect(await get('/denied')).toMatch(/^403 /);
    expect(await get('/sent')).toBe('203 by itself');
  });

  test('can be copied with another address and other headers', async () => {
    const again = (request: Request): Promise<Response> =>
      answer(new Request(new URL('/hello?name=again', request.url), new Request(request, { headers: { 'x-a': 'b' } })));
    const url = await listen(await toApp({ fetch: again }));
    expect(await (await fetch(`${url}/x`)).text()).toBe('hello again');
  });
});

test.each<[string, () => object]>([
  ['an Express app', () => express()],
  ['a Koa app', () => new Koa()],
  ['a fetch handler', () => ({ fetch: answer })],
])('ready, close and upgrade of %s are kept', async (_what, make) => {
  const steps: unknown[] = [];
  const made = make();
  const hook = (name: string) =>
    function (this: unknown) {
      steps.push(name, this === made);
    };
  const app = await toApp(
    Object.assign(made, { ready: hook('ready'), close: hook('close'), upgrade: hook('upgrade') }),
  );
  await app.ready?.();
  app.upgrade?.({} as never, {} as never, Buffer.alloc(0));
  await app.close?.();
  expect(steps).toEqual(['ready', true, 'upgrade', true, 'close', true]);
});

const handler = (_req: IncomingMessage, res: ServerResponse) => res.end();

test.each<[string, unknown]>([
  ['a function', handler],
  ['an async function', async (_req: IncomingMessage, res: ServerResponse) => res.end()],
  ['a function without parameters', () => {}],
  [
    'a function with ready and close',
    Object.assign((_req: IncomingMessage, _res: ServerResponse) => {}, { ready() {}, close() {} }),
  ],
])('%s is itself the application', async (_what, value) => {
  expect(isHandler(value)).toBe(true);
  expect(await toApp(value as AppLike)).toBe(value);
});

test.each<[string, unknown]>([
  ['an Express app', express()],
  ['a Connect app', connect()],
  ['a proxy of a function', new Proxy(handler, {})],
  ['a bound function', handler.bind(undefined)],
  ['a function that inherits from another one', Object.setPrototypeOf(() => {}, express())],
  ['a class', class {}],
  ['a web-standard handler', (request: Request) => new Response(request.url)],
  ['middleware', (_req: IncomingMessage, _res: ServerResponse, next: () => void) => next()],
  ['an object', { fetch() {} }],
])('%s is more than a function (req, res), or may be', (_what, value) => {
  expect(isHandler(value)).toBe(false);
});
