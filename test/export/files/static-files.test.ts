/** Static files of the INI file behind real web servers: the web server sends them, with the caching and the refusals of the INI file. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { writeFiles } from '../../helpers/directory.ts';
import { beforeSuite } from '../../helpers/programs/lifetime.ts';
import { requireProgram, serve } from '../../helpers/programs/program.ts';
import { ask, type Reply } from '../../helpers/requests/ask.ts';
import { exported, ini, project, runWebServer } from '../site.ts';

const FASTCGI = 'use = npm:paster#fastcgi\nsocket = %(here)s/../var/app.sock\nmode = 666';

const SERVERS = [
  { target: 'nginx', program: 'nginx', says: /^nginx/ },
  { target: 'lighttpd', program: 'lighttpd', says: /^lighttpd/ },
  { target: 'apache', program: 'apache2', says: /^Apache/ },
  { target: 'caddy', program: 'caddy', says: /^Caddy/ },
  { target: 'caddy', program: 'caddy', says: /^Caddy/, file: 'caddy.json' },
] as const;
const ROWS = SERVERS.flatMap((server) => ['', '/proxy'].map((prefix) => ({ file: undefined, ...server, prefix })));

/** A project with these settings of static files, and with files that must not be served. */
function siteWith(settings: string): string {
  const map = '[composite:site]\nuse = npm:paster#urlmap\n/static = own\n/ = probe\n';
  const directory = project(
    FASTCGI,
    `${map}\n[app:own]\nuse = egg:Paste#static\ndocument_root = %(here)s/../static\n${settings}\n`,
  );
  writeFiles(directory, {
    'static/index.html': '<p>index</p>\n',
    'static/sub/deep.txt': 'deep\n',
    'static/sub/.git/config': 'hidden\n',
    'outside.txt': 'hidden\n',
  });
  return directory;
}

function seconds({ headers }: Reply): number {
  return Number(/max-age=(\d+)/.exec(headers['cache-control'] ?? '')?.[1] ?? 0);
}

const YEAR = 31_536_000;

/** Projects that the tests leave unchanged, served once for all web servers. */
let denying: string;
let precompressed: string;
beforeSuite(async () => {
  denying = siteWith('dotfiles = deny');
  precompressed = siteWith('precompressed = true');
  writeFiles(precompressed, { 'static/site.css.gz': 'packed' });
  for (const directory of [denying, precompressed]) await serve(['-n', 'site', ini(directory)]);
});

describe.each(ROWS)('$target $file at "$prefix"', ({ target, program, says, file, prefix }) => {
  const missing = requireProgram(program) === undefined;
  const options = ['-n', 'site', ...(prefix === '' ? [] : ['--prefix', prefix])];

  test.skipIf(missing)('serves files without the application, and a version for a year', async () => {
    const directory = siteWith('cache_max_age = 60');
    const app = await serve(['-n', 'site', ini(directory)]);
    const url = await runWebServer(target, directory, options, file);
    const asked = async (path: string): Promise<Reply> => ask(url, `${prefix}/static/${path}`);
    expect((await ask(url, `${prefix}/query`)).status).toBe(200);
    for (const path of ['.secret', 'sub/.git/config', '%2esecret', 'sub/%2egit/config']) {
      expect([path, (await asked(path)).status]).toEqual([path, 404]);
    }
    await app.kill('SIGTERM');

    const css = await asked('site.css');
    expect({ status: css.status, text: String(css.body) }).toEqual({ status: 200, text: 'body { color: teal }\n' });
    expect(css.headers.server).toMatch(says);
    expect(css.headers['content-type']).toMatch(/^text\/css/);
    expect(seconds(css)).toBe(60);
    for (const query of ['?v=3ab21f5a5c', '?a=1&v=3ab21f5a5c']) {
      expect(seconds(await asked(`site.css${query}`))).toBeGreaterThanOrEqual(YEAR);
    }
    for (const query of ['?w=1', '?vv=1', '?a=v']) expect(seconds(await asked(`site.css${query}`))).toBe(60);
    expect((await asked('sub/deep.txt')).body.toString()).toBe('deep\n');
    expect((await asked('')).body.toString()).toBe('<p>index</p>\n');

    const missed = await asked('missing.css?v=3ab21f5a5c');
    expect(missed.status).toBe(404);
    expect(seconds(missed)).toBe(0);
    expect((await asked('sub/')).status).toBeGreaterThanOrEqual(403);
  });

  test.skipIf(missing)(
    'refuses paths and links that leave the directory, and dotfiles as the section says',
    async () => {
      const url = await runWebServer(target, denying, options, file);
      const base = `${prefix}/static`;
      for (const path of [
        '/../outside.txt',
        '/../../outside.txt',
        '../outside.txt',
        '/%2e%2e/outside.txt',
        '/..%2foutside.txt',
        '/sub%2f..%2f..%2foutside.txt',
        '/sub/..%5c..%5coutside.txt',
        '/%252e%252e/outside.txt',
        '/sub/%2e%2e/%2e%2e/outside.txt',
        '//../outside.txt',
        '/.%00./outside.txt',
      ]) {
        const reply = await ask(url, base + path);
        expect([path, reply.body.includes('hidden')]).toEqual([path, false]);
      }
      expect((await ask(url, `${base}/.secret`)).status).toBe(403);
      expect((await ask(url, `${base}/sub/.git/config`)).status).toBe(403);
      expect((await ask(url, `${base}/site.css`, { method: 'DELETE' })).status).toBeGreaterThanOrEqual(405);
    },
  );

  test.skipIf(missing)('serves dotfiles if the section allows it', async () => {
    // The application does not run.
    const url = await runWebServer(target, siteWith('dotfiles = allow'), options, file);
    expect((await ask(url, `${prefix}/static/.secret`)).body.toString()).toBe('hidden\n');
  });

  test.skipIf(missing)('sends precompressed files, or leaves them to the application', async () => {
    const url = await runWebServer(target, precompressed, options, file);
    const headers = { 'accept-encoding': 'gzip' };
    const packed = await ask(url, `${prefix}/static/site.css`, { headers });
    expect({ encoding: packed.headers['content-encoding'], text: String(packed.body) }).toEqual({
      encoding: 'gzip',
      text: 'packed',
    });
    expect(packed.headers['content-type']).toMatch(/^text\/css/);
    expect(packed.headers.vary).toMatch(/Accept-Encoding/i);
    expect((await ask(url, `${prefix}/static/site.css`)).body.toString()).toBe('body { color: teal }\n');
  });
});

