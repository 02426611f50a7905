/** ready, close and upgrade pass through everything that an INI file can put around an application, and through a server. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request } from 'node:http';
import { createServer as createNetServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadApp, loadFilter, loadServer } from '../../src/deploy/load.ts';
import type { App } from '../../src/protocol/types.ts';
import { temporaryDirectory } from '../helpers/directory.ts';

/** Parts that record their calls. */
const PARTS = `
export const steps = [];
const tick = () => new Promise((resolve) => setImmediate(resolve));
const recording = (name, app) => Object.assign(app, {
  ready: async () => { steps.push(name + ' will be ready'); await tick(); steps.push(name + ' ready'); },
  close: async () => { await tick(); steps.push(name + ' closed'); },
});
export const makeApp = (globalConf, { name = 'app' }) => {
  const app = recording(name, (req, res) => { steps.push(name + ' request'); res.end(name); });
  app.upgrade = (req, socket) => {
    steps.push(name + ' upgrade');
    socket.end('HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: test\\r\\n\\r\\n');
  };
  return app;
};
export const shared = makeApp({}, { name: 'shared' });
export const makeSilent = () => (app) => (req, res) => app(req, res);
export const makeFilter = (globalConf, { name }) => (app) => recording(name, (req, res) => app(req, res));
export const around = (app, globalConf, { name }) => recording(name, (req, res) => app(req, res));
export const middleware = () => (req, res, next) => next();
export const pass = async (loader, globalConf, { app }) => loader.getApp(app, globalConf);
export const forward = async (loader, globalConf, conf) => {
  const app = await loader.getApp(conf.app, globalConf);
  const filter = await loader.getFilter(conf.filter, globalConf);
  const inner = await filter(app);
  const front = (req, res) => inner(req, res);
  front.ready = () => inner.ready();
  front.close = () => inner.close();
  front.upgrade = (req, socket, head) => inner.upgrade(req, socket, head);
  return front;
};
export const fails = makeApp({}, { name: 'fails' });
fails.ready = () => { throw new Error('no database'); };
`;

const SECTIONS = `
[app:app]
use = call:./parts.js:makeApp
[app:other]
use = call:./parts.js:makeApp
name = other
[app:shared]
use = module:./parts.js#shared
[filter:silent]
use = call:./parts.js:makeSilent
[filter:f]
use = call:./parts.js:makeFilter
name = f
[filter:g]
use = call:./parts.js:makeFilter
name = g
[filter:filtered]
use = call:./parts.js:makeFilter
name = inner
filter-with = f
[filter:middleware]
use = connect:./parts.js#middleware
[server:main]
use = npm:paster#http
port = 0
`;

function project(main: string): string {
  return temporaryDirectory({
    'main.ini': `${main}\n${SECTIONS}`,
    'parts.js': PARTS,
    'package.json': '{"type": "module"}',
  });
}

async function stepsOf(directory: string): Promise<string[]> {
  return (await import(join(directory, 'parts.js'))).steps;
}

/** Requests an upgrade and waits until the connection ends. */
async function upgrade(url: string): Promise<number | undefined> {
  const upgrading = request(url, { headers: { connection: 'Upgrade', upgrade: 'test' } }).end();
  const [response, socket] = (await once(upgrading, 'upgrade')) as [IncomingMessage, Socket];
  socket.destroy();
  return response.statusCode;
}

/** The calls that are expected: a request and an upgrade, between ready and close. */
const life = (ready: readonly string[], names: readonly string[], close: readonly string[]): string[] => [
  ...ready.flatMap((name) => [`${name} will be ready`, `${name} ready`]),
  ...names.flatMap((name) => [`${name} request`, `${name} upgrade`]),
  ...close.map((name) => `${name} closed`),
];

const URLMAP = '[composite:main]\nuse = npm:paster#urlmap\n';

