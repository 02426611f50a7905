/** The static application: what it sends, when a browser may cache it, and how it works below a mount. */
import { execFileSync } from 'node:child_process';
import { readFileSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { cascade } from '../../../src/apps/cascade/cascade.ts';
import { makeStaticUrl } from '../../../src/apps/static/file-versions.ts';
import {
  type StaticFilesOptions,
  type StaticRequest,
  staticFiles,
  withStaticFiles,
} from '../../../src/apps/static/static-files.ts';
import { mountRequest } from '../../../src/http/mount.ts';
import type { App } from '../../../src/protocol/types.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, requireProgram } from '../../helpers/programs/program.ts';
import { serveApp } from './serve.ts';

const FILES = {
  'index.html': '<p>root</p>',
  'hello.txt': 'hello, world',
  'docs/index.html': '<p>docs</p>',
  'docs/a b.txt': 'blank',
  '.env': 'SECRET',
  '.well-known/x': 'known',
};
const IMMUTABLE = 'public, max-age=31536000, immutable';

function files(options: Partial<StaticFilesOptions> = {}): ReturnType<typeof serveApp> & { directory: string } {
  const directory = temporaryDirectory(FILES);
  return Object.assign(serveApp(staticFiles({ documentRoot: directory, ...options })), { directory });
}

/** The application, mounted by a URL map. */
const mounted =
  (prefix: string, app: App): App =>
  (req, res) => {
    mountRequest(req, prefix.length);
    return app(req, res);
  };

test('a file is sent with its type, length, date and ETag, and browsers revalidate it each time', async () => {
  const { ask } = await files();
  const answer = await ask('/hello.txt');
  expect(answer).toMatchObject({ status: 200, body: Buffer.from('hello, world') });
  expect(answer.headers).toMatchObject({
    'content-type': 'text/plain; charset=utf-8',
    'content-length': '12',
    'accept-ranges': 'bytes',
    'cache-control': 'public, max-age=0',
    etag: expect.stringMatching(/^W\/"/),
    'last-modified': expect.stringMatching(/GMT$/),
  });
  expect(answer.headers).not.toHaveProperty('vary');
  const head = await ask('/hello.txt', {}, 'HEAD');
  expect(head).toMatchObject({ status: 200, body: Buffer.alloc(0) });
  expect(head.headers['content-length']).toBe('12');
});

test('conditional requests get 304 or 412', async () => {
  const { ask } = await files();
  const { etag = '', 'last-modified': date = '' } = (await ask('/hello.txt')).headers;
  const same = await ask('/hello.txt', { 'if-none-match': etag });
  expect(same).toMatchObject({ status: 304, body: Buffer.alloc(0) });
  expect((await ask('/hello.txt', { 'if-modified-since': date })).status).toBe(304);
  expect((await ask('/hello.txt', { 'if-none-match': '"other"' })).status).toBe(200);
  const failed = await ask('/hello.txt', { 'if-match': '"other"' });
  expect(failed.status).toBe(412);
  expect(failed.headers).not.toHaveProperty('etag');
});

test('range requests get the range', async () => {
  const { ask } = await files();
  const { headers, ...part } = await ask('/hello.txt', { range: 'bytes=7-' });
  expect(part).toEqual({ status: 206, body: Buffer.from('world') });
  expect(headers).toMatchObject({ 'content-range': 'bytes 7-11/12', 'content-length': '5' });
  expect((await ask('/hello.txt', { range: 'bytes=-5' })).body.toString()).toBe('world');
  const none = await ask('/hello.txt', { range: 'bytes=12-' });
  expect(none).toMatchObject({ status: 416, headers: { 'content-range': 'bytes */12' } });
  expect(none.headers['content-type']).toBe('text/plain; charset=utf-8');
  expect((await ask('/hello.txt', { range: 'bytes=0-1', 'if-range': '"other"' })).status).toBe(200);
});

test('only GET and HEAD are allowed', async () => {
  const { ask } = await files();
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PROPFIND']) {
    expect(await ask('/hello.txt', { 'content-length': '0' }, method)).toMatchObject({
      status: 405,
      headers: { allow: 'GET, HEAD' },
    });
    expect((await ask('/docs/', { 'content-length': '0' }, method)).status).toBe(405);
    expect((await ask('/docs', { 'content-length': '0' }, method)).status).toBe(405);
  }
});

test('in a cascade, a POST to a path without a file goes to the next application, as in Paste', async () => {
  const directory = temporaryDirectory({ ...FILES, 'robots.txt': 'robots' });
  const site: App = async (req, res) => {
    let body = '';
    for await (const part of req) body += part;
    res.end(`${req.method} ${body}`);
  };
  const { ask } = await serveApp(await cascade([staticFiles({ documentRoot: directory }), site]));
  expect((await ask('/hello.txt')).body.toString()).toBe('hello, world');
  expect((await ask('/form', {}, 'POST')).body.toString()).toBe('POST ');
  expect((await ask('/.env', {}, 'PUT')).body.toString()).toBe('PUT ');
  expect((await ask('/nowhere/', {}, 'OPTIONS')).body.toString()).toBe('OPTIONS ');
  for (const path of ['/hello.txt', '/', '/robots.txt']) expect((await ask(path, {}, 'POST')).status).toBe(405);
});

test('a directory path that ends with a slash serves its index', async () => {
  const { ask } = await files();
  expect((await ask('/')).body.toString()).toBe('<p>root</p>');
  expect((await ask('/docs/?x')).body.toString()).toBe('<p>docs</p>');
  expect(await ask('/docs?x=1')).toMatchObject({ status: 301, headers: { location: '/docs/?x=1' } });
  expect((await ask('/hello.txt/')).status).toBe(404);
  expect((await ask('/docs/a%20b.txt')).body.toString()).toBe('blank');
  expect((await ask('/nothing')).status).toBe(404);
});

test('index names other index files, or none', async () => {
  expect((await (await files({ index: ['a b.txt', 'index.html'] })).ask('/docs/')).body.toString()).toBe('blank');
  expect((await (await files({ index: [] })).ask('/docs/')).status).toBe(404);
});

test('a redirect stays below the mount, and on this host', async () => {
  const directory = temporaryDirectory(FILES);
  const { ask } = await serveApp(mounted('/static', staticFiles({ documentRoot: directory })));
  expect(await ask('/static/docs')).toMatchObject({ status: 301, headers: { location: '/static/docs/' } });
  expect((await ask('/static/hello.txt')).status).toBe(200);
  const root = await files();
  expect(await root.ask('//docs')).toMatchObject({ status: 301, headers: { location: '/docs/' } });
  expect(await root.ask('http://evil.example/docs')).toMatchObject({ status: 301, headers: { location: '/docs/' } });
});

test('dotfiles are not found, unless the setting dotfiles says otherwise', async () => {
  const ignoring = await files();
  expect((await ignoring.ask('/.env')).status).toBe(404);
  expect((await ignoring.ask('/.well-known/x')).status).toBe(404);
  expect((await (await files({ dotfiles: 'deny' })).ask('/.env')).status).toBe(403);
  expect((await (await files({ dotfiles: 'allow' })).ask('/%2Eenv')).body.toString()).toBe('SECRET');
});

test('a URL with the current version may be cached for a year, one with another version may not', async () => {
  const served = files({ cacheMaxAge: 60 });
  const { ask } = await served;
  const staticUrl = makeStaticUrl({ documentRoot: served.directory, urlPrefix: '/' });
  const url = staticUrl('hello.txt');
  expect(url).toMatch(/^\/hello\.txt\?v=[0-9a-f]{20}$/);
  const kept = await ask(url);
  expect(kept).toMatchObject({ status: 200, headers: { 'cache-control': IMMUTABLE } });
  expect((await ask(url, { 'if-none-match': kept.headers['etag'] ?? '' })).headers['cache-control']).toBe(IMMUTABLE);
  const normal = 'public, max-age=60';
  for (const other of ['?v=00000000000000000000', '?v=', '?v', `?w=${url.slice(-20)}`, `?v=${url.slice(-19)}`]) {
    expect((await ask(`/hello.txt${other}`)).headers['cache-control']).toBe(normal);
  }
  const failed = await ask(url, { range: 'bytes=99-' });
  expect(failed.status).toBe(416);
  expect(failed.headers).not.toHaveProperty('cache-control');
});

test('the version changes with the content, however the file is replaced', async () => {
  const served = files();
  const { ask } = await served;
  const file = join(served.directory, 'hello.txt');
  const staticUrl = makeStaticUrl({ documentRoot: served.directory, urlPrefix: '' });
  const changes: readonly (() => void)[] = [
    () => writeFileSync(file, 'HELLO, WORLD'),
    () => {
      writeFileSync(`${file}.new`, 'renamed');
      renameSync(`${file}.new`, file);
    },
    () => {
      renameSync(join(served.directory, 'docs'), join(served.directory, 'docs.old'));
      rmSync(file);
      writeFileSync(file, 'written again');
    },
  ];
  for (const change of changes) {
    const old = staticUrl('hello.txt');
    expect((await ask(old)).headers['cache-control']).toBe(IMMUTABLE);
    change();
    // The URL is current even before the change is noticed: the content that is sent is not the one that was hashed.
    expect((await ask(old)).headers['cache-control']).toBe('public, max-age=0');
    const now = await eventually(() => staticUrl('hello.txt') !== old && staticUrl('hello.txt'));
    await eventually(async () => (await ask(now)).headers['cache-control'] === IMMUTABLE);
  }
});

test('the version changes when a directory is replaced, or a symbolic link leads elsewhere', async () => {
  const directory = temporaryDirectory({ 'a/x.js': 'one', 'b/x.js': 'two' });
  symlinkSync('a', join(directory, 'current'));
  const staticUrl = makeStaticUrl({ documentRoot: directory });
  const [plain, linked] = [staticUrl('a/x.js'), staticUrl('current/x.js')];
  expect(linked).toBe(plain.replace('/a/', '/current/'));
  renameSync(join(directory, 'a'), join(directory, 'old'));
  renameSync(join(directory, 'b'), join(directory, 'a'));
  await eventually(() => staticUrl('a/x.js') !== plain && staticUrl('current/x.js') !== linked);
});

const strace = requireProgram('strace');

test.skipIf(!strace)('further URLs of an unchanged file need no system calls', () => {
  const directory = temporaryDirectory(FILES);
  const script = `
import { makeStaticUrl } from ${JSON.stringify(join(import.meta.dirname, '../../../dist/index.js'))};
const staticUrl = makeStaticUrl({ documentRoot: ${JSON.stringify(directory)} });
staticUrl('hello.txt');
process.stderr.write('MARK-1\\n');
for (let i = 0; i < 1000; i++) staticUrl('hello.txt');
process.stderr.write('MARK-2\\n');
`;
  // The trace is not in the watched directory: each of its lines would be a change and cause another line.
  const trace = join(temporaryDirectory(), 'trace');
  const file = join(directory, 'script.mjs');
  writeFileSync(file, script);
  execFileSync(strace ?? '', ['-f', '-e', 'trace=%file,read', '-o', trace, process.execPath, file], { stdio: 'pipe' });
  const calls = readFileSync(trace, 'utf8')
    .split('\n')
    .filter((line) => line.includes('hello.txt'));
  // One each of realpath's calls and of open, and no more, for 1001 URLs.
  expect(calls.filter((line) => line.includes('openat'))).toHaveLength(1);
  expect(calls.length).toBeLessThan(5);
});

test('without the hash cache each URL has the version of the current content', () => {
  const directory = temporaryDirectory(FILES);
  const staticUrl = makeStaticUrl({ documentRoot: directory, hashCache: false });
  const old = staticUrl('hello.txt');
  writeFileSync(join(directory, 'hello.txt'), 'new');
  expect(staticUrl('hello.txt')).not.toBe(old);
});

test('the URL of a missing file has no version, and odd names are escaped', () => {
  const directory = temporaryDirectory({ 'ä b#?.txt': 'x' });
  execFileSync('mkfifo', [join(directory, 'pipe')]);
  const staticUrl = makeStaticUrl({ documentRoot: directory, urlPrefix: 'https://cdn.example/s/' });
  expect(staticUrl('nothing.js')).toBe('https://cdn.example/s/nothing.js');
  expect(staticUrl('pipe')).toBe('https://cdn.example/s/pipe');
  expect(staticUrl('/ä b#?.txt')).toMatch(/^https:\/\/cdn\.example\/s\/%C3%A4%20b%23%3F\.txt\?v=[0-9a-f]{20}$/);
});

test('the URL of a file outside the directory reveals nothing of its content', () => {
  const directory = temporaryDirectory({ 'secret.txt': 'x', 'static/inside.txt': 'y' });
  const documentRoot = join(directory, 'static');
  symlinkSync('../secret.txt', join(documentRoot, 'link.txt'));
  symlinkSync('inside.txt', join(documentRoot, 'alias.txt'));
  for (const hashCache of [true, false]) {
    const staticUrl = makeStaticUrl({ documentRoot, hashCache });
    expect(staticUrl('../secret.txt')).toBe('/static/../secret.txt');
    expect(staticUrl('link.txt')).toBe('/static/link.txt');
    expect(staticUrl('alias.txt')).toMatch(/^\/static\/alias\.txt\?v=[0-9a-f]{20}$/);
  }
});

test('a precompressed variant is sent to clients that accept it', async () => {
  const served = files({ precompressed: true });
  const { directory } = served;
  writeFileSync(join(directory, 'hello.txt.br'), brotliCompressSync('hello, world'));
  writeFileSync(join(directory, 'hello.txt.gz'), gzipSync('hello, world'));
  const { ask } = await served;
  const br = await ask('/hello.txt', { 'accept-encoding': 'gzip, deflate, br' });
  expect(br.headers).toMatchObject({
    'content-encoding': 'br',
    'content-type': 'text/plain; charset=utf-8',
    vary: 'Accept-Encoding',
  });
  expect(brotliDecompressSync(br.body).toString()).toBe('hello, world');
  const gz = await ask('/hello.txt', { 'accept-encoding': 'br;q=0.2, GZIP;q=0.9' });
  expect(gunzipSync(gz.body).toString()).toBe('hello, world');
  expect(gz.headers['etag']).not.toBe(br.headers['etag']);
  const tag = { 'accept-encoding': 'br', 'if-none-match': br.headers['etag'] ?? '' };
  expect(await ask('/hello.txt', tag)).toMatchObject({ status: 304, headers: { vary: 'Accept-Encoding' } });
  for (const accept of ['br;q=0, gzip;q=0.000', 'deflate', 'identity, br;q=0.5', 'br;q=x']) {
    const plain = await ask('/hello.txt', { 'accept-encoding': accept });
    expect(plain.body.toString()).toBe('hello, world');
    expect(plain.headers).not.toHaveProperty('content-encoding');
    expect(plain.headers['vary']).toBe('Accept-Encoding');
  }
  expect((await ask('/hello.txt', { 'accept-encoding': '*' })).headers['content-encoding']).toBe('br');
  const range = await ask('/hello.txt', { 'accept-encoding': 'br', range: 'bytes=999-' });
  expect(range.status).toBe(416);
  expect(range.headers).not.toHaveProperty('content-encoding');
  expect((await ask('/hello.txt.br')).headers).not.toHaveProperty('content-encoding');
});

test('a variant older than its file is not sent, and the version is that of the file', async () => {
  const served = files({ precompressed: true });
  const variant = join(served.directory, 'hello.txt.gz');
  writeFileSync(variant, gzipSync('hello, world'));
  const { ask } = await served;
  const url = makeStaticUrl({ documentRoot: served.directory, urlPrefix: '' })('hello.txt');
  const accept = { 'accept-encoding': 'gzip' };
  expect(await ask(url, accept)).toMatchObject({
    headers: { 'cache-control': IMMUTABLE, 'content-encoding': 'gzip' },
  });
  utimesSync(variant, new Date(0), new Date(0));
  const plain = await ask(url, accept);
  expect(plain.headers).not.toHaveProperty('content-encoding');
  expect(plain.headers['cache-control']).toBe(IMMUTABLE);
});

test('robots.txt and favicon.ico are served at their whole path', async () => {
  const directory = temporaryDirectory({ 's/robots.txt': 'inside', 'other/r.txt': 'outside', 's/x': 'x' });
  const documentRoot = join(directory, 's');
  const at = (options: Partial<StaticFilesOptions>) => staticFiles({ documentRoot, ...options });
  const mountedAt = await serveApp(mounted('/robots.txt', at({})));
  expect((await mountedAt.ask('/robots.txt')).body.toString()).toBe('inside');
  const named = await serveApp(at({ robots: join(directory, 'other/r.txt') }));
  expect((await named.ask('/robots.txt')).body.toString()).toBe('outside');
  expect((await named.ask('/favicon.ico')).status).toBe(404);
  expect((await named.ask('/other/r.txt')).status).toBe(404);
});

test('as a filter it serves the files below the prefix, and the application everything else', async () => {
  const directory = temporaryDirectory({ ...FILES, 'robots.txt': 'no robots' });
  const app: App = (req: StaticRequest, res) => res.end(`${req.url} ${req.staticUrl?.('hello.txt')}`);
  const filtered = await withStaticFiles({ documentRoot: directory })(app);
  const { ask } = await serveApp(filtered);
  expect((await ask('/static/hello.txt')).body.toString()).toBe('hello, world');
  expect((await ask('/static')).headers['location']).toBe('/static/');
  expect((await ask('/static/nothing')).status).toBe(404);
  expect((await ask('/statics')).body.toString()).toMatch(/^\/statics \/static\/hello\.txt\?v=\w{20}$/);
  expect((await ask('/robots.txt')).body.toString()).toBe('no robots');
  expect((await ask('/favicon.ico')).body.toString()).toMatch(/^\/favicon\.ico /);
  expect((await ask('/robots.txt', { 'content-length': '0' }, 'POST')).body.toString()).toMatch(/^\/robots\.txt /);
  const below = await serveApp(mounted('/app', filtered));
  expect((await below.ask('/app/x')).body.toString()).toMatch(/^\/x \/app\/static\/hello\.txt\?v=/);
});

test('the document root may be a symbolic link that changes, and its old target may be removed', async () => {
  const directory = temporaryDirectory({ '1/x': 'one', '2/x': 'two', '3/x': 'three' });
  const current = join(directory, 'current');
  symlinkSync('1', current);
  const { ask } = await serveApp(staticFiles({ documentRoot: current }));
  expect((await ask('/x')).body.toString()).toBe('one');
  rmSync(current);
  symlinkSync('2', current);
  await eventually(async () => (await ask('/x')).body.toString() === 'two');
  rmSync(current);
  symlinkSync('3', current);
  rmSync(join(directory, '2'), { recursive: true });
  expect(await ask('/x')).toMatchObject({ status: 200, body: Buffer.from('three') });
});

test('a path that becomes a symbolic link to the outside is not served any more, even if it was just served', async () => {
  const directory = temporaryDirectory({
    'root/sub/x': 'inside',
    'root/sub/x.gz': 'inside, compressed',
    'root/y': 'inside',
    'outside/x': 'S3CRET',
    'outside/x.gz': 'S3CRET',
  });
  const root = join(directory, 'root');
  const { ask } = await serveApp(staticFiles({ documentRoot: root, precompressed: true }));
  const gzip = { 'accept-encoding': 'gzip' };
  expect((await ask('/sub/x')).body.toString()).toBe('inside');
  expect((await ask('/sub/x', gzip)).body.toString()).toBe('inside, compressed');
  expect((await ask('/y')).body.toString()).toBe('inside');
  renameSync(join(root, 'sub'), join(root, 'old'));
  symlinkSync('../outside', join(root, 'sub'));
  rmSync(join(root, 'y'));
  symlinkSync('../outside/x', join(root, 'y'));
  for (const headers of [gzip, {}]) {
    for (const path of ['/sub/x', '/y']) {
      const { status, body } = await ask(path, headers);
      expect([path, status, body.includes('S3CRET')]).toEqual([path, 404, false]);
    }
  }
});

test('a file that is replaced is served at once', async () => {
  const served = files();
  const { directory } = served;
  const { ask } = await served;
  expect((await ask('/hello.txt')).body.toString()).toBe('hello, world');
  writeFileSync(join(directory, 'new'), 'new');
  renameSync(join(directory, 'new'), join(directory, 'hello.txt'));
  expect((await ask('/hello.txt')).body.toString()).toBe('new');
});

test('a named pipe is not served', async () => {
  const served = files();
  execFileSync('mkfifo', [join(served.directory, 'pipe')]);
  expect((await (await served).ask('/pipe')).status).toBe(404);
});
