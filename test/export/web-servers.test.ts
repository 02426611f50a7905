/** `paster export` for each web server: the real one runs its standalone file, and forwards requests. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { writeFiles } from '../helpers/directory.ts';
import { beforeSuite } from '../helpers/programs/lifetime.ts';
import { freePort, needProgram, Program, requireProgram } from '../helpers/programs/program.ts';
import { ask } from '../helpers/requests/ask.ts';
import { nginxTemporaryPaths, offPort80 } from '../helpers/web-servers/nginx.ts';
import { exported, ini, project, projectWithServers, refused, runWebServer, serveAll, WEB_SERVERS } from './site.ts';

const SOCKET = 'socket = %(here)s/../var/app.sock\nmode = 666';

interface Case {
  readonly target: string;
  readonly kind: string;
  readonly prefix: string;
  /** Whether the server listens on TCP instead of a Unix socket. */
  readonly tcp?: boolean;
  /** Whether the server has the prefix in its settings. */
  readonly below?: boolean;
}

const CASES: readonly Case[] = [
  { target: 'nginx', kind: 'fastcgi', prefix: '' },
  { target: 'nginx', kind: 'fastcgi', prefix: '/proxy', tcp: true },
  { target: 'nginx', kind: 'scgi', prefix: '' },
  { target: 'nginx', kind: 'scgi', prefix: '/proxy' },
  { target: 'nginx', kind: 'http', prefix: '', tcp: true },
  { target: 'nginx', kind: 'http', prefix: '/proxy' },
  { target: 'lighttpd', kind: 'fastcgi', prefix: '', tcp: true },
  { target: 'lighttpd', kind: 'fastcgi', prefix: '/proxy' },
  { target: 'lighttpd', kind: 'scgi', prefix: '' },
  { target: 'lighttpd', kind: 'scgi', prefix: '/proxy' },
  { target: 'lighttpd', kind: 'http', prefix: '' },
  { target: 'lighttpd', kind: 'http', prefix: '/proxy', tcp: true },
  { target: 'apache', kind: 'fastcgi', prefix: '' },
  { target: 'apache', kind: 'fastcgi', prefix: '/proxy', tcp: true },
  { target: 'apache', kind: 'scgi', prefix: '', tcp: true },
  { target: 'apache', kind: 'scgi', prefix: '/proxy', below: true },
  { target: 'apache', kind: 'http', prefix: '' },
  { target: 'apache', kind: 'http', prefix: '/proxy', tcp: true },
  { target: 'caddy', kind: 'fastcgi', prefix: '' },
  { target: 'caddy', kind: 'fastcgi', prefix: '/proxy', tcp: true },
  { target: 'caddy', kind: 'http', prefix: '', tcp: true },
  { target: 'caddy', kind: 'http', prefix: '/proxy' },
  { target: 'haproxy', kind: 'fastcgi', prefix: '' },
  { target: 'haproxy', kind: 'fastcgi', prefix: '/proxy', tcp: true },
  { target: 'haproxy', kind: 'http', prefix: '', tcp: true },
  { target: 'haproxy', kind: 'http', prefix: '/proxy' },
];

const PROGRAMS: Readonly<Record<string, string>> = { apache: 'apache2' };

/** A project whose servers run in one process, of which each test exports one. */
let shop: string;
beforeSuite(async () => {
  const kinds = ['fastcgi', 'scgi', 'http'];
  const servers: Record<string, string> = {};
  for (const kind of kinds) {
    servers[kind] = `use = npm:paster#${kind}\nsocket = %(here)s/../var/${kind}.sock\nmode = 666`;
    servers[`${kind}-tcp`] = `use = npm:paster#${kind}\nhost = 127.0.0.1\nport = ${await freePort()}`;
  }
  servers['scgi-below'] = `${servers['scgi']?.replace('scgi.sock', 'below.sock')}\nscript_name = /proxy`;
  shop = projectWithServers(servers);
  await serveAll(shop, Object.keys(servers));
});

/** A web server in front of one of its servers. */
function inFrontOf(section: string, target: string, options: readonly string[], file?: string): Promise<string> {
  return runWebServer(target, shop, ['--server-section', section, ...options], file);
}

