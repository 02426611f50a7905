/** `paster request` and `paster post`: an application of any kind responds without a server. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../helpers/directory.ts';
import { runHere } from '../helpers/programs/command.ts';
import { type Finished, paster, ROOT } from '../helpers/programs/program.ts';

const PLAIN = `
import { writeFileSync } from 'node:fs';
export default (req, res) => {
  switch (req.url) {
    case '/bytes': return res.end(Buffer.from([0, 255, 128, 10, 13, 10]));
    case '/large': return res.end(Buffer.alloc(3_000_000, 'x'));
    case '/never': return;
    case '/connection': return res.end(String(req.connection === req.socket));
    case '/socket': req.setTimeout(1000); req.socket.setKeepAlive(true).setNoDelay(); return res.end('kept', () => req.socket.end());
    case '/throw': throw new Error('on purpose');
    case '/half': res.write('half'); setTimeout(() => res.destroy(), 20); return;
    case '/not-modified': res.writeHead(304); return res.end('nothing');
    case '/found': res.writeHead(302, { location: '/x' }); return res.end();
    case '/late': setTimeout(() => { res.write('a'); setTimeout(() => res.end('b', () => process.stderr.write('ended')), 20); }, 20); return;
    case '/callback': return res.end(() => process.stderr.write('ended'));
    case '/hostile': res.setHeader('x', 'a\\u009bb'); return res.end();
  }
  res.setHeader('X-Thing', ['1', '2']);
  res.setHeader('content-type', 'application/json');
  let body = '';
  req.on('data', (chunk) => { body += chunk.toString('latin1'); });
  req.on('end', () => res.end(JSON.stringify({
    method: req.method, url: req.url, headers: req.headers, body, command: req.commandRequest ?? false,
  })));
};
`;

const LIFECYCLE = `
import { appendFileSync } from 'node:fs';
const note = (text) => appendFileSync(new URL('notes', import.meta.url), text + '\\n');
export function make(globalConf, localConf) {
  const app = (req, res) => { note('request'); res.end(globalConf.who + ' ' + localConf.name); };
  app.ready = async () => note('ready');
  app.close = async () => note('close');
  return app;
}
export const unready = () => Object.assign(() => {}, { ready() { throw new Error('not yet'); } });
`;

const INI = `[DEFAULT]
who = nobody
[app:main]
use = call:./lifecycle.mjs:make
name = main
filter-with = log
[app:other]
use = main
name = other
[filter:log]
use = npm:paster#translogger
`;

function project(): string {
  return temporaryDirectory({ 'plain.mjs': PLAIN, 'lifecycle.mjs': LIFECYCLE, 'x.ini': INI });
}

function run(args: readonly string[], cwd: string = project(), input: string = ''): Promise<Finished> {
  return runHere(args, { cwd, input });
}

/** Runs the command in its own process, for what depends on a process: its streams, its warnings and its end. */
function runProcess(args: readonly string[], cwd: string = project()): Promise<Finished> {
  return paster(args, { cwd }).finished();
}

async function plain(args: readonly string[]): Promise<Record<string, unknown>> {
  const { stdout, stderr } = await run(['request', 'module:./plain.mjs', ...args]);
  expect(stderr).toBe('');
  return JSON.parse(stdout);
}

const FRAMEWORK_NAMES = ['express', 'express4', 'koa', 'koa2', 'fastify', 'hono', 'h3'];

describe('the request', () => {
  test('has the path, a host and a User-Agent, and is marked as one of the command', async () => {
    expect(await plain(['/a/b?c=d'])).toEqual({
      method: 'GET',
      url: '/a/b?c=d',
      headers: { host: 'localhost', 'user-agent': 'paster' },
      body: '',
      command: true,
    });
  });

  test.each([
    [['do'], '/.command/do'],
    [['do/it?a=1', 'b=2'], '/.command/do/it?a=1&b=2'],
    [['/x', 'a=1 2', 'ä=&=', 'flag'], '/x?a=1%202&%C3%A4=%26%3D&flag'],
    [['/a%2Fb//c'], '/a%2Fb//c'],
    [['http://example.com:81/x'], '/x'],
  ])('%j requests %s', async (args, url) => {
    expect((await plain(args))['url']).toBe(url);
  });

  test('for an absolute URL goes to its host, with the given headers and method', async () => {
    const { method, headers } = await plain([
      'http://example.com:81/x',
      ...[
        '--method',
        'delete',
        '--header',
        'X-A: b:c',
        '--header',
        'x-a:d',
        '--header',
        'Cookie:a=1',
        '--header',
        'cookie:b=2',
      ],
    ]);
    expect(method).toBe('DELETE');
    expect(headers).toEqual({
      host: 'example.com:81',
      'user-agent': 'paster',
      'x-a': 'b:c, d',
      cookie: 'a=1; b=2',
    });
  });

  test('of post has standard input as its body, byte for byte', async () => {
    const args = ['post', 'module:./plain.mjs', '/x', '--header', 'content-type:text/plain'];
    const input = Buffer.from([0, 200, 10, 255]);
    const { stdout } = spawnSync(process.execPath, [join(ROOT, 'bin/paster.js'), ...args], { cwd: project(), input });
    expect(JSON.parse(stdout.toString())).toMatchObject({
      method: 'POST',
      headers: { 'content-type': 'text/plain', 'content-length': '4' },
      body: input.toString('latin1'),
    });
  });
});

