/** The filters for logs, errors and debugging on every server: the same lines, pages and profiles on each. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { lint } from '../../../src/filters/debugging/lint.ts';
import { printDebug } from '../../../src/filters/debugging/printdebug.ts';
import { profile } from '../../../src/filters/debugging/profile.ts';
import { errorPages } from '../../../src/filters/errors/error-page.ts';
import { errorDocuments } from '../../../src/filters/errors/errordocument.ts';
import { httpExceptions } from '../../../src/filters/errors/httpexceptions.ts';
import { type RecursiveRequest, recursive } from '../../../src/filters/errors/recursive.ts';
import { translogger } from '../../../src/filters/logging/translogger.ts';
import { applyFilter } from '../../../src/protocol/filter.ts';
import type { App, Filter } from '../../../src/protocol/types.ts';
import type { ContractResponse, Serving } from '../../contract/backends/backend.ts';
import { cgiBackend } from '../../contract/backends/cgi-backend.ts';
import { fastcgiBackend } from '../../contract/backends/fastcgi-backend.ts';
import { httpBackend } from '../../contract/backends/http-backend.ts';
import { http2Backend } from '../../contract/backends/http2-backend.ts';
import { scgiBackend } from '../../contract/backends/scgi-backend.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { paster, requireProgram, serve } from '../../helpers/programs/program.ts';
import { signal } from '../../helpers/programs/signal.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { parseCgi } from '../../helpers/requests/cgi-response.ts';
import { startNginx, startNginxForScgi } from '../../helpers/web-servers/front-end.ts';
import { Lines } from '../serve-filter.ts';

const site: App = async (req, res) => {
  const { forward, include } = req as RecursiveRequest;
  switch (req.url?.replace(/\?.*/, '')) {
    case '/throw':
      throw new TypeError('the reactor leaks');
    case '/late':
      res.write('begun;');
      await sleep(20);
      throw new Error('too late');
    case '/gone':
      throw Object.assign(new Error('no such fish'), { status: 410, expose: true });
    case '/missing':
      return res.writeHead(404, { 'Set-Cookie': 'a=b' }).end('raw');
    case '/pages/404':
      return res.end(`a page for ${req.method} ${req.headers['x-own']}`);
    case '/forward':
      return forward('/echo');
    case '/include':
      return res.end(`<${(await include('/pages/404')).body}>`);
    case '/echo':
      for await (const piece of req) res.write(piece);
      return res.end('.');
    case '/wrong':
      return res.writeHead(302).end();
    default:
      return res.end('hello');
  }
};

