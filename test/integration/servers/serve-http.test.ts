/** `paster serve` over HTTP: the repository's own etc/develop.ini, and the options of the command line. */
import { once } from 'node:events';
import { request } from 'node:http';
import { connect, constants } from 'node:http2';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { freePort, Program, paster, ROOT, requireRoot, serve } from '../../helpers/programs/program.ts';

test('etc/develop.ini shows which sections built the page, and the environ as JSON', async () => {
  const port = await freePort();
  const program = await serve(['etc/develop.ini', `http_port=${port}`], { cwd: ROOT });
  expect(program.url).toBe(`http://127.0.0.1:${port}`);
  expect(program.stdout).toContain(`Starting server in PID ${program.pid}.`);

  const response = await fetch(program.url);
  const page = await response.text();
  expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
  for (const section of ['composite:main', 'filter:translogger', 'app:welcome', 'app:environ', 'server:main']) {
    expect(page).toContain(`[${section}]`);
  }
  expect(page).toMatch(/etc\/develop\.ini:\d+/);
  expect(page).toMatch(new RegExp(`<dt>port</dt><dd>${port} <span class="at">etc/develop\\.ini:\\d+</span>`));

  const environ = await fetch(`${program.url}/environ?a=1`, { headers: { 'x-test': 'yes' } });
  expect(environ.headers.get('content-type')).toBe('application/json; charset=utf-8');
  expect(await environ.json()).toMatchObject({
    REQUEST_METHOD: 'GET',
    QUERY_STRING: 'a=1',
    SCRIPT_NAME: '/environ',
    HTTP_X_TEST: 'yes',
    SERVER_PORT: String(port),
  });
  expect((await fetch(`${program.url}/nothing`)).status).toBe(404);

  await program.says(/"GET \/environ\?a=1 HTTP\/1\.1" 200/);
  const { status } = await program.kill('SIGTERM');
  expect(status).toBe(0);
});

test('a module is served without an INI file', async () => {
  const program = await serve(['module:./probe.js', '-p', '0'], { cwd: join(ROOT, 'test/fixtures/apps') });
  expect(await (await fetch(`${program.url}/query?x=1`)).json()).toMatchObject({ url: '/query?x=1' });
});

test('an INI file may be given as a URI, with %20 for a space', async () => {
  const ini = '[app:main]\nuse = npm:paster#test\n[server:main]\nuse = npm:paster#http\nport = 0\n';
  const program = await serve(['config:x%20y.ini'], { cwd: temporaryDirectory({ 'x y.ini': ini }) });
  expect((await fetch(program.url)).status).toBe(200);
});