/** The paths that nginx serves itself. */
async function served(sections: string): Promise<string[]> {
  const directory = project(FASTCGI, sections);
  mkdirSync(join(directory, 'other'));
  const text = await exported('nginx', ini(directory), '-n', 'site');
  return [...text.matchAll(/location \^~ (\S+) \{/g)].map(([, path = '']) => path);
}

const OWN = '[app:own]\nuse = npm:paster#static\ndocument_root = %(here)s/../static\n';

describe('which files the web server serves', () => {
  test.each([
    [
      'an application of a URL map',
      `[composite:site]\nuse = egg:Paste#urlmap\n/a/b = own\n/ = probe\n${OWN}`,
      ['/a/b/'],
    ],
    [
      'a map in a map',
      `[composite:site]\nuse = npm:paster#urlmap\n/in = inner\n/ = probe\n[composite:inner]\nuse = npm:paster#urlmap\n/s = own\n${OWN}`,
      ['/in/s/'],
    ],
    [
      'a filter',
      '[app:site]\nuse = egg:Paste#test\nfilter-with = own\n[filter:own]\nuse = npm:paster#static\ndocument_root = x\nurl_prefix = assets/\n',
      ['/assets/'],
    ],
    [
      'a filter within a pipeline, another behind it',
      `[pipeline:site]\npipeline = log own map\n[filter:log]\nuse = egg:Paste#translogger\n[filter:own]\nuse = npm:paster#static\ndocument_root = x\n[composite:map]\nuse = npm:paster#urlmap\n/s = files\n/static = files\n/ = probe\n`,
      ['/static/', '/s/'],
    ],
    [
      'an outer map comes first, wherever it is written',
      `[composite:site]\nuse = npm:paster#urlmap\n/ = inner\n/s = own\n/r = probe\n[composite:inner]\nuse = npm:paster#urlmap\n/s = files\n/s/deep = files\n/r/t = files\n/u = files\n${OWN}`,
      ['/s/', '/u/'],
    ],
    ['not without an index file', `[composite:site]\nuse = npm:paster#urlmap\n/s = own\n${OWN}index =\n`, []],
    [
      'not behind a filter that may refuse a request',
      `[app:site]\nuse = egg:Paste#test\nfilter-with = own\n[filter:own]\nuse = npm:paster#static\ndocument_root = x\nfilter-with = guard\n[filter:guard]\nuse = npm:paster#grantip\n`,
      [],
    ],
    [
      'not a single file',
      `[composite:site]\nuse = npm:paster#urlmap\n/robots.txt = own\n/favicon.ico = own\n/ = probe\n${OWN}`,
      [],
    ],
    ['not at the root', `[composite:site]\nuse = npm:paster#urlmap\n/ = own\n${OWN}`, []],
    [
      'not if another application is mounted below',
      `[composite:site]\nuse = npm:paster#urlmap\n/s = own\n/s/api = probe\n/t = own\n/ = probe\n${OWN}`,
      ['/t/'],
    ],
    [
      'not for one of several hosts',
      `[composite:site]\nuse = npm:paster#urlmap\n/s = own\ndomain shop.example.org /s = probe\n/ = probe\n${OWN}`,
      [],
    ],
    [
      'not with an invalid setting',
      `[composite:site]\nuse = npm:paster#urlmap\n/s = own\n${OWN}dotfiles = maybe\n`,
      [],
    ],
    [
      'not with special characters in the path',
      `[composite:site]\nuse = npm:paster#urlmap\n/s = own\n${OWN}index = a;b\n`,
      [],
    ],
  ])('%s', async (_what, sections, paths) => {
    expect(await served(sections)).toEqual(paths);
  });

  test('HAProxy serves no files, and a comment says so', async () => {
    const text = await exported('haproxy', ini(project(FASTCGI)), '--prefix', '/proxy');
    expect(text).toContain('# /proxy/static/: by the application');
  });

  test('for a web server on another machine, a comment says where the files must be', async () => {
    const directory = project('use = npm:paster#fastcgi\nhost = 127.0.0.1\nport = 5050');
    for (const target of ['nginx', 'lighttpd', 'apache', 'caddy']) {
      const text = await exported(target, ini(directory), '--host', '10.0.0.5');
      expect(text).toContain(`# Its files have to be on this machine, too: ${join(directory, 'static')}`);
    }
  });
});
