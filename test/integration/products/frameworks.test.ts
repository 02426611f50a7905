/** Express 5 and Hono by one line of an INI file: the same responses over HTTP/1.1, HTTP/2 and FastCGI behind nginx. */
import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { needProgram, ROOT, serve } from '../../helpers/programs/program.ts';
import { startNginx } from '../../helpers/web-servers/front-end.ts';

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly cookies: readonly string[];
  readonly body: string;
}

const REQUESTS: readonly (readonly [path: string, init?: RequestInit])[] = [
  ['/hello/world?a=1&b=x%20y'],
  ['/hello/w%C3%B6rld'],
  ['/form', { method: 'POST', body: new URLSearchParams({ a: '1', b: 'ü' }) }],
  [
    '/json',
    { method: 'POST', body: JSON.stringify({ list: [1, 2] }), headers: { 'content-type': 'application/json' } },
  ],
  ['/cookies', { headers: { cookie: 'x=1; y=2' } }],
  ['/client'],
  ['/redirect', { redirect: 'manual' }],
  ['/large'],
  ['/empty'],
  ['/thing', { method: 'DELETE' }],
  ['/conditional'],
  ['/conditional', { headers: { 'if-none-match': '"fixed"' } }],
  ['/hello/head', { method: 'HEAD' }],
  ['/nothing'],
  ['/fail'],
];

/** Headers that belong to the connection, the time or the web server, not to the application. */
const NOT_THE_APPS = ['connection', 'date', 'keep-alive', 'server', 'set-cookie', 'transfer-encoding'];

/** Headers that `fetch` sends with every request. */
const LIKE_FETCH = { accept: '*/*', 'accept-language': '*', 'sec-fetch-mode': 'cors', 'user-agent': 'node' };

async function ask(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, init);
  const headers = Object.fromEntries([...response.headers].filter(([name]) => !NOT_THE_APPS.includes(name)));
  return { status: response.status, headers, cookies: response.headers.getSetCookie(), body: await response.text() };
}

async function askHttp2(session: ClientHttp2Session, url: string, init: RequestInit = {}): Promise<Answer> {
  const request = new Request(url, init);
  const { pathname, search } = new URL(url);
  const body = Buffer.from(await request.arrayBuffer());
  const sent = body.length === 0 ? {} : { 'content-length': body.length };
  const fresh = request.headers.has('if-none-match') ? { 'cache-control': 'no-cache', pragma: 'no-cache' } : {};
  const head = { ...Object.fromEntries(request.headers), ...sent, ...LIKE_FETCH, ...fresh };
  const stream = session.request(
    { ':method': request.method, ':path': pathname + search, ...head },
    { endStream: body.length === 0 },
  );
  if (body.length > 0) stream.end(body);
  const [{ ':status': status, 'set-cookie': cookies = [], ...others }] = await once(stream, 'response');
  const headers = Object.fromEntries(
    Object.entries(others)
      .filter(([name]) => !NOT_THE_APPS.includes(name))
      .map(([name, value]): [string, string] => [name, String(value)]),
  );
  return { status, headers, cookies, body: await text(stream) };
}

function ini(framework: string, server: string): string {
  const app = join(ROOT, `test/fixtures/frameworks/${framework}.js`);
  return join(
    temporaryDirectory({ 'app.ini': `[app:main]\nuse = module:${app}\n\n[server:main]\n${server}\n` }),
    'app.ini',
  );
}

describe.each(['express', 'hono'])('%s', (framework) => {
  test('responds the same over HTTP and over FastCGI', async () => {
    const nginx = needProgram('nginx');
    const http = await serve([ini(framework, 'use = npm:paster#http\nport = 0')]);
    const socket = join(temporaryDirectory(), 'socket');
    await serve([ini(framework, `use = npm:paster#fastcgi\nsocket = ${socket}`)]);
    const { url } = await startNginx(nginx, { socket });
    for (const [path, init] of REQUESTS) {
      const expected = await ask(http.url + path, init);
      expect(expected.status, path).not.toBe(500);
      expect(await ask(url + path, init), path).toEqual(expected);
    }
  });

  test('responds the same over HTTP/1.1 and HTTP/2, also behind a cascade', async () => {
    const http1 = await serve([ini(framework, 'use = npm:paster#http\nport = 0')]);
    const app = join(ROOT, `test/fixtures/frameworks/${framework}.js`);
    const file = join(
      temporaryDirectory({
        'empty/x': '',
        'app.ini': `[composite:main]\nuse = npm:paster#cascade\napp1 = files\napp2 = app\n[app:files]\nuse = npm:paster#static\ndocument_root = %(here)s/empty\n[app:app]\nuse = module:${app}\n[server:main]\nuse = npm:paster#http\nport = 0\nhttp2 = true\n`,
      }),
      'app.ini',
    );
    const http2 = await serve([file]);
    const session = connect(http2.url);
    session.on('error', () => {});
    for (const [path, init] of REQUESTS) {
      const expected = await ask(http1.url + path, init);
      const normal = (answer: Answer) =>
        JSON.parse(JSON.stringify(answer).replaceAll(new URL(http2.url).host, new URL(http1.url).host));
      expect(normal(await askHttp2(session, http2.url + path, init)), path).toEqual(normal(expected));
    }
    session.close();
  });
});
