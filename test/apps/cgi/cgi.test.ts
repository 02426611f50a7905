/** What a CGI script gets: its environment and the body of the request. */
import { once } from 'node:events';
import { symlinkSync } from 'node:fs';
import { connect as connectHttp2, createServer } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { ReadableStream } from 'node:stream/web';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { cgi, cgiBin } from '../../../src/apps/cgi/cgi.ts';
import { setRemoteUser } from '../../../src/http/remote-user.ts';
import type { App } from '../../../src/protocol/types.ts';
import { serveApp } from '../static/serve.ts';
import { bin, ENV, environ, node, scripts } from './scripts.ts';

describe('the environment', () => {
  test('has the variables of RFC 3875', async () => {
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

  test('headers of the client cannot set HTTP_PROXY, and variables of the process cannot pass for the request’s', async () => {
    process.env['HTTP_PROXY'] = 'http://from-the-process/';
    process.env['PATH_TRANSLATED'] = '/from/the/process';
    process.env['SOME_SECRET'] = 'shared';
    onTestFinished(() => {
      for (const name of ['HTTP_PROXY', 'PATH_TRANSLATED', 'SOME_SECRET']) delete process.env[name];
    });
    const env = await environ('/cgi-bin/env', { Proxy: 'http://evil/', X_Under: 'x' });
    const alone = await environ('/cgi-bin/env', {}, { includeOsEnviron: false });
    expect(env).not.toHaveProperty('HTTP_PROXY');
    expect(env).not.toHaveProperty('PATH_TRANSLATED');
    expect(env).not.toHaveProperty('HTTP_X_UNDER');
    expect(env).toMatchObject({ SOME_SECRET: 'shared' });
    expect(alone).not.toHaveProperty('SOME_SECRET');
    expect(alone.PATH).toBe(process.env['PATH']);
  });

  test('configured variables override all others', async () => {
    const environment = { REMOTE_USER: 'deploy', HTTP_PROXY: 'http://wanted/', SERVER_NAME: 'configured' };
    expect(await environ('/cgi-bin/env', { proxy: 'http://evil/' }, { environment })).toMatchObject(environment);
  });

  test('credentials that a filter has verified are not passed on, unverified ones are', async () => {
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

  test('bytes that are not UTF-8 are decoded as latin-1', async () => {
    const env = await environ('/cgi-bin/env', { 'x-a': 'caf\xe9', 'x-b': Buffer.from('café').toString('latin1') });
    expect(env).toMatchObject({ HTTP_X_A: 'café', HTTP_X_B: 'café' });
  });
});

test('a directory of path that cannot be searched is skipped', async () => {
  const directory = scripts({ 'env.cgi': ENV });
  const loop = join(directory, 'loop');
  symlinkSync(loop, loop);
  const app = cgi({ script: 'env.cgi', path: [loop, directory] });
  expect((await (await serveApp(app)).ask('/')).status).toBe(200);
  expect(() => cgi({ script: 'nothing.cgi', path: [loop] })).toThrow(/there is no script nothing\.cgi/);
});

test('`script` finds one script and adds its own query to that of the request', async () => {
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

test('the environment and the body are the same over HTTP/2', async () => {
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

  test('reaches the script with Content-Length or, if chunked, without it', async () => {
    const { url } = await bin({ count: COUNT });
    const chunks = Array.from({ length: 64 }, () => Buffer.alloc(64 * 1024));
    const length = 64 * 64 * 1024;
    expect(await post(`${url}/cgi-bin/count`, Buffer.concat(chunks))).toBe(`200 ${length} ${length}`);
    expect(await post(`${url}/cgi-bin/count`, ReadableStream.from(chunks))).toBe(`200 ${length} absent`);
    expect(await post(`${url}/cgi-bin/count`, Buffer.alloc(0))).toBe('200 0 0');
  });

  test('may be left unread by the script', async () => {
    const { url } = await bin({ deaf: '#!/bin/sh\nexec 0<&-\nprintf "Status: 413\\n\\nno"\n' });
    expect(await post(`${url}/cgi-bin/deaf`, Buffer.alloc(8 << 20))).toBe('413 no');
  });

  test('a script that sends faster than the client reads does not fill the memory', async () => {
    const size = 256 << 20;
    const { port } = await bin({
      zeros: `#!/bin/sh\nprintf "Content-Length: ${size}\\n\\n"\nhead -c ${size} /dev/zero\n`,
    });
    const socket = connect(port, '127.0.0.1');
    socket.write('GET /cgi-bin/zeros HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    socket.pause();
    const before = process.memoryUsage().rss;
    // Long enough to read all of it if nothing held the script back.
    await sleep(1000);
    expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20);
    let read = 0;
    for await (const chunk of socket) read += chunk.length;
    expect(read).toBeGreaterThan(size);
  });
});
