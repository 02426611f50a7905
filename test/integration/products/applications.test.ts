/**
 * The same applications - sessions, uploads, compression, files, event streams, large documents - on bare node:http, under
 * `paster serve` over HTTP/1.1 and HTTP/2, and over FastCGI behind nginx: whatever their framework, the responses are the same.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:http2';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { beforeSuite } from '../../helpers/programs/lifetime.ts';
import { Program, ROOT, requireProgram, serve } from '../../helpers/programs/program.ts';
import { startNginx } from '../../helpers/web-servers/front-end.ts';

const APPLICATIONS = join(ROOT, 'test/fixtures/applications');

interface Question {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: Buffer;
}

interface Answer {
  readonly status: number;
  /** Names and values, sorted by name. */
  readonly headers: readonly string[];
  readonly size: number;
  readonly sha256: string;
  /** The first characters, shown when a test fails. */
  readonly text: string;
}

/** Headers that belong to the connection, the time or the web server, not to the application. */
const NOT_THE_APPS = new Set(['connection', 'date', 'keep-alive', 'server', 'transfer-encoding']);

function send(url: string, { method = 'GET', headers = {}, body }: Question = {}): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const client = httpRequest(url, {
      method,
      agent: false,
      // The same host for every site, because applications write it into their responses.
      headers: { Host: 'app.test', ...(body === undefined ? {} : { 'Content-Length': body.length }), ...headers },
    });
    client.on('response', resolve).on('error', reject);
    client.end(body);
  });
}

async function bodyOf(response: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  expect(response.complete).toBe(true);
  return Buffer.concat(parts);
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function ask(url: string, question?: Question): Promise<Answer> {
  const response = await send(url, question);
  return answer(response.statusCode, response.rawHeaders, await bodyOf(response));
}

async function askHttp2(url: string, { method = 'GET', headers = {}, body }: Question = {}): Promise<Answer> {
  const { origin } = new URL(url);
  const session = connect(origin);
  // Not parsed by `URL`, which would normalize it.
  const path = url.slice(origin.length);
  const length = body === undefined ? {} : { 'content-length': body.length };
  const head = { ':method': method, ':path': path, ':authority': 'app.test', ...length, ...headers };
  const stream = session.request(head, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  const [{ ':status': status }, , rawHeaders] = await once(stream, 'response');
  const response = answer(status, rawHeaders.slice(2), await buffer(stream));
  expect(stream.rstCode).toBe(0);
  session.close();
  return response;
}

function answer(status: number | undefined, rawHeaders: readonly string[], body: Buffer): Answer {
  return {
    status: status ?? 0,
    headers: appHeaders(rawHeaders),
    size: body.length,
    sha256: digest(body),
    text: body.subarray(0, 200).toString('latin1'),
  };
}

/** Session cookies have random names and an expiry time, which are not compared. */
function appHeaders(rawHeaders: readonly string[]): string[] {
  const lines: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] as string).toLowerCase();
    const value = rawHeaders[i + 1] as string;
    if (NOT_THE_APPS.has(name)) continue;
    lines.push(`${name}: ${name === 'set-cookie' ? value.replace(/(^[^=]*|expires)=[^;]*/gi, '$1=...') : value}`);
  }
  return lines.sort();
}

const BOUNDARY = '----a-boundary-of-this-test';

/** All byte values, line breaks, and a false boundary. */
const LARGE = Buffer.from(Uint8Array.from({ length: 3 * 1024 * 1024 }, (_, i) => i * 31 + (i >> 8)));
LARGE.write(`\r\n--${BOUNDARY.slice(0, -1)}\r\n`, 1_000_000);

/** Two fields and two files. */
function multipart(): Buffer {
  const part = (disposition: string, type: string, content: Buffer | string) => [
    Buffer.from(`--${BOUNDARY}\r\nContent-Disposition: form-data; ${disposition}\r\n${type}\r\n`),
    Buffer.from(content as string),
    Buffer.from('\r\n'),
  ];
  return Buffer.concat([
    ...part('name="title"', '', 'grüße'),
    ...part('name="large"; filename="large.bin"', 'Content-Type: application/octet-stream\r\n', LARGE),
    ...part('name="empty"', '', ''),
    ...part('name="small"; filename="small.txt"', 'Content-Type: text/plain\r\n', 'a\r\nb\n'),
    Buffer.from(`--${BOUNDARY}--\r\n`),
  ]);
}

