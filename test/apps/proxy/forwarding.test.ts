/** What a proxy forwards: requests and responses with their bodies, also from FastCGI and in a cascade. */
import { createServer, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cascade } from '../../../src/apps/cascade/cascade.ts';
import { proxy } from '../../../src/apps/proxy/proxy.ts';
import { urlMap } from '../../../src/apps/urlmap.ts';
import type { App } from '../../../src/protocol/types.ts';
import { fastcgiBackend } from '../../contract/backends/fastcgi-backend.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { whenOver } from '../../helpers/programs/lifetime.ts';
import { ask, askForStart } from '../../helpers/requests/ask.ts';
import { listen } from '../../protocol/listen.ts';
import { echoHead, type Head, originOf, proxied, sendBytes, startServer, upstream } from './upstream.ts';

async function textOf(req: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of req) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

describe('a proxy', () => {
  test('forwards the request: its method, path, query and headers', async () => {
    const reply = await ask(await proxied(echoHead), '/a%2Fb/../c?d=%20', {
      method: 'PROPFIND',
      headers: { 'X-Own': ['1', '2'], Cookie: 'a=b' },
    });
    const head = JSON.parse(reply.body.toString()) as Head;
    expect(head).toMatchObject({ method: 'PROPFIND', url: '/a%2Fb/../c?d=%20' });
    expect(head.headers).toMatchObject({ 'x-own': '1, 2', cookie: 'a=b' });
  });

  test('forwards the response: its status, reason, repeated headers and body', async () => {
    const origin = await proxied((_req, res) => {
      res.writeHead(418, 'Short and stout', ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'X-Own', 'caf\xe9']);
      // Node encodes a head that is sent with a text as UTF-8.
      res.end(Buffer.from('tea'));
    });
    const reply = await ask(origin, '/');
    expect(reply).toMatchObject({ status: 418, complete: true });
    expect(reply.headers).toMatchObject({ 'set-cookie': ['a=1', 'b=2'], 'x-own': 'caf\xe9' });
    expect(reply.body.toString()).toBe('tea');
  });

  test.each([
    ['of known length', 'x'.repeat(200_000)],
    ['in chunks', ['one', 'y'.repeat(200_000), 'three']],
  ])('forwards a body %s, both ways', async (_kind, body) => {
    const origin = await proxied((req, res) => req.pipe(res));
    const reply = await ask(origin, '/', { method: 'POST', body });
    expect(reply.body.toString()).toBe(typeof body === 'string' ? body : body.join(''));
  });

  test.each([
    [204, 'GET', ''],
    [304, 'GET', ''],
    [200, 'HEAD', ''],
    [200, 'DELETE', 'gone'],
  ])('forwards the status %i to %s', async (status, method, expected) => {
    const origin = await proxied((_req, res) => res.writeHead(status, { 'X-Own': '1' }).end(expected));
    const reply = await ask(origin, '/', { method });
    expect(reply).toMatchObject({ status, complete: true });
    expect(reply.body.toString()).toBe(expected);
    expect(reply.headers['x-own']).toBe('1');
  });

  test('streams the response', async () => {
    let finish = (): void => {};
    const origin = await proxied((_req, res) => {
      res.write('first');
      finish = () => res.end(' last');
    });
    const { first, rest } = await askForStart(origin, '/');
    expect(first).toBe('first');
    finish();
    expect(await rest).toBe('first last');
  });

  test('forwards trailers and early hints', async () => {
    const origin = await proxied((_req, res) => {
      res.writeEarlyHints({ link: '</style.css>; rel=preload; as=style' });
      res.writeHead(200, { Trailer: 'X-Sum' });
      res.write('body');
      res.addTrailers({ 'X-Sum': '42' });
      res.end();
    });
    const text = await sendBytes(origin, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect(text).toMatch(/^HTTP\/1\.1 103 Early Hints\r\nLink: <\/style\.css>/i);
    expect(text).toMatch(/\r\n0\r\nx-sum: 42\r\n\r\n$/i);
  });

  test('adds the path of its address and removes the prefix of its mount', async () => {
    const address = await upstream(echoHead);
    for (const path of ['/app', '/app/']) {
      const inner = await proxy({ address: address + path });
      const origin = await listen(await urlMap({ '/mounted': inner }));
      const head = JSON.parse((await ask(origin, '/mounted/x?y')).body.toString()) as Head;
      expect(head.url).toBe('/app/x?y');
      expect(head.headers['x-forwarded-prefix']).toBe('/mounted');
    }
  });

  test('connects to a Unix socket', async () => {
    const path = join(temporaryDirectory(), 'app.sock');
    await startServer(createServer(echoHead), { path });
    const origin = await listen(await proxy({ address: `unix:${path}:/below` }));
    const head = JSON.parse((await ask(origin, '/x')).body.toString()) as Head;
    expect(head.url).toBe('/below/x');
    expect(head.headers['host']).toBe('localhost');
  });

  test('forwards requests from FastCGI, even a body without a length', async () => {
    const address = await upstream(async (req, res) => res.end(`${req.method} ${await textOf(req)}`));
    const backend = await fastcgiBackend.start(await proxy({ address }));
    whenOver(() => backend.close());
    const [known, chunked, none] = await backend.inTurn([
      { method: 'POST', body: ['abc'] },
      { method: 'POST', headers: { 'Transfer-Encoding': 'chunked' }, body: ['a', 'b'], declaredLength: 2 },
      {},
    ]);
    expect([known, chunked, none].map((answer) => answer?.body.toString())).toEqual(['POST abc', 'POST ab', 'GET ']);
  });

  test('responds 400 to a header that HTTP cannot transmit', async () => {
    const backend = await fastcgiBackend.start(await proxy({ address: await upstream(echoHead) }));
    whenOver(() => backend.close());
    const { status } = await backend.request({ headers: { 'X-Own': 'a\x01b' } });
    expect(status).toBe(400);
  });

  test('in a cascade, lets the next application respond if the server responds 404', async () => {
    const address = await upstream(async (req, res) => {
      const body = await textOf(req);
      res.writeHead(req.url === '/here' ? 200 : 404, { 'X-Dropped': '1' }).end(`proxied ${body}`);
    });
    const next: App = async (req, res) => res.end(`next ${await textOf(req)}`);
    const origin = await listen(await cascade([await proxy({ address }), next]));
    const here = await ask(origin, '/here', { method: 'POST', body: ['a', 'b'] });
    expect(here.body.toString()).toBe('proxied ab');
    const there = await ask(origin, '/there', { method: 'POST', body: ['a', 'b'] });
    expect(there.body.toString()).toBe('next ab');
    expect(there.headers).not.toHaveProperty('x-dropped');
  });

  test('keeps connections, and retries if the server has closed one in the meantime', async () => {
    const sockets = new Set<unknown>();
    const server = createServer({ keepAliveTimeout: 5_000 }, (req, res) => {
      sockets.add(req.socket);
      res.end('ok');
    });
    await startServer(server, { port: 0, host: '127.0.0.1' });
    const origin = await listen(await proxy({ address: originOf(server) }));
    for (let i = 0; i < 3; i++) expect((await ask(origin, '/')).status).toBe(200);
    expect(sockets.size).toBe(1);
    server.closeAllConnections();
    expect((await ask(origin, '/')).status).toBe(200);
  });
});