describe.each([httpBackend, http2Backend, fastcgiBackend, scgiBackend, cgiBackend])('over $name', (backend) => {
  let serving: Serving | undefined;
  afterEach(async () => {
    await serving?.close();
    serving = undefined;
  });

  async function serveWith(...filters: Filter[]): Promise<Serving> {
    let app = site;
    for (const filter of filters.reverse()) app = await applyFilter(filter, app);
    serving = await backend.start(app);
    return serving;
  }

  function headerOf({ rawHeaders }: ContractResponse, name: string): string | undefined {
    const index = rawHeaders.findIndex((each, i) => i % 2 === 0 && each.toLowerCase() === name);
    return index === -1 ? undefined : rawHeaders[index + 1];
  }

  test('translogger logs complete responses, and one whose client leaves', async () => {
    const [combined, json] = [new Lines(), new Lines()];
    const begun = signal();
    const waits: Filter = (app) => (req, res) => (req.url === '/wait' ? res.write('begun', begun.fire) : app(req, res));
    const loggers = [translogger({}, combined.write), translogger({ json: true }, json.write)];
    const { request } = await serveWith(...loggers, waits);
    await request({ path: '/a%20b?c=d', headers: { Referer: 'http://r/', 'User-Agent': 'agent "x"' } });
    expect(await combined.atLeast(1)).toEqual([
      expect.stringMatching(
        /^127\.0\.0\.1 - - \[[^\]]+\] "GET \/a%20b\?c=d HTTP\/[\d.]+" 200 5 "http:\/\/r\/" "agent \\"x\\""$/,
      ),
    ]);
    await request({ path: '/wait', abort: begun.fired });
    expect((await json.atLeast(2)).map((line) => JSON.parse(line))).toMatchObject([
      { method: 'GET', url: '/a%20b?c=d', status: 200, bytes: 5, aborted: false },
      { url: '/wait', status: 200, bytes: 5, aborted: true },
    ]);
  });

  test('error_page shows errors with debug and hides them without it, and aborts after the head', async () => {
    const records = new Lines();
    const { request } = await serveWith(errorPages({ debug: true }, records.write));
    const page = await request({ path: '/throw?token=hunter2', headers: { Accept: 'text/html', Cookie: 'a=hunter2' } });
    const text = page.body.toString();
    expect([page.status, page.complete]).toEqual([500, true]);
    for (const part of ['the reactor leaks', 'debugging-servers.test.ts', 'REMOTE_ADDR']) expect(text).toContain(part);
    expect(text).not.toContain('hunter2');
    expect(text).toContain(headerOf(page, 'x-request-id'));
    expect(await request({ path: '/late' })).toMatchObject({ complete: false });
    expect(await records.atLeast(2)).toEqual([
      expect.stringMatching(/^error \S+: GET \/throw\?token=.* failed: TypeError: the reactor leaks\n/),
      expect.stringContaining('Error: too late'),
    ]);
    await serving?.close();
    const live = await (await serveWith(errorPages({}, records.write))).request({ path: '/throw' });
    expect(live.body.toString()).toMatch(/^Internal Server Error\n/);
    expect(live.body.toString()).not.toContain('reactor');
  });

  test('httpexceptions responds with the status of the error', async () => {
    const { request } = await serveWith(httpExceptions());
    const { status, body } = await request({ path: '/gone' });
    expect([status, body.toString()]).toEqual([410, 'Gone\nno such fish\n']);
  });

  test('errordocument serves the page of an error, even to a request with a body', async () => {
    const lines = new Lines();
    const { request } = await serveWith(errorDocuments({ 404: '/pages/404' }, lines.write));
    const headers = { 'X-Own': 'own' };
    const answer = await request({ method: 'POST', path: '/missing', headers, body: ['some', 'thing'] });
    expect([answer.status, answer.body.toString()]).toEqual([404, 'a page for GET own']);
    expect(headerOf(answer, 'set-cookie')).toBe('a=b');
    expect(lines.all).toEqual([]);
  });

  test('recursive forwards a body, and includes another response', async () => {
    const { request } = await serveWith(recursive());
    const body = ['x'.repeat(100_000), 'y'];
    const forwarded = await request({ method: 'POST', path: '/forward', body });
    expect(forwarded.body.toString()).toBe(`${body.join('')}.`);
    const included = await request({ path: '/include', headers: { 'X-Own': 'own' } });
    expect(included.body.toString()).toBe('<a page for GET own>');
  });

  test('lint reports nothing about the server, and the error of an application', async () => {
    const lines = new Lines();
    const { request } = await serveWith(lint({}, lines.write));
    await request({ path: '/hello' });
    await request({ method: 'POST', path: '/echo', headers: { 'X-A': ['1', '2'] }, body: ['abc'] });
    await request({ method: 'HEAD', path: '/pages/404' });
    const unexpected = lines.all.filter((line) => !line.endsWith('a body for HEAD'));
    expect(unexpected).toEqual([]);
    await request({ path: '/wrong' });
    expect(lines.all.at(-1)).toMatch(/^lint: \S+debugging-servers\.test\.ts:\d+:\d+: GET \/wrong: status 302 without/);
  });

  test('printdebug prints the request and the response', async () => {
    const lines = new Lines();
    const { request } = await serveWith(printDebug(lines.write));
    await request({ path: '/missing?token=hunter2', headers: { Cookie: 'a=hunter2' } });
    const text = (await lines.atLeast(6)).join('\n').toLowerCase();
    expect(text).toMatch(/^> 1 get \/missing\?token=\S+ http\/[\d.]+\n/);
    expect(text).toContain('\n> 1 host: 127.0.0.1');
    expect(text).toMatch(/\n< 1 404 not found\n/);
    expect(text).not.toContain('hunter2');
  });

  test('profile writes a profile', async () => {
    const lines = new Lines();
    const file = join(temporaryDirectory(), 'p.cpuprofile');
    const { request } = await serveWith(profile({ log_filename: file }, lines.write));
    expect((await request({ path: '/hello' })).body.toString()).toBe('hello');
    expect(await lines.atLeast(1)).toEqual([expect.stringMatching(/^profiled GET \/hello: /)]);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toHaveProperty('nodes');
  });
});

