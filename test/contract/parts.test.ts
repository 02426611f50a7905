/** Every filter, composite and application over HTTP/2: the same responses as over HTTP/1.1, except for what concerns the connection. */
import { once } from 'node:events';
import { chmodSync, symlinkSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { cascade } from '../../src/apps/cascade/cascade.ts';
import { urlMap } from '../../src/apps/urlmap.ts';
import { loadApp, loadFilter } from '../../src/deploy/load.ts';
import { lint } from '../../src/filters/debugging/lint.ts';
import { printDebug } from '../../src/filters/debugging/printdebug.ts';
import { profile } from '../../src/filters/debugging/profile.ts';
import { errorPages } from '../../src/filters/errors/error-page.ts';
import { errorDocuments } from '../../src/filters/errors/errordocument.ts';
import { httpExceptions } from '../../src/filters/errors/httpexceptions.ts';
import { recursive } from '../../src/filters/errors/recursive.ts';
import { translogger } from '../../src/filters/logging/translogger.ts';
import { callApp } from '../../src/http/error-response.ts';
import { silentLogger } from '../../src/log.ts';
import { applyFilter } from '../../src/protocol/filter.ts';
import type { App, Filter } from '../../src/protocol/types.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { whenOver } from '../helpers/programs/lifetime.ts';
import { eventually, ROOT } from '../helpers/programs/program.ts';
import type { Backend, ContractRequest, ContractResponse, Serving } from './backends/backend.ts';
import { httpBackend } from './backends/http-backend.ts';
import { http2Backend } from './backends/http2-backend.ts';

const SECRET = 'a-secret-of-more-than-32-characters!';
const PASSWORD = { authorization: `Basic ${Buffer.from('joe:secret').toString('base64')}` };
const quiet = (): void => {};

type Wrap = (app: App) => App | Promise<App>;

const filtered =
  (filter: Filter): Wrap =>
  (app) =>
    applyFilter(filter, app);

/** @param section what the filter uses, and its settings on further lines */
const configured =
  (section: string): Wrap =>
  async (app) =>
    (await loadFilter('config:x.ini#f', { relativeTo: project(`[filter:f]\nuse = ${section}\n`) }))(app);

/** A directory with an INI file, in which the packages of this project are found. */
function project(ini: string, files: Readonly<Record<string, string>> = {}): string {
  const directory = temporaryDirectory({ ...files, 'x.ini': ini });
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  return directory;
}

const missing: App = (_req, res) => res.writeHead(404, { 'x-own': 'missing' }).end('missing');

const WRAPPED: readonly (readonly [name: string, wrap: Wrap])[] = [
  ['nothing', (app) => app],
  ['urlmap', (app) => urlMap({ '/': app, '/other': missing })],
  ['cascade', (app) => cascade([missing, app])],
  [
    'cascade in cascade',
    async (app) => cascade([missing, await cascade([missing, missing]), await cascade([missing, app])]),
  ],
  ['static', configured(`npm:paster#static\ndocument_root = ${ROOT}/templates\nurl_prefix = /files`)],
  ['auth_basic', configured('npm:paster#auth_basic\nusers = joe:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=')],
  ['auth_digest', configured(`npm:paster#auth_digest\nrealm = r\nusers = joe:r:${'0'.repeat(32)}\nsecret = ${SECRET}`)],
  ['bodylimit', configured('npm:paster#bodylimit\nmax_body_size = 100k')],
  ['bodylimit, exceeded', configured('npm:paster#bodylimit\nmax_body_size = 5')],
  ['cors', configured('npm:paster#cors\norigins = *')],
  ['grantip', configured('npm:paster#grantip\n127.0.0.1 = joe:editor')],
  ['gzip', configured('npm:paster#gzip\nthreshold = 0')],
  ['maintenance', configured('npm:paster#maintenance\nenabled = true')],
  ['prefix', configured('npm:paster#prefix\nprefix = /site')],
  ['proxy_headers', configured('npm:paster#proxy_headers')],
  ['ratelimit', configured('npm:paster#ratelimit\nlimit = 4')],
  ['security_headers', configured('npm:paster#security_headers')],
  ['session', configured(`npm:paster#session\nsecret = ${SECRET}`)],
  ['timeout', configured('npm:paster#timeout\ntimeout = 20\nwhole_answer = true')],
  ['error_page', filtered(errorPages({ debug: true }, quiet))],
  ['httpexceptions', filtered(httpExceptions(quiet))],
  ['errordocument', filtered(errorDocuments({ 404: '/stream', 500: '/other' }, quiet))],
  ['recursive', filtered(recursive())],
  ['lint', filtered(lint({}, quiet))],
  ['printdebug', filtered(printDebug(quiet))],
  [
    'profile',
    (app) =>
      applyFilter(
        profile({ log_filename: join(temporaryDirectory(), 'p'), paths: ['/stream', '/throws'] }, quiet),
        app,
      ),
  ],
  ['translogger', filtered(translogger({}, quiet))],
  ['connect:compression', configured('connect:compression\nthreshold = 0')],
  [
    'connect:express-session',
    configured(`connect:express-session\nsecret = ${SECRET}\nresave = false\nsaveUninitialized = true`),
  ],
  ['connect:helmet', configured('connect:helmet')],
  ['connect:serve-static', configured(`connect:serve-static\nroot = ${ROOT}/templates`)],
];

const REQUESTS: readonly ContractRequest[] = [
  { path: '/' },
  { path: '/site/a%20b?c=d', headers: { accept: 'text/html', origin: 'https://a.example', 'accept-encoding': 'gzip' } },
  { path: '/', method: 'HEAD' },
  { path: '/', method: 'OPTIONS', headers: { origin: 'https://a.example', 'access-control-request-method': 'PUT' } },
  { path: '/', method: 'POST', body: ['some ', 'body'] },
  { path: '/', method: 'POST', body: [Buffer.alloc(150_000, 'x')] },
  { path: '/', method: 'POST', declaredLength: 9, body: ['half'] },
  { path: '/stream' },
  { path: '/missing' },
  { path: '/other' },
  { path: '/breaks' },
  { path: '/reason' },
  { path: '/throws', headers: { accept: 'application/json' } },
  { path: '/teapot' },
  { path: '/late' },
  { path: '/files/none' },
];

interface Counts {
  /** Requests without a response from the application. */
  waiting: number;
  left: number;
}

function echoing(counts: Counts): App {
  return async (req, res) => {
    switch (req.url?.replace(/^\/site/, '')) {
      case '/stream':
        res.setHeader('content-type', 'text/plain');
        for (const piece of ['one ', 'two ', 'three']) {
          res.write(piece);
          await nextTurn();
        }
        return res.end();
      case '/missing':
        return res.writeHead(404, 'Quite Missing', { 'set-cookie': ['a=1', 'b=2'], etag: '"x"' }).end('no');
      case '/breaks':
        return res.write('begun', () => res.destroy());
      case '/reason':
        res.statusMessage = 'two\r\nlines';
        throw new Error('after a reason that cannot be sent');
      case '/throws':
        res.setHeader('x-left', 'over');
        throw new Error('on purpose');
      case '/teapot':
        throw Object.assign(new Error('short and stout'), { status: 418 });
      case '/late':
        res.write('begun');
        throw new Error('late');
      case '/never':
        counts.waiting++;
        return res.on('close', () => counts.left++);
      default: {
        const parts: Buffer[] = [];
        for await (const part of req) parts.push(part);
        const { length } = Buffer.concat(parts);
        res.setHeader('content-type', 'application/json');
        return res.end(JSON.stringify({ ...seen(req), length }));
      }
    }
  };
}

function seen(req: IncomingMessage): Record<string, unknown> {
  const { baseUrl, originalUrl, remoteUser, session } = req as unknown as Record<string, unknown>;
  const { host: _host, connection: _connection, ...headers } = req.headers;
  return { method: req.method, url: req.url, baseUrl, originalUrl, remoteUser, session: typeof session, headers };
}

/** Headers whose values, or parts of them, differ each time. */
const RANDOM = /^(?:x-request-id|ratelimit-reset|retry-after|expires)$/;
const RANDOM_PARTS = /^(?:set-cookie|www-authenticate)$/;

function comparable({ status, rawHeaders, body, complete }: ContractResponse, varies: boolean): unknown {
  const headers: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = String(rawHeaders[i]).toLowerCase();
    const value = String(rawHeaders[i + 1]);
    // A 204 must not have it (RFC 9110 section 8.6), and Node's client for HTTP/2 does not show it.
    if (status === 204 && name === 'content-length') continue;
    const shown = RANDOM_PARTS.test(name) ? value.replace(/=[^;,]*/g, '=') : value;
    headers.push(RANDOM.test(name) ? name : `${name}: ${shown}`);
  }
  const isPage = varies || headers.includes('x-request-id');
  const text = isPage ? body.toString().slice(0, 15) : body.toString('latin1').replace(/127\.0\.0\.1:\d+/g, 'HOST');
  const own = isPage ? headers.filter((line) => !line.startsWith('content-length')) : headers;
  return { status, complete, headers: own.sort(), body: complete ? text : undefined };
}

