/** `paster export` for each web server: what an application learns behind it, and which of its responses arrive. */
import { once } from 'node:events';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { temporaryDirectory } from '../helpers/directory.ts';
import { eventually, freePort, needProgram, ROOT, requireProgram, serve } from '../helpers/programs/program.ts';
import { ask, type Question } from '../helpers/requests/ask.ts';
import { makeCertificate } from '../helpers/web-servers/certificate.ts';
import { exported, ini, project, runExported, runWebServer, WEB_SERVERS } from './site.ts';

const TOLD = `${join(ROOT, 'test/fixtures/apps/told.js')}:makeTold`;
const SOCKET = 'socket = %(here)s/../var/app.sock\nmode = 666';
const PROGRAMS: Readonly<Record<string, string>> = { apache: 'apache2' };

interface Told {
  readonly url: string;
  readonly base: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
}

async function told(origin: string, path: string, question: Question = {}): Promise<Told> {
  const { status, body } = await ask(origin, path, question);
  expect({ status, body: status === 200 ? '' : String(body) }).toEqual({ status: 200, body: '' });
  return JSON.parse(String(body));
}

const GATEWAYS: readonly (readonly [target: string, kind: string, settings: string])[] = [
  ['nginx', 'fastcgi', ''],
  ['nginx', 'scgi', ''],
  ['lighttpd', 'fastcgi', ''],
  ['lighttpd', 'scgi', ''],
  ['apache', 'fastcgi', ''],
  ['apache', 'scgi', 'script_name = /proxy'],
  ['caddy', 'fastcgi', ''],
  ['haproxy', 'fastcgi', ''],
];

test.each(GATEWAYS)('%s by %s forwards the mount itself, and nothing next to it', async (target, kind, settings) => {
  needProgram(PROGRAMS[target] ?? target);
  const directory = project(`use = npm:paster#${kind}\n${SOCKET}\n${settings}`, '', TOLD);
  const url = await runExported(target, directory, ['--prefix', '/proxy']);
  expect(await told(url, '/proxy')).toMatchObject({ url: '/', base: '/proxy' });
  expect(await told(url, '/proxy?a=1')).toMatchObject({ url: '/?a=1', base: '/proxy' });
  const headers = { Authorization: 'Basic YTpi' };
  expect((await told(url, '/proxy/a', { headers })).headers['authorization']).toBe('Basic YTpi');
  expect((await ask(url, '/proxy/large-head')).status).toBe(200);
  // Not even the web server's own pages and files.
  for (const path of ['/', '/index.html', '/error.log', `/${target}.pid`]) {
    expect([403, 404]).toContain((await ask(url, path)).status);
  }
});

describe.each(Object.keys(WEB_SERVERS))('%s by HTTP', (target) => {
  const missing = requireProgram(PROGRAMS[target] ?? target) === undefined;

  test.skipIf(missing).each([
    ['', undefined],
    ['/proxy', '/proxy'],
  ])('forwards WebSockets, and announces the prefix "%s" itself', async (prefix, said) => {
    const directory = project(`use = npm:paster#http\nhost = 127.0.0.1\nport = ${await freePort()}`, '', TOLD);
    const options = [...(prefix === '' ? [] : ['--prefix', prefix]), '--max-body', '1m'];
    const url = await runExported(target, directory, options);
    const client = new WebSocket(`${url.replace('http:', 'ws:')}${prefix}/live`);
    await once(client, 'open');
    client.send('hello');
    const [answer] = await once(client, 'message');
    expect(String(answer)).toBe('/live hello');
    client.terminate();

    const headers = { 'X-Forwarded-Prefix': '/evil' };
    expect((await told(url, `${prefix}/a`, { headers })).headers['x-forwarded-prefix']).toBe(said);
    expect((await ask(url, `${prefix}/large-head`)).status).toBe(200);
    const body = Buffer.alloc(1_100_000);
    // The connection may be closed while the refused body is sent.
    const reply = await ask(url, `${prefix}/a`, { method: 'POST', body }).catch(() => undefined);
    if (reply) expect(reply.status).toBe(413);
  });
});

