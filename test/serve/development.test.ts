/** What `serve` adds to an application in development: an error page, which can open an editor. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { LoadSession } from '../../src/deploy/session.ts';
import type { Settings } from '../../src/protocol/types.ts';
import { loadPlannedApp, plannedAppContext, planOf } from '../../src/serve/plan.ts';
import { type Served, serveFiltered } from '../filters/serve-filter.ts';
import { temporaryDirectory, writeScripts } from '../helpers/directory.ts';
import { ask } from '../helpers/requests/ask.ts';

const FAILING = `export function makeApp() {
  return (req, res) => {
    res.setHeader('set-cookie', 'half=done');
    throw new TypeError('the cart <b>leaks</b>');
  };
}
`;

const INI = (section: string, rest = '') =>
  `[app:main]\nuse = call:./app.js:makeApp\n${section}\n${rest}\n[server:main]\nuse = npm:paster#http\n`;

const ERRORS = '[filter:errors]\nuse = egg:Paste#evalerror\ndisplay = false\nerror_message = We look into it.\n';

interface Project {
  readonly ini?: string;
  readonly app?: string;
  readonly settings?: Settings;
  readonly reload?: boolean;
}

async function develop({ ini = INI(''), app = FAILING, settings = { debug: 'true' }, reload = false }: Project = {}) {
  const directory = temporaryDirectory({ 'develop.ini': ini, 'app.js': app, 'package.json': '{"type":"module"}' });
  const plan = await planOf('develop.ini', settings, directory, {});
  const context = await plannedAppContext(plan, new LoadSession(settings));
  const loaded = await loadPlannedApp({ reload }, context);
  await loaded.ready?.();
  return { ...(await serveFiltered([], loaded)), directory };
}

const FASTIFY = 'const app = framework(); app.get("/", async () => fail()); app.get("/tea", tea);';

/** @param lines declare `app`, made by `framework`, with routes that fail */
function failingRoutes(module: string, lines: string): string {
  return `import { createRequire } from 'node:module';
const framework = createRequire(import.meta.url)(${JSON.stringify(join(import.meta.dirname, '../../node_modules', module))});
const fail = () => { throw new Error('the route fails'); };
const tea = () => { throw Object.assign(new Error('no tea'), { status: 418, statusCode: 418, expose: true }); };
export function makeApp() { ${lines} return app; }
`;
}

const HTML = { headers: { accept: 'text/html,*/*;q=0.8' } };

async function bodyOf({ url }: Served, path = '/', options: object = HTML): Promise<string> {
  return (await ask(url, path, options)).body.toString();
}