/** The first lines of the server's log, without stack traces. */
const firstLines = (log: readonly string[]): string[] => log.map((each) => String(each.split('\n')[0]));

async function started(backend: Backend, app: App): Promise<Serving> {
  const serving = await backend.start(app);
  whenOver(() => serving.close());
  return serving;
}

async function answersTo(serving: Serving, requests: readonly ContractRequest[], varies = false): Promise<unknown[]> {
  const answers: unknown[] = [];
  for (const request of requests) answers.push([request.path, comparable(await serving.request(request), varies)]);
  return answers;
}

function collectWarnings(): Error[] {
  const warnings: Error[] = [];
  const warn = (warning: Error): unknown => warnings.push(warning);
  process.on('warning', warn);
  whenOver(() => void process.off('warning', warn));
  return warnings;
}

describe('filters and composites', () => {
  test.each(WRAPPED)('%s', async (name, wrap) => {
    const warnings = collectWarnings();
    const observed: unknown[] = [];
    for (const backend of [httpBackend, http2Backend]) {
      const counts: Counts = { waiting: 0, left: 0 };
      const serving = await started(backend, await wrap(echoing(counts)));
      const asJoe = name === 'auth_basic' ? PASSWORD : {};
      const requests = REQUESTS.map((each) => ({ ...each, headers: { ...asJoe, ...each.headers } }));
      const answers = await answersTo(serving, requests);
      let isOver = false;
      const abort = eventually(() => isOver || counts.waiting > 0);
      const left = await serving.request({ path: '/never', headers: asJoe, abort });
      isOver = true;
      await eventually(() => counts.left === counts.waiting);
      const after = await answersTo(serving, [{ path: '/', headers: asJoe }]);
      observed.push({ answers, left: left.complete, waiting: counts.waiting, after, log: firstLines(serving.log) });
    }
    expect(observed[1]).toEqual(observed[0]);
    expect(warnings).toEqual([]);
  });
});

