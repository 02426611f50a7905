/** Which programs of each product are tested, and with which requests. docs/programs.md shows this as a table (`npm run docs`). */
import type { MountConvention } from '../../../src/http/mount.ts';
import type { Question } from '../../helpers/requests/ask.ts';

export interface Visit extends Question {
  readonly path: string;
}

/** How a program is mounted below a prefix, and what differs there. */
export interface BelowPrefix extends Partial<Pick<Application, 'program' | 'built' | 'argsFor' | 'ready'>> {
  readonly mount: MountConvention;
  /** Variables that tell the program its prefix. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** One program of a product. Its files are in test/fixtures/products/, in the directory of the product. */
export interface Application {
  /** The name in scripts/test-tools/products.ts. */
  readonly product: string;
  readonly title: string;
  /** The path that `node` and `listen:` run, relative to the program's directory. */
  readonly program: string;
  /** The program's package.json, where `paster serve .` finds the program. Default: none; paster then finds it by the file's name. */
  readonly manifest?: Readonly<Record<string, unknown>>;
  /** The argument of `paster serve` instead of the directory. */
  readonly served?: string;
  /** Arguments that the program needs to listen on a port; others find it in PORT. */
  readonly argsFor?: (port: number) => readonly string[];
  /** What `npm run test:tools` has built, relative to the directory in the cache. */
  readonly built?: string;
  /** Default: `mount = stripped`, without variables that tell the program its prefix. */
  readonly below?: BelowPrefix;
  /** The requests, made in one session that keeps cookies. The first one is also made under load. */
  readonly visits: readonly Visit[];
  /** What the requests ask for, for the table. */
  readonly compared: string;
  /** A path that responds when the program is ready, for a program that listens earlier. */
  readonly ready?: string;
  /** The program runs in only one process at a time, so it has one worker, which ends before the next one starts. Otherwise it has two. */
  readonly isExclusive?: boolean;
  /** The file whose `Hello` becomes `Goodbye` under --reload. */
  readonly edited?: string;
  /** What the program prints when TERM ends it. */
  readonly printedOnTerm?: RegExp;
  /** A WebSocket of the program: what the client sends, and what the program sends back. */
  readonly webSocket?: { readonly path: string; readonly send: string; readonly receive: RegExp };
}

const form = (path: string): Visit => ({
  path,
  method: 'POST',
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
  body: 'name=Ada&note=a%20b',
});

const json = (path: string): Visit => ({
  path,
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: '{"name":"Ada","list":[1,2,3]}',
});

const SESSION: readonly Visit[] = [{ path: '/visits' }, { path: '/visits' }];

export const EXPRESS: Application = {
  product: 'express',
  title: 'Express with express-session, EJS and ws',
  program: 'server.js',
  manifest: { scripts: { start: 'node server.js' } },
  visits: [
    { path: '/' },
    ...SESSION,
    form('/form'),
    json('/form'),
    { path: '/seen?a=1&b=%C3%A4' },
    { path: '/seen', headers: { 'x-forwarded-proto': 'https', 'x-forwarded-for': '192.0.2.7' } },
    { path: '/old' },
    { path: '/style.css' },
    { path: '/style.css', method: 'HEAD' },
    { path: '/style.css', headers: { range: 'bytes=5-9' } },
    { path: '/download' },
    { path: '/stream' },
    { path: '/fails' },
    { path: '/nothing/here' },
    { path: '/', method: 'OPTIONS' },
    { path: '/form', method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"broken"' },
  ],
  compared: 'views, sessions, forms, static files, ranges, redirects, streams, errors',
  edited: 'greeting.js',
  webSocket: { path: '/ws', send: 'hi', receive: /^echo hi$/ },
};

export const HAPI: Application = {
  product: 'hapi',
  title: 'hapi with yar',
  program: 'server.js',
  visits: [
    { path: '/' },
    ...SESSION,
    { path: '/json?a=1' },
    form('/form'),
    json('/form'),
    { path: '/old' },
    { path: '/uri?x=%20' },
    { path: '/fails' },
    { path: '/nothing' },
    { path: '/', method: 'HEAD' },
  ],
  compared: 'sessions, forms, redirects, errors',
  edited: 'greeting.js',
};

export const SOCKET_IO: Application = {
  product: 'socket.io',
  title: 'Socket.IO with Express',
  program: 'server.js',
  manifest: { main: 'server' },
  visits: [
    { path: '/' },
    { path: '/socket.io/socket.io.min.js' },
    { path: '/socket.io/?EIO=4&transport=polling' },
    { path: '/socket.io/?EIO=4&transport=polling&sid=unknown' },
    { path: '/socket.io/?EIO=3&transport=polling' },
    { path: '/nothing' },
  ],
  compared: 'polling, the client’s file, errors; its client by WebSocket and by polling',
  edited: 'greeting.js',
  // Engine.IO's open packet comes first; Socket.IO's CONNECT (40) is confirmed with the session's id.
  webSocket: { path: '/socket.io/?EIO=4&transport=websocket', send: '40', receive: /^40\{"sid":/ },
};

export const NEST: Application = {
  product: 'nest',
  title: 'NestJS with platform-express',
  program: 'main.js',
  manifest: { scripts: { start: 'nest start', 'start:prod': 'node main' } },
  visits: [
    { path: '/' },
    { path: '/items/3' },
    { path: '/items/11' },
    { path: '/items/x' },
    json('/items'),
    form('/items'),
    {
      path: '/',
      method: 'OPTIONS',
      headers: { origin: 'https://example.org', 'access-control-request-method': 'GET' },
    },
    { path: '/nothing' },
  ],
  compared: 'controllers, pipes, exceptions, CORS, bodies',
  printedOnTerm: /^shutdown hook: SIGTERM$/m,
  edited: 'greeting.js',
};

export const NEST_FASTIFY: Application = {
  ...NEST,
  title: 'NestJS with platform-fastify',
  program: 'main-fastify.js',
  served: 'main-fastify.js',
};

export const ADONIS: Application = {
  product: 'adonis',
  title: 'AdonisJS',
  program: 'bin/server.js',
  visits: [
    { path: '/' },
    ...SESSION,
    form('/form'),
    json('/form'),
    { path: '/seen?a=1&b=%C3%A4' },
    { path: '/old' },
    { path: '/fails' },
    { path: '/nothing' },
    { path: '/', method: 'HEAD' },
  ],
  compared: 'cookies, bodies, queries, the scheme, redirects, errors',
  edited: 'greeting.js',
  printedOnTerm: /^terminating$/m,
};

export const VERDACCIO: Application = {
  product: 'verdaccio',
  title: 'Verdaccio’s command line',
  program: 'node_modules/verdaccio/bin/verdaccio',
  manifest: { dependencies: { verdaccio: '*' }, scripts: { start: 'verdaccio --config ./config.yaml' } },
  argsFor: (port) => ['--config', './config.yaml', '--listen', `127.0.0.1:${port}`],
  below: {
    mount: 'proxied',
    argsFor: (port) => ['--config', './config-below.yaml', '--listen', `127.0.0.1:${port}`],
  },
  visits: [
    { path: '/-/ping' },
    { path: '/' },
    { path: '/-/verdaccio/data/packages' },
    { path: '/no-such-package' },
    { path: '/@scope%2fname' },
    { path: '/-/whoami' },
    { path: '/-/npm/v1/user', headers: { authorization: 'Bearer wrong' } },
  ],
  compared: 'the web page, the registry’s API, scoped names (`%2f`), errors',
};

export const NODE_RED: Application = {
  product: 'node-red',
  title: 'Node-RED’s command line',
  program: 'node_modules/node-red/red.js',
  manifest: {
    dependencies: { 'node-red': '*' },
    scripts: { start: 'node-red --userDir . --settings ./settings.js' },
  },
  argsFor: (port) => ['--userDir', '.', '--settings', './settings.js', '--port', String(port)],
  ready: '/hello',
  isExclusive: true,
  below: { mount: 'whole', environment: { NODE_RED_ROOT: '/shop' }, ready: '/shop/hello' },
  visits: [
    { path: '/hello?a=1' },
    { path: '/' },
    { path: '/flows' },
    { path: '/settings' },
    { path: '/vendor/monaco/style.css', method: 'HEAD' },
    json('/echo'),
    form('/echo'),
    { path: '/nothing' },
  ],
  compared: 'the editor, its API, HTTP nodes, bodies, errors',
  edited: 'settings.js',
  webSocket: { path: '/ws/echo', send: 'hi', receive: /^echo hi$/ },
};

export const SVELTEKIT: Application = {
  product: 'sveltekit',
  title: 'SvelteKit with adapter-node',
  program: 'build/index.js',
  manifest: { type: 'module', devDependencies: { '@sveltejs/adapter-node': '*' } },
  built: 'build',
  below: { mount: 'whole', program: 'build-below/index.js', built: 'build-below' },
  visits: [
    { path: '/' },
    { path: '/' },
    { ...form('/'), headers: { ...form('/').headers, origin: 'https://app.example' } },
    { path: '/', headers: { accept: 'application/json' } },
    { path: '/__data.json' },
    { path: '/nothing' },
  ],
  compared: 'pages, cookies, form actions, data, errors',
};

export const ASTRO: Application = {
  product: 'astro',
  title: 'Astro with @astrojs/node standalone',
  program: 'dist/server/entry.mjs',
  manifest: { type: 'module', dependencies: { '@astrojs/node': '*' } },
  built: 'dist',
  below: { mount: 'whole', program: 'dist-below/server/entry.mjs', built: 'dist-below' },
  visits: [{ path: '/' }, { path: '/' }, json('/api'), { path: '/nothing' }, { path: '/', method: 'HEAD' }],
  compared: 'pages, cookies, endpoints, errors',
};

const NEXT_VISITS: readonly Visit[] = [
  { path: '/' },
  { path: '/about' },
  { path: '/about/' },
  { path: '/?a=1' },
  { path: '/api/hello?x=1' },
  json('/api/hello'),
  { path: '/_next/static/nothing.js' },
  { path: '/nothing' },
];

export const NEXT: Application = {
  product: 'next',
  title: 'Next.js, `next start`',
  program: 'node_modules/next/dist/bin/next',
  manifest: { dependencies: { next: '*' }, scripts: { start: 'next start' } },
  argsFor: (port) => ['start', '--port', String(port)],
  built: '.next',
  below: { mount: 'whole', built: '.next-below', environment: { BASE_PATH: '/shop' } },
  visits: NEXT_VISITS,
  compared: 'server-rendered and static pages, API routes, redirects, errors',
};

export const NEXT_SERVER: Application = {
  ...NEXT,
  title: 'Next.js with a server of its own',
  program: 'server.js',
  manifest: {},
  served: 'server.js',
  argsFor: () => [],
};

export const NUXT: Application = {
  product: 'nuxt',
  title: 'Nuxt with its node-server preset',
  program: '.output/server/index.mjs',
  manifest: { type: 'module', dependencies: { nuxt: '*' } },
  built: '.output',
  below: { mount: 'whole', environment: { NUXT_APP_BASE_URL: '/shop/' } },
  visits: [
    { path: '/' },
    { path: '/' },
    { path: '/api/hello?a=1&b=%C3%A4' },
    json('/api/hello'),
    form('/api/hello'),
    { path: '/api/fails' },
    { path: '/old' },
    { path: '/nothing' },
    { path: '/', method: 'HEAD' },
  ],
  compared: 'server-rendered pages, cookies, API routes, bodies, redirects, errors',
  webSocket: { path: '/ws', send: 'hi', receive: /^echo hi$/ },
};

export const REACT_ROUTER: Application = {
  product: 'react-router',
  title: 'React Router with react-router-serve',
  program: 'node_modules/@react-router/serve/bin.js',
  manifest: {
    type: 'module',
    dependencies: { '@react-router/serve': '*' },
    scripts: { start: 'react-router-serve ./build/server/index.js' },
  },
  argsFor: () => ['./build/server/index.js'],
  built: 'build',
  below: { mount: 'whole', argsFor: () => ['./build-below/server/index.js'], built: 'build-below' },
  visits: [
    { path: '/' },
    { path: '/' },
    form('/?index'),
    { path: '/_root.data' },
    { path: '/api?a=1' },
    json('/api'),
    { path: '/nothing' },
    { path: '/', method: 'HEAD' },
  ],
  compared: 'server-rendered pages, cookies, actions, data, resource routes, errors',
};

export const APPLICATIONS: readonly Application[] = [
  EXPRESS,
  NEST,
  NEST_FASTIFY,
  ADONIS,
  HAPI,
  SOCKET_IO,
  VERDACCIO,
  NODE_RED,
  NEXT,
  NEXT_SERVER,
  NUXT,
  SVELTEKIT,
  ASTRO,
  REACT_ROUTER,
];