describe.each(Object.keys(WEB_SERVERS))('%s', (target) => {
  const missing = requireProgram(PROGRAMS[target] ?? target) === undefined;
  const cases = CASES.filter((each) => each.target === target);

  test.skipIf(missing).each(cases)('forwards requests by $kind at "$prefix"', async ({ kind, prefix, tcp, below }) => {
    const section = `${kind}${tcp ? '-tcp' : ''}${below ? '-below' : ''}`;
    const url = await inFrontOf(section, target, prefix === '' ? [] : ['--prefix', prefix]);

    const reply = await ask(url, `${prefix}/query?a=1&b=%2F`);
    expect({ status: reply.status, text: String(reply.body) }).toMatchObject({ status: 200 });
    // Over HTTP the web server removes a prefix, and a header names it.
    const base = kind === 'http' ? '' : prefix;
    expect(JSON.parse(String(reply.body))).toEqual({
      method: 'GET',
      url: '/query?a=1&b=%2F',
      base,
      query: { a: '1', b: '/' },
    });

    const body = Buffer.alloc(300_000, 'paster ');
    const echo = await ask(url, `${prefix}/echo`, { method: 'POST', body });
    expect(echo.body.equals(body)).toBe(true);

    if (prefix !== '') expect((await ask(url, `${prefix}x/query`)).status).toBe(404);

    const css = await ask(url, `${prefix}/static/site.css?v=1`);
    expect({ status: css.status, text: String(css.body) }).toEqual({ status: 200, text: 'body { color: teal }\n' });
    expect((await ask(url, `${prefix}/static/.secret`)).status).toBe(404);
  });

  test.skipIf(missing)('refuses a body that is too large', async () => {
    const kind = target === 'caddy' || target === 'haproxy' ? 'http' : 'fastcgi';
    const url = await inFrontOf(kind, target, ['--max-body', '1m']);
    const reply = await ask(url, '/echo', { method: 'POST', body: Buffer.alloc(1_200_000) }).catch(() => undefined);
    // The connection may be closed while the refused body is sent.
    if (reply) expect(reply.status).toBe(413);
    expect((await ask(url, '/query')).status).toBe(200);
  });
});

describe('nginx', () => {
  test.skipIf(requireProgram('nginx') === undefined)('serves static files itself, a version for a year', async () => {
    const url = await inFrontOf('fastcgi', 'nginx', []);
    expect((await ask(url, '/static/site.css?v=abc')).headers['cache-control']).toBe('max-age=315360000');
    const plain = await ask(url, '/static/site.css');
    expect(plain.headers['cache-control']).toBe('max-age=0');
    expect(plain.headers['content-type']).toBe('text/css');
  });

  test('leaves static files to the application if a filter may refuse them', async () => {
    const guarded = project(
      `use = npm:paster#fastcgi\n${SOCKET}`,
      `[filter:guard]\nuse = call:${join(import.meta.dirname, 'guard.js')}:makeGuard\n\n[pipeline:guarded]\npipeline = guard main\n`,
    );
    expect(await exported('nginx', ini(guarded))).toContain('alias');
    expect(await exported('nginx', ini(guarded), '-n', 'guarded')).not.toContain('alias');
  });

  test('the maximum body size is that of the INI file, unless the command line sets another', async () => {
    const filter = (name: string, limit: string) => `[filter:${name}]\nuse = npm:paster#bodylimit\n${limit}\n`;
    const filters =
      filter('wide', 'max_body_size = 200M') + filter('narrow', 'max_body_size = 1500K') + filter('own', '');
    const pipelines = ['wide', 'wide narrow', 'own'].map(
      (names, index) => `[pipeline:p${index}]\npipeline = ${names} main\n`,
    );
    const config = ini(project(`use = npm:paster#fastcgi\n${SOCKET}`, filters + pipelines.join('')));
    const limit = async (...options: string[]) =>
      /client_max_body_size (.*);/.exec(await exported('nginx', config, ...options))?.[1];
    expect(await limit()).toBe('50m');
    expect(await limit('-n', 'p0')).toBe('200m');
    expect(await limit('-n', 'p1')).toBe('2m');
    expect(await limit('-n', 'p2')).toBe('10m');
    expect(await limit('-n', 'p0', '--max-body', '1g')).toBe('1024m');
  });

  test('several hosts become one upstream', async () => {
    const directory = project('use = npm:paster#fastcgi\nhost = 127.0.0.1\nport = 5050');
    const text = await exported('nginx', ini(directory), '--host', '10.0.0.5', '--host', '10.0.0.6:6000');
    expect(text).toMatch(/ {2}server 10\.0\.0\.5:5050 .*;\n {2}server 10\.0\.0\.6:6000 .*;\n/);
    expect(text).toContain('fastcgi_next_upstream error timeout invalid_header;');
  });
});

/** @param directory a directory that this user may write to */
type Wrap = (site: string, directory: string) => string | Promise<string>;