const SCRIPT = `#!/bin/sh
printf 'Status: 201 Quite Created\nContent-Type: text/plain\nX-Method: %s\n\n' "$REQUEST_METHOD"
printf '%s %s ' "$PATH_INFO" "$CONTENT_LENGTH"
exec cat
`;

const FILES = { 'root/a.txt': 'hello, world', 'root/d/index.html': 'index', 'bin/script': SCRIPT };

const APPLICATION_REQUESTS: readonly ContractRequest[] = [
  ...['/', '/a.txt', '/d', '/d/', '/script/x%20y', '/none'].flatMap((path) => [
    { path },
    { path, method: 'HEAD' },
    { path, method: 'POST', body: ['some ', 'body'] },
  ]),
  { path: '/a.txt', headers: { range: 'bytes=0-4' } },
  { path: '/a.txt', headers: { 'if-modified-since': 'Fri, 31 Dec 2100 23:59:59 GMT' } },
  { path: '/script', method: 'POST', body: [Buffer.alloc(300_000, 'a'), 'b'] },
  { path: '/breaks' },
  { path: '/late' },
  { path: '/stream' },
  { path: '/reason' },
];

interface Application {
  readonly name: string;
  readonly section: string;
  /** Its pages show counts, times and ports. */
  readonly varies?: true;
}

const APPLICATIONS: readonly Application[] = [
  { name: 'static', section: 'static\ndocument_root = root' },
  { name: 'cgi', section: 'cgi\nscript = bin/script' },
  { name: 'cgi_bin', section: 'cgi_bin\ndirectory = bin' },
  { name: 'redirect', section: 'redirect\nto = https://b.example/new' },
  { name: 'health', section: 'health' },
  { name: 'metrics', section: 'metrics\nallow = 127.0.0.1', varies: true },
  { name: 'status', section: 'status\nallow = 127.0.0.1', varies: true },
  { name: 'test', section: 'test', varies: true },
  { name: 'welcome', section: 'welcome', varies: true },
  { name: 'proxy', section: 'proxy\naddress = http://UPSTREAM' },
  { name: 'transparent_proxy', section: 'transparent_proxy\nforce_host = UPSTREAM' },
];

/** A server behind the proxies. */
async function upstream(app: App): Promise<string> {
  const server = createServer((req, res) => callApp(app, req, res, silentLogger)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenOver(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('applications', () => {
  test.each(APPLICATIONS)('$name', async ({ section, varies }) => {
    const warnings = collectWarnings();
    const counts: Counts = { waiting: 0, left: 0 };
    const own = section.replace('UPSTREAM', await upstream(echoing(counts)));
    const directory = project(`[app:main]\nuse = npm:paster#${own}\n`, FILES);
    chmodSync(join(directory, 'bin/script'), 0o755);
    const observed: unknown[] = [];
    for (const backend of [httpBackend, http2Backend]) {
      const app = await loadApp('config:x.ini', { relativeTo: directory });
      whenOver(() => app.close?.());
      const serving = await started(backend, app);
      const answers = await answersTo(serving, APPLICATION_REQUESTS, varies);
      observed.push({ answers, log: firstLines(serving.log) });
    }
    expect(observed[1]).toEqual(observed[0]);
    expect(warnings).toEqual([]);
  });
});
