/** `serve --inspect`: a debugger reaches one process: the first worker, and its successor after a reload. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, freePort, paster, serve } from '../../helpers/programs/program.ts';

const FILES = {
  'package.json': '{ "type": "module" }',
  'app.js': 'globalThis.version = 1;\nexport default (req, res) => res.end(String(process.pid));\n',
  'x.ini': '[app:main]\nuse = module:./app.js\n[server:main]\nuse = npm:paster#http\nport = 0\n',
};

/** The value of an expression in the debugged process. */
async function evaluated(port: number, expression: string): Promise<unknown> {
  const [target] = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as {
    readonly webSocketDebuggerUrl: string;
  }[];
  const socket = new WebSocket(target?.webSocketDebuggerUrl ?? '');
  // A process that releases the port closes its connections.
  const closed = new Promise<never>((_resolve, reject) => {
    socket.once('close', () => reject(new Error('closed')));
    socket.once('error', reject);
  });
  socket.once('open', () => {
    socket.send(JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression } }));
  });
  const [data] = await Promise.race([once(socket, 'message'), closed]);
  const { result } = JSON.parse(String(data)) as { readonly result: { readonly result: { readonly value: unknown } } };
  socket.terminate();
  return result.result.value;
}

/** A debugger that stays connected until the process disconnects it. */
async function attach(port: number): Promise<{ readonly closed: Promise<unknown> }> {
  const [target] = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as {
    readonly webSocketDebuggerUrl: string;
  }[];
  const socket = new WebSocket(target?.webSocketDebuggerUrl ?? '');
  await once(socket, 'open');
  return { closed: once(socket, 'close') };
}

/** The PID of the debugged process, once it is not one of these. */
const other = (port: number, than: readonly number[]): Promise<number> =>
  eventually(async () => {
    const found = await evaluated(port, 'process.pid').catch(() => undefined);
    return typeof found === 'number' && !than.includes(found) && found;
  });

const pid = async (url: string): Promise<number> => Number(await (await fetch(url)).text());

test('one process opens the port, and only on 127.0.0.1', async () => {
  const port = await freePort();
  const program = await serve(['x.ini', `--inspect=${port}`], { cwd: temporaryDirectory(FILES) });
  expect(program.output).toContain(`process ${program.pid} can be debugged on 127.0.0.1:${port}: chrome://inspect`);
  expect(await evaluated(port, 'process.pid')).toBe(program.pid);
  await expect(fetch(`http://127.0.0.2:${port}/json/list`)).rejects.toThrow();
  expect((await program.kill('SIGTERM')).status).toBe(0);
});

test.each<NodeJS.Signals>(['SIGTERM', 'SIGINT'])('one process ends at %s with a debugger attached', async (signal) => {
  const port = await freePort();
  const program = await serve(['x.ini', `--inspect=${port}`], { cwd: temporaryDirectory(FILES) });
  const { closed } = await attach(port);
  expect((await program.kill(signal)).status).toBe(0);
  await closed;
});

test.each([[[]], [['-w', '1']]])('an inspector that NODE_OPTIONS opens is kept %j', async (mode) => {
  const port = await freePort();
  const cwd = temporaryDirectory(FILES);
  const program = await serve(['x.ini', `--inspect=${port}`, ...mode], { cwd, env: { NODE_OPTIONS: '--inspect=0' } });
  const server = await pid(program.url);
  const said = new RegExp(
    `process ${server} already lets a debugger attach on 127\\.0\\.0\\.1:(\\d+), .*not on .*:${port}`,
    'g',
  );
  const [, actual] = await program.says(new RegExp(said.source));
  expect(await evaluated(Number(actual), 'process.pid')).toBe(server);
  // Longer than the pause before the next attempt.
  await sleep(300);
  expect(await pid(program.url)).toBe(server);
  expect(program.output.match(said)).toHaveLength(1);
  expect((await program.kill('SIGTERM')).status).toBe(0);
});