/** The rest of a machine's own configuration, which the exported file is dropped into. */
const AROUND: Readonly<Record<string, { readonly check: readonly string[]; readonly wrap: Wrap }>> = {
  nginx: {
    check: ['nginx', '-t', '-c'],
    wrap: async (site, directory) =>
      `pid ${directory}/nginx.pid;\nerror_log stderr;\nevents { }\nhttp {\naccess_log off;\n${nginxTemporaryPaths(directory)}${await offPort80(site)}\n}\n`,
  },
  lighttpd: { check: ['lighttpd', '-tt', '-f'], wrap: (site) => `server.document-root = "/tmp"\n${site}\n` },
  apache: {
    check: ['apache2', '-t', '-f'],
    wrap: (site) =>
      `${apacheModules(site)}ServerName localhost\nListen 8902\nErrorLog /dev/stderr\nPidFile /tmp/none.pid\n${site}\n`,
  },
  caddy: { check: ['caddy', 'validate', '--adapter', 'caddyfile', '--config'], wrap: (site) => `${site}\n` },
  haproxy: {
    check: ['haproxy', '-c', '-f'],
    wrap: (site) => `defaults\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n${site}\n`,
  },
};
/** The modules that Debian enables by default, and those that the file says it needs. */
function apacheModules(site: string): string {
  const needed = /^# Needs: a2enmod (.*)$/m.exec(site)?.[1]?.split(' ') ?? [];
  return ['mpm_event', 'authz_core', ...needed]
    .map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so\n`)
    .join('');
}

describe.each(Object.entries(AROUND))('the plain output for %s', (target, { check, wrap }) => {
  const missing = requireProgram(check[0] ?? '') === undefined;

  test.skipIf(missing).each([
    ['by itself', []],
    ['with a name, below a prefix', ['--server-name', 'shop.example.org', '--prefix', '/shop']],
    ['in front of several hosts', ['--host', '10.0.0.5', '--host', '10.0.0.6:6000', '--listen', '127.0.0.1:8902']],
  ])('is accepted as a part of the server’s own configuration: %s', async (_what, options) => {
    const directory = project('use = npm:paster#fastcgi\nhost = 127.0.0.1\nport = 5050');
    const site = await exported(target, ini(directory), ...options);
    writeFiles(directory, { 'around.conf': await wrap(site, directory) });
    const [name = '', ...args] = check;
    const env = { PATH: `${process.env['PATH']}:/usr/sbin`, HOME: directory };
    const run = new Program(name, [...args, join(directory, 'around.conf')], { env, cwd: directory });
    const { status } = await run.finished();
    expect(status, run.output).toBe(0);
  });
});

describe('caddy', () => {
  test.skipIf(requireProgram('caddy') === undefined).each([
    ['fastcgi', ''],
    ['fastcgi', '/proxy'],
    ['http', '/proxy'],
  ])('a standalone file that is not called Caddyfile is JSON: %s at "%s"', async (kind, prefix) => {
    const options = prefix === '' ? [] : ['--prefix', prefix];
    const url = await inFrontOf(kind, 'caddy', options, 'caddy.conf');
    const reply = await ask(url, `${prefix}/query?b=%2F`);
    expect(JSON.parse(String(reply.body))).toMatchObject({ url: '/query?b=%2F', base: kind === 'http' ? '' : prefix });
    if (prefix !== '') expect((await ask(url, '/other')).status).toBe(404);
  });
});

describe('several hosts', () => {
  test.each(['nginx', 'lighttpd', 'apache', 'caddy', 'haproxy'])(
    '%s tries another host if one does not listen',
    async (target) => {
      needProgram(PROGRAMS[target] ?? target);
      const hosts = ['--host', '127.0.0.1', '--host', `127.0.0.1:${await freePort()}`];
      const url = await inFrontOf('fastcgi-tcp', target, hosts);
      for (let count = 0; count < 6; count++) expect((await ask(url, '/query')).status).toBe(200);
    },
  );
});

describe('export refuses', () => {
  const FASTCGI = `use = npm:paster#fastcgi\n${SOCKET}`;
  test.each([
    [['nginx', '--server-name', 'a;}']],
    [['nginx', '--server-name', 'a b']],
    [['nginx', '--prefix', '/a b']],
    [['nginx', '--prefix', '/a"']],
    [['nginx', '--prefix', '/../a']],
    [['nginx', '--listen', '127.0.0.1:80; evil']],
    [['nginx', '--host', 'a;b:1']],
    [['nginx', '--host', '10.0.0.1']],
    [['nginx', '--max-body', '1;']],
    [['nginx', '--state-dir', '/tmp']],
    [['ngins']],
  ])('%j', async ([target = '', ...options]) => {
    expect(await refused(target, ini(project(FASTCGI)), ...options)).toMatch(/^paster: /);
  });

  test.each([
    ['nginx', 'a$b'],
    ['nginx', 'a:b'],
    ['lighttpd', 'a"b'],
    ['apache', 'a#b'],
    ['caddy', 'a:b'],
  ])('a socket path that cannot be written for %s: %s', async (target, name) => {
    const directory = project(`use = npm:paster#fastcgi\nsocket = %(here)s/../var/${name}`);
    expect(await refused(target, ini(directory))).toContain('cannot be written in a configuration of');
  });

  test('a server that no web server can connect to', async () => {
    expect(await refused('nginx', ini(project('use = npm:paster#cgi')))).toMatch(/config\.ini:\d+:1: .*cgi/);
    expect(await refused('nginx', ini(project('use = npm:paster#fastcgi')))).toContain('no address');
  });

  test('a prefix that contradicts the INI file', async () => {
    const directory = project(`${FASTCGI}\nscript_name = /shop`);
    expect(await refused('nginx', ini(directory), '--prefix', '/other')).toContain('script_name = /shop');
    expect(await exported('nginx', ini(directory))).toContain('(?<mount>/shop)');
  });
});
