/** CGI scripts as applications: real child processes behind a real HTTP server. */
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2, createServer } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { ReadableStream } from 'node:stream/web';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type CgiOptions, cgi, cgiBin } from '../../../src/apps/cgi/cgi.ts';
import { mountRequest } from '../../../src/http/mount.ts';
import { setRemoteUser } from '../../../src/http/remote-user.ts';
import { lineLogger } from '../../../src/log.ts';
import type { App } from '../../../src/protocol/types.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually } from '../../helpers/program.ts';
import { askRaw, serveApp } from '../static/serve.ts';

const ENV = '#!/bin/sh\nprintf "Content-Type: text/plain\\n\\n"\nenv\n';
const node = (text: string): string => `#!${process.execPath}\n${text}`;

/** A directory with scripts that may be executed. */
function scripts(texts: Readonly<Record<string, string>>): string {
  const directory = temporaryDirectory(texts);
  for (const name of Object.keys(texts)) chmodSync(join(directory, name), 0o755);
  return directory;
}

type Served = Awaited<ReturnType<typeof serveApp>> & { log: string[]; directory: string };

const mounted =
  (prefix: string, app: App): App =>
  (req, res) => {
    mountRequest(req, prefix.length);
    return app(req, res);
  };

/** A directory of scripts, mounted at /cgi-bin. */
async function bin(texts: Readonly<Record<string, string>>, options: CgiOptions = {}): Promise<Served> {
  const directory = scripts(texts);
  const log: string[] = [];
  const app = cgiBin({ directory, log: lineLogger('info', (line) => log.push(line)), ...options });
  const front = mounted('/cgi-bin', app);
  front.close = () => app.close?.();
  return Object.assign(await serveApp(front), { log, directory });
}

/** One script, whose answer is parsed as `env` prints it. */
async function environ(
  target: string,
  headers: Readonly<Record<string, string>> = {},
  options: CgiOptions = {},
): Promise<Record<string, string>> {
  const { ask } = await bin({ env: ENV }, options);
  const { body } = await ask(target, headers);
  return Object.fromEntries(
    body
      .toString()
      .split('\n')
      .map((line) => line.split(/=(.*)/s).slice(0, 2)),
  );
}

