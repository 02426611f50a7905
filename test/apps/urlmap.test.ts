/** The URL map: which application gets a request, and which URL it sees. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import Koa from 'koa';
import { describe, expect, test } from 'vitest';
import { makeUrlmap, urlMap, urlmapSettings } from '../../src/apps/urlmap.ts';
import type { Loader } from '../../src/deploy/compose.ts';
import type { MountedRequest } from '../../src/http/mount.ts';
import type { App, Settings } from '../../src/protocol/types.ts';
import { fastcgiBackend } from '../contract/backends/fastcgi-backend.ts';
import { httpBackend } from '../contract/backends/http-backend.ts';
import { http2Backend } from '../contract/backends/http2-backend.ts';

interface Seen {
  readonly app: string;
  readonly url: string | undefined;
  readonly base: string | undefined;
  readonly original: string | undefined;
  readonly environ?: Settings | undefined;
}

/** A map whose applications respond with what they saw. */
async function mapOf(
  section: Settings,
  globalConf: Settings = {},
): Promise<(url: string, host?: string, environ?: Settings) => Seen | undefined> {
  let seen: Seen | undefined;
  const app = (name: string): App => {
    const named: App = (req: MountedRequest) => {
      seen = { app: name, url: req.url, base: req.baseUrl, original: req.originalUrl, environ: req.environ };
    };
    named.upgrade = (req) => named(req, {} as never);
    return named;
  };
  const loader = { getApp: async (name: string) => app(name) } as unknown as Loader;
  const result = urlmapSettings['~standard'].validate(section);
  if (!('value' in result)) throw new Error(result.issues.map((issue) => issue.message).join());
  const urlmap = await makeUrlmap(loader, globalConf, result.value);
  return (url, host = 'localhost', environ) => {
    seen = undefined;
    const req = { url, headers: { host }, socket: {}, ...(environ ? { environ } : {}) } as unknown as IncomingMessage;
    urlmap(req, { writeHead() {}, end() {} } as never);
    return seen;
  };
}

describe('prefixes', () => {
  test('the longest prefix that ends at a path segment wins', async () => {
    const ask = await mapOf({ '/': 'root', '/a': 'a', '/a/b': 'ab', '/a/b/c/': 'abc' });
    expect(ask('/a/b/c/d?x=/a')).toEqual({ app: 'abc', url: '/d?x=/a', base: '/a/b/c', original: '/a/b/c/d?x=/a' });
    expect(ask('/a/bb')?.app).toBe('a');
    expect(ask('/aa')?.app).toBe('root');
    expect(ask('/a')).toMatchObject({ app: 'a', url: '/', base: '/a' });
    expect(ask('/a?q')).toMatchObject({ app: 'a', url: '/?q', base: '/a' });
    expect(ask('/a/')).toMatchObject({ app: 'a', url: '/', base: '/a' });
    expect(ask('/')).toMatchObject({ app: 'root', url: '/' });
    expect(ask('*')?.app).toBe('root');
  });

  test('an escaped prefix is the same prefix, and the rest of the path keeps its spelling', async () => {
    const ask = await mapOf({ '/über': 'u' });
    expect(ask('/%C3%BCber/%2Fx')).toMatchObject({ app: 'u', url: '/%2Fx', base: '/%C3%BCber' });
    expect(ask('/%ZZ')).toBeUndefined();
  });

  test('names that every object inherits are not prefixes', async () => {
    const ask = await mapOf({ '/a': 'a' });
    expect(ask('/__proto__')).toBeUndefined();
    expect(ask('/constructor')).toBeUndefined();
  });

  test('SCRIPT_NAME grows by the prefix that PATH_INFO loses', async () => {
    const ask = await mapOf({ '/a b': 'a' });
    expect(ask('/a%20b/c', 'localhost', { SCRIPT_NAME: '/proxy', PATH_INFO: '/a b/c' })?.environ).toEqual({
      SCRIPT_NAME: '/proxy/a b',
      PATH_INFO: '/c',
    });
  });

  test('not_found_app responds if no prefix matches', async () => {
    const ask = await mapOf({ '/a': 'a', not_found_app: 'nothing' });
    expect(ask('/b')).toMatchObject({ app: 'nothing', url: '/b' });
  });

  test('not_found_app may come from [DEFAULT], and an empty one means none', async () => {
    expect((await mapOf({ '/a': 'a' }, { not_found_app: 'nothing' }))('/b')?.app).toBe('nothing');
    expect((await mapOf({ '/a': 'a', not_found_app: 'own' }, { not_found_app: 'nothing' }))('/b')?.app).toBe('own');
    expect((await mapOf({ '/a': 'a', not_found_app: '' }, { not_found_app: 'nothing' }))('/b')).toBeUndefined();
  });

  test('a request for an absolute URL is mapped by its path and its host', async () => {
    const ask = await mapOf({ '/a': 'a', '/': 'root', 'domain example.org /a': 'example' });
    const original = 'http://localhost/a/b?c';
    expect(ask(original)).toEqual({ app: 'a', url: '/b?c', base: '/a', original });
    expect(ask('HTTP://u@Example.org/a', 'localhost')).toMatchObject({ app: 'example', url: '/' });
    expect(ask('http://localhost')).toMatchObject({ app: 'root', url: '/' });
    expect(ask('http://localhost?q')).toMatchObject({ app: 'root', url: '/?q' });
  });
});