const UPLOAD: Question = {
  method: 'POST',
  headers: { 'Content-Type': `multipart/form-data; boundary=${BOUNDARY}` },
  body: multipart(),
};
const DOCUMENT = Buffer.from(JSON.stringify({ rows: Array.from({ length: 40_000 }, (_, i) => ({ i, s: `ü${i}` })) }));
const JSON_TYPE = { 'Content-Type': 'application/json' };

const QUESTIONS: readonly (readonly [name: string, path: string, question?: Question])[] = [
  ['the parts of a request', '/request?a=1&b=x%20y'],
  ['a new session', '/session'],
  ['an invalid session', '/session', { headers: { Cookie: 'connect.sid=s%3Anone; sessionId=none; koa.sess=none' } }],
  ['a redirect', '/redirect'],
  ['a file name in UTF-8', '/download'],
  ['an unknown path', '/nothing'],
  ['an unknown path, with a body', '/nothing', { method: 'POST', headers: JSON_TYPE, body: Buffer.from('{"a":1}') }],
  ['a handler that throws', '/fail'],
  ['an upload', '/upload', UPLOAD],
  ['a large document in the response', '/document'],
  ['HEAD of the large document', '/document', { method: 'HEAD' }],
  [
    'a large document in the request and the response',
    '/document',
    { method: 'POST', headers: JSON_TYPE, body: DOCUMENT },
  ],
  ['an invalid document', '/document', { method: 'POST', headers: JSON_TYPE, body: Buffer.from('{"a":') }],
  ['a text, uncompressed', '/compressed'],
  ['a text as gzip', '/compressed', { headers: { 'Accept-Encoding': 'gzip' } }],
  ['a text as brotli', '/compressed', { headers: { 'Accept-Encoding': 'br' } }],
  [
    'a text in the client’s preferred encoding',
    '/compressed',
    { headers: { 'Accept-Encoding': 'gzip;q=0.5, br;q=1, *;q=0' } },
  ],
  ['HEAD of a text', '/compressed', { method: 'HEAD', headers: { 'Accept-Encoding': 'gzip' } }],
  ['a file', '/static/page.html'],
  ['HEAD of a file', '/static/page.html', { method: 'HEAD' }],
  ['the first bytes of a file', '/static/page.html', { headers: { Range: 'bytes=0-99' } }],
  ['the last bytes of a file', '/static/page.html', { headers: { Range: 'bytes=-10' } }],
  ['two ranges of a file', '/static/page.html', { headers: { Range: 'bytes=0-4,10-14' } }],
  ['a range beyond the end of a file', '/static/page.html', { headers: { Range: 'bytes=99999999-' } }],
  [
    'a file unchanged since then',
    '/static/page.html',
    { headers: { 'If-Modified-Since': 'Fri, 31 Dec 2100 23:59:59 GMT' } },
  ],
  [
    'a file changed since then',
    '/static/page.html',
    { headers: { 'If-Modified-Since': 'Thu, 01 Jan 1970 00:00:01 GMT' } },
  ],
  ['a file whose ETag is not that of If-None-Match', '/static/page.html', { headers: { 'If-None-Match': '"other"' } }],
  ['no such file', '/static/none.html'],
];

/** nginx decodes and normalizes a path before it forwards the request, and the application sees the result. */
const NORMALISED = [
  ['/static/..%2frequest?a=1', '/request?a=1'],
  ['/static/./page.html', '/static/page.html'],
] as const;

interface Sites {
  readonly reference: string;
  readonly others: { readonly http: string; readonly FastCGI: string };
  readonly http2: string;
}

async function startSites(framework: string, nginx: string): Promise<Sites> {
  const env = { NODE_ENV: 'production' };
  const app = join(APPLICATIONS, `${framework}.js`);
  const directory = temporaryDirectory({
    'app.ini': `[paster]
serve = http, http2, fastcgi
[app:main]
use = module:${app}
[server:http]
use = npm:paster#http
port = 0
[server:http2]
use = npm:paster#http
port = 0
http2 = true
[server:fastcgi]
use = npm:paster#fastcgi
socket = socket
`,
  });
  const socket = join(directory, 'socket');
  // The application takes longer to load than the servers start, so one process has all three.
  const [[, reference = ''], program] = await Promise.all([
    new Program(process.execPath, [join(APPLICATIONS, 'reference.js'), framework], { env }).says(/listening on (\S+)/),
    serve(['app.ini'], { cwd: directory, env }),
  ]);
  const [, http = '', http2 = ''] = await program.says(
    /^serving on (http:\S+).*\n(?:.*\n)*serving on (http:\S+).*\n(?:.*\n)*serving on fastcgi/m,
  );
  const behind = await startNginx(nginx, { socket });
  return { reference, others: { http, FastCGI: behind.url }, http2 };
}

