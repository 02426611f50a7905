/** The proxies: another HTTP server as an application, what goes through and what does not. */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect, createServer as createNetServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { cascade } from '../../../src/apps/cascade/cascade.ts';
import { type ProxyOptions, proxy, transparentProxy } from '../../../src/apps/proxy/proxy.ts';
import { makeTransparentProxy, proxySettings, transparentProxySettings } from '../../../src/apps/proxy/settings.ts';
import { urlMap } from '../../../src/apps/urlmap.ts';
import { callApp } from '../../../src/http/error-response.ts';
import { silentLogger } from '../../../src/log.ts';
import type { App } from '../../../src/protocol/types.ts';
import { fastcgiBackend } from '../../contract/backends/fastcgi-backend.ts';
import { ask, askForStart } from '../../helpers/ask.ts';
import { makeCertificate } from '../../helpers/certificate.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { whenOver } from '../../helpers/lifetime.ts';
import { eventually, freePort, serve } from '../../helpers/program.ts';

type Listener = (req: IncomingMessage, res: ServerResponse) => unknown;

/** A server of Node's own, ended with the test. @returns its origin. */
async function listening(server: Server, at: { port: number; host: string } | { path: string }): Promise<void> {
  server.listen(at);
  await once(server, 'listening');
  whenOver(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
}

const originOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

async function upstream(listener: Listener): Promise<string> {
  const server = createServer(listener);
  await listening(server, { port: 0, host: '127.0.0.1' });
  return originOf(server);
}

/** An application behind a server; with the sockets of its clients. */
async function serving(app: App): Promise<string> {
  const server = createServer((req, res) => callApp(app, req, res, silentLogger));
  server.on('upgrade', (req, socket, head) => app.upgrade?.(req, socket, head));
  whenOver(() => app.close?.());
  await listening(server, { port: 0, host: '127.0.0.1' });
  return originOf(server);
}

async function proxied(listener: Listener, options: Partial<ProxyOptions> = {}): Promise<string> {
  return serving(await proxy({ address: await upstream(listener), ...options }));
}

/** A server that says exactly these bytes to whoever connects, and keeps what it hears. */
async function rawUpstream(answer: string | ((socket: Socket) => void)): Promise<{ address: string; heard: string[] }> {
  const heard: string[] = [];
  const sockets = new Set<Socket>();
  const server = createNetServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).setEncoding('latin1');
    socket.on('data', (text: string) => heard.push(text));
    if (typeof answer === 'function') answer(socket);
    else socket.once('data', () => socket.end(answer));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenOver(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, heard };
}

/** Sends these bytes and gives what comes until the connection ends. */
async function raw(origin: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(origin);
  const socket = connect(Number(port), hostname).setEncoding('latin1');
  let text = '';
  socket.on('data', (part: string) => {
    text += part;
  });
  socket.on('error', () => {});
  socket.write(bytes, 'latin1');
  await once(socket, 'close');
  return text;
}

async function textOf(req: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of req) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

const echoHead: Listener = (req, res) =>
  res.end(JSON.stringify({ method: req.method, url: req.url, headers: req.headers }));

interface Head {
  readonly method: string;
  readonly url: string;
  readonly headers: Record<string, string>;
}

