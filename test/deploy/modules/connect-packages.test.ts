/** connect: with widely used middleware: every kind of option from an INI file, and errors for impossible values. */
import { readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import express from 'express';
import { describe, expect, test, vi } from 'vitest';
import { CONNECT_PACKAGES } from '../../../src/deploy/connect/packages.ts';
import { loadFilter, loadServer } from '../../../src/deploy/load.ts';
import type { App } from '../../../src/protocol/types.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { runHere } from '../../helpers/programs/command.ts';
import { whenOver } from '../../helpers/programs/lifetime.ts';
import { ROOT } from '../../helpers/programs/program.ts';
import { ask, type Reply } from '../../helpers/requests/ask.ts';

const TEXT = 'x'.repeat(3000);

const hello: App = (req, res) => {
  const { session, rateLimit } = req as unknown as { session?: Record<string, unknown>; rateLimit?: unknown };
  if (session) session['seen'] = true;
  res.setHeader('content-type', 'text/plain');
  res.setHeader('x-seen', JSON.stringify({ rateLimit, ip: 'ip' in req, send: 'send' in res }));
  res.end(TEXT);
};

async function serveWith(name: string, settings: string, app: App = hello): Promise<string> {
  const directory = temporaryDirectory({
    'x.ini': `[filter:f]\nuse = connect:${name}\n${settings}\n`,
    'static/page.html': '<p>page</p>',
    'static/.dot': 'dot',
  });
  const options = { relativeTo: directory };
  // Packages are resolved from the INI file.
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  const filter = await loadFilter('config:x.ini#f', options);
  const server = await loadServer('npm:paster#http', { ...options, overrides: { host: '127.0.0.1', port: '0' } });
  const running = await server.serve(await filter(app));
  whenOver(() => running.close({ graceful: false }));
  const [address] = running.addresses;
  return address?.kind === 'tcp' ? `http://127.0.0.1:${address.port}` : '';
}

type Question = { readonly path?: string; readonly method?: string; readonly headers?: Record<string, string> };

interface Row {
  readonly name: string;
  readonly settings: string;
  readonly question?: Question;
  /** The number of requests; the last response counts. */
  readonly times?: number;
  readonly expected: (reply: Reply) => unknown;
}

const header = (name: string, value: unknown) => (reply: Reply) => expect(reply.headers[name]).toEqual(value);
const matching = (name: string, pattern: RegExp) => header(name, expect.stringMatching(pattern));
const gzip = { headers: { 'accept-encoding': 'gzip' } };
const brotli = { headers: { 'accept-encoding': 'br' } };
const preflight = {
  method: 'OPTIONS',
  headers: { origin: 'https://a.example', 'access-control-request-method': 'PUT' },
};

const ROWS: readonly Row[] = [
  // helmet: booleans, nested objects, lists, null.
  { name: 'helmet', settings: '', expected: matching('content-security-policy', /^default-src 'self'/) },
  { name: 'helmet', settings: 'contentSecurityPolicy = false', expected: header('content-security-policy', undefined) },
  {
    name: 'helmet',
    settings:
      'contentSecurityPolicy = {"useDefaults": false, "reportOnly": true,\n  "directives": {"defaultSrc": ["\'self\'"], "script-src": null}}',
    expected: header('content-security-policy-report-only', "default-src 'self'"),
  },
  {
    name: 'helmet',
    settings: 'strictTransportSecurity = {"maxAge": 100, "includeSubDomains": false, "preload": true}',
    expected: header('strict-transport-security', 'max-age=100; preload'),
  },
  { name: 'helmet', settings: 'hsts = false', expected: header('strict-transport-security', undefined) },
  { name: 'helmet', settings: 'frameguard = {"action": "deny"}', expected: header('x-frame-options', 'DENY') },
  {
    name: 'helmet',
    settings: 'referrerPolicy = {"policy": ["origin", "unsafe-url"]}',
    expected: header('referrer-policy', 'origin,unsafe-url'),
  },
  {
    name: 'helmet',
    settings: 'crossOriginEmbedderPolicy = true',
    expected: header('cross-origin-embedder-policy', 'require-corp'),
  },
  {
    name: 'helmet#frameguard',
    settings: 'action = deny\nhst = of another function than the default',
    expected: header('x-frame-options', 'DENY'),
  },
  // compression: numbers, sizes in bytes, objects keyed by numbers.
  { name: 'compression', settings: '', question: gzip, expected: header('content-encoding', 'gzip') },
  { name: 'compression', settings: 'threshold = 4kb', question: gzip, expected: header('content-encoding', undefined) },
  {
    name: 'compression',
    settings: 'threshold = 4000',
    question: gzip,
    expected: header('content-encoding', undefined),
  },
  {
    name: 'compression',
    settings: 'level = 9\nmemLevel = 9\nchunkSize = 1024\nwindowBits = 15\nstrategy = 0\nthreshold = 0',
    question: gzip,
    expected: header('content-encoding', 'gzip'),
  },
  {
    name: 'compression',
    settings: 'brotli = {"params": {"1": 11}}',
    question: brotli,
    expected: header('content-encoding', 'br'),
  },
  { name: 'compression', settings: 'enforceEncoding = gzip', expected: header('content-encoding', 'gzip') },
  // cors: text, boolean, list, numbers.
  { name: 'cors', settings: '', expected: header('access-control-allow-origin', '*') },
  {
    name: 'cors',
    settings: 'origin = https://a.example',
    expected: header('access-control-allow-origin', 'https://a.example'),
  },
  {
    name: 'cors',
    settings: 'origin = false',
    question: preflight,
    expected: header('access-control-allow-origin', undefined),
  },
  {
    name: 'cors',
    settings: 'origin = true',
    question: preflight,
    expected: header('access-control-allow-origin', 'https://a.example'),
  },
  {
    name: 'cors',
    settings: 'origin = ["https://b.example", "https://a.example"]\ncredentials = true',
    question: preflight,
    expected: ({ headers }) =>
      expect(headers).toMatchObject({
        'access-control-allow-origin': 'https://a.example',
        'access-control-allow-credentials': 'true',
      }),
  },
  {
    name: 'cors',
    settings:
      'methods = GET,PUT\nallowedHeaders = ["X-A", "X-B"]\nexposedHeaders = X-C\nmaxAge = 600\noptionsSuccessStatus = 200',
    question: preflight,
    expected: ({ status, headers }) =>
      expect([status, headers]).toMatchObject([
        200,
        {
          'access-control-allow-methods': 'GET,PUT',
          'access-control-allow-headers': 'X-A,X-B',
          'access-control-expose-headers': 'X-C',
          'access-control-max-age': '600',
        },
      ]),
  },
  {
    name: 'cors',
    settings: 'preflightContinue = true',
    question: preflight,
    expected: ({ body }) => expect(body.toString()).toBe(TEXT),
  },
  // serve-static: its first argument, durations as text, lists, booleans.
  {
    name: 'serve-static',
    settings: 'root = %(here)s/static\nmaxAge = 1d\nimmutable = true\nextensions = ["html"]',
    question: { path: '/page' },
    expected: header('cache-control', 'public, max-age=86400, immutable'),
  },
  {
    name: 'serve-static',
    settings: 'root = %(here)s/static\nindex = page.html\netag = false\nlastModified = false\nacceptRanges = false',
    expected: ({ body, headers }) => expect([body.toString(), headers.etag]).toEqual(['<p>page</p>', undefined]),
  },
  {
    name: 'serve-static',
    settings: 'root = %(here)s/static\nindex = ["none.html", "page.html"]\nmaxAge = 5000',
    expected: header('cache-control', 'public, max-age=5'),
  },
  {
    name: 'serve-static',
    settings: 'root = %(here)s/static\ndotfiles = allow\ncacheControl = false',
    question: { path: '/.dot' },
    expected: ({ body, headers }) => expect([body.toString(), headers['cache-control']]).toEqual(['dot', undefined]),
  },
  {
    name: 'serve-static',
    settings: 'root = %(here)s/static\nindex = false\nredirect = false',
    expected: ({ body }) => expect(body.toString()).toBe(TEXT),
  },
  // express-rate-limit: numbers, booleans, text, objects; and Express's ways to respond.
  {
    name: 'express-rate-limit',
    settings: 'windowMs = 600000\nlimit = 2\nstandardHeaders = draft-8\nlegacyHeaders = false\nidentifier = mine',
    expected: ({ headers }) => {
      expect(headers['ratelimit-policy']).toMatch(/^"mine"; q=2; w=600/);
      expect(JSON.parse(String(headers['x-seen']))).toMatchObject({
        rateLimit: { limit: 2, used: 1 },
        ip: false,
        send: false,
      });
    },
  },
  {
    name: 'express-rate-limit',
    settings: 'limit = 1\nstatusCode = 420\nmessage = {"error": "slow down"}',
    times: 2,
    expected: ({ status, headers, body }) =>
      expect([status, headers['content-type'], body.toString()]).toEqual([
        420,
        'application/json; charset=utf-8',
        '{"error":"slow down"}',
      ]),
  },
  {
    name: 'express-rate-limit',
    settings:
      'max = 1\nmessage = Slow down.\nrequestPropertyName = quota\nipv6Subnet = 64\nskipFailedRequests = true\nvalidate = {"ip": true}',
    times: 2,
    expected: ({ status, body }) => expect([status, body.toString()]).toEqual([429, 'Slow down.']),
  },
  {
    name: 'express-rate-limit',
    settings: 'limit = 1\nskipSuccessfulRequests = true\npassOnStoreError = true\nvalidate = false',
    times: 2,
    expected: ({ status }) => expect(status).toBe(200),
  },
  // express-session: text that looks like a number, lists, an object of booleans, numbers and text.
  {
    name: 'express-session',
    settings:
      'secret = 12345\nname = 42\nresave = false\nsaveUninitialized = true\nrolling = true\nproxy = false\nunset = destroy\ncookie = {"maxAge": 60000, "sameSite": "strict", "httpOnly": false, "path": "/", "secure": false}',
    expected: header('set-cookie', [expect.stringMatching(/^42=s%3A.*; Path=\/; Expires=[^;]+; SameSite=Strict$/)]),
  },
  {
    name: 'express-session',
    settings: 'secret = ["new", "old"]\nresave = false\nsaveUninitialized = false\ncookie = {"secure": "auto"}',
    expected: header('set-cookie', [expect.stringMatching(/^connect\.sid=s%3A.*; HttpOnly$/)]),
  },
];

test('each package has a row', () => {
  expect([...new Set([...ROWS.map(({ name }) => name.replace(/#.*/, '')), 'morgan'])].sort()).toEqual(
    Object.keys(CONNECT_PACKAGES).sort(),
  );
});

test.each(ROWS)('$name: $settings', async ({ name, settings, question = {}, times = 1, expected }) => {
  const url = await serveWith(name, settings);
  let reply = await ask(url, question.path ?? '/', question);
  for (let count = 1; count < times; count++) reply = await ask(url, question.path ?? '/', question);
  expected(reply);
});

test.each([
  ['format = :method :url :status', 'GET / 200\n'],
  ['format = tiny\nimmediate = true', /^GET \/ - /],
  ['format = combined', /"GET \/ HTTP\/1\.1" 200/],
])('morgan: %j', async (settings, expected) => {
  const write = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  whenOver(() => write.mockRestore());
  const url = await serveWith('morgan', settings);
  await ask(url, '/');
  await vi.waitFor(() =>
    expect(write).toHaveBeenCalledWith(typeof expected === 'string' ? expected : expect.stringMatching(expected)),
  );
});

describe('an impossible value is an error at its line', () => {
  test.each([
    ['compression', 'level = 9\nfilter = (req, res) => true', 4, 'filter takes a function'],
    ['compression', 'filter = ./filter.js', 3, 'filter takes a function'],
    ['cors', 'origin = /\\.example\\.com$/', 3, 'a regular expression is code'],
    ['cors', 'origin = ["https://a.example", "/^b/i"]', 3, 'a regular expression is code'],
    ['cors', 'origin = function (origin, callback) { callback(null, true); }', 3, 'a function is code'],
    ['helmet', 'contentSecurityPolicy = {"directives": {"scriptSrc": ["(req, res) => 1"]}}', 3, 'a function is code'],
    ['morgan', 'format = dev\nskip = (req) => req.ip', 4, 'skip takes a function'],
    ['morgan', 'format = dev\nstream = process.stdout', 4, 'stream takes a stream'],
    ['morgan', '', 1, 'setting "format" is missing'],
    ['serve-static', 'root = /srv/www/\nsetHeaders = f', 4, 'setHeaders takes a function'],
    ['serve-static', 'maxAge = 1d', 1, 'setting "root" is missing'],
    ['express-rate-limit', 'keyGenerator = x', 3, 'keyGenerator takes a function'],
    ['express-rate-limit', 'store = new RedisStore()', 3, 'store takes a store'],
    ['express-rate-limit', 'limit = async (req) => 5', 3, 'a function is code'],
    ['express-session', 'secret = x\ngenid = uuid', 4, 'genid takes a function'],
    ['express-session', 'secret = x\ncookie = {"expires": "2030-01-01"}', 4, 'cookie.expires takes a Date'],
    ['express-session', 'secret = x\nstore = new MemoryStore()', 4, 'store takes a store'],
    ['compression', 'level = high', 3, 'level cannot be "high"'],
    ['compression', 'threshold = 1k\nchunkSize = 1', 3, 'threshold cannot be "1k"'],
    ['cors', 'credentials = maybe', 3, 'credentials cannot be'],
    ['cors', 'maxAge = 5\norgin = https://a.example', 4, 'unknown option "orgin"'],
    ['cors', 'origin =', 3, 'cannot be ""'],
    ['cors', 'origin = null', 3, 'cannot be null'],
    ['cors', 'maxAge = soon', 3, 'cannot be "soon"'],
    ['helmet', 'hsts = off', 3, 'cannot be "off"'],
    [
      'helmet',
      'xPoweredBy = true\nhsts = {"maxAge": -1}',
      4,
      'hsts: Strict-Transport-Security: -1 is not a valid value',
    ],
    ['helmet', 'frameguard = {"action": "ALLOW"}', 3, 'frameguard: X-Frame-Options'],
    ['morgan', 'format = :method :nope', 3, 'cannot be ":method :nope"'],
    ['morgan', 'format =', 3, 'cannot be ""'],
    ['serve-static', 'root = x\ndotfiles = maybe', 4, 'cannot be "maybe"'],
    ['serve-static', 'root = x\nmaxAge = soon', 4, 'cannot be "soon"'],
    ['serve-static', 'root =', 3, 'cannot be ""'],
    ['express-rate-limit', 'windowMs = soon', 3, 'cannot be "soon"'],
    ['express-rate-limit', 'limit = 5\nstandardHeaders = draft-9', 4, 'cannot be "draft-9"'],
    ['express-rate-limit', 'limit = -5', 3, 'cannot be -5'],
    ['express-session', '', 1, 'setting "secret" is missing'],
    ['express-session', 'secret = ["", "hunter2"]', 3, 'secret cannot be ********'],
    ['express-session', 'secret = x\nunset = x', 4, 'cannot be "x"'],
    ['express-session', 'secret = x\ncookie = {"sameSite": "x"}', 4, 'cookie.sameSite cannot be'],
    ['express-session', 'secret = x\ncookie = 5', 4, 'cookie cannot be 5'],
  ])('%s: %s', async (name, settings, line, message) => {
    await expect(serveWith(name, settings)).rejects.toMatchObject({
      code: 'PASTER_CONNECT_OPTION',
      message: expect.stringContaining(message),
      location: { line },
      hint: expect.stringMatching(/./),
    });
  });

  test('a path is not taken for a regular expression, a sentence not for a function, and an unknown option is no error', async () => {
    await expect(serveWith('serve-static', 'root = /srv/www/')).resolves.toBeDefined();
    await expect(serveWith('cors', 'ofALaterVersion = 1')).resolves.toBeDefined();
    await expect(serveWith('express-rate-limit', 'message = a function of (x) is nothing')).resolves.toBeDefined();
  });
});

test.each([
  ['size must be a number', /^size: size must be a number$/],
  ['the disk is full', /the disk is full/],
])('a factory that fails is called once: %s', async (message, expected) => {
  const directory = temporaryDirectory({
    'x.ini': '[filter:f]\nuse = connect:failing\nsize = x\nother = y\n',
    'node_modules/failing/package.json': '{ "name": "failing", "main": "index.js" }',
    'node_modules/failing/index.js': `module.exports = () => {
  require('node:fs').appendFileSync(require('node:path').join(__dirname, 'calls'), 'x');
  throw new Error('${message}');
};\n`,
  });
  const loading = loadFilter('config:x.ini#f', { relativeTo: directory }).then((filter) => filter(hello));
  await expect(loading).rejects.toThrow(expected);
  expect(readFileSync(join(directory, 'node_modules/failing/calls'), 'utf8')).toBe('x');
});

test.each([
  ['compression', 'level = high', '6:9: [filter:f] level: level cannot be "high"'],
  ['helmet', 'hsts = {"maxAge": -1}', '6:8: [filter:f] hsts: Strict-Transport-Security: -1 is not a valid value'],
])('check finds the same error: %s, %s', async (name, settings, expected) => {
  const cwd = temporaryDirectory({
    'x.ini': `[app:main]\nuse = npm:paster#test\nfilter-with = f\n[filter:f]\nuse = connect:${name}\n${settings}\n`,
  });
  symlinkSync(join(ROOT, 'node_modules'), join(cwd, 'node_modules'));
  const { status, stdout } = await runHere(['check', 'x.ini'], { cwd });
  expect([status, stdout]).toEqual([2, expect.stringContaining(`x.ini:${expected}`)]);
});

test('Express behind a connect: filter keeps its own settings', async () => {
  const app = express();
  app.set('trust proxy', true);
  app.get('/', (req, res) => res.json([req.ip, req.app === app, req.get('host') !== undefined]));
  const url = await serveWith('express-rate-limit', 'limit = 1\nvalidate = false', app as unknown as App);
  const headers = { 'x-forwarded-for': '192.0.2.1' };
  expect(JSON.parse((await ask(url, '/', { headers })).body.toString())).toEqual(['192.0.2.1', true, true]);
  expect((await ask(url, '/', { headers })).status).toBe(429);
});