interface Framework {
  readonly name: string;
  readonly encodings: readonly ('gzip' | 'br')[];
  /** Whether its static files support ranges. */
  readonly ranges: boolean;
}

const FRAMEWORKS: readonly Framework[] = [
  { name: 'express', encodings: ['gzip', 'br'], ranges: true },
  { name: 'koa', encodings: ['gzip', 'br'], ranges: false },
  { name: 'fastify', encodings: ['gzip', 'br'], ranges: true },
  { name: 'hono', encodings: ['gzip'], ranges: true },
  { name: 'h3', encodings: ['gzip'], ranges: false },
];

const DECODE = { gzip: gunzipSync, br: brotliDecompressSync };

const nginx = requireProgram('nginx');

describe.skipIf(nginx === undefined).each(FRAMEWORKS)('$name', ({ name, encodings, ranges }) => {
  let started: Sites;
  beforeSuite(async () => {
    started = await startSites(name, nginx ?? '');
  });

  test('responds the same on node:http, over HTTP/1.1, HTTP/2 and FastCGI', async () => {
    const { reference, others, http2 } = started;
    const sites = Object.entries(others);

    for (const [what, path, question] of QUESTIONS) {
      const expected = await ask(reference + path, question);
      if (path !== '/fail') expect(expected.status, what).toBeLessThan(500);
      for (const [server, url] of sites)
        expect(await ask(url + path, question), `${what}, ${server}`).toEqual(expected);
      // Koa's own page is the reason phrase; HTTP/2 has none, so there it is the status.
      const isReason = name === 'koa' && expected.text === 'Not Found';
      const overHttp2 = isReason ? { status: 404, text: '404' } : expected;
      expect(await askHttp2(http2 + path, question), `${what}, HTTP/2`).toMatchObject(overHttp2);
    }
    for (const [path, normal] of NORMALISED) {
      expect(await ask(others.FastCGI + path), path).toEqual(await ask(reference + normal));
    }
  });

  test('counts a session’s visits, decompresses bodies, streams events one by one', async () => {
    const { reference, others } = started;
    for (const [server, url] of Object.entries({ reference, ...others })) {
      const upload = JSON.parse((await bodyOf(await send(`${url}/upload`, UPLOAD))).toString());
      expect(upload, server).toEqual({
        fields: { title: 'grüße', empty: '' },
        files: [
          {
            field: 'large',
            name: 'large.bin',
            type: 'application/octet-stream',
            size: LARGE.length,
            sha256: digest(LARGE),
          },
          { field: 'small', name: 'small.txt', type: 'text/plain', size: 5, sha256: digest(Buffer.from('a\r\nb\n')) },
        ],
      });

      let cookie = '';
      for (const visits of [1, 2, 3]) {
        const response = await send(`${url}/session`, { headers: { Cookie: cookie } });
        expect(JSON.parse((await bodyOf(response)).toString()), server).toEqual({ visits });
        const set = response.headers['set-cookie'] ?? [];
        if (set.length > 0) cookie = set.map((line) => line.replace(/;.*/, '')).join('; ');
      }

      const plain = await bodyOf(await send(`${url}/compressed`));
      for (const encoding of encodings) {
        const packed = await send(`${url}/compressed`, { headers: { 'Accept-Encoding': encoding } });
        expect(packed.headers['content-encoding'], server).toBe(encoding);
        expect(DECODE[encoding](await bodyOf(packed)).equals(plain), `${encoding}, ${server}`).toBe(true);
      }

      const whole = await bodyOf(await send(`${url}/static/page.html`));
      const range = await send(`${url}/static/page.html`, { headers: { Range: 'bytes=100-299' } });
      expect(range.statusCode, server).toBe(ranges ? 206 : 200);
      expect((await bodyOf(range)).equals(ranges ? whole.subarray(100, 300) : whole), server).toBe(true);

      const events = await send(`${url}/events`);
      expect(events.headers['content-type'], server).toMatch(/^text\/event-stream/);
      let text = '';
      for await (const part of events) {
        if (text === '') expect((await send(`${url}/release`)).statusCode, server).toBe(204);
        text += part;
      }
      expect([text.match(/data: \w+/g), events.complete], server).toEqual([['data: first', 'data: last'], true]);
    }
  });
});
