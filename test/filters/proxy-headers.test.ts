/** Which peers are trusted to describe the client, and what the application then sees; the same for `prefix`. */
import { request } from 'node:http';
import { join } from 'node:path';
import express from 'express';
import { describe, expect, test } from 'vitest';
import { loadFilter, loadServer } from '../../src/deploy/load.ts';
import { FORWARDING_HEADERS } from '../../src/http/client-address.ts';
import type { App } from '../../src/protocol/types.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { whenOver } from '../helpers/programs/lifetime.ts';
import { ask } from '../helpers/requests/ask.ts';
import { mirror, serveThrough } from './serve.ts';
import { askUpgrade, upgrading } from './servers/upgrade.ts';

type Headers = Record<string, string>;

const HEADERS = `headers = ${FORWARDING_HEADERS.join(' ')}`;
const ALL_HEADERS = `proxy_headers\n${HEADERS}`;

async function seenWith(section: string, headers: Headers, path = '/'): Promise<Record<string, unknown>> {
  const { url } = await serveThrough([section], mirror);
  const { status, body } = await ask(url, path, { headers });
  return status === 200 ? JSON.parse(body.toString()) : { status };
}

describe('from a trusted proxy', () => {
  test.each<[Headers, Record<string, unknown>]>([
    [{ 'x-forwarded-for': '192.0.2.1' }, { address: '192.0.2.1', encrypted: false }],
    [{ 'x-forwarded-for': '192.0.2.1:4711' }, { address: '192.0.2.1' }],
    [{ 'x-forwarded-for': '[2001:db8::1]:4711' }, { address: '2001:db8::1' }],
    [{ 'x-forwarded-for': '2001:db8::1' }, { address: '2001:db8::1' }],
    [{ 'x-real-ip': '192.0.2.2' }, { address: '192.0.2.2' }],
    [{ 'x-forwarded-for': '192.0.2.1', 'x-real-ip': '192.0.2.2' }, { address: '192.0.2.1' }],
    [{ 'x-forwarded-proto': 'https' }, { encrypted: true, address: '127.0.0.1' }],
    [{ 'x-forwarded-proto': 'http', 'x-scheme': 'https' }, { encrypted: false }],
    [{ 'x-scheme': 'https' }, { encrypted: true }],
    [{ 'x-forwarded-proto': 'gopher' }, { encrypted: false }],
    [{ 'x-forwarded-host': 'example.com' }, { host: 'example.com' }],
    [{ 'x-forwarded-host': 'example.com', 'x-forwarded-port': '8443' }, { host: 'example.com:8443' }],
    [
      { 'x-forwarded-host': 'example.com', 'x-forwarded-port': '443', 'x-forwarded-proto': 'https' },
      { host: 'example.com' },
    ],
    [{ 'x-forwarded-host': 'evil.com/path?', host: 'good' }, { host: 'good' }],
    [{ 'x-forwarded-host': 'a b', host: 'good' }, { host: 'good' }],
    [{ 'x-forwarded-port': '99999999', host: 'good' }, { host: 'good' }],
    [
      { forwarded: 'for="[2001:db8::7]:80";proto=https;host="example.com:444";by=10.0.0.1' },
      { address: '2001:db8::7', encrypted: true, host: 'example.com:444' },
    ],
    [{ forwarded: 'FOR=192.0.2.9' }, { address: '192.0.2.9' }],
    // An address of no host, since a list of allowed addresses may contain the proxy's.
    [{ 'x-forwarded-for': 'unknown' }, { address: '0.0.0.0' }],
    [{ forwarded: 'for=_hidden' }, { address: '0.0.0.0' }],
  ])('%j describes the client', async (headers, expected) => {
    expect(await seenWith(ALL_HEADERS, headers)).toMatchObject(expected);
  });

  test.each(['for="192.0.2.1', 'for=1;for=2', 'garbage', 'for="a, for=192.0.2.1', 'for=1,,for=2', '=', ';'])(
    'Forwarded: %s is a bad request',
    async (forwarded) => {
      expect(await seenWith(ALL_HEADERS, { forwarded })).toEqual({ status: 400 });
    },
  );

  test('entries that the client has sent itself are not trusted', async () => {
    const headers = {
      'x-forwarded-for': '127.0.0.1, 10.0.0.1, 198.51.100.7',
      'x-forwarded-proto': 'https, http',
      'x-forwarded-host': 'evil.com, good.com',
    };
    expect(await seenWith(ALL_HEADERS, headers)).toMatchObject({
      address: '198.51.100.7',
      encrypted: false,
      host: 'good.com',
    });
    const forwarded = 'for=127.0.0.1;proto=https;host=evil.com, for=198.51.100.7;proto=http;host=good.com';
    expect(await seenWith(ALL_HEADERS, { forwarded })).toMatchObject({
      address: '198.51.100.7',
      encrypted: false,
      host: 'good.com',
    });
  });

  test('behind two trusted proxies, the outer one names the host and the scheme', async () => {
    const headers = {
      'x-forwarded-for': '6.6.6.6, 198.51.100.7, 10.0.0.1',
      'x-forwarded-proto': 'http, https, http',
      'x-forwarded-host': 'evil.com, good.com, inner',
    };
    expect(await seenWith(`${ALL_HEADERS}\ntrusted_proxies = loopback 10.0.0.0/8`, headers)).toMatchObject({
      address: '198.51.100.7',
      encrypted: true,
      host: 'good.com',
    });
  });

  test('a thousand entries are read', async () => {
    const many = Array.from({ length: 1000 }, () => '10.1.1.1').join(',');
    const section = `${ALL_HEADERS}\ntrusted_proxies = uniquelocal loopback`;
    expect(await seenWith(section, { 'x-forwarded-for': `192.0.2.1,${many}` })).toMatchObject({ address: '192.0.2.1' });
    expect(await seenWith(section, { 'x-forwarded-for': ',,, ,192.0.2.1 , , ' })).toMatchObject({
      address: '192.0.2.1',
    });
  });

  test('only the headers of the setting count, and the others are removed', async () => {
    const { address, encrypted, headers } = await seenWith('proxy_headers\nheaders = X-Forwarded-For', {
      'x-forwarded-for': '192.0.2.1',
      'x-forwarded-proto': 'https',
      forwarded: 'for=6.6.6.6',
    });
    expect([address, encrypted]).toEqual(['192.0.2.1', false]);
    expect(headers).not.toHaveProperty('x-forwarded-proto');
    expect(headers).not.toHaveProperty('forwarded');
  });

  test.each(['proxy_headers', 'prefix'])(
    '%s uses the headers that every proxy sets, unless more are named',
    async (name) => {
      const claims = {
        'x-real-ip': '6.6.6.6',
        'x-scheme': 'https',
        'x-forwarded-scheme': 'https',
        'x-forwarded-host': 'evil.example',
        'x-forwarded-server': 'evil.example',
        'x-forwarded-port': '4711',
        forwarded: 'for=6.6.6.6;proto=https;host=evil.example',
      };
      const { headers, ...seen } = await seenWith(name, { ...claims, host: 'good' });
      expect(seen).toMatchObject({ address: '127.0.0.1', encrypted: false, host: 'good' });
      expect(Object.keys(headers as object).filter((each) => each in claims)).toEqual([]);
      const more = `${name}\nheaders = x-forwarded-host`;
      expect(await seenWith(more, { ...claims, host: 'good' })).toMatchObject({ host: 'evil.example' });
    },
  );

  test('a Unix socket counts as this machine', async () => {
    const directory = temporaryDirectory({ 'x.ini': '[filter:f]\nuse = npm:paster#proxy_headers\n' });
    const socketPath = join(directory, 's');
    const filter = await loadFilter('config:x.ini#f', { relativeTo: directory });
    const server = await loadServer('npm:paster#http', { overrides: { socket: socketPath } });
    const running = await server.serve(await filter(mirror));
    whenOver(() => running.close({ graceful: false }));
    const text = await new Promise<string>((resolve, reject) => {
      request({ socketPath, headers: { 'x-forwarded-for': '192.0.2.1' } }, (res) => {
        let body = '';
        res.on('data', (chunk) => {
          body += chunk;
        });
        res.on('end', () => resolve(body));
      })
        .on('error', reject)
        .end();
    });
    expect(JSON.parse(text)).toMatchObject({ address: '192.0.2.1' });
  });
});

