/** Static files from an INI file: the names of Paste, paths relative to the file, Tornado's flags. */
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { staticFilterSettings } from '../../../src/apps/static/settings.ts';
import { loadApp } from '../../../src/deploy/load.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, serve } from '../../helpers/programs/program.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { serveApp } from './serve.ts';

const INI = `
[DEFAULT]
debug = false

[composite:main]
use = egg:Paste#urlmap
/files = files
/favicon.ico = files
/ = app

[app:files]
use = egg:Paste#static
document_root = ../static
cache_max_age = 60

[app:app]
use = call:../app.js:makeApp
filter-with = assets

[filter:assets]
use = npm:paster#static
document_root = %(here)s/../static
url_prefix = /assets/
`;

async function served(globalConf: Record<string, string>) {
  const directory = temporaryDirectory({
    'etc/x.ini': INI,
    'app.js': `import { writeFileSync } from 'node:fs';
export const makeApp = () => (req, res) => {
  if (req.url === '/edit') writeFileSync(new URL('./static/a.txt', import.meta.url), 'changed');
  res.end(req.staticUrl('a.txt'));
};
`,
    'static/a.txt': 'hello',
    'static/favicon.ico': 'icon',
    'package.json': '{"type": "module"}',
  });
  const app = await loadApp('config:etc/x.ini', { relativeTo: directory, globalConf });
  return serveApp(app);
}

test('static works as an application in a URL map, and as a filter', async () => {
  const { ask } = await served({});
  expect(await ask('/files/a.txt')).toMatchObject({ status: 200, headers: { 'cache-control': 'public, max-age=60' } });
  expect((await ask('/files')).headers['location']).toBe('/files/');
  expect((await ask('/favicon.ico')).body.toString()).toBe('icon');
  const url = (await ask('/page')).body.toString();
  expect(url).toMatch(/^\/assets\/a\.txt\?v=[0-9a-f]{20}$/);
  expect((await ask(url)).headers['cache-control']).toContain('immutable');
});

test.each([
  ['with debug, the URL of an edited file changes at once', { debug: 'true' }, true],
  [
    'static_hash_cache overrides debug: the URL changes when the edit is noticed',
    { debug: 'true', static_hash_cache: 'true' },
    false,
  ],
])('%s', async (_name, globalConf, isAtOnce) => {
  const { ask } = await served(globalConf);
  const urlOf = async (path: string): Promise<string> => (await ask(path)).body.toString();
  const old = await urlOf('/page');
  // The handler edits the file and asks for the URL in one turn, so no event of the watcher can come between.
  expect((await urlOf('/edit')) !== old).toBe(isAtOnce);
  await eventually(async () => (await urlOf('/page')) !== old);
});

test('a file without read permission responds 403, as in Paste', async () => {
  const directory = temporaryDirectory({
    'x.ini':
      '[app:main]\nuse = egg:Paste#static\ndocument_root = files\n[server:main]\nuse = egg:Paste#http\nport = 0\n',
    'files/closed.txt': 'closed',
    'files/open.txt': 'open',
  });
  chmodSync(directory, 0o755);
  chmodSync(join(directory, 'files/closed.txt'), 0);
  const notRoot = process.getuid?.() === 0 ? ['--user', 'nobody'] : [];
  const { url } = await serve(['x.ini', ...notRoot], { cwd: directory });
  expect((await ask(url, '/open.txt')).status).toBe(200);
  const { status, headers, body } = await ask(url, '/closed.txt');
  expect([status, body.toString()]).toEqual([403, 'Forbidden\n']);
  expect(headers).not.toHaveProperty('etag');
});

test.each(['', '/', '//', 'https://cdn.example/s', '/a?b', '/a b'])('url_prefix = %s is an error', (prefix) => {
  const validate = (url_prefix: string) =>
    staticFilterSettings['~standard'].validate({ document_root: '.', url_prefix });
  expect(validate(prefix)).toMatchObject({ issues: [{ path: ['url_prefix'] }] });
  for (const right of ['/static', 'static', '/a/b/', '/%C3%BC']) expect(validate(right)).toHaveProperty('value');
});
