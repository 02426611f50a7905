/** `paster serve` as a CGI program that a web server starts: it reads an environment and standard input, and writes a response. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { Program, paster, ROOT } from '../../helpers/programs/program.ts';
import { type CgiResponse, parseCgi } from '../../helpers/requests/cgi-response.ts';

const APP = `console.log('printed at load');
const app = async (req, res) => {
  console.log('printed in a request');
  process.stdout.write('written\\n');
  switch (req.url.split('?')[0]) {
    case '/echo': {
      const parts = [];
      for await (const part of req) parts.push(part);
      return res.end(Buffer.concat(parts));
    }
    case '/pipe':
      return void req.pipe(res);
    case '/early':
      return res.end(Buffer.alloc(3_000_000, 'z'));
    case '/throw':
      throw new Error('thrown on purpose');
    case '/break':
      res.write('begun');
      return setTimeout(() => res.destroy(), 20);
    case '/wait':
      req.on('aborted', () => console.log('aborted'));
      req.on('error', () => {});
      setInterval(() => {}, 1000);
      return console.log('waiting');
    case '/forget':
      return;
    default:
      setInterval(() => {}, 1000);
      return res.end(JSON.stringify({
        url: req.url, base: req.baseUrl, original: req.originalUrl, method: req.method, headers: req.headers,
        address: req.socket.remoteAddress, proxy: process.env.HTTP_PROXY ?? null,
      }));
  }
};
app.close = () => console.log('closed');
export default app;
`;

function project(app = APP, server = 'use = egg:PasteScript#cgi'): string {
  return temporaryDirectory({
    'app.js': app,
    'package.json': '{"type": "module"}',
    'x.ini': `[app:main]\nuse = module:./app.js\n[server:main]\n${server}\n`,
  });
}

const ENVIRON = {
  GATEWAY_INTERFACE: 'CGI/1.1',
  SERVER_PROTOCOL: 'HTTP/1.1',
  REQUEST_METHOD: 'GET',
  SCRIPT_NAME: '/cgi-bin/app.cgi',
  QUERY_STRING: '',
  REMOTE_ADDR: '192.0.2.7',
};

/** The program for one request to a path below its own. */
function start(path: string, environ: NodeJS.ProcessEnv = {}, input = '', args = ['x.ini'], cwd = project()): Program {
  const [pathInfo, query = ''] = path.split('?');
  const env = {
    ...ENVIRON,
    PATH_INFO: pathInfo,
    QUERY_STRING: query,
    REQUEST_URI: `/cgi-bin/app.cgi${path}`,
    ...(input === '' ? {} : { REQUEST_METHOD: 'POST', CONTENT_LENGTH: String(Buffer.byteLength(input)) }),
    ...environ,
  };
  return paster(['serve', ...args], { cwd, env, input });
}

async function ask(...args: Parameters<typeof start>): Promise<CgiResponse & { exit: number | null; stderr: string }> {
  const { status: exit, stdout, stderr } = await start(...args).finished();
  return { ...parseCgi(Buffer.from(stdout)), exit, stderr };
}

describe('one request', () => {
  test('comes from the environment, and the process ends after the response even if the application keeps something open', async () => {
    const answer = await ask('/a%20b?c=d', { PATH_INFO: '/a b', HTTP_X_ONE: '1', HTTP_PROXY: 'http://evil.test' });
    expect(JSON.parse(answer.body.toString())).toEqual({
      url: '/a%20b?c=d',
      base: '/cgi-bin/app.cgi',
      original: '/cgi-bin/app.cgi/a%20b?c=d',
      method: 'GET',
      headers: { 'x-one': '1', proxy: 'http://evil.test' },
      address: '192.0.2.7',
      // Otherwise HTTP libraries would send their requests there.
      proxy: null,
    });
    expect([answer.status, answer.exit]).toEqual([200, 0]);
  });

  test('leaves standard error to what the application prints, and is followed by close()', async () => {
    const { status, stderr, headers } = await ask('/');
    expect([status, Object.keys(headers)]).toEqual([200, ['content-length']]);
    expect(stderr).toBe('printed at load\nprinted in a request\nwritten\nclosed\n');
  });

  test('at the program’s own URL is one to "/"', async () => {
    const answer = await ask('', { PATH_INFO: undefined });
    expect(JSON.parse(answer.body.toString())).toMatchObject({ url: '/', base: '/cgi-bin/app.cgi' });
  });

  test('has its body on standard input', async () => {
    expect((await ask('/echo', {}, 'a body')).body.toString()).toBe('a body');
    expect((await ask('/echo', { CONTENT_LENGTH: '3' }, 'a body')).body.toString()).toBe('a b');
    expect((await ask('/echo', { CONTENT_LENGTH: '' }, 'not announced')).body.toString()).toBe('');
    const chunked = { CONTENT_LENGTH: undefined, HTTP_TRANSFER_ENCODING: 'chunked' };
    expect((await ask('/echo', chunked, 'taken apart')).body.toString()).toBe('taken apart');
  });

  test('whose body is cut short gets 400', async () => {
    const answer = await ask('/echo', { CONTENT_LENGTH: '9' }, 'half');
    expect([answer.status, answer.exit]).toEqual([400, 0]);
    expect(answer.stderr).toContain('CGI: the body is shorter than CONTENT_LENGTH');
  });

  test('that no HTTP server would accept gets 400', async () => {
    const answer = await ask('/', { HTTP_X: 'a\nb' });
    expect(answer.status).toBe(400);
    expect(answer.stderr).toContain('CGI: a header holds a line break or NUL');
  });

  test('keeps the bytes of its variables', async () => {
    const script = `HTTP_X_WORD=$(printf 'caf\\351') exec "$0" "$@"`;
    const args = [join(ROOT, 'bin/paster.js'), 'serve', '-s', 'cgi', 'module:./app.js'];
    const env = { ...ENVIRON, PATH_INFO: '/' };
    const program = new Program('/bin/sh', ['-c', script, process.execPath, ...args], { cwd: project(), env });
    const { stdout } = await program.finished();
    expect(JSON.parse(parseCgi(Buffer.from(stdout)).body.toString()).headers['x-word']).toBe('caf\xe9');
  });
});

