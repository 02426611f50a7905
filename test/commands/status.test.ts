/** `paster status`: finds the running server of an INI file, whoever else is there, and leaves nothing behind. */
import { chmodSync, mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../helpers/directory.ts';
import { whenOver } from '../helpers/lifetime.ts';
import { eventually, paster, serve } from '../helpers/program.ts';

const APP = "export default (req, res) => (req.url === '/held' ? res.write('first') : res.end('Hello'));\n";
const INI = '[app:main]\nuse = module:./app.js\n[server:main]\nuse = npm:paster#http\nport = 0\n';

function project(): string {
  return temporaryDirectory({
    'app.js': APP,
    'package.json': '{"type": "module"}',
    'etc/x.ini': INI.replace('./', '../'),
  });
}

/** The environment of one user, whose sockets are in the directory that is named. */
function at(runtime: string) {
  return { XDG_RUNTIME_DIR: runtime, TMPDIR: runtime };
}

const socketsOf = (runtime: string) => readdirSync(join(runtime, 'paster'));

async function status(cwd: string, ...args: string[]) {
  return paster(['status', ...args], { cwd, env: at(cwd) }).finished();
}

test.each([
  ['one process', [], /^process (\d+), up \d+ s: 1 request, 1 in flight/],
  ['workers', ['-w', '2'], /^server (\d+), up \d+ s: 1 request, 1 in flight, no worker restarted.*\nworker \d+, up/],
])('%s: the same as USR2 writes, and as JSON', async (_what, args, first) => {
  const cwd = project();
  const program = await serve(['etc/x.ini', ...args], { cwd, env: at(cwd) });
  await (await fetch(program.url)).text();
  const leave = new AbortController();
  await fetch(`${program.url}/held`, { signal: leave.signal });
  const shown = await status(cwd, 'etc/x.ini');
  expect(shown).toMatchObject({ status: 0, stderr: '' });
  expect(first.exec(shown.stdout)?.[1]).toBe(String(program.pid));
  expect(shown.stdout).toMatch(/^ {2}GET \/held, for [\d.]+ s, from 127\.0\.0\.1$/m);

  // By another name of the same file.
  symlinkSync(join(cwd, 'etc'), join(cwd, 'other'));
  const json = JSON.parse((await status(cwd, '--json', 'other/x.ini')).stdout);
  expect(json.servers).toEqual([expect.objectContaining({ pid: program.pid })]);
  leave.abort();
  await program.kill('SIGTERM');
  expect(socketsOf(cwd)).toEqual([]);
});

test('several servers of one file are all shown, those of others are not', async () => {
  const cwd = project();
  writeFileSync(join(cwd, 'etc/y.ini'), INI.replace('./', '../'));
  const both = [];
  for (const file of ['x', 'x', 'y']) both.push(await serve([`etc/${file}.ini`], { cwd, env: at(cwd) }));
  const { stdout } = await status(cwd, 'etc/x.ini');
  const pids = [...stdout.matchAll(/^process (\d+)/gm)].map(([, pid]) => Number(pid));
  expect(pids.sort()).toEqual([both[0]?.pid, both[1]?.pid].sort());
});

test('no server, no file: status 1 and 2, with a line that says so', async () => {
  const cwd = project();
  expect(await status(cwd, 'etc/x.ini')).toMatchObject({
    status: 1,
    stdout: '',
    stderr: expect.stringMatching(/^paster: no server of etc\/x\.ini runs \(only servers of the same user.*\)\n$/),
  });
  expect(await status(cwd, 'etc/z.ini')).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/^paster: status: there is no file etc\/z\.ini\n$/),
  });
});

test('a server that was killed leaves a socket that the next one to look takes away', async () => {
  const cwd = project();
  const program = await serve(['etc/x.ini'], { cwd, env: at(cwd) });
  const [name = ''] = socketsOf(cwd);
  expect(name).toMatch(new RegExp(`^[0-9a-f]{16}-${program.pid}$`));
  await program.kill('SIGKILL');
  expect(socketsOf(cwd)).toEqual([name]);
  expect((await status(cwd, 'etc/x.ini')).status).toBe(1);
  expect(socketsOf(cwd)).toEqual([]);

  // One whose number belongs to another process by now: to this one.
  const stale = name.replace(/\d+$/, String(process.pid));
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(cwd, 'paster', 'a'), resolve));
  renameSync(join(cwd, 'paster', 'a'), join(cwd, 'paster', stale));
  server.close();
  expect((await status(cwd, 'etc/x.ini')).status).toBe(1);
  expect(socketsOf(cwd)).toEqual([]);
});

test('a directory that others may enter is not believed, and not used', async () => {
  const cwd = project();
  mkdirSync(join(cwd, 'paster'));
  chmodSync(join(cwd, 'paster'), 0o777);
  const liar = createServer((socket) => socket.end('{}'));
  whenOver(() => liar.close());
  const own = await serve(['etc/x.ini'], { cwd, env: at(cwd) });
  expect(socketsOf(cwd)).toEqual([]);
  // It has gone to the next place that is one's own, and is found there.
  expect((await status(cwd, 'etc/x.ini')).stdout).toContain(`process ${own.pid}`);
  const [name = ''] = readdirSync(join(cwd, `paster-${process.geteuid?.()}`));
  await own.kill('SIGTERM');
  await new Promise<void>((resolve) => liar.listen(join(cwd, 'paster', name), resolve));
  expect((await status(cwd, 'etc/x.ini')).status).toBe(1);
});

test('where there is no place for a socket the server serves all the same', async () => {
  const cwd = project();
  const env = { XDG_RUNTIME_DIR: '/nonexistent', TMPDIR: '/nonexistent' };
  const program = await serve(['etc/x.ini', '-v'], { cwd, env });
  expect(await (await fetch(program.url)).text()).toBe('Hello');
  await eventually(() => program.output.includes('paster status is not going to find this server'));
});
