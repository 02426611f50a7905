/** `paster serve` over FastCGI, without a web server: addresses, keep-alive connections, and how it stops. */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { freePort, paster, ROOT, requireProgram, serve } from '../../helpers/programs/program.ts';
import { startNginx } from '../../helpers/web-servers/front-end.ts';

const PROBE = join(ROOT, 'test/fixtures/apps/probe.js');

function ini(settings: string): string {
  const text = `[app:main]\nuse = call:${PROBE}:makeProbe\n[server:main]\nuse = npm:paster#fastcgi\n${settings}\n`;
  return join(temporaryDirectory({ 'config.ini': text }), 'config.ini');
}

test.each([
  ['umask = 000', 0o777],
  ['umask = 0117', 0o660],
  ['mode = 600', 0o600],
  ['', 0o660],
])('the socket’s permissions with "%s" are %o', async (setting, mode) => {
  const socket = join(temporaryDirectory(), 'socket');
  await serve([ini(`socket = ${socket}\n${setting}`)]);
  expect(statSync(socket).mode & 0o777).toBe(mode);
});

test('a stale socket is replaced, but a live one or another kind of file is not', async () => {
  const directory = temporaryDirectory();
  const socket = join(directory, 'socket');
  const first = await serve([ini(`socket = ${socket}`)]);
  const second = await paster(['serve', ini(`socket = ${socket}`)]).finished();
  expect(second.status).toBe(1);
  expect(second.stderr).toContain(`the socket ${socket} is in use by another program`);

  await first.kill('SIGKILL');
  expect(existsSync(socket)).toBe(true);
  const third = await serve([ini(`socket = ${socket}`)]);
  await third.kill('SIGTERM');
  expect(existsSync(socket)).toBe(false);

  writeFileSync(socket, 'precious');
  const fourth = await paster(['serve', ini(`socket = ${socket}`)]).finished();
  expect(fourth.status).toBe(1);
  expect(readFileSync(socket, 'utf8')).toBe('precious');
});

test('a public TCP address without allow is refused before the server listens', async () => {
  const port = await freePort();
  const refused = await paster(['serve', ini(`host = 0.0.0.0\nport = ${port}`)]).finished();
  expect(refused.status).toBe(2);
  expect(refused.stderr).toContain('(name the web servers with "allow", or listen on 127.0.0.1 or a Unix socket)');
  await serve([ini(`host = 0.0.0.0\nport = ${port}\nallow = 127.0.0.1`)]);
});

const nginx = requireProgram('nginx');

test.skipIf(nginx === undefined).each([
  ['one process', ''],
  ['workers', 'workers = 2'],
])('TERM finishes requests in flight behind a web server, with %s', async (_what, workers) => {
  const socket = join(temporaryDirectory(), 'socket');
  const program = await serve([ini(`socket = ${socket}\n${workers}`)]);
  const { url } = await startNginx(nginx ?? '', { socket });
  const response = await fetch(`${url}/slow?ms=600`);
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  expect((await reader?.read())?.value).toBe('begun\n');
  const ended = program.kill('SIGTERM');
  expect((await reader?.read())?.value).toBe('done\n');
  expect((await ended).status).toBe(0);
  expect((await fetch(`${url}/query`)).status).toBe(502);
  expect(existsSync(socket)).toBe(false);
});