describe('from any other peer', () => {
  const spoofed = {
    'x-forwarded-for': '10.0.0.1',
    'x-forwarded-proto': 'https',
    'X-Forwarded-Host': 'evil.com',
    'x-real-ip': '10.0.0.1',
    'x-scheme': 'https',
    'x-forwarded-port': '1',
    forwarded: 'for="broken',
    host: 'good',
  };

  test.each(['proxy_headers', 'prefix'])('%s ignores the headers and removes them', async (name) => {
    const { address, encrypted, host, headers, rawHeaders } = await seenWith(
      `${name}\ntrusted_proxies = 192.0.2.0/24`,
      spoofed,
    );
    expect([address, encrypted, host]).toEqual(['127.0.0.1', false, 'good']);
    expect(Object.keys(headers as object).filter((each) => /^x-|^forwarded/.test(each))).toEqual([]);
    expect((rawHeaders as string[]).filter((each) => /^x-|^forwarded/i.test(each))).toEqual([]);
  });

  test.each(['nginx', '0.0.0.0/0', '10.0.0.0/33'])('trusted_proxies = %s is an error', async (word) => {
    await expect(serveThrough([`proxy_headers\ntrusted_proxies = ${word}`], mirror)).rejects.toMatchObject({
      code: 'PASTER_SETTING',
      location: { line: 3 },
    });
  });
});