const APP = `export const makeApp = () => (req, res) => {
  if (req.url === '/throw') throw new Error('on purpose');
  res.end('hello');
};
`;
const INI = `[DEFAULT]
debug = true
[pipeline:main]
pipeline = log debug profile errors pages lint app
[app:app]
use = call:./app.js:makeApp
[filter:log]
use = egg:Paste#translogger
[filter:debug]
use = egg:Paste#printdebug
[filter:profile]
use = egg:Paste#profile
log_filename = p.cpuprofile
[filter:errors]
use = egg:Paste#error_catcher
error_log = errors.log
[filter:pages]
use = egg:Paste#errordocument
404 = /missing
[filter:lint]
use = egg:Paste#lint
[server:main]
use = egg:`;

function project(server: string): string {
  return temporaryDirectory({ 'app.js': APP, 'package.json': '{"type":"module"}', 'x.ini': `${INI}${server}\n` });
}

const nginx = requireProgram('nginx');

describe.runIf(nginx)('behind nginx', () => {
  test.each([
    ['FastCGI', 'Flup#fcgi_thread', startNginx],
    ['SCGI', 'Flup#scgi_thread', (binary: string, { socket }: { socket: string }) => startNginxForScgi(binary, socket)],
  ])('by %s: all of them work from an INI file', async (_way, server, start) => {
    const cwd = project(server);
    const socket = join(cwd, 's');
    const program = await serve(['x.ini', '--socket', socket], { cwd });
    const { url } = await start(nginx ?? '', { socket });
    const html = { headers: { accept: 'text/html' } };
    expect(await ask(url, '/hello')).toMatchObject({ status: 200, body: Buffer.from('hello') });
    const { status, body } = await ask(url, '/throw', html);
    expect([status, body.toString().includes('on purpose')]).toEqual([500, true]);
    await program.says(/^127\.0\.0\.1 - - \[.*"GET \/hello HTTP\/1\.1" 200 5 /m);
    await program.says(/^127\.0\.0\.1 - - \[.*"GET \/throw HTTP\/1\.1" 500 \d+ /m);
    await program.says(/^< \d+ 500 Internal Server Error$/m);
    await program.says(/^profiled GET \//m);
    expect(program.output).toMatch(/^error \S+: GET \/throw failed: Error: on purpose\n +at \S+app\.js:2:/m);
    expect(program.output).not.toContain('lint:');
  });
});

describe('a CGI program', () => {
  test.each([
    ['/hello', '200', 'hello'],
    ['/throw', '500', 'Internal Server Error'],
  ])('%s: writes everything before it ends', async (path, status, text) => {
    const cwd = project('PasteScript#cgi');
    const env = {
      GATEWAY_INTERFACE: 'CGI/1.1',
      SERVER_PROTOCOL: 'HTTP/1.1',
      REQUEST_METHOD: 'GET',
      SCRIPT_NAME: '',
      PATH_INFO: path,
      REQUEST_URI: path,
      QUERY_STRING: '',
      HTTP_HOST: 'localhost',
      REMOTE_ADDR: '192.0.2.7',
    };
    const { stdout, stderr } = await paster(['serve', 'x.ini'], { cwd, env }).finished();
    const answer = parseCgi(Buffer.from(stdout, 'latin1'));
    expect([String(answer.status), answer.body.toString().split('\n')[0]]).toEqual([status, text]);
    expect(stderr).toMatch(new RegExp(`^192\\.0\\.2\\.7 - - \\[.*"GET ${path} HTTP/1\\.1" ${status} \\d+ `, 'm'));
    expect(stderr).toMatch(new RegExp(`^< 1 ${status} `, 'm'));
    expect(stderr).toMatch(new RegExp(`^profiled GET ${path}: `, 'm'));
    expect(JSON.parse(readFileSync(join(cwd, 'p.cpuprofile'), 'utf8'))).toHaveProperty('nodes');
    expect(readFileSync(join(cwd, 'p.html'), 'utf8')).toContain('</html>');
    expect(stderr).not.toContain('lint:');
    expect(existsSync(join(cwd, 'errors.log'))).toBe(path === '/throw');
  });
});