describe('a web server that writes the whole body before it reads', () => {
  test.each([
    ['/pipe', 'an answer made while the body comes'],
    ['/early', 'an answer that does not wait for the body'],
  ])('gets a response from %s: %s', async (path) => {
    const input = 'x'.repeat(3_000_000);
    const program = start(path, {}, input);
    const { stdin, stdout } = program.child;
    stdout?.pause();
    await new Promise((resolve) => stdin?.once('close', resolve));
    // By now both pipes would be full.
    await sleep(50);
    stdout?.resume();
    const finished = await program.finished();
    const { body } = parseCgi(Buffer.from(finished.stdout));
    expect([finished.status, body.length]).toEqual([0, 3_000_000]);
  });
});

describe('failures', () => {
  test('an application that throws responds 500', async () => {
    const answer = await ask('/throw');
    expect([answer.status, answer.exit, answer.body.toString()]).toEqual([500, 0, 'Internal Server Error\n']);
    expect(answer.stderr).toContain('thrown on purpose');
  });

  test('an application that does not load responds 500, and the error is logged', async () => {
    const cwd = project('console.log("begun"); throw new Error("broken on purpose");');
    const answer = await ask('/', {}, '', ['x.ini'], cwd);
    expect([answer.status, answer.exit, answer.body.toString()]).toEqual([500, 1, 'Internal Server Error\n']);
    expect(answer.stderr).toMatch(/^begun\npaster: app\.js:1:.*broken on purpose/);
  });

  test('an aborted response is reported by the exit status', async () => {
    const answer = await ask('/break');
    expect([answer.body.toString(), answer.exit]).toEqual(['begun', 1]);
    expect(answer.stderr).toContain('paster: the application ended its response before it was complete');
  });

  test('an application that never responds gets a 500', async () => {
    const answer = await ask('/forget');
    expect([answer.status, answer.exit]).toEqual([500, 0]);
    expect(answer.stderr).toContain('the application has not responded and has nothing left to wait for');
  });

  test('TERM looks like a client that has disconnected', async () => {
    const program = start('/wait');
    await program.says(/waiting/);
    const { status, stdout, stderr } = await program.kill('SIGTERM');
    expect([status, stdout]).toEqual([0, '']);
    expect(stderr).toMatch(/aborted\nclosed\n$/);
  });

  test('without a request in the environment an error says what the server is for', async () => {
    const { status, stdout, stderr } = await start('/', { REQUEST_METHOD: undefined }).finished();
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^paster: there is no request in the environment: REQUEST_METHOD is not set \(.*\)\n$/);
  });
});

describe('settings that make no sense for one request', () => {
  test.each([['--reload'], ['--workers', '2'], ['--monitor-restart'], ['--open'], ['--daemon']])(
    '%s is refused',
    async (...option) => {
      const cwd = project();
      const { status, stdout, stderr } = await start('/', {}, '', ['x.ini', ...option], cwd).finished();
      expect([status, stdout]).toEqual([2, '']);
      expect(stderr).toMatch(`CGI serves one request and ends: ${option[0]?.replace('--workers', 'workers')} does not`);
      expect(existsSync(join(cwd, 'paster.log'))).toBe(false);
    },
  );

  test('an address is refused', async () => {
    const cwd = project(APP, 'use = npm:paster#cgi\nhost = 127.0.0.1\nport = 8000');
    const { status, stderr } = await start('/', {}, '', ['x.ini'], cwd).finished();
    expect(status).toBe(2);
    expect(stderr).toContain('CGI does not listen, so it cannot use 127.0.0.1:8000');
  });
});

test('--log-file gets what is printed, and the response stays on standard output', async () => {
  const cwd = project();
  const answer = await ask('/', {}, '', ['x.ini', '--log-file', 'a.log'], cwd);
  expect([answer.status, answer.stderr]).toEqual([200, '']);
  expect(readFileSync(join(cwd, 'a.log'), 'utf8')).toBe('printed at load\nprinted in a request\nwritten\nclosed\n');
});