test('works with Express without trust proxy, and with a streamed body', async () => {
  const app = express();
  app.post('/', (req, res) => {
    let length = 0;
    req.on('data', (chunk: Buffer) => {
      length += chunk.length;
    });
    req.on('end', () => res.json([req.ip, req.protocol, req.secure, req.hostname, length]));
  });
  const { url } = await serveThrough([ALL_HEADERS], app as unknown as App);
  const headers = { 'x-forwarded-for': '192.0.2.1', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'example.com' };
  const { body } = await ask(url, '/', { method: 'POST', headers, body: Buffer.alloc(3_000_000) });
  expect(JSON.parse(body.toString())).toEqual(['192.0.2.1', 'https', true, 'example.com', 3_000_000]);
});

test.each([
  ['http', [false, 'assigned']],
  ['https', [true, 'assigned']],
])('for %s the socket has `encrypted` as in Node, and it can be assigned', async (scheme, expected) => {
  const { url } = await serveThrough(['proxy_headers'], ({ socket }, res) => {
    const has = 'encrypted' in socket;
    Object.assign(socket, { encrypted: 'assigned' });
    res.end(JSON.stringify([has, Reflect.get(socket, 'encrypted')]));
  });
  const { body } = await ask(url, '/', { headers: { 'x-forwarded-proto': scheme } });
  expect(JSON.parse(body.toString())).toEqual(expected);
});

test('the next request on the same connection may be another client’s', async () => {
  const { url } = await serveThrough(['proxy_headers'], mirror);
  const first = await fetch(url, { headers: { 'x-forwarded-for': '192.0.2.1', 'x-forwarded-proto': 'https' } });
  expect(await first.json()).toMatchObject({ address: '192.0.2.1', encrypted: true });
  expect(await (await fetch(url)).json()).toMatchObject({ address: '127.0.0.1', encrypted: false });
});

test('a handler of upgrades sees the client too', async () => {
  const { url } = await serveThrough(['proxy_headers'], upgrading(mirror));
  const { seen } = await askUpgrade(url, { 'x-forwarded-for': '192.0.2.1', 'x-forwarded-proto': 'wss' });
  expect(seen).toMatchObject({ address: '192.0.2.1', encrypted: true });
});

describe('prefix', () => {
  test.each([
    ['/app', '/', '/app', '/app'],
    ['/app/x?y', '/x?y', '/app', '/app/x?y'],
    ['/apple', '/apple', '/app', '/app/apple'],
    ['/other', '/other', '/app', '/app/other'],
    ['/app?q', '/?q', '/app', '/app?q'],
  ])('%s is mounted', async (path, url, baseUrl, originalUrl) => {
    expect(await seenWith('prefix\nprefix = /app/', {}, path)).toMatchObject({ url, baseUrl, originalUrl });
  });

  test.each<[string, Headers, Record<string, unknown>]>([
    ['scheme = https', {}, { encrypted: true }],
    ['scheme = http', { 'x-forwarded-proto': 'https' }, { encrypted: false }],
    ['force_port = 8443', { host: 'h:1' }, { host: 'h:8443' }],
    ['force_port =', { host: 'h:1' }, { host: 'h' }],
    [HEADERS, { 'x-forwarded-server': 's' }, { host: 's' }],
    [HEADERS, { 'x-forwarded-server': 's', 'x-forwarded-host': 'h' }, { host: 'h' }],
    ['translate_forwarded_server = false', { 'x-forwarded-for': '192.0.2.1' }, { address: '127.0.0.1' }],
    [
      HEADERS,
      { 'x-forwarded-scheme': 'https', 'x-forwarded-for': '192.0.2.1' },
      { address: '192.0.2.1', encrypted: true },
    ],
  ])('%j works with %j', async (settings, headers, expected) => {
    expect(await seenWith(`prefix\n${settings}`, headers)).toMatchObject(expected);
  });

  test.each(['http', '0', '65536', '99999'])('force_port = %s is not a port', async (port) => {
    const directory = temporaryDirectory({ 'x.ini': `[filter:f]\nuse = npm:paster#prefix\nforce_port = ${port}\n` });
    await expect(loadFilter('config:x.ini#f', { relativeTo: directory })).rejects.toMatchObject({
      message: expect.stringContaining(`force_port: "${port}" is not a port`),
      hint: 'allowed: a whole number from 1 to 65535, or nothing',
      location: { line: 3 },
    });
  });

  test('egg:PasteDeploy#prefix is the same filter', async () => {
    const directory = temporaryDirectory({ 'x.ini': '[filter:f]\nuse = egg:PasteDeploy#prefix\nprefix = app\n' });
    await expect(loadFilter('config:x.ini#f', { relativeTo: directory })).rejects.toMatchObject({
      code: 'PASTER_PREFIX',
      location: { line: 3 },
    });
  });
});
