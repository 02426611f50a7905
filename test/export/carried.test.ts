/** `paster export` for each web server: what an application learns behind it, and which of its responses arrive. */
import { once } from 'node:events';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { temporaryDirectory } from '../helpers/directory.ts';
import { beforeSuite } from '../helpers/programs/lifetime.ts';
import { eventually, freePort, needProgram, ROOT, requireProgram, serve } from '../helpers/programs/program.ts';
import { ask, type Question } from '../helpers/requests/ask.ts';
import { type Certificate, makeCertificate, optionalCertificate } from '../helpers/web-servers/certificate.ts';
import {
  exported,
  ini,
  project,
  projectWithServers,
  runExported,
  runWebServer,
  serveAll,
  WEB_SERVERS,
} from './site.ts';

const TOLD = `${join(ROOT, 'test/fixtures/apps/told.js')}:makeTold`;
const FASTCGI = 'use = npm:paster#fastcgi\nsocket = %(here)s/../var/app.sock\nmode = 666';
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

/** A project whose servers run in one process, of which each test exports one. */
let shop: string;
beforeSuite(async () => {
  const socket = (name: string): string => `socket = %(here)s/../var/${name}.sock\nmode = 666\n`;
  const address = async (): Promise<string> => `host = 127.0.0.1\nport = ${await freePort()}\n`;
  const certificate = optionalCertificate(temporaryDirectory(), 'DNS:shop.example.org');
  const servers = {
    fastcgi: `use = npm:paster#fastcgi\n${socket('fastcgi')}`,
    scgi: `use = npm:paster#scgi\n${socket('scgi')}`,
    'scgi-below': `use = npm:paster#scgi\n${socket('scgi-below')}script_name = /proxy`,
    http: `use = npm:paster#http\n${await address()}`,
    'http-socket': `use = npm:paster#http\n${socket('http')}`,
    ...(certificate ? { https: `use = npm:paster#http\n${await address()}ssl_pem = ${certificate.pem}` } : {}),
  };
  shop = projectWithServers(servers, '', TOLD);
  await serveAll(shop, Object.keys(servers));
});

/** A web server in front of one of its servers. */
function inFrontOf(section: string, target: string, options: readonly string[], file?: string): Promise<string> {
  return runWebServer(target, shop, ['--server-section', section, ...options], file);
}

test.each([
  ['nginx', 'fastcgi'],
  ['nginx', 'scgi'],
  ['lighttpd', 'fastcgi'],
  ['lighttpd', 'scgi'],
  ['apache', 'fastcgi'],
  ['apache', 'scgi-below'],
  ['caddy', 'fastcgi'],
  ['haproxy', 'fastcgi'],
])('%s by %s forwards the mount itself, and nothing next to it', async (target, section) => {
  needProgram(PROGRAMS[target] ?? target);
  const url = await inFrontOf(section, target, ['--prefix', '/proxy']);
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
  ])('forwards WebSockets, and announces the prefix "%s" itself', async (prefix, announced) => {
    const options = [...(prefix === '' ? [] : ['--prefix', prefix]), '--max-body', '1m'];
    const url = await inFrontOf('http', target, options);
    const client = new WebSocket(`${url.replace('http:', 'ws:')}${prefix}/live`);
    await once(client, 'open');
    client.send('hello');
    const [answer] = await once(client, 'message');
    expect(String(answer)).toBe('/live hello');
    client.terminate();

    const headers = { 'X-Forwarded-Prefix': '/evil' };
    expect((await told(url, `${prefix}/a`, { headers })).headers['x-forwarded-prefix']).toBe(announced);
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
    needProgram('openssl');
    const url = await inFrontOf('https', target, ['--prefix', '/proxy']);
    expect((await told(url, '/proxy/a%2Fb')).url).toBe('/a%2Fb');
  },
);

const VERIFYING = [
  ['nginx', 'nginx.conf'],
  ['apache', 'apache.conf'],
  ['caddy', 'Caddyfile'],
  ['caddy', 'caddy.json'],
  ['haproxy', 'haproxy.cfg'],
] as const;