test('the command line overrides the address and the names of the sections', async () => {
  const socket = join(temporaryDirectory(), 's');
  const ini = join(
    temporaryDirectory({
      'app.ini': `[app:other]\nuse = call:${ROOT}/test/fixtures/apps/probe.js:makeProbe\n[server:second]\nuse = npm:paster#http\nsocket = ${socket}\n`,
    }),
    'app.ini',
  );
  const program = await serve([ini, '-n', 'other', '--server-name', 'second', '--host', '127.0.0.1', '--port', '0']);
  expect(program.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  expect((await fetch(`${program.url}/query`)).status).toBe(200);
});

test.each([
  ['host =', [], ''],
  [
    '',
    ['--host', '', 'debug=true'],
    'paster: warn: debug = true: errors show source code to everyone who can reach URL\n',
  ],
  ['workers = 1', ['--host', '0.0.0.0', '--reload', 'debug=true'], ''],
])(
  'every address is announced, with a URL to open and a warning if it shows errors (%s)',
  async (setting, args, warning) => {
    const app = `[app:main]\nuse = npm:paster#test\n[server:main]\nuse = npm:paster#http\nport = 0\n${setting}\n`;
    const directory = temporaryDirectory({ 'x.ini': app });
    const program = await serve(['x.ini', ...args], { cwd: directory });
    expect(program.url).toMatch(/^http:\/\/0\.0\.0\.0:\d+$/);
    const [, url = ''] = await program.says(/^view at (http:\/\/localhost:\d+)$/m);
    expect((await fetch(url)).status).toBe(200);
    const { stderr } = await program.kill('SIGTERM');
    expect(stderr.replace(/^view at .*\n/m, '').replace(program.url, 'URL')).toBe(warning);
  },
);

test('the server’s section is loaded once', async () => {
  const directory = temporaryDirectory({
    'x.ini': '[app:main]\nuse = npm:paster#test\n[server:main]\npaste.server_factory = ./server.mjs:make\n',
    'server.mjs': `export function make() {
      process.stderr.write('made\\n');
      return { scheme: 'none', async serve() { return { addresses: [], finished: Promise.resolve(), async close() {} }; } };
    }`,
  });
  const { status, stderr } = await paster(['serve', 'x.ini'], { cwd: directory }).finished();
  expect([status, stderr]).toEqual([0, 'made\n']);
});

test('TERM finishes requests in flight and refuses new ones', async () => {
  const program = await serve([`module:${ROOT}/test/fixtures/apps/probe.js`, '-p', '0']);
  const response = await fetch(`${program.url}/slow?ms=600`);
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  expect((await reader?.read())?.value).toBe('begun\n');
  const ended = program.kill('SIGTERM');
  expect((await reader?.read())?.value).toBe('done\n');
  expect((await ended).status).toBe(0);
  await expect(fetch(`${program.url}/query`)).rejects.toThrow();
});

test('INT aborts requests in flight', async () => {
  const program = await serve([`module:${ROOT}/test/fixtures/apps/probe.js`, '-p', '0']);
  const response = await fetch(`${program.url}/slow?ms=60000`);
  const { status } = await program.kill('SIGINT');
  expect(status).toBe(0);
  await expect(response.text()).rejects.toThrow();
});

test('an error of the application responds 500 without details, and the next request succeeds', async () => {
  const program = await serve([`module:${ROOT}/test/fixtures/apps/probe.js`, '-p', '0']);
  const failed = await fetch(`${program.url}/throw`);
  expect([failed.status, await failed.text()]).toEqual([500, 'Internal Server Error\n']);
  await program.says(/GET \/throw failed: Error: thrown on purpose/);
  expect((await fetch(`${program.url}/query`)).status).toBe(200);
});

test.each([
  ['one process', []],
  ['workers', ['-w', '2']],
  ['reload', ['--reload']],
])('a setting without effect is reported once at the start, with %s', async (_what, options) => {
  const directory = temporaryDirectory({
    'x.ini': `[DEFAULT]\na = 1\n[app:main]\nuse = call:${ROOT}/test/fixtures/apps/probe.js:makeProbe\na = 2\n[server:main]\nuse = npm:paster#http\nport = 0\n`,
  });
  const program = await serve(['x.ini', ...options], { cwd: directory });
  await program.says(/x\.ini:5:1: \[app:main\] a is also a global.*set a = /);
  await fetch(`${program.url}/query`);
  expect(program.output.match(/is also a global/g)).toHaveLength(1);
});

test('an upgrade handler that throws closes only its own connection', async () => {
  const directory = temporaryDirectory({
    'app.mjs':
      'const app = (req, res) => res.end("well");\napp.upgrade = () => { throw new Error("on purpose"); };\nexport default app;\n',
  });
  const program = await serve(['module:./app.mjs', '-p', '0'], { cwd: directory });
  await expect(
    new Promise((_resolve, reject) => {
      request(program.url, { headers: { connection: 'Upgrade', upgrade: 'x' } })
        .on('error', reject)
        .end();
    }),
  ).rejects.toThrow();
  await program.says(/upgrade of \/ failed: Error: on purpose/);
  expect(await (await fetch(program.url)).text()).toBe('well');
});

test('TERM sends GOAWAY to an idle HTTP/2 session', async () => {
  const program = await serve([
    join(
      temporaryDirectory({
        'x.ini': `[app:main]\nuse = call:${ROOT}/test/fixtures/apps/probe.js:makeProbe\n[server:main]\nuse = npm:paster#http\nport = 0\nhttp2 = true\ngraceful_timeout = 600\n`,
      }),
      'x.ini',
    ),
  ]);
  const session = connect(program.url);
  onTestFinished(() => session.destroy());
  const stream = session.request({ ':path': '/query?a=1' });
  const body = Buffer.concat(await stream.toArray()).toString();
  expect(JSON.parse(body)).toMatchObject({ url: '/query?a=1' });
  const goaway = once(session, 'goaway');
  expect((await program.kill('SIGTERM')).status).toBe(0);
  expect(await goaway).toContain(constants.NGHTTP2_NO_ERROR);
});

test('egg:PasteScript#test responds with text, as in PasteScript', async () => {
  const ini = '[app:main]\nuse = egg:PasteScript#test\ntext = true\n[server:main]\nuse = npm:paster#http\nport = 0\n';
  const program = await serve(['x.ini'], { cwd: temporaryDirectory({ 'x.ini': ini }) });
  const response = await fetch(`${program.url}/a?b=c`);
  expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
  expect((await response.text()).split('\n')).toEqual(expect.arrayContaining(['PATH_INFO: /a', 'QUERY_STRING: b=c']));
});

test.each([[[]], [['-w', '1']]])('all IPv4 addresses and all IPv6 addresses may share a port: %j', async (mode) => {
  const port = await freePort();
  const cwd = temporaryDirectory({
    'x.ini': `[app:main]\nuse = npm:paster#test\n[server:main]\nuse = npm:paster#http\nlisten = 0.0.0.0:${port} [::]:${port}\n`,
  });
  await serve(['x.ini', ...mode], { cwd });
  for (const host of ['127.0.0.1', '[::1]']) expect((await fetch(`http://${host}:${port}/`)).status).toBe(200);
});

describe.runIf(requireRoot())('a host name means each of its addresses (needs root)', () => {
  const OTHER_HOSTS = 'mount --bind "$0" /etc/hosts && exec "$@"';
  const named = (hosts: string, server: string, mode: readonly string[]) => {
    const cwd = temporaryDirectory({
      hosts,
      'x.ini': `[app:main]\nuse = npm:paster#test\n[server:main]\nuse = npm:paster#http\n${server}`,
    });
    const command = [process.execPath, join(ROOT, 'bin/paster.js'), 'serve', 'x.ini', ...mode];
    return new Program('unshare', ['--mount', 'sh', '-c', OTHER_HOSTS, join(cwd, 'hosts'), ...command], { cwd });
  };

  test.each([[[]], [['-w', '1']]])('on one free port, which a reload keeps: %j', async (mode) => {
    const program = named('::1 localhost\n127.0.0.1 localhost\n', 'host = localhost\nport = 0\n', mode);
    const [, port] = await program.says(/^serving on http:\/\/127\.0\.0\.1:(\d+)$/m);
    await program.says(new RegExp(`^serving on http://\\[::1\\]:${port}$`, 'm'));
    const answers = async () => {
      for (const host of ['127.0.0.1', '[::1]']) expect((await fetch(`http://${host}:${port}/`)).status).toBe(200);
    };
    await answers();
    if (mode.length === 0) return;
    program.child.kill('SIGHUP');
    await program.says(/reloaded/);
    expect(program.stdout.match(/^serving on/gm)).toHaveLength(2);
    await answers();
  });

  test.each([[[]], [['-w', '1']]])('except those that this machine does not have: %j', async (mode) => {
    const program = named('192.0.2.1 localhost\n127.0.0.1 localhost\n', 'host = localhost\nport = 0\n', mode);
    await program.says(/^serving on http:\/\/127\.0\.0\.1:\d+$/m);
    expect(program.stdout).not.toContain('192.0.2.1');
    expect(program.stderr).toBe('');
  });

  test('and an address in use is an error', async () => {
    const other = createServer().listen(0, '::1');
    onTestFinished(() => void other.close());
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const program = named('::1 localhost\n127.0.0.1 localhost\n', `host = localhost\nport = ${port}\n`, []);
    expect((await program.finished()).stderr).toMatch(
      new RegExp(`^paster: x\\.ini:6:1: .*port ${port} on ::1 is in use`),
    );
  });
});

describe('one process ends within graceful_timeout, even if', () => {
  const server = '[server:main]\nuse = npm:paster#http\nport = 0\ngraceful_timeout = 0\n';
  const keepsAlive = 'setInterval(() => {}, 1000);\n';

  test.each([
    [
      'close() of the application never settles',
      'use = module:./app.js',
      `${keepsAlive}const app = (req, res) => res.end();\napp.close = () => new Promise(() => {});\nexport default app;\n`,
    ],
    [
      'a SIGTERM handler of the program never settles',
      'use = listen:./app.js',
      `import { createServer } from 'node:http';\n${keepsAlive}createServer((req, res) => res.end()).listen(0);\nprocess.on('SIGTERM', () => new Promise(() => {}));\n`,
    ],
  ])('%s', async (_, use, module) => {
    const cwd = temporaryDirectory({
      'app.js': module,
      'package.json': '{"type":"module"}',
      'x.ini': `[app:main]\n${use}\n${server}`,
    });
    const program = await serve(['x.ini'], { cwd });
    expect((await fetch(program.url)).status).toBe(200);
    const { status, stderr } = await program.kill('SIGTERM');
    expect(status).toBe(0);
    expect(stderr).toContain('the application has not closed after 2 s; the process ends without waiting for it');
  });
});