describe('the error page', () => {
  test.each<[string, Project]>([
    ['with debug = true', {}],
    ['with --reload', { settings: {}, reload: true }],
    ['around filters that pass errors on', { ini: INI('filter-with = log', '[filter:log]\nuse = npm:paster#lint\n') }],
  ])('is shown by default %s', async (_what, project) => {
    const served = await develop(project);
    const { status, headers, body } = await ask(served.url, '/cart?token=hunter2', HTML);
    const page = body.toString();
    expect(status).toBe(500);
    expect(headers['set-cookie']).toBeUndefined();
    expect(page).toContain('<h1>the cart &lt;b&gt;leaks&lt;/b&gt;</h1>');
    expect(page).toContain('app.js:4:11');
    expect(page).not.toContain('hunter2');
    expect(await bodyOf(served, '/', { headers: { accept: 'application/json' } })).toMatch(/^\{.*"name":"TypeError"/);
    expect(await bodyOf(served, '/', {})).toMatch(/^Internal Server Error\n\nTypeError: the cart/);
    expect(served.failures).toHaveLength(3);
    expect(served.failures[0]).toMatch(/^GET \/cart\?token=\*+ failed: TypeError: the cart/);
  });

  test.each<[string, Project]>([
    ['in production', { settings: {} }],
    ['with debug = false', { settings: { debug: 'false' }, reload: true }],
    ['with serve_traceback = false', { settings: { debug: 'true', serve_traceback: 'false' } }],
    ['if a filter responds to the error', { ini: INI('filter-with = errors', ERRORS) }],
  ])('is not shown %s', async (_what, project) => {
    const text = await bodyOf(await develop(project));
    expect(text).toMatch(/^Internal Server Error\n$|We look into it\./);
    expect(text).not.toMatch(/the cart|app\.js/);
  });

  test.each([
    ['Express', 'express', 'const app = framework(); app.get("/", fail); app.get("/tea", tea);'],
    ['Koa', 'koa', 'const app = new framework(); app.use((ctx) => (ctx.path === "/tea" ? tea() : fail()));'],
    ['Fastify', 'fastify', FASTIFY],
    ['a handler of Fastify that throws', 'fastify', `${FASTIFY} app.setErrorHandler((error) => { throw error; });`],
    [
      'an asynchronous handler of Fastify',
      'fastify',
      `${FASTIFY} app.setErrorHandler(async (error, request, reply) => {
        if (!error.statusCode) throw error;
        reply.code(error.statusCode).send(new Error('hidden'));
      });`,
    ],
  ])('shows an error that %s would respond to, but no client error', async (_name, module, lines) => {
    const served = await develop({ app: failingRoutes(module, lines) });
    expect(await bodyOf(served)).toContain('<h1>the route fails</h1>');
    expect(served.failures).toEqual([expect.stringContaining('the route fails')]);
    const write = vi.spyOn(console, 'error').mockImplementation(() => {});
    onTestFinished(() => write.mockRestore());
    expect((await ask(served.url, '/tea', HTML)).status).toBe(418);
  });

  test('is not shown if a handler of Fastify has responded to the error', async () => {
    const handler = 'app.setErrorHandler((error, request, reply) => reply.code(500).send({ own: 1 }));';
    const served = await develop({ app: failingRoutes('fastify', `${FASTIFY} ${handler}`) });
    expect(await bodyOf(served)).toBe('{"own":1}');
    expect(served.failures).toEqual([]);
  });
});

describe('a place of the error page', () => {
  const button = /data-place="([^"]+)" data-key="([^"]+)"/;

  async function offered() {
    const { url, directory } = await develop();
    writeScripts(directory, { editor: `#!/bin/sh\necho "$@" > '${directory}/opened'\n` });
    vi.stubEnv('LAUNCH_EDITOR', join(directory, 'editor'));
    onTestFinished(() => {
      vi.unstubAllEnvs();
    });
    const [, place = '', key = ''] = button.exec(await bodyOf({ url, failures: [] })) ?? [];
    const open = (headers: object, body: object = { place, key }, host = new URL(url).host) =>
      ask(url, '/shop/.paster/open-editor', {
        method: 'POST',
        headers: { 'content-type': 'application/json', host, ...headers },
        body: JSON.stringify(body),
      });
    return { url, directory, place, key, open };
  }

  test('opens an editor', async () => {
    const { url, directory, place, open } = await offered();
    expect(place).toBe(`${directory}/app.js:4:11`);
    const { status } = await open({ origin: url, 'sec-fetch-site': 'same-origin' });
    expect(status).toBe(204);
    await expect
      .poll(() => readFileSync(join(directory, 'opened'), { encoding: 'utf8', flag: 'a+' }), { timeout: 10_000 })
      .toBe(`${directory}/app.js 4 11\n`);
  });

  test('opens no editor for another page, another client, or a place that was not shown', async () => {
    const { directory, place, key, open, url } = await offered();
    const refusals: [number, Promise<{ status: number }>][] = [
      [403, open({ origin: 'http://evil.example' })],
      [403, open({ 'sec-fetch-site': 'cross-site' })],
      [403, open({ 'x-forwarded-for': '192.0.2.1' })],
      [403, open({}, { place, key }, 'evil.example')],
      [403, open({}, { place: '/etc/passwd:1:1', key })],
      [403, open({}, { place })],
      [403, open({}, [])],
      [415, open({ 'content-type': 'text/plain' })],
      [405, ask(url, '/.paster/open-editor')],
      [404, ask(url, '/.paster/other')],
    ];
    for (const [status, response] of refusals) expect((await response).status).toBe(status);
    expect(() => readFileSync(join(directory, 'opened'))).toThrow('ENOENT');
  });

  test('cannot be opened from another machine', async () => {
    const { url } = await develop();
    const page = await bodyOf({ url, failures: [] }, '/', { headers: { ...HTML.headers, via: '1.1 proxy' } });
    expect(page).toContain('the cart');
    expect(page).not.toMatch(button);
  });
});

describe('the root of an application without a page', () => {
  const EMPTY = `export function makeApp() {
  return (req, res) => {
    res.setHeader('x-own', 'yes');
    res.writeHead(req.url === '/api' ? 200 : 404, { 'content-type': 'text/plain' }).end('own');
  };
}
`;

  test('shows what is running, until the application has responded to some request', async () => {
    const served = await develop({ app: EMPTY });
    const { status, headers, body } = await ask(served.url, '/', HTML);
    expect([status, headers['content-type'], headers['x-own']]).toEqual([404, 'text/html; charset=utf-8', undefined]);
    expect(body.toString()).toContain('Your application runs');
    expect(body.toString()).toContain(`<dd>${served.directory}/app.js</dd>`);
    expect(await bodyOf(served, '/other')).toBe('own');
    expect(await bodyOf(served, '/', {})).toBe('own');
    expect(await bodyOf(served, '/api')).toBe('own');
    expect(await bodyOf(served)).toBe('own');
  });

  test('links to the mounts of applications', async () => {
    const ini = `[composite:main]
use = npm:paster#urlmap
/shop = app
domain example.org /other = app
filter-with = gzip
[filter:gzip]
use = npm:paster#gzip
[app:app]
use = call:./app.js:makeApp
[server:main]
use = npm:paster#http
`;
    const page = await bodyOf(await develop({ app: EMPTY, ini }));
    expect(page.match(/<a href="\/[^"]*">/g)).toEqual(['<a href="/shop">']);
  });

  test('is the application’s own in production', async () => {
    expect(await bodyOf(await develop({ app: EMPTY, settings: {} }))).toBe('own');
  });
});
