/** Applications of frameworks with their own life cycle, detected by the members that their documentation describes. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { cascade } from '../../src/apps/cascade/cascade.ts';
import { loadApp } from '../../src/deploy/load.ts';
import { toApp } from '../../src/protocol/app.ts';
import { applyFilter } from '../../src/protocol/filter.ts';
import type { App } from '../../src/protocol/types.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { listen } from './listen.ts';

type Handler = (req: IncomingMessage, res: ServerResponse) => void;
const hello: Handler = (req, res) => void res.end(`hello ${req.url}`);

/** Records calls, in order. */
class Steps {
  readonly list: string[] = [];
  step(name: string): () => Promise<void> {
    return async () => void this.list.push(name);
  }
}

const SHAPES: Record<string, { make(steps: Steps): object; steps: string[] }> = {
  'Nest on Express': {
    make(steps) {
      const server = createServer(hello).on('close', steps.step('closed'));
      return {
        init: steps.step('init'),
        close: steps.step('close'),
        getHttpServer: () => server,
        getHttpAdapter: () => ({ getInstance: () => hello }),
      };
    },
    steps: ['init', 'close', 'closed'],
  },
  'Nest on Fastify': {
    make(steps) {
      const server = createServer(hello);
      return {
        init: steps.step('init'),
        close: steps.step('close'),
        getHttpServer: () => server,
        getHttpAdapter: () => ({ getInstance: () => ({ ready: steps.step('fastify') }) }),
      };
    },
    steps: ['init', 'fastify', 'close'],
  },
  Hapi: {
    make: (steps) => ({
      listener: createServer(hello),
      initialize: steps.step('initialize'),
      stop: steps.step('stop'),
      inject: () => {},
    }),
    steps: ['initialize', 'stop'],
  },
  LoopBack: {
    make: (steps) => ({
      restServer: { config: {} },
      get requestHandler() {
        return hello;
      },
      async start(this: { restServer: { config: { listenOnStart?: boolean } } }) {
        steps.list.push(`start, listens: ${this.restServer.config.listenOnStart}`);
      },
      stop: steps.step('stop'),
    }),
    steps: ['start, listens: false', 'stop'],
  },
  Feathers: {
    make: (steps) =>
      Object.assign((req: IncomingMessage, res: ServerResponse) => hello(req, res), {
        services: {},
        service: () => {},
        handle: () => {},
        async setup(server: object) {
          steps.list.push(`setup with ${server.constructor.name}`);
        },
        teardown: steps.step('teardown'),
      }),
    steps: ['setup with Server', 'teardown'],
  },
  Restify: {
    make: (steps) => ({
      server: createServer(hello).on('close', steps.step('closed')),
      listen: () => {},
      pre: () => {},
    }),
    steps: ['closed'],
  },
  Next: {
    make: (steps) => ({ prepare: steps.step('prepare'), getRequestHandler: () => hello, close: steps.step('close') }),
    steps: ['prepare', 'close'],
  },
  'an http.Server': {
    make: (steps) =>
      Object.assign(createServer(hello).on('close', steps.step('closed')), { ready: steps.step('ready') }),
    steps: ['ready', 'closed'],
  },
};

test.each(Object.entries(SHAPES))('%s starts, serves and ends', async (_name, { make, steps: expected }) => {
  const steps = new Steps();
  const app = await toApp(make(steps));
  const url = await listen(app);
  expect(await (await fetch(`${url}/x`)).text()).toBe('hello /x');
  await app.close?.();
  expect(steps.list).toEqual(expected);
});

describe('a build for Node', () => {
  async function served(source: string, name = ''): Promise<string> {
    const directory = temporaryDirectory({
      'index.mjs': source,
      'x.ini': `[app:main]\nuse = module:./index.mjs${name}\n`,
    });
    return listen(await loadApp('config:x.ini', { relativeTo: directory }));
  }

  test.each([
    ['Nitro', 'export const listener = (req, res) => res.end("it"); export const websocket = undefined;'],
    ['SvelteKit', 'export const handler = (req, res, next) => req.url === "/" ? res.end("it") : next();'],
    ['Astro', 'export const handler = async (...[req, res]) => res.end("it"); export const startServer = () => {};'],
    [
      'CommonJS',
      'import { createRequire } from "node:module"; export default { handler: (req, res) => res.end("it") };',
    ],
  ])('of %s is served by the name of its handler', async (_name, source) => {
    expect(await (await fetch(await served(source))).text()).toBe('it');
  });

  test('may have its handler named explicitly', async () => {
    const url = await served('export const handler = (req, res, next) => next();', '#handler');
    expect((await fetch(url)).status).toBe(404);
  });

  test('with WebSockets for crossws refuses them if crossws is not installed', async () => {
    const url = await served(
      'export const listener = (req, res) => res.end("it"); export const websocket = { hooks: {} };',
    );
    expect(await askForWebSocket(url)).toMatch(/^501 .*crossws/);
  });
});