test('a domain wins over entries for any host, and one with a port over one without', async () => {
  const ask = await mapOf({
    '/': 'any',
    'domain Example.org /': 'example',
    'domain example.org port 8080 /': 'port',
    'domain example.org /x': 'x',
  });
  expect(ask('/', 'example.org')?.app).toBe('example');
  expect(ask('/', 'EXAMPLE.org:81')?.app).toBe('example');
  expect(ask('/', 'example.org:8080')?.app).toBe('port');
  expect(ask('/x/y', 'example.org')).toMatchObject({ app: 'x', url: '/y' });
  expect(ask('/', 'other.org')?.app).toBe('any');
});

test('a host may end with a dot or an empty port, and an ambiguous host is refused', async () => {
  const ask = await mapOf({ '/': 'any', 'domain example.org /': 'example', 'domain example.org port 8080 /': 'port' });
  for (const host of ['example.org.', 'example.org:', 'example.org.:81', 'Example.org.:080']) {
    expect([host, ask('/', host)?.app]).toEqual([host, 'example']);
  }
  expect(ask('/', 'example.org.:08080')?.app).toBe('port');
  expect(ask('http://example.org./', 'other.org')?.app).toBe('example');
  for (const host of ['x@example.org', 'example%2eorg', 'example.org,other', 'example.org/x', 'example.org:80:81']) {
    expect([host, ask('/', host)]).toEqual([host, undefined]);
  }
  expect(ask('/', '')?.app).toBe('any');
  expect(ask('/', '[::1]:80')?.app).toBe('any');
});

test('as in Paste, a domain needs no path, port 80 matches a Host without a port, and double slashes count as one', async () => {
  const ask = await mapOf({ 'domain a.org': 'a', 'domain b.org port 80 /x': 'b', '/plain': 'plain' });
  expect(ask('/any', 'a.org')?.app).toBe('a');
  expect(ask('/x', 'b.org')?.app).toBe('b');
  expect(ask('/x', 'b.org:81')).toBeUndefined();
  expect(ask('//plain//x')).toMatchObject({ app: 'plain', base: '/plain', url: '//x' });
});

test.each([
  [{ '/a': 'x', '/a/': 'y' }, /mapped already/],
  [{ a: 'x' }, /unknown setting "a"/],
  [{ '': 'x' }, /unknown setting/],
  [{ not_found_ap: 'x' }, /unknown setting "not_found_ap"/],
])('%j is an error', async (section, message) => {
  await expect(mapOf(section as unknown as Settings)).rejects.toThrow(message);
});

test('as in Paste, entries for the host and port are tried first, then those for the host, then those for any', async () => {
  const ask = await mapOf({ 'domain a.org port 80 /x': 'port', 'domain a.org /y': 'host', '/z': 'any' });
  expect(['/x', '/y', '/z'].map((url) => ask(url, 'a.org')?.app)).toEqual(['port', 'host', 'any']);
});