describe('the environment', () => {
  test('is that of RFC 3875', async () => {
    const env = await environ('/cgi-bin/env/a%20b/%C3%BC?x=%20&y', { host: 'h.example:81', 'x-some-header': 'v' });
    expect(env).toMatchObject({
      GATEWAY_INTERFACE: 'CGI/1.1',
      REQUEST_METHOD: 'GET',
      SCRIPT_NAME: '/cgi-bin/env',
      PATH_INFO: '/a b/ü',
      QUERY_STRING: 'x=%20&y',
      REQUEST_URI: '/cgi-bin/env/a%20b/%C3%BC?x=%20&y',
      SERVER_NAME: 'h.example',
      SERVER_PROTOCOL: 'HTTP/1.1',
      REMOTE_ADDR: '127.0.0.1',
      HTTP_X_SOME_HEADER: 'v',
      SCRIPT_FILENAME: expect.stringMatching(/\/env$/),
    });
    expect(env).not.toHaveProperty('PATH_TRANSLATED');
    expect(env).not.toHaveProperty('CONTENT_LENGTH');
  });

  test('PATH_INFO is empty for the script itself, and PATH_TRANSLATED is there only with it', async () => {
    const options = { documentRoot: '/srv/www' };
    expect(await environ('/cgi-bin/env/x/y', {}, options)).toMatchObject({ PATH_TRANSLATED: '/srv/www/x/y' });
    const env = await environ('/cgi-bin/env?q', {}, options);
    expect(env).toMatchObject({ PATH_INFO: '', DOCUMENT_ROOT: '/srv/www' });
    expect(env).not.toHaveProperty('PATH_TRANSLATED');
    expect((await environ('/cgi-bin/env/')).PATH_INFO).toBe('/');
  });

  test('nothing of the client passes for a setting, nothing of the process for the request', async () => {
    process.env['HTTP_PROXY'] = 'http://from-the-process/';
    process.env['PATH_TRANSLATED'] = '/from/the/process';
    process.env['SOME_SECRET'] = 'shared';
    const env = await environ('/cgi-bin/env', { Proxy: 'http://evil/', X_Under: 'x' });
    const alone = await environ('/cgi-bin/env', {}, { includeOsEnviron: false });
    for (const name of ['HTTP_PROXY', 'PATH_TRANSLATED', 'SOME_SECRET']) delete process.env[name];
    expect(env).not.toHaveProperty('HTTP_PROXY');
    expect(env).not.toHaveProperty('PATH_TRANSLATED');
    expect(env).not.toHaveProperty('HTTP_X_UNDER');
    expect(env).toMatchObject({ SOME_SECRET: 'shared' });
    expect(alone).not.toHaveProperty('SOME_SECRET');
    expect(alone.PATH).toBe(process.env['PATH']);
  });

  test('variables of the configuration go before all others', async () => {
    const environment = { REMOTE_USER: 'deploy', HTTP_PROXY: 'http://wanted/', SERVER_NAME: 'configured' };
    expect(await environ('/cgi-bin/env', { proxy: 'http://evil/' }, { environment })).toMatchObject(environment);
  });

  test('what a client has proved itself with is not handed on, unless nobody has looked at it', async () => {
    const headers = { authorization: 'Basic eDpwYXNzd29yZA==' };
    expect(await environ('/cgi-bin/env', headers)).toMatchObject({ HTTP_AUTHORIZATION: headers.authorization });
    const scripted = cgi({ script: join(scripts({ env: ENV }), 'env') });
    const { ask } = await serveApp((req, res) => {
      setRemoteUser(req, 'x', 'Basic');
      return scripted(req, res);
    });
    const lines = (await ask('/', headers)).body.toString().split('\n');
    expect(lines).toEqual(expect.arrayContaining(['AUTH_TYPE=Basic', 'REMOTE_USER=x']));
    expect(lines.join()).not.toContain('HTTP_AUTHORIZATION');
  });

  test('bytes that are not UTF-8 come as the characters of latin-1', async () => {
    const env = await environ('/cgi-bin/env', { 'x-a': 'caf\xe9', 'x-b': Buffer.from('café').toString('latin1') });
    expect(env).toMatchObject({ HTTP_X_A: 'café', HTTP_X_B: 'café' });
  });
});

test('a directory that cannot be searched is passed over', async () => {
  const directory = scripts({ 'env.cgi': ENV });
  const loop = join(directory, 'loop');
  symlinkSync(loop, loop);
  const app = cgi({ script: 'env.cgi', path: [loop, directory] });
  expect((await (await serveApp(app)).ask('/')).status).toBe(200);
  expect(() => cgi({ script: 'nothing.cgi', path: [loop] })).toThrow(/there is no script nothing\.cgi/);
});

test('one script, with a query of its own', async () => {
  const directory = scripts({ 'env.cgi': ENV });
  const at = async (app: App) => (await (await serveApp(app)).ask('/x?a=1')).body.toString();
  expect(await at(cgi({ script: join(directory, 'env.cgi') }))).toMatch(/^QUERY_STRING=a=1$/m);
  expect(await at(cgi({ script: 'env.cgi', path: ['/nowhere', directory], queryString: 'b=2' }))).toMatch(
    /^QUERY_STRING=a=1&b=2$/m,
  );
  const env = await at(cgi({ script: `${directory}/env.cgi?c=3?` }));
  expect(env).toMatch(/^QUERY_STRING=a=1&c=3\?$/m);
  expect(env).toMatch(/^PATH_INFO=\/x$/m);
  expect(() => cgi({ script: 'nothing.cgi', path: [directory] })).toThrow(/there is no script nothing\.cgi/);
});

