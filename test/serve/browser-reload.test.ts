/** The script that reloads pages in development: which responses get it, and which events it receives. */
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { App } from '../../src/protocol/types.ts';
import { withDeveloperTools } from '../../src/serve/development/wrap-application.ts';
import { serveFiltered } from '../filters/serve-filter.ts';
import { ask, askForStart } from '../helpers/requests/ask.ts';

const PAGE = '<!doctype html><title>é</title><p>hello</p>';
const SCRIPT = '<script async src="/.paster/reload.js?v=one"></script>\n';
const HTML = { 'content-type': 'text/html; charset=utf-8' };
const OPENED = { 'sec-fetch-dest': 'document', 'accept-encoding': 'gzip', 'if-none-match': '"1"' };

async function pageOf(app: App, { method = 'GET', headers = OPENED as Record<string, string> } = {}) {
  const { url } = await serveFiltered([], withDeveloperTools(app, { secret: 's', version: 'one' }));
  const reply = await ask(url, '/', { method, headers });
  return { ...reply, text: reply.body.toString() };
}

describe('the script is appended to a page', () => {
  test.each<[string, App]>([
    ['that is sent by end()', (_req, res) => res.setHeader('content-type', 'text/html').end(PAGE)],
    [
      'with a Content-Length',
      (_req, res) => res.writeHead(200, { ...HTML, 'Content-Length': Buffer.byteLength(PAGE) }).end(PAGE),
    ],
    ['with a status message', (_req, res) => res.writeHead(404, 'Gone away', { ...HTML, ETag: '"1"' }).end(PAGE)],
    ['with a list of headers', (_req, res) => res.writeHead(200, ['Content-Type', 'text/html']).end(PAGE)],
    [
      'with a Content-Length set earlier',
      (_req, res) => {
        for (const [name, value] of Object.entries({ ...HTML, 'content-length': Buffer.byteLength(PAGE), etag: '"1"' }))
          res.setHeader(name, value);
        res.end(Buffer.from(PAGE));
      },
    ],
    ['with another encoding', (_req, res) => res.writeHead(200, HTML).end(Buffer.from(PAGE).toString('hex'), 'hex')],
    [
      'in chunks',
      (_req, res) => {
        res.writeHead(200, HTML);
        res.write(PAGE.slice(0, 20));
        res.end(PAGE.slice(20), () => {});
      },
    ],
  ])('%s', async (_what, app) => {
    const { text, headers, complete } = await pageOf(app);
    expect(text).toBe(PAGE + SCRIPT);
    expect(complete).toBe(true);
    expect(headers.etag).toBeUndefined();
    expect([undefined, String(Buffer.byteLength(text))]).toContain(headers['content-length']);
  });

  test('and headers of the request that would prevent this are removed', async () => {
    const { text } = await pageOf(({ headers }, res) => res.writeHead(200, HTML).end(JSON.stringify(headers)));
    expect(text).toContain('sec-fetch-dest');
    expect(text).not.toMatch(/accept-encoding|if-none-match/);
  });

  test('with the nonce of the page', async () => {
    const csp = "default-src 'self'; script-src 'nonce-a&b' 'strict-dynamic'";
    const { text } = await pageOf((_req, res) => res.writeHead(200, { ...HTML, 'content-security-policy': csp }).end());
    expect(text).toContain(' nonce="a&amp;b"></script>');
  });
});

test.each([
  ['/app', '/app/.paster/'],
  ['/app/v1.2/', '/app/v1.2/.paster/'],
  ['//evil.example', '/.paster/'],
  ['/a"b', '/.paster/'],
  ['/a, /b', '/.paster/'],
])('the script is below the prefix that a proxy has removed: %s', async (prefix, expected) => {
  const headers = { ...OPENED, 'x-forwarded-prefix': prefix };
  const { text } = await pageOf((_req, res) => res.writeHead(200, HTML).end(PAGE), { headers });
  expect(text.slice(PAGE.length)).toBe(SCRIPT.replace('/.paster/', expected));
});