describe.each<[what: string, main: string, paths: readonly string[], expected: readonly string[]]>([
  ['an app', '[app:main]\nuse = app', ['/'], life(['app'], ['app'], ['app'])],
  [
    'a urlmap',
    `${URLMAP}/ = app\n/other = other`,
    ['/', '/other'],
    life(['app', 'other'], ['app', 'other'], ['other', 'app']),
  ],
  ['one app in two places', `${URLMAP}/ = shared\n/b = shared`, ['/'], life(['shared'], ['shared'], ['shared'])],
  [
    'one app in two composites',
    `${URLMAP}/ = shared\n/b = inner\n[composite:inner]\nuse = npm:paster#urlmap\n/ = shared`,
    ['/', '/b'],
    life(['shared'], ['shared', 'shared'], ['shared']),
  ],
  [
    'a composite that returns its part',
    '[composite:main]\nuse = call:./parts.js:pass\napp = app',
    ['/'],
    life(['app'], ['app'], ['app']),
  ],
  [
    'a composite that filters and forwards itself',
    '[composite:main]\nuse = call:./parts.js:forward\napp = shared\nfilter = f',
    ['/'],
    life(['shared', 'f'], ['shared'], ['f', 'shared']),
  ],
  [
    'a pipeline',
    '[pipeline:main]\npipeline = f silent g app',
    ['/'],
    life(['app', 'g', 'f'], ['app'], ['f', 'g', 'app']),
  ],
  [
    'a filter-app',
    '[filter-app:main]\npaste.filter_app_factory = ./parts.js:around\nname = around\nnext = app',
    ['/'],
    life(['app', 'around'], ['app'], ['around', 'app']),
  ],
  [
    'filter-with on an app and on its filter',
    '[app:main]\nuse = app\nfilter-with = filtered',
    ['/'],
    life(['app', 'inner', 'f'], ['app'], ['f', 'inner', 'app']),
  ],
  ['Connect middleware', '[app:main]\nuse = app\nfilter-with = middleware', ['/'], life(['app'], ['app'], ['app'])],
  [
    'all of these together',
    `[pipeline:main]\npipeline = f middleware map\n[composite:map]\nuse = npm:paster#urlmap\n/ = p\n/other = other\n[pipeline:p]\npipeline = silent g app`,
    ['/', '/other'],
    life(['app', 'g', 'other', 'f'], ['app', 'other'], ['f', 'other', 'g', 'app']),
  ],
])('%s', (_what, main, paths, expected) => {
  test('the server calls each once: ready before the first request, close after the last', async () => {
    const directory = project(main);
    const app = await loadApp('config:main.ini', { relativeTo: directory });
    const server = await loadServer('config:main.ini', { relativeTo: directory });
    const steps = await stepsOf(directory);
    expect(steps).toEqual([]);
    const running = await server.serve(app);
    const [address] = running.addresses;
    if (address?.kind !== 'tcp') return expect.unreachable('it listens on TCP');
    for (const path of paths) {
      const url = `http://${address.host}:${address.port}${path}`;
      expect((await fetch(url, { headers: { connection: 'close' } })).status).toBe(200);
      expect(await upgrade(url)).toBe(101);
    }
    await Promise.all([running.close(), running.close()]);
    await running.close({ graceful: false });
    expect(steps).toEqual(expected);
  });
});

test('an application is notified when its server drains, and an error of its handler does not stop the server', async () => {
  const directory = project('[app:main]\nuse = app');
  const steps = await stepsOf(directory);
  const app = await loadApp('config:main.ini', { relativeTo: directory });
  const draining: App = Object.assign<App, Partial<App>>((req, res) => app(req, res), {
    drain: () => {
      steps.push('drains');
      throw new Error('it cannot');
    },
    close: async () => app.close?.(),
  });
  const server = await loadServer('config:main.ini', { relativeTo: directory });
  const running = await server.serve(draining);
  await Promise.all([running.close(), running.close()]);
  expect(steps).toEqual(['drains', 'app closed']);
});

test('a loaded filter passes on ready, close and upgrade of its application', async () => {
  const directory = project('');
  const filter = await loadFilter('config:main.ini#silent', { relativeTo: directory });
  const seen: string[] = [];
  const inner: App = Object.assign(() => {}, {
    ready: () => seen.push('ready'),
    close: () => seen.push('close'),
    upgrade: () => seen.push('upgrade'),
  });
  const app = await filter(inner);
  await app.ready?.();
  app.upgrade?.({} as never, {} as never, Buffer.alloc(0));
  await app.close?.();
  expect(seen).toEqual(['ready', 'upgrade', 'close']);
});

test('each load has its own ready and close', async () => {
  const directory = project(`${URLMAP}/ = shared`);
  for (const _ of [1, 2]) {
    const app = await loadApp('config:main.ini', { relativeTo: directory });
    await app.ready?.();
    await app.close?.();
  }
  expect(await stepsOf(directory)).toEqual([1, 2].flatMap(() => life(['shared'], [], ['shared'])));
});

test('an application whose ready fails is not served', async () => {
  const directory = project('[app:main]\nuse = module:./parts.js#fails');
  const app = await loadApp('config:main.ini', { relativeTo: directory });
  const server = await loadServer('config:main.ini', { relativeTo: directory });
  const listener = createNetServer();
  await expect(server.serve(app, [listener])).rejects.toMatchObject({
    code: 'PASTER_NOT_READY',
    message: expect.stringContaining('no database'),
    location: { file: join(directory, 'parts.js') },
  });
  expect(listener.listenerCount('connection')).toBe(0);
});

test('an application that is ready is closed if its server cannot start', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as { port: number };
  const directory = project('[app:main]\nuse = app');
  const app = await loadApp('config:main.ini', { relativeTo: directory });
  const server = await loadServer('config:main.ini', { relativeTo: directory, overrides: { port: String(port) } });
  await expect(server.serve(app)).rejects.toThrow('is in use by another program');
  taken.close();
  expect(await stepsOf(directory)).toEqual(life(['app'], [], ['app']));
});

test('the program that loads an application may listen meanwhile, but the application may not', async () => {
  const directory = temporaryDirectory({
    'slow.mjs': `export const makeApp = () => {
  process.emit('slow application');
  return new Promise(() => {});
};
`,
    'listens.mjs': `import { createServer } from 'node:http';
export async function makeApp() {
  await new Promise((resolve) => setTimeout(resolve, 10));
  createServer(() => {}).listen(0);
}
`,
    'slow.ini': '[app:main]\nuse = call:./slow.mjs:makeApp\n',
    'listens.ini': '[app:main]\nuse = call:./listens.mjs:makeApp\n',
  });
  // Never settles.
  void loadApp('config:slow.ini', { relativeTo: directory });
  await once(process, 'slow application');
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.close();
  const loading = loadApp('config:listens.ini', { relativeTo: directory });
  await expect(loading).rejects.toMatchObject({ code: 'PASTER_LISTENS' });
});
