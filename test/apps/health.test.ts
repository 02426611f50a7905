/** Health checks: their results, what load balancers see while a server drains, and the health of each worker. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { type HealthOptions, health } from '../../src/apps/monitoring/health.ts';
import { urlMap } from '../../src/apps/urlmap.ts';
import { loadApp, loadServer } from '../../src/deploy/load.ts';
import { httpBackend } from '../contract/backends/http-backend.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { whenOver } from '../helpers/programs/lifetime.ts';
import { eventually, serve } from '../helpers/programs/program.ts';
import { ask } from '../helpers/requests/ask.ts';

async function responseOf(options: HealthOptions, path = '/readyz', method = 'GET'): Promise<[number, unknown]> {
  const serving = await httpBackend.start(health(options));
  const { status, body } = await serving.request({ path, method });
  await serving.close();
  return [status, body.length > 0 ? JSON.parse(body.toString()) : undefined];
}

describe('checks', () => {
  test('if there are none, the server is ready and alive', async () => {
    expect(await responseOf({})).toEqual([200, { status: 'ok' }]);
    expect(await responseOf({}, '/healthz')).toEqual([200, { status: 'ok' }]);
    expect(await responseOf({}, '/livez?x')).toEqual([200, { status: 'ok' }]);
    expect(await responseOf({}, '/readyz', 'HEAD')).toEqual([200, undefined]);
    expect((await responseOf({}, '/readyz', 'POST'))[0]).toBe(405);
  });

  test('/health responds like /readyz, as a mount and below a mount', async () => {
    const asked = async (options: HealthOptions, path: string): Promise<number> => {
      const serving = await httpBackend.start(await urlMap({ '/health': health(options), '/': health(options) }));
      const { status } = await serving.request({ path });
      await serving.close();
      return status;
    };
    for (const path of ['/health', '/health/', '/health?x', '/health/readyz', '/health/healthz', '/app/health']) {
      expect([path, await asked({}, path)]).toEqual([path, 200]);
    }
    expect(await asked({ checks: { no: () => false } }, '/health')).toBe(503);
    for (const path of ['/', '/app/', '/health/other', '/xhealth'])
      expect([path, await asked({}, path)]).toEqual([path, 404]);
  });

  test('that throw, reject, return false or take too long make the server not ready, but still alive', async () => {
    const checks = {
      good: () => 'anything',
      throws: () => {
        throw new Error('password');
      },
      rejects: async () => Promise.reject(new Error('secret')),
      no: () => false,
      slow: () => new Promise(() => {}),
    };
    const failing = { throws: 'failing', rejects: 'failing', no: 'failing', slow: 'failing' };
    expect(await responseOf({ checks, timeout: 0.05 })).toEqual([
      503,
      { status: 'failing', checks: { good: 'ok', ...failing } },
    ]);
    expect(await responseOf({ checks, timeout: 0.05 }, '/healthz')).toEqual([200, { status: 'ok' }]);
    expect(await responseOf({ checks, timeout: 0.05, showFailures: true })).toMatchObject([
      503,
      { checks: { throws: 'failed: password', no: 'returned false', slow: 'has not responded within 0.05 s' } },
    ]);
  });
});

test('checks run at most once a second, however many requests there are', async () => {
  let runs = 0;
  let finish = (): void => {};
  const check = (): Promise<void> => {
    runs++;
    return new Promise((resolve) => {
      finish = resolve;
    });
  };
  const serving = await httpBackend.start(health({ checks: { check } }));
  const asked = Array.from({ length: 10 }, () => serving.request({ path: '/readyz' }));
  await eventually(() => runs > 0);
  await sleep(50);
  finish();
  expect((await Promise.all(asked)).map(({ status }) => status)).toEqual(Array(10).fill(200));
  expect(runs).toBe(1);
  // The result of a run is shared for a second after its end.
  expect((await serving.request({ path: '/readyz' })).status).toBe(200);
  expect(runs).toBe(1);
  await eventually(() => {
    void serving.request({ path: '/readyz' }).catch(() => {});
    return runs === 2;
  });
  finish();
  await serving.close();
});

const INI = `[composite:main]
use = npm:paster#urlmap
/ = app
/healthz = health
/readyz = health
[app:app]
use = module:./app.js
[app:health]
use = npm:paster#health
check = call:./app.js:database
  call:./app.js:queue
[server:main]
use = npm:paster#http
port = 0
`;
const APP = `export default (req, res) => {
  if (req.url === '/break') globalThis.queueFails = true;
  res.end('app');
};
export const database = async () => {};
export const queue = () => globalThis.queueFails !== true;
export const nothing = 1;
`;

function project(ini = INI): string {
  return temporaryDirectory({ 'x.ini': ini, 'app.js': APP, 'package.json': '{"type": "module"}' });
}

test('checks may be functions in modules of the application', async () => {
  const server = createServer(await loadApp('config:x.ini', { relativeTo: project() })).listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenOver(() => server.close());
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { status, body } = await ask(origin, '/readyz');
  expect([status, JSON.parse(body.toString())]).toEqual([
    200,
    { status: 'ok', checks: { database: 'ok', queue: 'ok' } },
  ]);
});

test.each([
  ['call:./app.js:nothing', /is not a function but 1/],
  ['call:./app.js:quue', /exports no "quue"/],
  ['./app.js:queue', /not of the form call:module:name/],
])('check = %s is an error in its section', async (check, message) => {
  const directory = project(INI.replace(/check = .*\n.*\n/, `check = ${check}\n`));
  const loading = loadApp('config:x.ini', { relativeTo: directory });
  await expect(loading).rejects.toThrow(message);
  await expect(loading).rejects.toMatchObject({ location: { file: join(directory, 'x.ini') } });
});

test('while the server drains, clients on open connections get 503', async () => {
  const relativeTo = project();
  const server = await loadServer('config:x.ini', { relativeTo });
  const running = await server.serve(await loadApp('config:x.ini', { relativeTo }));
  const [address] = running.addresses;
  const port = address?.kind === 'tcp' ? address.port : 0;
  const origin = `http://127.0.0.1:${port}`;
  // A connection that is open before, with half a request on it.
  const socket = connect(port, '127.0.0.1').setEncoding('latin1');
  await once(socket, 'connect');
  expect((await ask(origin, '/readyz')).status).toBe(200);
  socket.write('GET /readyz HTTP/1.1\r\nHost: x\r\n');
  await sleep(50);
  const closed = running.close();
  let text = '';
  socket.on('data', (part: string) => {
    text += part;
  });
  socket.write('\r\n');
  await once(socket, 'close');
  expect(text).toMatch(/^HTTP\/1\.1 503 .*"draining"/s);
  await closed;
});

test('each worker reports its own health, and a reloaded worker is ready again', async () => {
  const program = await serve(['x.ini', '-w', '2'], { cwd: project() });
  const ready = async (): Promise<number> => (await ask(program.url, '/readyz')).status;
  for (let i = 0; i < 4; i++) expect(await ready()).toBe(200);
  // One of the two workers is no longer ready; a new connection reaches either.
  await ask(program.url, '/break');
  const statuses = new Set<number>();
  await eventually(async () => statuses.add(await ready()).size === 2);
  expect([...statuses].sort()).toEqual([200, 503]);
  program.child.kill('SIGHUP');
  await program.says(/^reloaded$/m);
  for (let i = 0; i < 10; i++) expect(await ready()).toBe(200);
  expect((await program.kill('SIGTERM')).status).toBe(0);
});