test('over HTTP/2', async () => {
  const directory = scripts({ env: ENV.replace('Content-Type', 'Status: 201 Made\\nContent-Type') });
  const app = cgiBin({ directory });
  const server = createServer((req, res) => app(req as never, res as never)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  onTestFinished(() => {
    session.destroy();
    server.close();
  });
  const stream = session.request({ ':path': '/env/x?y' });
  const [headers] = await once(stream, 'response');
  expect(headers).toMatchObject({ ':status': 201, 'content-type': 'text/plain' });
  const body = await text(stream);
  expect(body).toMatch(/^SERVER_PROTOCOL=HTTP\/2\.0$/m);
  expect(body).toMatch(/^SERVER_NAME=127\.0\.0\.1$/m);
  expect(body).toMatch(/^HTTP_HOST=127\.0\.0\.1:\d+$/m);
});

describe('the request’s body', () => {
  const COUNT = node(`
    let length = 0;
    process.stdin.on('data', (chunk) => { length += chunk.length; }).on('end', () => {
      console.log('Content-Type: text/plain\\n\\n' + length + ' ' + (process.env.CONTENT_LENGTH ?? 'absent'));
    });`);

  async function post(url: string, body: Buffer | ReadableStream): Promise<string> {
    const response = await fetch(url, { method: 'POST', body, duplex: 'half' } as RequestInit);
    return `${response.status} ${(await response.text()).trim()}`;
  }

  test('with a length, and in chunks without one', async () => {
    const { url } = await bin({ count: COUNT });
    const chunks = Array.from({ length: 64 }, () => Buffer.alloc(64 * 1024));
    const length = 64 * 64 * 1024;
    expect(await post(`${url}/cgi-bin/count`, Buffer.concat(chunks))).toBe(`200 ${length} ${length}`);
    expect(await post(`${url}/cgi-bin/count`, ReadableStream.from(chunks))).toBe(`200 ${length} absent`);
    expect(await post(`${url}/cgi-bin/count`, Buffer.alloc(0))).toBe('200 0 0');
  });

  test('that the script does not read', async () => {
    const { url } = await bin({ deaf: '#!/bin/sh\nexec 0<&-\nprintf "Status: 413\\n\\nno"\n' });
    expect(await post(`${url}/cgi-bin/deaf`, Buffer.alloc(8 << 20))).toBe('413 no');
  });

  test('a script that waits for a slow reader does not fill the memory', async () => {
    const size = 256 << 20;
    const { port } = await bin({
      zeros: `#!/bin/sh\nprintf "Content-Length: ${size}\\n\\n"\nhead -c ${size} /dev/zero\n`,
    });
    const socket = connect(port, '127.0.0.1');
    socket.write('GET /cgi-bin/zeros HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    socket.pause();
    const before = process.memoryUsage().rss;
    await sleep(1000);
    expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20);
    let read = 0;
    for await (const chunk of socket) read += chunk.length;
    expect(read).toBeGreaterThan(size);
  });
});

describe('the script’s output', () => {
  const say = (text: string): string => `#!/bin/sh\nprintf '${text}'\n`;
  const answerTo = async (text: string, name = 'x', method = 'GET') => {
    const served = await bin({ [name]: text });
    return { ...(await served.ask(`/cgi-bin/${name}`, {}, method)), log: served.log };
  };

  test('Status, headers of any line ends, repeated ones', async () => {
    const answer = await answerTo(
      say('Status: 404 Gone Fishing\\r\\nContent-Type: text/plain\\r\\nX-A:  b \\r\\n\\r\\nbody'),
    );
    expect(answer).toMatchObject({ status: 404, headers: { 'content-type': 'text/plain', 'x-a': 'b' } });
    const { port } = await bin({
      x: say('Set-Cookie: a=1\\nSet-Cookie: b=2\\nConnection: x\\nTransfer-Encoding: chunked\\n\\n'),
    });
    const response = await fetch(`http://127.0.0.1:${port}/cgi-bin/x`);
    expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
    expect(await response.text()).toBe('');
  });

  test('Location: to another place, and the status that goes with it', async () => {
    const away = await answerTo(say('Location: https://example.org/x\\n\\n'));
    expect(away).toMatchObject({ status: 302, headers: { location: 'https://example.org/x' } });
    expect(await answerTo(say('Status: 303 See\\nLocation: /cgi-bin/x\\n\\n'))).toMatchObject({ status: 303 });
    expect(await answerTo(say('Location: //evil.example/\\n\\n'))).toMatchObject({ status: 302 });
  });

  test('Location: a path of this server is answered in its place, with GET and without a body', async () => {
    const { ask, log } = await bin({
      from: '#!/bin/sh\nprintf "Location: /cgi-bin/env/there?z=1\\n\\n"\n',
      elsewhere: '#!/bin/sh\nprintf "Location: /other/page\\n\\n"\n',
      loop: '#!/bin/sh\nprintf "Location: /cgi-bin/loop\\n\\n"\n',
      env: ENV,
    });
    const { status, body } = await ask('/cgi-bin/from?q', { 'content-length': '0', 'content-type': 'a/b' }, 'POST');
    expect(status).toBe(200);
    expect(body.toString()).toMatch(/^REQUEST_METHOD=GET$/m);
    expect(body.toString()).toMatch(/^PATH_INFO=\/there$/m);
    expect(body.toString()).toMatch(/^QUERY_STRING=z=1$/m);
    expect(body.toString()).not.toMatch(/^CONTENT_/m);
    expect(await ask('/cgi-bin/elsewhere')).toMatchObject({ status: 302, headers: { location: '/other/page' } });
    expect((await ask('/cgi-bin/loop')).status).toBe(502);
    expect(log.join()).toMatch(/local redirects/);
  });

  test('HEAD has no body', async () => {
    const answer = await answerTo(say('Content-Length: 4\\n\\nbody'), 'x', 'HEAD');
    expect(answer).toMatchObject({ status: 200, headers: { 'content-length': '4' }, body: Buffer.alloc(0) });
  });

  test('a script that speaks HTTP itself', async () => {
    const good = await answerTo(say('HTTP/1.0 207 Multi\\r\\nX-A: b\\r\\n\\r\\nbody'), 'nph-x');
    expect(good).toMatchObject({ status: 207, headers: { 'x-a': 'b' } });
    expect(good.body.toString()).toContain('body');
    const chunked = say('HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n');
    expect((await answerTo(chunked, 'nph-x')).status).toBe(502);
    expect((await answerTo(say('Content-Type: text/plain\\n\\nx'), 'nph-x')).status).toBe(502);
  });

  test.each([
    ['nothing', '#!/bin/sh\nexit 3\n', /no output \(exit status 3\)/],
    ['no head', say('just some text'), /without the empty line/],
    ['no header', say('just some text\\n\\nbody'), /no header but "just some text"/],
    ['an empty head', say('\\n\\nbody'), /no head/],
    ['binary', '#!/bin/sh\nhead -c 200000 /dev/urandom | tr -d "\\n"\n', /no head of at most/],
    ['an endless head', '#!/bin/sh\nyes "X-A: b"\n', /no head of at most/],
    ['a bad status', say('Status: OK\\n\\n'), /a Status of "OK"/],
    ['an interim status', say('Status: 100 Continue\\n\\n'), /a Status of/],
    ['a bad length', say('Content-Length: -1\\n\\n'), /a Content-Length of "-1"/],
    ['two lengths', say('Content-Length: 1\\nContent-Length: 2\\n\\n'), /a Content-Length of "2"/],
    ['a control character', say('X-A: a\\001b\\n\\n'), /no header but/],
    ['a folded line', say('X-A: a\\n b\\n\\n'), /no header but " b"/],
  ])('%s is a 502, with the reason in the log', async (_name, script, reason) => {
    const { status, body, log } = await answerTo(script);
    expect({ status, body: body.toString() }).toEqual({ status: 502, body: 'Bad Gateway\n' });
    await eventually(() => log.some((line) => reason.test(line)));
  });

  test('a body that is longer than its Content-Length cannot pass for another answer; a shorter one is broken', async () => {
    const long = await bin({ x: say('Content-Length: 2\\n\\nokHTTP/1.1 200 OK\\r\\n\\r\\n') });
    expect((await long.ask('/cgi-bin/x')).body.toString()).toBe('ok');
    expect(long.log.join()).toMatch(/longer than its Content-Length/);
    const short = await bin({ x: say('Content-Length: 20\\n\\nshort') });
    await expect(fetch(`${short.url}/cgi-bin/x`).then((response) => response.text())).rejects.toThrow();
    const killed = await bin({ x: '#!/bin/sh\nprintf "Content-Type: a/b\\n\\nhalf"\nsleep 0.2\nkill -9 $$\n' });
    await expect(fetch(`${killed.url}/cgi-bin/x`).then((response) => response.text())).rejects.toThrow();
  });

  test('standard error goes to the log line by line, whatever is in it', async () => {
    const { log } = await answerTo('#!/bin/sh\nprintf "one\\ntwo \\033[31m\\nthree" >&2\nprintf "Status: 204\\n\\n"\n');
    await eventually(() => log.length >= 3);
    expect(log.map((line) => line.replace(/^.*\/x: /, ''))).toEqual(['one', 'two \\x1b[31m', 'three']);
  });
});

describe('what cannot be run', () => {
  test.each([
    ['without a first line that names an interpreter', 'touch "$0.ran"\n', 0o755, /names no interpreter/],
    [
      'with an interpreter that is not there',
      '#!/usr/bin/pythom3\n',
      0o755,
      /"\/usr\/bin\/pythom3", which is not there/,
    ],
    ['with DOS line ends', '#!/bin/sh\r\necho\r\n', 0o755, /ends with CR LF/],
    ['that may not be executed', '#!/bin/sh\n', 0o644, /may not be executed/],
  ])('%s: a 500 that the log explains, and no shell', async (_name, text, mode, reason) => {
    const directory = scripts({ 'x.cgi': text });
    chmodSync(join(directory, 'x.cgi'), mode);
    const log: string[] = [];
    const app = cgi({ script: join(directory, 'x.cgi'), log: lineLogger('info', (line) => log.push(line)) });
    const { ask } = await serveApp(app);
    expect((await ask('/')).status).toBe(500);
    expect(log.join()).toMatch(reason);
    expect(existsSync(join(directory, 'x.cgi.ran'))).toBe(false);
  });

  test('with an environment that is too large', async () => {
    const environment = { LARGE: 'x'.repeat(4 << 20) };
    const { ask, log } = await bin({ x: ENV }, { environment, timeout: 0.2 });
    expect((await ask('/cgi-bin/x')).status).toBe(500);
    expect(log.join()).toMatch(/it cannot be run: spawn E2BIG/);
    // Nothing of it is left to go off when the time is out.
    await sleep(400);
    expect((await ask('/cgi-bin/x')).status).toBe(500);
  });

  test('what a directory of scripts has else', async () => {
    const { ask, directory } = await bin({ '.hidden': ENV, 'sub/env': ENV, 'readme.txt': 'text', 'a b;id': ENV });
    chmodSync(join(directory, 'readme.txt'), 0o644);
    mkdirSync(join(directory, 'empty'));
    symlinkSync('/usr/bin/env', join(directory, 'out'));
    const status = async (target: string) => (await ask(target)).status;
    expect(await status('/cgi-bin/sub/env')).toBe(200);
    expect(await status('/cgi-bin/a%20b;id')).toBe(200);
    for (const target of ['', '/', '/nothing', '/.hidden', '/sub', '/sub/', '/empty/', '/out', '/sub/../.hidden']) {
      expect([target, await status(`/cgi-bin${target}`)]).toEqual([
        target,
        expect.toSatisfy((code) => code >= 400 && code <= 404),
      ]);
    }
    for (const target of ['/sub/env%00', '/%2e%2e/%2e%2e/bin/ls', '/..%2f..%2fbin%2fls', '/%c0%ae%c0%ae/x']) {
      expect(await status(`/cgi-bin${target}`)).toBeGreaterThanOrEqual(400);
    }
    expect(await status('/cgi-bin/readme.txt')).toBe(403);
  });

  test('a query is never an argument', async () => {
    const { ask } = await bin({ args: '#!/bin/sh\nprintf "Content-Type: a/b\\n\\n$#"\n' });
    expect((await ask('/cgi-bin/args?-s+-d')).body.toString()).toContain('0');
  });
});

describe('limits', () => {
  const SLEEP = '#!/bin/sh\necho $$ > "$0.pid"\nsleep 600 &\necho $! > "$0.child"\nwait\n';
  const pids = (directory: string): number[] =>
    ['pid', 'child'].map((name) => Number(readFileSync(join(directory, `x.${name}`), 'utf8')));
  const isAlive = (pid: number): boolean => {
    try {
      // One that has ended and that nobody has asked for is no process any more.
      return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    } catch {
      return false;
    }
  };

  test('a script that does nothing for too long is ended, and what it has started with it', async () => {
    const { ask, log, directory } = await bin({ x: SLEEP }, { timeout: 0.5 });
    expect((await ask('/cgi-bin/x')).status).toBe(504);
    expect(log.join()).toMatch(/nothing from it for 0\.5 s/);
    await eventually(() => !pids(directory).some(isAlive));
  });

  test('one that goes on writing is not', async () => {
    const { ask } = await bin(
      { x: '#!/bin/sh\nprintf "Content-Type: a/b\\n\\n"\nfor i in 1 2 3 4 5 6 7 8; do sleep 0.2; echo $i; done\n' },
      { timeout: 1 },
    );
    expect((await ask('/cgi-bin/x')).body.toString()).toContain('8');
  });

  test('the client leaves: the script is ended, and what it has started with it', async () => {
    const { port, directory, log } = await bin({ x: SLEEP });
    const socket = connect(port, '127.0.0.1');
    socket.write('GET /cgi-bin/x HTTP/1.1\r\nHost: x\r\n\r\n');
    await eventually(() => existsSync(join(directory, 'x.child')) && pids(directory).every((pid) => pid > 0));
    expect(pids(directory).every(isAlive)).toBe(true);
    socket.destroy();
    await eventually(() => !pids(directory).some(isAlive));
    // A client may leave when it likes.
    expect(log).toEqual([]);
  });

  test('one that does not want to end is killed', async () => {
    const stubborn = '#!/bin/sh\ntrap "" TERM\necho $$ > "$0.pid"\nwhile :; do sleep 0.1; done\n';
    const { ask, directory } = await bin({ x: stubborn }, { timeout: 0.3 });
    expect((await ask('/cgi-bin/x')).status).toBe(504);
    await eventually(() => !isAlive(Number(readFileSync(join(directory, 'x.pid'), 'utf8'))));
  });

  test('so many at once, and 503 for the next; one that ended makes room', async () => {
    const wait = '#!/bin/sh\n: > "$0.$$.on"\nwhile [ ! -e "$0.go" ]; do sleep 0.05; done\nprintf "Status: 200\\n\\n"\n';
    const { ask, directory, port } = await bin({ x: wait }, { maxProcesses: 2 });
    const first = [askRaw(port, '/cgi-bin/x'), askRaw(port, '/cgi-bin/x')];
    await eventually(() => readdirSync(directory).filter((name) => name.endsWith('.on')).length === 2);
    expect(await ask('/cgi-bin/x')).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
    writeFileSync(join(directory, 'x.go'), '');
    expect((await Promise.all(first)).map(({ status }) => status)).toEqual([200, 200]);
    expect((await ask('/cgi-bin/x')).status).toBe(200);
  });

  const ECHO = '#!/bin/sh\nbody=$(cat)\nprintf "Content-Type: a/b\\n\\n%s" "$body"\n';
  const post = 'POST /cgi-bin/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n';

  test('clients that do not send their bodies, or byte by byte, lose their scripts to others', async () => {
    // Long enough to be asked, on a busy machine too, while they still have their scripts.
    const { ask, port, log } = await bin({ x: ECHO }, { maxProcesses: 3, timeout: 3 });
    const sockets = Array.from({ length: 3 }, () => connect(port, '127.0.0.1'));
    for (const socket of sockets) socket.on('error', () => {}).write(post);
    const drips = setInterval(() => sockets[0]?.write('x'), 50);
    onTestFinished(() => clearInterval(drips));
    await eventually(async () => (await ask('/cgi-bin/x')).status === 503);
    const answers = await Promise.all(sockets.map(text));
    expect(answers.map((answer) => answer.split('\r\n')[0])).toEqual(Array(3).fill('HTTP/1.1 408 Request Timeout'));
    expect(log.filter((line) => line.includes('the client does not send its body'))).toHaveLength(3);
    await eventually(async () => (await ask('/cgi-bin/x')).status === 200);
  });

  test('a client that sends slowly, but gets on, is waited for', async () => {
    const { port } = await bin({ x: ECHO }, { timeout: 0.5 });
    const socket = connect(port, '127.0.0.1');
    socket.write(post.replace('100000', '8000').replace('Host', 'Connection: close\r\nHost'));
    for (let sent = 0; sent < 8; sent++) {
      await sleep(150);
      socket.write('x'.repeat(1000));
    }
    expect(await text(socket)).toContain('x'.repeat(8000));
  });
});
