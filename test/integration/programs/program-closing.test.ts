/** Programs that close their server while they run. */
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, paster, serve } from '../../helpers/programs/program.ts';

function project(source: string): string {
  const ini = '[app:main]\nuse = listen:./server.cjs\n[server:main]\nuse = npm:paster#http\nport = 0\n';
  return temporaryDirectory({ 'server.cjs': source, 'x.ini': ini });
}

const status = async (url: string): Promise<number> => (await fetch(url)).status;

const SERVER = `const server = require('node:http').createServer((req, res) => {
  res.end('open');
  if (req.url === '/stop') stop();
});
server.on('close', () => console.log('has closed'));
server.on('upgrade', (req, socket) => socket.end());
`;

describe('a program that stops listening', () => {
  test.each([
    [
      'by the AbortSignal of listen()',
      'const c = new AbortController(); const stop = () => c.abort();\nserver.listen({ port: 3000, signal: c.signal });',
    ],
    [
      'by an AbortSignal that has been aborted',
      'const stop = () => {};\nserver.listen({ port: 3000, signal: AbortSignal.abort() });',
    ],
    ['by server.close()', 'const stop = () => server.close();\nserver.listen(3000);'],
  ])('receives no more requests: %s', async (_how, rest) => {
    const program = await serve(['x.ini'], { cwd: project(SERVER + rest) });
    await fetch(`${program.url}/stop`);
    await program.says(/has closed/);
    await program.says(/server\.cjs: the program has closed its server: requests get the status 503/);
    await eventually(async () => (await status(program.url)) === 503);
    const socket = new WebSocket(program.url.replace('http', 'ws'));
    const message = await new Promise((resolve) => socket.once('error', ({ message }) => resolve(message)));
    expect(message).toBe('Unexpected server response: 503');
    expect((await program.kill('SIGTERM')).status).toBe(0);
  });

  test('ends when its signal is aborted by its handler of TERM', async () => {
    const rest = `const c = new AbortController();
server.listen({ port: 3000, signal: c.signal });
process.on('SIGTERM', () => c.abort());
const open = setInterval(() => {}, 1000);
server.on('close', () => clearInterval(open));`;
    const program = await serve(['x.ini'], { cwd: project(SERVER + rest) });
    const { status, stdout, stderr } = await program.kill('SIGTERM');
    expect([status, stdout]).toEqual([0, expect.stringContaining('has closed')]);
    expect(stderr).not.toContain('503');
  });

  test('is served again if another server listens', async () => {
    const rest = `server.listen(3000);
function stop() {
  server.close(() => require('node:http').createServer((req, res) => res.end('another')).listen(3000));
}`;
    const program = await serve(['x.ini'], { cwd: project(SERVER + rest) });
    await fetch(`${program.url}/stop`);
    await eventually(async () => (await (await fetch(program.url)).text()) === 'another');
    expect(program.output).not.toContain('is not opened');
  });
});

test('a TERM handler that never settles does not keep a command running', async () => {
  const rest = "server.listen(3000);\nprocess.on('SIGTERM', () => new Promise(() => setInterval(() => {}, 1000)));";
  const { status, stdout, stderr } = await paster(['request', 'x.ini', '/'], {
    cwd: project(SERVER + rest),
  }).finished();
  expect([status, stdout]).toEqual([0, 'open']);
  expect(stderr).toContain('the application has not closed after 5 s; the process ends without waiting for it');
});