test.each(['nginx', 'apache', 'caddy', 'haproxy'])(
  '%s by HTTPS accepts the server’s certificate, whatever names it has',
  async (target) => {
    needProgram(PROGRAMS[target] ?? target);
    const certificate = makeCertificate(temporaryDirectory(), 'DNS:shop.example.org');
    const address = `host = 127.0.0.1\nport = ${await freePort()}\nssl_pem = ${certificate.pem}`;
    const url = await runExported(target, project(`use = npm:paster#http\n${address}`, '', TOLD), [
      '--prefix',
      '/proxy',
    ]);
    expect((await told(url, '/proxy/a%2Fb')).url).toBe('/a%2Fb');
  },
);

test.each([
  ['nginx', 'nginx.conf'],
  ['apache', 'apache.conf'],
  ['caddy', 'Caddyfile'],
  ['caddy', 'caddy.json'],
  ['haproxy', 'haproxy.cfg'],
])('%s (%s) by HTTPS sends nothing to a server with another certificate', async (target, file) => {
  needProgram(PROGRAMS[target] ?? target);
  for (const subject of ['DNS:shop.example.org', 'IP:127.0.0.1']) {
    const [own, other] = [
      makeCertificate(temporaryDirectory(), subject),
      makeCertificate(temporaryDirectory(), subject),
    ];
    const port = await freePort();
    const address = `host = 127.0.0.1\nport = ${port}\nssl_pem = ${own.pem}`;
    const shop = (): string => project(`use = npm:paster#http\n${address}`, '', TOLD);
    const directory = shop();
    const first = await serve([ini(directory)]);
    const verifying = await runWebServer(target, directory, [], file);
    const insecure = await runWebServer(target, shop(), ['--insecure-backend'], file);
    const served = async () =>
      Promise.all([verifying, insecure].map(async (origin) => (await ask(origin, '/a')).status === 200));
    expect(await served()).toEqual([true, true]);
    await first.kill('SIGTERM');
    copyFileSync(other.pem, own.pem);
    await serve([ini(directory)]);
    expect(await served()).toEqual([false, true]);
    const trusting = await runWebServer(target, shop(), ['--backend-ca', other.cert], file);
    // Apache compares the names of a certificate, not its addresses, with the host that the client requests.
    const headers = { host: subject.startsWith('DNS:') ? 'shop.example.org' : 'localhost' };
    await eventually(async () => (await ask(trusting, '/a', { headers })).status === 200);
  }
});

test.skipIf(requireProgram('caddy') === undefined).each(['Caddyfile', 'caddy.json'])(
  'Caddy keeps the spelling of a path, and caches only files with a version: %s',
  async (file) => {
    const directory = project(`use = npm:paster#http\n${SOCKET}`, '', TOLD);
    const options = ['--prefix', '/proxy'];
    const url = await runExported('caddy', directory, options, file);
    expect((await told(url, '/proxy//a//b%2Fc')).url).toBe('//a//b%2Fc');
    expect((await told(url, '/proxy?a=1')).url).toBe('/?a=1');
    const control = async (query: string) =>
      (await ask(url, `/proxy/static/site.css${query}`)).headers['cache-control'];
    expect(await control('?v=1')).toContain('immutable');
    for (const query of ['', '?v=', '?rev=1']) expect(await control(query)).toBe('public, max-age=0');
  },
);

test.skipIf(requireProgram('caddy') === undefined)('Caddy forwards a body without a length', async () => {
  const url = await runExported('caddy', project(`use = npm:paster#fastcgi\n${SOCKET}`));
  const body = ['a'.repeat(300_000), 'b'];
  expect((await ask(url, '/echo', { method: 'POST', body })).body.length).toBe(300_001);
});

test('Caddy leaves files to the application if their directory looks like a pattern to Caddy', async () => {
  const files = '[app:odd-files]\nuse = npm:paster#static\ndocument_root = %(here)s/../[a]\n';
  const odd = `[composite:odd]\nuse = npm:paster#urlmap\n/static = odd-files\n\n${files}`;
  const directory = project(`use = npm:paster#fastcgi\n${SOCKET}`, odd);
  expect(await exported('caddy', ini(directory))).toContain('file_server');
  expect(await exported('caddy', ini(directory), '-n', 'odd')).not.toContain('file_server');
});