describe('fetch', () => {
  const answer = (asked: Request): Response => new Response(`hello ${new URL(asked.url).pathname}`);

  test('of an HTTP client is not an application', async () => {
    const outbound = [
      { fetch },
      { fetch: (url: string) => fetch(url) },
      {
        async fetch(input: string, _init: object) {
          return fetch(input);
        },
      },
    ];
    for (const value of outbound) await expect(toApp(value)).rejects.toThrow('this is not an application');
  });

  test.each<[string, object]>([
    ['React Router’s createRequestHandler', async (request: Request, _loadContext?: object) => answer(request)],
    ['a function of a request', (request: Request) => answer(request)],
  ])('is what %s is', async (_what, handler) => {
    expect(await (await fetch(`${await listen(await toApp(handler))}/x`)).text()).toBe('hello /x');
  });

  test.each<[string, unknown, string]>([
    ['nothing', undefined, 'undefined'],
    ['a text', 'hello', 'the text "hello"'],
    ['a promise of an object', Promise.resolve({ status: 200 }), 'an object with status'],
  ])('that returns %s is reported', async (_what, value, found) => {
    const app = await toApp({ fetch: (_request: Request) => value }, '[app:main] module:./app.mjs');
    const [req, res] = [{ url: '/', headers: {} }, {}] as unknown as [IncomingMessage, ServerResponse];
    const failed = await Promise.resolve(app(req, res)).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(TypeError);
    // No frames, which would be paster's.
    expect((failed as Error).stack).toBe(
      `TypeError: fetch() of [app:main] module:./app.mjs returned ${found}, not a Response`,
    );
  });

  test('refuses a WebSocket if its response is that of a normal request', async () => {
    expect(await askForWebSocket(await listen(await toApp({ fetch: answer })))).toBe(
      '501 This application has no WebSocket here',
    );
  });

  test('leaves WebSockets to the application that it wraps, as a filter or in a cascade', async () => {
    const inner: App = Object.assign(() => {}, {
      upgrade: (_req: IncomingMessage, socket: Duplex) => socket.end('HTTP/1.1 418 Mine\r\nContent-Length: 0\r\n\r\n'),
    });
    const around = { fetch: answer, ready: () => {} };
    const filtered = await applyFilter(async () => await toApp(around), inner);
    expect(await askForWebSocket(await listen(filtered))).toBe('418');
    expect(await askForWebSocket(await listen(await cascade([around, inner])))).toBe('418');
  });

  test('sends its own refusal', async () => {
    const refusing = { fetch: () => new Response('upgrade', { status: 426 }) };
    expect(await askForWebSocket(await listen(await toApp(refusing)))).toBe('426 upgrade');
  });
});

/** Status and text of the response to a WebSocket request. */
async function askForWebSocket(url: string): Promise<string> {
  const headers = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  };
  const [response] = (await once(request(url, { headers }).end(), 'response')) as [IncomingMessage];
  return `${response.statusCode} ${Buffer.concat(await response.toArray()).toString()}`.trim();
}

describe('an object that is not an application', () => {
  const act = (): void => {};
  test.each<[string, object, RegExp]>([
    ['a Sails application', { lift: act, lower: act, load: act }, /listen:\.\/app\.js/],
    [
      'a Strapi instance',
      { start: act, load: act, destroy: act, server: {}, db: {}, fetch: act },
      /listen:\.\/server\.js/,
    ],
    ['an AdonisJS application', { httpServer: act, createApp: act, tap: act }, /listen:\.\/bin\/server\.js/],
    ['an Apollo server', { executeOperation: act, executeHTTPGraphQLRequest: act }, /expressMiddleware/],
    [
      'a Nest application context',
      { select: act, resolve: act, registerRequestByContextId: act },
      /NestFactory\.create/,
    ],
    ['a server build of React Router', { routes: {}, assets: {}, entry: {} }, /createRequestHandler/],
    ['a class', class AppModule {}, /made with it/],
  ])('gets a hint: %s', async (what, value, hint) => {
    await expect(toApp(value)).rejects.toMatchObject({
      message: expect.stringContaining(`this is ${what}`),
      hint: expect.stringMatching(hint),
    });
  });
});