test('one of several workers opens the port; at HUP and at its end the next worker does', async () => {
  const port = await freePort();
  const cwd = temporaryDirectory(FILES);
  const program = await serve(['x.ini', '-w', '3', `--inspect=127.0.0.1:${port}`], { cwd });
  const first = Number(await evaluated(port, 'process.pid'));
  expect(first).not.toBe(program.pid);
  expect(program.output.match(/can be debugged on/g)).toHaveLength(1);

  program.child.kill('SIGHUP');
  await program.says(/reloaded/);
  const second = await other(port, [first]);

  process.kill(second, 'SIGKILL');
  const third = await other(port, [first, second]);

  process.kill(third, 'SIGTERM');
  await other(port, [first, second, third]);
  expect((await program.kill('SIGTERM')).status).toBe(0);
});

test('with --reload an attached debugger does not keep the port from the next version', async () => {
  const port = await freePort();
  const cwd = temporaryDirectory(FILES);
  const program = await serve(['x.ini', '--reload', `--inspect=${port}`], { cwd });
  const { closed } = await attach(port);
  for (const version of [2, 3]) {
    writeFileSync(join(cwd, 'app.js'), FILES['app.js'].replace('= 1', `= ${version}`));
    await eventually(async () => (await evaluated(port, 'globalThis.version').catch(() => undefined)) === version);
    // The predecessor may still respond on a keep-alive connection.
    await eventually(async () => (await evaluated(port, 'process.pid')) === (await pid(program.url)));
  }
  await closed;
});

test('a worker that a debugger pauses is not killed', async () => {
  const port = await freePort();
  const ini = `${FILES['x.ini']}worker_timeout = 0.5\n`;
  const program = await serve(['x.ini', '-w', '1', `--inspect=${port}`], {
    cwd: temporaryDirectory({ ...FILES, 'x.ini': ini }),
  });
  const before = await pid(program.url);
  const loop = '{ const end = Date.now() + 2500; while (Date.now() < end); } process.pid';
  expect(await evaluated(port, loop)).toBe(before);
  expect(await pid(program.url)).toBe(before);
});

test.each([
  ['--inspect=0.0.0.0:9229', /anyone who can reach 0\.0\.0\.0:9229 could run any code here \(.*ssh -L/],
  ['--inspect=example.org:9229', /anyone who can reach example\.org:9229/],
  ['--inspect=here', /--inspect: "here" is not an address/],
])('%s is refused', async (option, message) => {
  const { status, stderr } = await paster(['serve', 'x.ini', option], { cwd: temporaryDirectory(FILES) }).finished();
  expect([status, stderr]).toEqual([2, expect.stringMatching(message)]);
});

test('a CGI server refuses --inspect', async () => {
  const ini = FILES['x.ini'].replace('#http\nport = 0', '#cgi');
  const cwd = temporaryDirectory({ ...FILES, 'x.ini': ini });
  const { status, stderr } = await paster(['serve', 'x.ini', '--inspect'], { cwd }).finished();
  expect([status, stderr]).toEqual([2, expect.stringMatching(/CGI serves one request and ends: --inspect does not/)]);
});

test.each([[[]], [['-w', '1']]])('a port in use is reported at the start %j', async (mode) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const address = taken.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const cwd = temporaryDirectory(FILES);
  const { status, stderr } = await paster(['serve', 'x.ini', `--inspect=${port}`, ...mode], { cwd }).finished();
  expect([status, stderr]).toEqual([
    1,
    expect.stringMatching(/^paster: --inspect: cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/m),
  ]);
  taken.close();
});

test('[exe] may set the port in an executable INI file', async () => {
  const port = await freePort();
  for (const value of [`127.0.0.1:${port}`, String(port)]) {
    const cwd = temporaryDirectory({ ...FILES, 'x.ini': `[exe]\ninspect = ${value}\n${FILES['x.ini']}` });
    const program = paster(['exe', 'x.ini'], { cwd });
    await program.says(/^serving on /m);
    expect(await evaluated(port, 'process.pid')).toBe(program.pid);
    await program.kill('SIGTERM');
  }
});