describe('there is no script', () => {
  const page: App = (_req, res) => res.writeHead(200, HTML).end(PAGE);
  test.each<[string, App, Parameters<typeof pageOf>[1]]>([
    ['in JSON', (_req, res) => res.writeHead(200, { 'content-type': 'application/json' }).end(PAGE), {}],
    ['without a type', (_req, res) => res.end(PAGE), {}],
    ['for fetch', page, { headers: { 'sec-fetch-dest': 'empty', accept: 'text/html' } }],
    ['for a client that does not accept HTML', page, { headers: { accept: '*/*' } }],
    ['in the response to a POST', page, { method: 'POST' }],
    [
      'in an attachment',
      (_req, res) => res.writeHead(200, { ...HTML, 'content-disposition': 'attachment; filename=a.html' }).end(PAGE),
      {},
    ],
    ['in UTF-16', (_req, res) => res.writeHead(200, { 'content-type': 'text/html; charset=UTF-16LE' }).end(PAGE), {}],
    ['if the Content-Security-Policy forbids connecting', withPolicy("script-src 'nonce-a'; connect-src 'none'"), {}],
    [
      'if the Content-Security-Policy forbids loading it',
      withPolicy("script-src 'unsafe-inline' https://cdn.example"),
      {},
    ],
  ])('%s', async (_what, app, request) => {
    expect((await pageOf(app, request)).text).toBe(PAGE);
  });

  test('in a body that is compressed anyway, or for HEAD', async () => {
    const body = gzipSync(PAGE);
    const app: App = (_req, res) => res.writeHead(200, { ...HTML, 'content-encoding': 'gzip' }).end(body);
    expect((await pageOf(app)).body).toEqual(body);
    const head = await pageOf((_req, res) => res.writeHead(200, { ...HTML, 'content-length': 43 }).end(), {
      method: 'HEAD',
    });
    expect(head.headers['content-length']).toBe('43');
  });

  function withPolicy(policy: string): App {
    return (_req, res) => res.writeHead(200, { ...HTML, 'content-security-policy': policy }).end(PAGE);
  }
});

test.each(['/login?next=/.paster/reload', '/?/.paster/reload.js?v=two'])(
  'the application receives requests for %s',
  async (path) => {
    const app = withDeveloperTools((_req, res) => res.end('app'), { secret: 's', version: 'two' });
    const { url } = await serveFiltered([], app);
    expect((await ask(url, path)).body.toString()).toBe('app');
  },
);

test('a page receives the version, a message when the server drains, and the URL of the next version', async () => {
  let pages = 0;
  const development = { secret: 's', version: 'two' };
  const app = withDeveloperTools(
    (_req, res) => res.end('app'),
    development,
    () => pages++,
  );
  const { url } = await serveFiltered([], app);
  const { first, rest } = await askForStart(url, '/below/.paster/reload');
  expect(first).toBe('retry: 1000\ndata: two\n\n');
  const version = await ask(url, '/below/.paster/reload?version');
  expect([version.body.toString(), version.headers['cache-control']]).toEqual(['two\n', 'no-store']);
  await ask(url, '/.paster/reload', { method: 'HEAD' });
  expect(pages).toBe(1);
  app.drain?.();
  const last = 'event: draining\ndata:\n\n';
  expect(await rest).toBe(first + last);
  const late = await ask(url, '/.paster/reload');
  expect([late.complete, late.body.toString(), late.headers.connection]).toEqual([true, first + last, 'close']);
  expect((await ask(url, '/.paster/reload.js?v=two')).headers['content-type']).toMatch(/^text\/javascript/);
  const off = await serveFiltered(
    [],
    withDeveloperTools((_req, res) => res.end('app'), { secret: 's' }),
  );
  expect((await ask(off.url, '/.paster/reload')).status).toBe(404);
});
