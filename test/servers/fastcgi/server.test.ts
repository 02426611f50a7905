/** The server as an object: its settings, its TCP listeners, and real frameworks behind it. */
import { spawnSync } from 'node:child_process';
import { type AddressInfo, createServer } from 'node:net';
import express from 'express';
import { fastify } from 'fastify';
import { Hono } from 'hono';
import Koa from 'koa';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { lineLogger } from '../../../src/log.ts';
import { toApp } from '../../../src/protocol/app.ts';
import { fastcgiSettings, makeFastcgiServer } from '../../../src/servers/fastcgi/server.ts';
import { eventually } from '../../helpers/programs/program.ts';
import { FastcgiClient, request } from './client.ts';
import { readSettings, type Served, serveFastcgi } from './serve.ts';

afterEach(() => vi.unstubAllEnvs());

test('each setting has help, and flup’s names are known', () => {
  for (const setting of Object.values(fastcgiSettings.declarations)) expect(setting.help).toMatch(/\.$/);
  expect(Object.keys(fastcgiSettings.obsolete)).toEqual(expect.arrayContaining(['maxThreads', 'debug']));
});

test('an invalid setting is an error', () => {
  expect(() => readSettings({ allow: 'nonsense' })).toThrow('nonsense');
  expect(() => readSettings({ max_connections: '0' })).toThrow('out of range');
});

test('an open TCP address is refused without allow, but not with FCGI_WEB_SERVER_ADDRS', () => {
  const open = { kind: 'tcp', host: '0.0.0.0', port: 9000 } as const;
  expect(() => makeFastcgiServer({}, readSettings({})).checkAddress?.(open)).toThrow('would accept any client address');
  vi.stubEnv('FCGI_WEB_SERVER_ADDRS', '10.0.0.1,10.0.0.2');
  makeFastcgiServer({}, readSettings({})).checkAddress?.(open);
  vi.stubEnv('FCGI_WEB_SERVER_ADDRS', 'nonsense');
  expect(() => makeFastcgiServer({}, readSettings({}))).toThrow('FCGI_WEB_SERVER_ADDRS');
});

test('a peer that is not allowed is disconnected, and logged once', async () => {
  const log: string[] = [];
  const listener = createServer();
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const running = await makeFastcgiServer({}, readSettings({ allow: '10.0.0.5' })).serve(() => {}, [listener], {
    log: lineLogger('warn', (line) => log.push(line)),
  });
  const { port } = listener.address() as AddressInfo;
  expect(running.addresses).toEqual([{ kind: 'tcp', host: '127.0.0.1', port }]);
  for (let i = 0; i < 3; i++) await (await FastcgiClient.connect(port)).closed;
  expect(log).toHaveLength(1);
  expect(log[0]).toContain('127.0.0.1');
  await running.close();
});

test.each([{ unix: false }, { unix: false, allowHalfOpen: true }])(
  'a request of a peer that is not allowed is not processed after it has reset its connection, on a listener with %j',
  async (options) => {
    const requests: (string | undefined)[] = [];
    const served = await serveFastcgi(
      (req, res) => {
        requests.push(req.url);
        res.end();
      },
      { allow: '10.0.0.5' },
      options,
    );
    const [address] = served.running.addresses;
    // This process does not accept meanwhile, so it finds a connection whose peer has no address any more.
    const script = `const socket = require('node:net').connect(${address?.kind === 'tcp' && address.port}, '127.0.0.1');
      socket.write(Buffer.from('${request(1).toString('base64')}', 'base64'), () => socket.resetAndDestroy());`;
    expect(spawnSync(process.execPath, ['--eval', script]).status).toBe(0);
    await eventually(() => served.log.length > 0);
    expect(served.log).toEqual(['debug: FastCGI connection: it was reset before it was accepted']);
    expect(requests).toEqual([]);
    await served.close();
  },
);

describe.each([{}, { unix: false }, { allowHalfOpen: false }, { allowHalfOpen: true }])(
  'listeners with %j',
  (options) => {
    test('connections open and close', async () => {
      const served = await serveFastcgi(
        (_req, res) => {
          res.end('ok');
        },
        {},
        options,
      );
      const kept = await served.client();
      for (let i = 0; i < 5; i++) {
        const client = await served.client();
        expect((await client.ask(1, {}, { keep: false })).body.toString()).toBe('ok');
        await client.closed;
      }
      expect((await kept.ask(1)).body.toString()).toBe('ok');
      kept.socket.end();
      await kept.closed;
      await served.close();
    });
  },
);

describe('a framework gets the body, the path and the address of the client', () => {
  let served: Served;
  afterEach(() => served.close());

  const expressApp = express();
  expressApp.use(express.json());
  expressApp.post('/service', (req, res) => {
    res.json({ body: req.body, base: req.baseUrl, original: req.originalUrl, ip: req.ip, secure: req.secure });
  });

  const koaApp = new Koa();
  koaApp.silent = true;
  koaApp.use(async (context) => {
    let text = '';
    for await (const part of context.req) text += part;
    context.body = { body: JSON.parse(text), ip: context.ip, secure: context.secure };
  });

  const fastifyApp = fastify();
  fastifyApp.post('/service', async (request) => ({
    body: request.body,
    ip: request.ip,
    secure: request.protocol === 'https',
  }));
  fastifyApp.delete('/service', async () => ({ deleted: true }));

  const honoApp = new Hono();
  honoApp.post('/service', async (context) => context.json({ body: await context.req.json() }));

  test.each<[string, object]>([
    ['Express', expressApp],
    ['Koa', koaApp],
    ['Fastify', fastifyApp],
    ['Hono', honoApp],
  ])('%s', async (name, framework) => {
    const app = await toApp(framework);
    await app.ready?.();
    served = await serveFastcgi(app);
    const client = await served.client();
    const environ = {
      REQUEST_METHOD: 'POST',
      SCRIPT_NAME: '/mount',
      PATH_INFO: '/service',
      REQUEST_URI: '/mount/service?x',
      QUERY_STRING: 'x',
      CONTENT_TYPE: 'application/json',
      HTTPS: 'on',
    };
    const answer = await client.ask(1, environ, { body: '{"a":[1,2]}' });
    const got = JSON.parse(answer.body.toString());
    expect([answer.status, got.body]).toEqual([200, { a: [1, 2] }]);
    if (name !== 'Hono') expect([got.ip, got.secure]).toEqual(['192.0.2.7', true]);
    if (name === 'Express') expect([got.base, got.original]).toEqual(['/mount', '/mount/service?x']);
    if (name === 'Fastify')
      expect((await client.ask(1, { REQUEST_METHOD: 'DELETE', REQUEST_URI: '/service' })).status).toBe(200);
    // Koa's application parses a body, which this request does not have.
    expect((await client.ask(1, { REQUEST_URI: '/nowhere', SCRIPT_NAME: '/nowhere' })).status).toBe(
      name === 'Koa' ? 500 : 404,
    );
  });
});