const isVerifying = VERIFYING.some(([target]) => requireProgram(PROGRAMS[target] ?? target) !== undefined);

test.skipIf(!isVerifying).each(['DNS:shop.example.org', 'IP:127.0.0.1'])(
  'web servers by HTTPS send nothing to a server with another certificate for %s',
  async (subject) => {
    const servers = VERIFYING.filter(([target]) => requireProgram(PROGRAMS[target] ?? target) !== undefined);
    const [own, other] = [0, 1].map(() => makeCertificate(temporaryDirectory(), subject)) as [Certificate, Certificate];
    const address = `host = 127.0.0.1\nport = ${await freePort()}\nssl_pem = ${own.pem}`;
    const directory = project(`use = npm:paster#http\n${address}`, '', TOLD);
    const first = await serve([ini(directory)]);
    const running: { file: string; verifying: string; insecure: string }[] = [];
    for (const [target, file] of servers) {
      const verifying = await runWebServer(target, directory, [], file);
      const insecure = await runWebServer(target, directory, ['--insecure-backend'], file);
      running.push({ file, verifying, insecure });
    }
    const isServed = async (origin: string): Promise<boolean> => (await ask(origin, '/a')).status === 200;
    const served = async (): Promise<unknown[]> => {
      const rows = running.map(async ({ file, verifying, insecure }) => ({
        file,
        verifying: await isServed(verifying),
        insecure: await isServed(insecure),
      }));
      return Promise.all(rows);
    };
    const wanted = (verifying: boolean): unknown[] => servers.map(([, file]) => ({ file, verifying, insecure: true }));
    expect(await served()).toEqual(wanted(true));
    await first.kill('SIGTERM');
    copyFileSync(other.pem, own.pem);
    await serve([ini(directory)]);
    expect(await served()).toEqual(wanted(false));
    // Apache compares the names of a certificate, not its addresses, with the host that the client requests.
    const headers = { host: subject.startsWith('DNS:') ? 'shop.example.org' : 'localhost' };
    for (const [target, file] of servers) {
      const trusting = await runWebServer(target, directory, ['--backend-ca', other.cert], file);
      await eventually(async () => (await ask(trusting, '/a', { headers })).status === 200);
    }
  },
);

test.skipIf(requireProgram('caddy') === undefined).each(['Caddyfile', 'caddy.json'])(
  'Caddy keeps the spelling of a path, and caches only files with a version: %s',
  async (file) => {
    const url = await inFrontOf('http-socket', 'caddy', ['--prefix', '/proxy'], file);
    expect((await told(url, '/proxy//a//b%2Fc')).url).toBe('//a//b%2Fc');
    expect((await told(url, '/proxy?a=1')).url).toBe('/?a=1');
    const control = async (query: string) =>
      (await ask(url, `/proxy/static/site.css${query}`)).headers['cache-control'];
    expect(await control('?v=1')).toContain('immutable');
    for (const query of ['', '?v=', '?rev=1']) expect(await control(query)).toBe('public, max-age=0');
  },
);

test.skipIf(requireProgram('caddy') === undefined)('Caddy forwards a body without a length', async () => {
  const url = await runExported('caddy', project(FASTCGI));
  const body = ['a'.repeat(300_000), 'b'];
  expect((await ask(url, '/echo', { method: 'POST', body })).body.length).toBe(300_001);
});

test('Caddy leaves files to the application if their directory looks like a pattern to Caddy', async () => {
  const files = '[app:odd-files]\nuse = npm:paster#static\ndocument_root = %(here)s/../[a]\n';
  const odd = `[composite:odd]\nuse = npm:paster#urlmap\n/static = odd-files\n\n${files}`;
  const directory = project(FASTCGI, odd);
  expect(await exported('caddy', ini(directory))).toContain('file_server');
  expect(await exported('caddy', ini(directory), '-n', 'odd')).not.toContain('file_server');
});