describe('a key that is a URL', () => {
  test('means a host, a port and a path in code', async () => {
    const app = (name: string): App =>
      Object.assign((_req: unknown, res: ServerResponse) => res.end(name), { ready: () => readied.push(name) });
    const readied: string[] = [];
    const whole = await urlMap(
      { '/': app('any'), 'http://a.org/x': app('a'), 'http://a.org:8080': app('port'), 'https://[::1]:1/': app('six') },
      { notFoundApp: app('none') },
    );
    await whole.ready?.();
    expect(readied.sort()).toEqual(['a', 'any', 'none', 'port', 'six']);
    const serving = await httpBackend.start(whole);
    const ask = async (host: string, path: string) =>
      (await serving.request({ path, headers: { Host: host } })).body.toString();
    expect(await ask('a.org', '/x/y')).toBe('a');
    expect(await ask('a.org:8080', '/x')).toBe('port');
    expect(await ask('[::1]:1', '/')).toBe('six');
    expect(await ask('a.org', '/')).toBe('any');
    await serving.close();
    await expect(urlMap({ x: app('x') })).rejects.toThrow(/not a place to mount/);
  });

  test('is cut at its colon in an INI file, and the error says so', () => {
    const [key, value] = ['http', '//a.org:80/x = app'];
    const result = urlmapSettings['~standard'].validate({ [key]: value });
    expect('issues' in result && result.issues[0]?.hint).toMatch(/first colon: write domain NAME \[port N\] \/prefix/);
  });
});

test('with debug, the 404 lists the mounted applications, as text', async () => {
  const result = urlmapSettings['~standard'].validate({ '/a<b>': 'one&two', 'domain x.org /': 'three' });
  if (!('value' in result)) throw new Error('it is valid');
  const loader = { getApp: async (): Promise<App> => (_req, res) => res.end() } as unknown as Loader;
  for (const debug of ['true', 'false']) {
    const serving = await httpBackend.start(await makeUrlmap(loader, { debug }, result.value));
    const { status, body } = await serving.request({ path: '/%3Cscript%3E<script>' });
    await serving.close();
    expect(status).toBe(404);
    if (debug === 'false') expect(body.toString()).toBe('Not Found\n');
    else {
      expect(body.toString()).toContain('<a href="/a&lt;b&gt;">/a&lt;b&gt;</a></dt><dd>one&amp;two</dd>');
      expect(body.toString()).toContain('domain x.org /');
      expect(body.toString()).not.toContain('<script>');
    }
  }
});

describe.each([httpBackend, http2Backend, fastcgiBackend])('over $name', (backend) => {
  test('mounted frameworks know their prefix', async () => {
    const inExpress = express().get('/x', (req, res) => void res.send(`${req.baseUrl} ${req.path} ${req.originalUrl}`));
    const inKoa = new Koa().use((ctx) => {
      ctx.body = `${ctx.path} ${ctx.originalUrl}`;
    });
    const inFastify = fastify();
    inFastify.get('/x', async (req) => `${req.url} ${req.originalUrl}`);
    const inHono = new Hono().get('/x', (c) => c.text(`${c.req.path} ${new URL(c.req.url).search}`));
    const app = await urlMap({ '/a/express': inExpress, '/koa': inKoa, '/fastify': inFastify, '/hono': inHono });
    await app.ready?.();
    const serving = await backend.start(app);
    const paths = ['/a/express/x?q', '/koa/x?q', '/fastify/x?q', '/hono/x?q'];
    const answers = await serving.inTurn(paths.map((path) => ({ path })));
    await serving.close();
    expect(answers.map(({ body }) => body.toString())).toEqual([
      '/a/express /x /a/express/x?q',
      '/x /koa/x?q',
      '/x?q /fastify/x?q',
      '/x ?q',
    ]);
  });

  test('bodies pass unchanged in both directions', async () => {
    const echo: App = (req, res) => req.pipe(res);
    const serving = await backend.start(await urlMap({ '/a': echo }));
    const body = ['one', 'x'.repeat(200_000), 'two'];
    const answer = await serving.request({ method: 'POST', path: '/a/b', body });
    await serving.close();
    expect(answer.body.toString() === body.join('')).toBe(true);
  });
});

test('a map has no upgrade if none of its applications has one', async () => {
  const result = urlmapSettings['~standard'].validate({ '/': 'a' });
  if (!('value' in result)) throw new Error('it is valid');
  const plain = { getApp: async () => () => {} } as unknown as Loader;
  expect((await makeUrlmap(plain, {}, result.value)).upgrade).toBeUndefined();
});