describe('what goes through', () => {
  test('the request: its method, path, query and headers', async () => {
    const reply = await ask(await proxied(echoHead), '/a%2Fb/../c?d=%20', {
      method: 'PROPFIND',
      headers: { 'X-Own': ['1', '2'], Cookie: 'a=b' },
    });
    const head = JSON.parse(reply.body.toString()) as Head;
    expect(head).toMatchObject({ method: 'PROPFIND', url: '/a%2Fb/../c?d=%20' });
    expect(head.headers).toMatchObject({ 'x-own': '1, 2', cookie: 'a=b' });
  });

  test('the answer: its status, reason, repeated headers and body', async () => {
    const origin = await proxied((_req, res) => {
      res.writeHead(418, 'Short and stout', ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'X-Own', 'caf\xe9']);
      // A head that goes out with a text is UTF-8.
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
  ])('a body %s, both ways', async (_kind, body) => {
    const origin = await proxied((req, res) => req.pipe(res));
    const reply = await ask(origin, '/', { method: 'POST', body });
    expect(reply.body.toString()).toBe(typeof body === 'string' ? body : body.join(''));
  });

  test.each([
    [204, 'GET', ''],
    [304, 'GET', ''],
    [200, 'HEAD', ''],
    [200, 'DELETE', 'gone'],
  ])('%i to %s', async (status, method, expected) => {
    const origin = await proxied((_req, res) => res.writeHead(status, { 'X-Own': '1' }).end(expected));
    const reply = await ask(origin, '/', { method });
    expect(reply).toMatchObject({ status, complete: true });
    expect(reply.body.toString()).toBe(expected);
    expect(reply.headers['x-own']).toBe('1');
  });

  test('an answer as it comes', async () => {
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

  test('trailers and early hints', async () => {
    const origin = await proxied((_req, res) => {
      res.writeEarlyHints({ link: '</style.css>; rel=preload; as=style' });
      res.writeHead(200, { Trailer: 'X-Sum' });
      res.write('body');
      res.addTrailers({ 'X-Sum': '42' });
      res.end();
    });
    const text = await raw(origin, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect(text).toMatch(/^HTTP\/1\.1 103 Early Hints\r\nLink: <\/style\.css>/i);
    expect(text).toMatch(/\r\n0\r\nx-sum: 42\r\n\r\n$/i);
  });

  test('below a path, on both sides', async () => {
    const address = await upstream(echoHead);
    for (const path of ['/app', '/app/']) {
      const inner = await proxy({ address: address + path });
      const origin = await serving(await urlMap({ '/mounted': inner }));
      const head = JSON.parse((await ask(origin, '/mounted/x?y')).body.toString()) as Head;
      expect(head.url).toBe('/app/x?y');
      expect(head.headers['x-forwarded-prefix']).toBe('/mounted');
    }
  });

  test('to a Unix socket', async () => {
    const path = join(temporaryDirectory(), 'app.sock');
    await listening(createServer(echoHead), { path });
    const origin = await serving(await proxy({ address: `unix:${path}:/below` }));
    const head = JSON.parse((await ask(origin, '/x')).body.toString()) as Head;
    expect(head.url).toBe('/below/x');
    expect(head.headers['host']).toBe('localhost');
  });

  test('from FastCGI too, a body without a length included', async () => {
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

  test('what cannot go on the wire is 400', async () => {
    const backend = await fastcgiBackend.start(await proxy({ address: await upstream(echoHead) }));
    whenOver(() => backend.close());
    const { status } = await backend.request({ headers: { 'X-Own': 'a\x01b' } });
    expect(status).toBe(400);
  });

  test('in a cascade: what the other server has not found is asked of the next', async () => {
    const address = await upstream(async (req, res) => {
      const body = await textOf(req);
      res.writeHead(req.url === '/here' ? 200 : 404, { 'X-Dropped': '1' }).end(`proxied ${body}`);
    });
    const next: App = async (req, res) => res.end(`next ${await textOf(req)}`);
    const origin = await serving(await cascade([await proxy({ address }), next]));
    const here = await ask(origin, '/here', { method: 'POST', body: ['a', 'b'] });
    expect(here.body.toString()).toBe('proxied ab');
    const there = await ask(origin, '/there', { method: 'POST', body: ['a', 'b'] });
    expect(there.body.toString()).toBe('next ab');
    expect(there.headers).not.toHaveProperty('x-dropped');
  });

  test('connections are kept, and one that was closed in the meantime costs no request', async () => {
    const sockets = new Set<unknown>();
    const server = createServer({ keepAliveTimeout: 5_000 }, (req, res) => {
      sockets.add(req.socket);
      res.end('ok');
    });
    await listening(server, { port: 0, host: '127.0.0.1' });
    const origin = await serving(await proxy({ address: originOf(server) }));
    for (let i = 0; i < 3; i++) expect((await ask(origin, '/')).status).toBe(200);
    expect(sockets.size).toBe(1);
    server.closeAllConnections();
    expect((await ask(origin, '/')).status).toBe(200);
  });
});

describe('headers', () => {
  test('of the connection stay there, and those that Connection names', async () => {
    const { address, heard } = await rawUpstream(
      'HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\n' +
        'Upgrade: h2c\r\nX-End: 1\r\nContent-Length: 2\r\n\r\nok',
    );
    const origin = await serving(await proxy({ address }));
    const reply = await ask(origin, '/', {
      headers: {
        Connection: 'close, X-Mine',
        'X-Mine': '1',
        'Keep-Alive': '1',
        TE: 'trailers',
        'Proxy-Authorization': 'secret',
        'Proxy-Connection': 'x',
        Proxy: 'http://evil.example',
        'X-End': '1',
      },
    });
    expect(reply.headers['x-end']).toBe('1');
    for (const name of ['x-hop', 'proxy-authenticate', 'upgrade']) expect(reply.headers).not.toHaveProperty(name);
    expect(heard.join('')).toMatch(/x-end: 1/i);
    expect(heard.join('')).not.toMatch(/x-mine|te: |proxy|secret|keep-alive: 1/i);
  });

  test('X-Forwarded-*: the address is added, the rest is what this server knows', async () => {
    const origin = await proxied(echoHead);
    const head = JSON.parse(
      (
        await ask(origin, '/', {
          headers: {
            Host: 'www.example.org',
            'X-Forwarded-For': '10.1.1.1',
            'X-Forwarded-Host': 'evil.example',
            'X-Forwarded-Proto': 'https',
            'X-Forwarded-Prefix': '/evil',
          },
        })
      ).body.toString(),
    ) as Head;
    expect(head.headers).toMatchObject({
      'x-forwarded-for': '10.1.1.1, 127.0.0.1',
      'x-forwarded-host': 'www.example.org',
      'x-forwarded-proto': 'http',
    });
    expect(head.headers).not.toHaveProperty('x-forwarded-prefix');
    expect(head.headers['host']).toMatch(/^127\.0\.0\.1:\d+$/);
  });

  test('those that only proxies set are left out, unless they are to be passed', async () => {
    const claims = { Forwarded: 'for=6.6.6.6', 'X-Real-IP': '6.6.6.6', X_Forwarded_Host: 'evil', 'X-Scheme': 'https' };
    const seen = async (options: { passHeaders?: readonly string[] }) => {
      const reply = await ask(await proxied(echoHead, options), '/', { headers: claims });
      const { headers } = JSON.parse(reply.body.toString()) as Head;
      return Object.keys(claims).filter((name) => headers[name.toLowerCase()] !== undefined);
    };
    expect(await seen({})).toEqual([]);
    expect(await seen({ passHeaders: ['X-Real-IP', 'forwarded'] })).toEqual(['Forwarded', 'X-Real-IP']);
  });

  test('that are suppressed', async () => {
    const origin = await proxied(echoHead, { suppressHttpHeaders: ['Cookie', 'x_own'] });
    const reply = await ask(origin, '/', { headers: { Cookie: 'a', 'X-Own': '1', 'X-Other': '1' } });
    const { headers } = JSON.parse(reply.body.toString()) as Head;
    expect(headers).toMatchObject({ 'x-other': '1' });
    expect(headers).not.toHaveProperty('cookie');
    expect(headers).not.toHaveProperty('x-own');
  });
});

describe('what is refused', () => {
  test('methods that are not allowed', async () => {
    const origin = await proxied(echoHead, { allowedRequestMethods: ['get', 'head'] });
    const reply = await ask(origin, '/', { method: 'POST' });
    expect(reply).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
    expect((await ask(origin, '/')).status).toBe(200);
  });

  test.each([
    [
      'both lengths',
      'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\nHost: x\r\n\r\n',
    ],
    ['two lengths', 'Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde'],
    ['the same length twice', 'Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd'],
    ['a signed length', 'Content-Length: +4\r\n\r\nabcd'],
    ['a list of lengths', 'Content-Length: 4, 4\r\n\r\nabcd'],
    ['an unknown encoding', 'Transfer-Encoding: xchunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n'],
    ['a further encoding', 'Transfer-Encoding: gzip, chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n'],
    ['an encoding behind another', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n'],
    ['a space before the colon', 'Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n'],
    ['a folded header', 'X: y\r\n Transfer-Encoding: chunked\r\nContent-Length : 4\r\n\r\nabcd'],
    ['a bare line feed', 'X: y\nContent-Length: 4\r\n\r\nabcd'],
    ['a chunk with a bad size', 'Transfer-Encoding: chunked\r\n\r\n0x4\r\nabcd\r\n0\r\n\r\n'],
    ['a length that Connection takes out', 'Content-Length: 4\r\nConnection: content-length\r\n\r\nabcd'],
    ['two hosts', 'Host: evil.example\r\nContent-Length: 0\r\n\r\n'],
  ])('%s: nothing is smuggled', async (_what, rest) => {
    const { address, heard } = await rawUpstream('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok');
    const origin = await serving(await proxy({ address }));
    const text = await Promise.race([raw(origin, `POST / HTTP/1.1\r\nHost: x\r\n${rest}`), sleep(1500, 'open')]);
    expect(text).toMatch(/^HTTP\/1\.1 (?:400|501|502) /);
    expect(text).not.toMatch(/ 200 OK/);
    expect(heard.join('')).not.toContain('/evil');
    // A body that breaks off in the middle may have begun; nothing that is complete has gone on.
    expect(heard.join('')).not.toMatch(/\r\n0\r\n\r\n$|abcd$/);
  });

  test.each([
    ['both lengths', 'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n'],
    ['two lengths', 'Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde'],
    ['a bare line feed in a header', 'X: a\nb\r\n\r\n'],
  ])('an answer with %s is 502', async (_what, rest) => {
    const { address } = await rawUpstream(`HTTP/1.1 200 OK\r\n${rest}`);
    expect((await ask(await serving(await proxy({ address })), '/')).status).toBe(502);
  });

  test.each([
    '/../admin',
    '/x/../../admin',
    '/%2e%2e/admin',
    '/..%2fadmin',
    '/.%2E/',
    '/..\\admin',
    '/..;/admin',
    '/a/..',
  ])('%s would leave the path of the address', async (path) => {
    const address = `${await upstream(echoHead)}/app`;
    expect((await ask(await serving(await proxy({ address })), path)).status).toBe(400);
  });

  test.each(['/..a', '/a..b', '/...', '/?x=/../y', '/a.b/.c'])('%s would not', async (path) => {
    const address = `${await upstream(echoHead)}/app`;
    expect((await ask(await serving(await proxy({ address })), path)).status).toBe(200);
  });
});

test.each([
  ['allowed_request_methods', 'GET, HEAD', /"GET," is no name/],
  ['suppress_http_headers', 'cookie,authorization', /"cookie,authorization" is no name/],
])('%s = %s would have no effect, and is a mistake', (key, value, message) => {
  const validate = (text: string) =>
    proxySettings['~standard'].validate({ address: 'http://127.0.0.1:1', [key]: text });
  expect(validate(value)).toMatchObject({ issues: [{ message: expect.stringMatching(message), path: [key] }] });
  expect(validate(value.replace(/, ?/, ' '))).toHaveProperty('value');
});

describe('failures', () => {
  test('nobody there is 502', async () => {
    const address = `http://127.0.0.1:${await freePort()}`;
    const reply = await ask(await serving(await proxy({ address })), '/', { method: 'POST', body: 'x' });
    expect(reply).toMatchObject({ status: 502, complete: true });
    expect(reply.body.toString()).toBe('Bad Gateway\n');
  });

  test('one that hangs up is 502', async () => {
    const { address } = await rawUpstream((socket) => socket.once('data', () => socket.destroy()));
    expect((await ask(await serving(await proxy({ address })), '/')).status).toBe(502);
  });

  test.each([
    ['a status that is none', 'HTTP/1.1 099 Odd\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nok'],
    ['a reason that cannot be sent on', 'HTTP/1.1 200 a\x01b\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nok'],
    ['another protocol, which nobody asked for', 'HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'],
    ['no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ])('%s is 502, and the next request is answered', async (_what, answer) => {
    let count = 0;
    const { address } = await rawUpstream((socket) =>
      socket.once('data', () => socket.end(count++ === 0 ? answer : 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')),
    );
    const origin = await serving(await proxy({ address }));
    const reply = await ask(origin, '/');
    expect(reply).toMatchObject({ status: 502, complete: true });
    expect(reply.headers).not.toHaveProperty('set-cookie');
    expect((await ask(origin, '/')).status).toBe(200);
  });

  test('one that says nothing is 504, and let go of', async () => {
    let ended = false;
    const { address } = await rawUpstream((socket) => {
      socket.on('close', () => {
        ended = true;
      });
    });
    expect((await ask(await serving(await proxy({ address, timeout: 0.1 })), '/')).status).toBe(504);
    await eventually(() => ended);
  });

  test('one that breaks off, or stops in the middle, breaks the answer off', async () => {
    for (const ends of [true, false]) {
      const origin = await proxied(
        (_req, res) => {
          res.writeHead(200, { 'Content-Length': 10 });
          res.write('half', () => ends && res.destroy());
        },
        { timeout: 0.2 },
      );
      expect(await ask(origin, '/')).toMatchObject({ status: 200, complete: false });
    }
  });

  test('a client that leaves is left for, before the answer and in the middle of it', async () => {
    for (const begins of [true, false]) {
      let arrived = false;
      let left = false;
      const origin = await proxied((req, res) => {
        arrived = true;
        req.resume();
        res.on('close', () => {
          left = true;
        });
        if (begins) res.write('x');
      });
      const { hostname, port } = new URL(origin);
      const socket = connect(Number(port), hostname);
      socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc');
      await eventually(() => arrived);
      socket.destroy();
      await eventually(() => left);
    }
  });

  test('an answer before the body has come does not wait for it', async () => {
    const origin = await proxied((_req, res) => res.writeHead(413, { Connection: 'close' }).end('too large'));
    const text = await Promise.race([
      raw(origin, 'POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\nabc'),
      sleep(3000, 'open'),
    ]);
    expect(text).toMatch(/^HTTP\/1\.1 413 /);
  });
});

describe('WebSockets', () => {
  const HANDSHAKE =
    'GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n';

  /** An upstream that answers a handshake with `answer` and echoes. */
  async function upgrading(answer: string): Promise<{ origin: string; sockets: Socket[]; heads: string[] }> {
    const sockets: Socket[] = [];
    const heads: string[] = [];
    const server = createServer();
    server.on('upgrade', (req, socket) => {
      heads.push(`${req.url} ${req.headers['x-forwarded-for']} ${req.headers['sec-websocket-version']}`);
      sockets.push(socket as Socket);
      socket.on('error', () => {});
      socket.write(answer);
      if (answer.startsWith('HTTP/1.1 101')) socket.pipe(socket);
      else socket.end();
    });
    await listening(server, { port: 0, host: '127.0.0.1' });
    return { origin: await serving(await proxy({ address: originOf(server) })), sockets, heads };
  }

  const ACCEPTED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

  test('go through both ways, and either end closes both', async () => {
    for (const closing of ['client', 'server']) {
      const { origin, sockets, heads } = await upgrading(ACCEPTED);
      const { hostname, port } = new URL(origin);
      const socket = connect(Number(port), hostname).setEncoding('latin1');
      let text = '';
      socket
        .on('error', () => {})
        .on('data', (part: string) => {
          text += part;
        });
      socket.write(HANDSHAKE);
      await eventually(() => text.includes('\r\n\r\n'));
      expect(text).toMatch(/^HTTP\/1\.1 101 /);
      socket.write('hello');
      await eventually(() => text.endsWith('hello'));
      expect(heads).toEqual(['/chat 127.0.0.1 13']);
      const [other] = sockets;
      if (closing === 'client') socket.destroy();
      else other?.destroy();
      await eventually(() => other?.destroyed && (socket.destroyed || socket.readableEnded));
      socket.destroy();
    }
  });

  test('that are refused are answered with the refusal', async () => {
    const { origin } = await upgrading('HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nX-Own: 1\r\n\r\nno');
    const text = await raw(origin, HANDSHAKE);
    expect(text).toMatch(/^HTTP\/1\.1 401 .*no$/s);
  });

  test('to nobody are 502', async () => {
    const origin = await serving(await proxy({ address: `http://127.0.0.1:${await freePort()}` }));
    expect(await raw(origin, HANDSHAKE)).toMatch(/^HTTP\/1\.1 502 /);
  });

  test('to one that says nothing are 504', async () => {
    const { address } = await rawUpstream(() => {});
    const origin = await serving(await proxy({ address, timeout: 0.1 }));
    expect(await raw(origin, HANDSHAKE)).toMatch(/^HTTP\/1\.1 504 /);
  });

  test('only: another protocol is declined, and a handshake with a body refused', async () => {
    const origin = await proxied(echoHead);
    const h2c = HANDSHAKE.replace('websocket', 'h2c').replace(
      'Connection: Upgrade',
      'Connection: Upgrade, HTTP2-Settings',
    );
    const declined = await raw(origin, h2c.replace('Host', 'HTTP2-Settings: x\r\nHost'));
    expect(declined).toMatch(/^HTTP\/1\.1 200 .*"url":"\/chat"/s);
    expect(declined).not.toMatch(/h2c|http2-settings/);
    expect(await raw(origin, HANDSHAKE.replace('Host', 'Content-Length: 3\r\nHost'))).toMatch(/^HTTP\/1\.1 400 /);
  });
});

describe('the transparent one', () => {
  test('goes where it is forced to, with the Host header and the whole path as they came', async () => {
    const forceHost = new URL(await upstream(echoHead)).host;
    const origin = await serving(await urlMap({ '/below': await transparentProxy({ forceHost }) }));
    const reply = await ask(origin, '/below/x?y', { headers: { Host: 'any.example:81' } });
    const head = JSON.parse(reply.body.toString()) as Head;
    expect(head.url).toBe('/below/x?y');
    expect(head.headers['host']).toBe('any.example:81');
    for (const path of ['/below', '/below?x=/', '/below/']) {
      expect((JSON.parse((await ask(origin, path)).body.toString()) as Head).url).toBe(path);
    }
  });

  test('goes to hosts that are allowed, and to no other, however they are written', async () => {
    const asked: string[] = [];
    const allowed = new URL(
      await upstream((req, res) => {
        asked.push(req.url ?? '');
        res.end('ok');
      }),
    ).host;
    const port = allowed.split(':')[1] ?? '';
    const other = new URL(await upstream(() => expect.unreachable())).host;
    const origin = await serving(await transparentProxy({ allowedHosts: [allowed, 'www.example.org'] }));
    expect((await ask(origin, '/', { headers: { Host: allowed } })).status).toBe(200);
    for (const host of [
      other,
      '127.0.0.1',
      `localhost:${port}`,
      `127.1:${port}`,
      `2130706433:${port}`,
      `[::ffff:127.0.0.1]:${port}`,
      `[::1]:${port}`,
      `x@${allowed}`,
      `${allowed}@${other}`,
      `${allowed}/`,
      `${allowed}#.example.org`,
      `${allowed}, ${other}`,
      `${allowed}:80`,
      `.${allowed}`,
      `www.example.org:22`,
      `www.example.org.evil.example`,
      '169.254.169.254',
      'metadata.google.internal',
      `${allowed.replace(':', '%3A')}`,
      '',
    ]) {
      expect([host, (await ask(origin, '/', { headers: { Host: host } })).status]).toEqual([
        host,
        expect.toSatisfy((status) => status === 403 || status === 400),
      ]);
    }
    // The host of the request line goes before the header (RFC 9112 section 3.2.2).
    expect((await ask(origin, `http://${other}/`, { headers: { Host: allowed } })).status).toBe(403);
    expect(asked).toEqual(['/']);
  });

  test('goes nowhere unless it is said where', async () => {
    await expect(transparentProxy({})).rejects.toThrow(/whatever host a client names/);
    await expect(transparentProxy({ forceHost: 'a b' })).rejects.toThrow(/not of the form/);
    const result = transparentProxySettings['~standard'].validate({ allowed_hosts: '*' });
    if (!('value' in result)) throw new Error('it is valid');
    const { value } = result;
    expect(() => makeTransparentProxy({}, value)).toThrow(/any client/);
    await expect(makeTransparentProxy({ debug: 'true' }, value)).resolves.toBeTypeOf('function');
  });
});

test.each([
  '',
  'localhost',
  'ftp://x',
  'http://',
  'http://u:p@x/',
  'http://x/?y',
  'http://x#y',
  'unix:relative',
  '//x',
  'http://x y',
])('address = %j is a mistake', async (address) => {
  await expect(proxy({ address })).rejects.toThrow(/no such address/);
  expect(proxySettings['~standard'].validate({ address })).toHaveProperty('issues');
});

describe('over TLS', () => {
  /** An upstream with a certificate for 127.0.0.1 that upgrades too; a paster in front of it that trusts it, or not. */
  async function behind(part: (host: string) => string, trusts: boolean): Promise<string> {
    const directory = temporaryDirectory({});
    const certificate = makeCertificate(directory);
    const server = createTlsServer(
      { key: readFileSync(certificate.key), cert: readFileSync(certificate.cert) },
      echoHead,
    );
    server.on('upgrade', (_req, socket: Duplex) => {
      socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello');
    });
    await listening(server, { port: 0, host: '127.0.0.1' });
    const { port } = server.address() as AddressInfo;
    writeFileSync(
      join(directory, 'x.ini'),
      `[app:main]\nuse = npm:paster#${part(`127.0.0.1:${port}`)}\n[server:main]\nuse = npm:paster#http\nport = 0\n`,
    );
    const env = trusts ? { NODE_EXTRA_CA_CERTS: certificate.cert } : {};
    return (await serve(['x.ini'], { cwd: directory, env })).url;
  }

  test('a certificate that nobody vouches for is 502', async () => {
    const url = await behind((host) => `proxy\naddress = https://${host}`, false);
    expect((await ask(url, '/')).status).toBe(502);
  });

  test('the certificate is to be that of the server behind, whatever host the client names', async () => {
    const url = await behind((host) => `transparent_proxy\nforce_scheme = https\nforce_host = ${host}`, true);
    const reply = await ask(url, '/', { headers: { Host: 'any.example' } });
    expect(reply.status).toBe(200);
    expect((JSON.parse(reply.body.toString()) as Head).headers['host']).toBe('any.example');
    const upgraded = await raw(
      url,
      'GET / HTTP/1.1\r\nHost: any.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
    );
    expect(upgraded).toMatch(/^HTTP\/1\.1 101 [\s\S]*hello$/);
  });
});