describe('the response', () => {
  test('and the request have Node’s own classes, and the socket is not encrypted', async () => {
    const app = `import { IncomingMessage, ServerResponse } from 'node:http';
export default (req, res) => res.end([req instanceof IncomingMessage, res instanceof ServerResponse, 'encrypted' in req.socket].join(' '));
`;
    const directory = temporaryDirectory({ 'app.mjs': app, 'x.ini': '[app:main]\nuse = module:./app.mjs\n' });
    const { stdout } = await run(['request', 'x.ini', '/'], directory);
    expect(stdout).toBe('true true false');
  });

  test('is printed byte for byte', () => {
    const args = ['request', 'module:./plain.mjs', '/bytes'];
    const { stdout, status } = spawnSync(process.execPath, [join(ROOT, 'bin/paster.js'), ...args], { cwd: project() });
    expect([...stdout]).toEqual([0, 255, 128, 10, 13, 10]);
    expect(status).toBe(0);
  });

  test('is printed completely', async () => {
    expect((await runProcess(['request', 'module:./plain.mjs', '/large'])).stdout.length).toBe(3_000_000);
  });

  test('is awaited, and its callbacks are called', async () => {
    const { stdout, stderr } = await runProcess(['request', 'module:./plain.mjs', '/late']);
    expect([stdout, stderr]).toEqual(['ab', 'ended']);
    expect((await run(['request', 'module:./plain.mjs', '/callback'])).stderr).toBe('ended');
  });

  test('is printed after its head with --display-headers', async () => {
    const { stdout } = await run(['request', '--display-headers', '--method', 'HEAD', 'module:./plain.mjs', '/x']);
    expect(stdout).toMatch(/^HTTP\/1\.1 200 OK\nx-thing: 1\nx-thing: 2\ncontent-type: application\/json\n(?:.+\n)*\n$/);
    const hostile = await run(['request', '--display-headers', 'module:./plain.mjs', '/hostile']);
    expect(hostile.stdout).toContain('x: a\\x9bb\n');
  });

  test.each([
    ['/found', 0, ''],
    ['/not-modified', 0, ''],
    ['/throw', 1, 'Internal Server Error\n'],
  ])('to %s exits with %d', async (url, status, body) => {
    const finished = await run(['request', 'module:./plain.mjs', url]);
    expect([finished.status, finished.stdout]).toEqual([status, body]);
  });

  test('to a request whose handler throws is explained on standard error', async () => {
    const { stderr } = await runProcess(['request', 'module:./plain.mjs', '/throw']);
    expect(stderr).toMatch(/^paster: error: GET \/throw failed: Error: on purpose\n +at .*plain\.mjs:10/);
  });

  test.each([
    ['/never', /^paster: the application does not respond, and has nothing left to wait for/],
    ['/half', /^paster: the application did not finish its response: it closed the connection\n$/],
  ])('is missing or incomplete (%s): status 1', async (url, message) => {
    const { stderr, status } = await runProcess(['request', 'module:./plain.mjs', url]);
    expect(stderr).toMatch(message);
    expect(status).toBe(1);
  });
});

