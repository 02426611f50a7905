/** Express 5 and Hono by one line of an INI file: the same answers over HTTP and over FastCGI behind nginx. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../helpers/directory.ts';
import { startNginx } from '../helpers/front-end.ts';
import { ROOT, requireProgram, serve } from '../helpers/program.ts';

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

/** What belongs to the connection, to the moment or to the web server, and not to the application. */
const NOT_THE_APPS = ['connection', 'date', 'keep-alive', 'server', 'transfer-encoding'];

async function ask(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, init);
  const headers = Object.fromEntries([...response.headers].filter(([name]) => !NOT_THE_APPS.includes(name)));
  return { status: response.status, headers, cookies: response.headers.getSetCookie(), body: await response.text() };
}

function ini(framework: string, server: string): string {
  const app = join(ROOT, `test/fixtures/frameworks/${framework}.js`);
  return join(
    temporaryDirectory({ 'app.ini': `[app:main]\nuse = module:${app}\n\n[server:main]\n${server}\n` }),
    'app.ini',
  );
}

describe.each(['express', 'hono'])('%s', (framework) => {
  test('answers alike over HTTP and over FastCGI', async (context) => {
    const nginx = requireProgram('nginx');
    if (nginx === undefined) return context.skip();
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
});
