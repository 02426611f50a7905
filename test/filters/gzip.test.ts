/** Compressed responses: the client's choice of encoding, responses that stay unchanged, and immediate delivery. */
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { App } from '../../src/protocol/types.ts';
import { eventually } from '../helpers/programs/program.ts';
import { ask } from '../helpers/requests/ask.ts';
import { serveThrough } from './serve.ts';
import { askUpgrade, upgrading } from './servers/upgrade.ts';

const TEXT = 'All work and no play makes Jack a dull boy.\n'.repeat(100);

function answering(headers: Record<string, string>, body: string | Buffer = TEXT, status = 200): App {
  return (_req, res) => {
    res.writeHead(status, { 'content-type': 'text/plain', ...headers });
    res.end(body);
  };
}

describe('the encoding that the client accepts', () => {
  test.each<[string | undefined, string | undefined]>([
    ['gzip', 'gzip'],
    ['br', 'br'],
    ['gzip, br', 'br'],
    ['br;q=0.5, gzip;q=0.8', 'gzip'],
    ['gzip;q=0', undefined],
    ['gzip;q=0, br;q=0', undefined],
    ['*;q=0', undefined],
    ['br;q=0, *', 'gzip'],
    ['identity', undefined],
    ['', undefined],
    [undefined, undefined],
    ['GZIP', 'gzip'],
    ['zstd', undefined],
  ])('%j gets %j', async (accepts, coding) => {
    const { url } = await serveThrough(['gzip'], answering({}));
    const headers = accepts === undefined ? {} : { 'accept-encoding': accepts };
    const reply = await ask(url, '/', { headers });
    expect(reply.headers['content-encoding']).toBe(coding);
    expect(reply.headers.vary).toBe('Accept-Encoding');
    const body =
      coding === 'gzip' ? gunzipSync(reply.body) : coding === 'br' ? brotliDecompressSync(reply.body) : reply.body;
    expect(body.toString()).toBe(TEXT);
  });
});

describe('not compressed', () => {
  test.each<[string, App]>([
    ['a small body', answering({ 'content-length': '1000' }, 'x'.repeat(1000))],
    ['a picture', answering({ 'content-type': 'image/png' })],
    ['a compressed body', answering({ 'content-encoding': 'zstd' })],
    ['no-transform', answering({ 'cache-control': 'no-transform' })],
    ['a part', answering({ 'content-range': 'bytes 0-4399/9999' }, TEXT, 206)],
    ['a body without a type', (_req, res) => void res.end(TEXT)],
  ])('%s', async (_what, app) => {
    const { url } = await serveThrough(['compression\nthreshold = 1k'], app);
    const plain = await ask(url, '/');
    const asked = await ask(url, '/', { headers: { 'accept-encoding': 'gzip' } });
    expect(asked.headers['content-encoding']).toBe(plain.headers['content-encoding']);
    expect(asked.body).toEqual(plain.body);
  });

  test('a response behind two filters is compressed once', async () => {
    const { url } = await serveThrough(['gzip', 'gzip'], answering({ etag: '"a"' }));
    const { body, headers } = await ask(url, '/', { headers: { 'accept-encoding': 'gzip' } });
    expect(gunzipSync(body).toString()).toBe(TEXT);
    expect(headers.etag).toBe('W/"a"');
  });
});

test('an entity tag becomes weak if the response is compressed', async () => {
  const { url } = await serveThrough(['gzip'], answering({ etag: '"a"' }));
  expect((await ask(url, '/')).headers.etag).toBe('"a"');
  expect((await ask(url, '/', { headers: { 'accept-encoding': 'br' } })).headers.etag).toBe('W/"a"');
});

test.each(['text/event-stream', 'text/plain'])('chunks of %s can be read at once', async (type) => {
  let goOn = (): void => {};
  const app: App = async (_req, res) => {
    res.writeHead(200, { 'content-type': type });
    res.write('data: 1\n\n');
    await new Promise<void>((resolve) => {
      goOn = resolve;
    });
    res.end('data: 2\n\n');
  };
  const { url } = await serveThrough(['gzip\nthreshold = 0'], app);
  const response = await fetch(url, { headers: { 'accept-encoding': 'gzip' } });
  expect(response.headers.get('content-encoding')).toBe('gzip');
  const reader = response.body?.getReader();
  const first = await reader?.read();
  expect(Buffer.from(first?.value ?? []).toString()).toBe('data: 1\n\n');
  goOn();
  expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe('data: 2\n\n');
});

test('a client that leaves aborts only its own request', async () => {
  const closed: unknown[] = [];
  const { url } = await serveThrough(['gzip'], (req, res) => {
    res.writeHead(200, { 'content-type': 'text/plain' });
    const timer = setInterval(() => res.write(TEXT), 1);
    res.on('close', () => {
      clearInterval(timer);
      closed.push(req.url);
    });
  });
  const begin = async (path: string, signal: AbortSignal) =>
    (await fetch(url + path, { headers: { 'accept-encoding': 'gzip' }, signal })).body?.getReader();
  const [leaving, staying] = [new AbortController(), new AbortController()];
  const first = await begin('/leaves', leaving.signal);
  const second = await begin('/stays', staying.signal);
  await first?.read();
  await second?.read();
  leaving.abort();
  await eventually(() => closed.length > 0);
  expect((await second?.read())?.value?.length).toBeGreaterThan(0);
  expect(closed).toEqual(['/leaves']);
  staying.abort();
});

test('an upgrade passes unchanged', async () => {
  const { url } = await serveThrough(['gzip'], upgrading(answering({})));
  expect((await askUpgrade(url)).status).toBe(101);
});