describe('the application', () => {
  test('may call the methods of the socket', async () => {
    const { stdout, stderr, status } = await runProcess(['request', 'module:./plain.mjs', '/socket']);
    expect([stdout, stderr, status]).toEqual(['kept', '', 0]);
  });

  test('may read req.connection, as many libraries do, without a warning', async () => {
    const { stdout, stderr } = await runProcess(['request', 'module:./plain.mjs', '/connection']);
    expect([stdout, stderr]).toEqual(['true', '']);
  });

  test('is ready before the request, and closed after it', async () => {
    const directory = project();
    const { stdout, stderr } = await runProcess(['request', 'x.ini', '/'], directory);
    expect(stdout).toBe('nobody main');
    expect(stderr).toContain('"GET / HTTP/1.1" 200');
    expect(readFileSync(join(directory, 'notes'), 'utf8')).toBe('ready\nrequest\nclose\n');
    expect(readdirSync(directory).sort()).toEqual(['lifecycle.mjs', 'notes', 'plain.mjs', 'x.ini']);
  });

  test('is the one of -n, with the globals of --config-var', async () => {
    const args = ['request', '-n', 'other', '--config-var', 'who:a:b', 'x.ini', '/'];
    expect((await run(args)).stdout).toBe('a:b other');
  });

  test.each(FRAMEWORK_NAMES)('may be of %s, also behind a filter', async (name) => {
    // Each command closes its application, so each has a module of its own.
    const directory = (): string => {
      const made = temporaryDirectory({ 'app.mjs': FRAMEWORKS[name] ?? '', 'x.ini': FILTERED });
      symlinkSync(join(ROOT, 'node_modules'), join(made, 'node_modules'));
      return made;
    };
    for (const spec of ['module:./app.mjs', 'x.ini']) {
      const got = await run(['request', spec, '/hello', 'name=you'], directory());
      expect([got.stdout, got.status]).toEqual(['hello you', 0]);
      const posted = await run(
        ['post', spec, '/echo', '--header', 'content-type:text/plain'],
        directory(),
        'some text',
      );
      expect([posted.stdout, posted.status]).toEqual(['some text', 0]);
      const missing = await run(['request', spec, '/missing'], directory());
      expect(missing.status).toBe(1);
    }
  });

  test('is an error if it never becomes ready, or fails to', async () => {
    const directory = temporaryDirectory({
      'x.ini': '[app:main]\nuse = call:./lifecycle.mjs:unready\n',
      'lifecycle.mjs': LIFECYCLE,
      'hang.mjs': 'await new Promise(() => {});\nexport default 1;\n',
    });
    const hanging = await runProcess(['request', 'module:./hang.mjs', '/'], directory);
    expect([hanging.status, hanging.stderr]).toEqual([1, expect.stringContaining('never becomes ready')]);
    const failing = await run(['request', 'x.ini', '/'], directory);
    expect(failing.stderr).toMatch(/^paster: lifecycle\.mjs:10:\d+: \[app:main\] .* failed: not yet\n$/);
    expect(failing.status).toBe(1);
  });
});

const FILTERED = '[app:main]\nuse = module:./app.mjs\nfilter-with = log\n[filter:log]\nuse = npm:paster#translogger\n';

const EXPRESS = `
const app = express();
app.get('/hello', (req, res) => res.send('hello ' + req.query.name));
app.post('/echo', express.text(), (req, res) => res.send(req.body));
export default app;`;

const KOA = `
const app = new Koa();
app.use(async (ctx) => {
  if (ctx.path === '/hello') ctx.body = Readable.from(['hello ', ctx.query.name]);
  if (ctx.path === '/echo') ctx.body = ctx.req;
});
export default app;`;

const FRAMEWORKS: Readonly<Record<string, string>> = {
  express: `import express from 'express';${EXPRESS}`,
  express4: `import express from 'express4';${EXPRESS}`,
  koa: `import { Readable } from 'node:stream';\nimport Koa from 'koa';${KOA}`,
  koa2: `import { Readable } from 'node:stream';\nimport Koa from 'koa2';${KOA}`,
  fastify: `
import Fastify from 'fastify';
const app = Fastify();
app.get('/hello', async (req) => 'hello ' + req.query.name);
app.post('/echo', async (req) => req.body);
export default app;`,
  hono: `
import { Hono } from 'hono';
const app = new Hono();
app.get('/hello', (c) => new Response(new ReadableStream({ async start(to) {
  to.enqueue(new TextEncoder().encode('hello '));
  await new Promise((done) => setTimeout(done, 20));
  to.enqueue(new TextEncoder().encode(c.req.query('name')));
  to.close();
} })));
app.post('/echo', async (c) => c.text(await c.req.text()));
export default app;`,
  h3: `
import { H3, getQuery } from 'h3';
const app = new H3();
app.get('/hello', (event) => 'hello ' + getQuery(event).name);
app.post('/echo', (event) => event.req.text());
export default app;`,
};

test.each([
  [['request', 'x.ini'], /missing required argument 'url'/],
  [['request', 'x.ini', '/', '--header', 'bad'], /--header: "bad" is not of the form name:value/],
  [['request', 'x.ini', '/', '--header', 'a b:c'], /--header: .*valid HTTP token/],
  [['request', 'x.ini', '/', '--header', 'a:b\u0001'], /--header: Invalid character/],
  [['request', 'x.ini', '/', '--config-var', '=x'], /--config-var: "=x" is not of the form name:value/],
  [['request', 'x.ini', '/', '--method', 'gte'], /--method: there is no method "gte" \(did you mean "GET"\?\)/],
  [['request', 'x.ini', 'mailto:x'], /"mailto:x" is not a URL of a web application/],
  [['request', 'x.ini', 'http://['], /"http:\/\/\[" is not a URL/],
  [['request', '-n', 'mian', 'x.ini', '/'], /x\.ini:1:1: .*did you mean \[app:main\]\?/],
  [['request', 'y.ini', '/'], /cannot read .*y\.ini: there is no such file/],
])('%j is an error', async (args, message) => {
  const { stdout, stderr, status } = await run(args);
  expect([stdout, status]).toEqual(['', 2]);
  expect(stderr).toMatch(message);
  expect(stderr).not.toMatch(/^ +at /m);
});
