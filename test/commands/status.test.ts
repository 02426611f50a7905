/** `paster status`: finds the running server of an INI file among others, and leaves no stale sockets. */
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory, writeFiles } from '../helpers/directory.ts';
import { runHere } from '../helpers/programs/command.ts';
import { whenOver } from '../helpers/programs/lifetime.ts';
import { eventually, paster, requireRoot, serve } from '../helpers/programs/program.ts';

const APP = "export default (req, res) => (req.url.startsWith('/held') ? res.write('first') : res.end('Hello'));\n";
const INI = '[app:main]\nuse = module:./app.js\n[server:main]\nuse = npm:paster#http\nport = 0\n';

function project(): string {
  return temporaryDirectory({
    'app.js': APP,
    'package.json': '{"type": "module"}',
    'etc/x.ini': INI.replace('./', '../'),
  });
}

/** The environment of one user, whose sockets are in the given directory. */
function at(runtime: string) {
  return { XDG_RUNTIME_DIR: runtime, TMPDIR: runtime };
}

const socketsOf = (runtime: string) => readdirSync(join(runtime, 'paster'));

async function status(cwd: string, ...args: string[]) {
  return runHere(['status', ...args], { cwd, env: at(cwd) });
}

test.each([
  ['one process', [], /^process (\d+), up \d+ s: 1 request, 1 in flight/],
  ['workers', ['-w', '2'], /^server (\d+), up \d+ s: 1 request, 1 in flight, no worker restarted.*\nworker \d+, up/],
])('%s: prints the same as WINCH, and JSON', async (_what, args, first) => {
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

test('all servers of one file are shown, those of other files are not', async () => {
  const cwd = project();
  writeFileSync(join(cwd, 'etc/y.ini'), INI.replace('./', '../'));
  const both = [];
  for (const file of ['x', 'x', 'y']) both.push(await serve([`etc/${file}.ini`], { cwd, env: at(cwd) }));
  const { stdout } = await status(cwd, 'etc/x.ini');
  const pids = [...stdout.matchAll(/^process (\d+)/gm)].map(([, pid]) => Number(pid));
  expect(pids.sort()).toEqual([both[0]?.pid, both[1]?.pid].sort());
});

test('without a server the status is 1, and without a file 2, with a line that says so', async () => {
  const cwd = project();
  expect(await status(cwd, 'etc/x.ini')).toMatchObject({
    status: 1,
    stdout: '',
    stderr: expect.stringMatching(/^paster: no server of etc\/x\.ini is running \(only servers of your user.*\)\n$/),
  });
  expect(await status(cwd, 'etc/z.ini')).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/^paster: status: there is no file etc\/z\.ini\n$/),
  });
});

test('the socket of a killed server is removed by the next command that finds it', async () => {
  const cwd = project();
  const program = await serve(['etc/x.ini'], { cwd, env: at(cwd) });
  const [name = ''] = socketsOf(cwd);
  expect(name).toMatch(new RegExp(`^${program.pid}-[\\da-z]+$`));
  await program.kill('SIGKILL');
  expect(socketsOf(cwd)).toEqual([name]);
  expect((await status(cwd, 'etc/x.ini')).status).toBe(1);
  expect(socketsOf(cwd)).toEqual([]);

  // A socket whose PID now belongs to another process: to this one.
  const stale = name.replace(/^\d+/, String(process.pid));
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(cwd, 'paster', 'a'), resolve));
  renameSync(join(cwd, 'paster', 'a'), join(cwd, 'paster', stale));
  server.close();
  expect((await status(cwd, 'etc/x.ini')).status).toBe(1);
  expect(socketsOf(cwd)).toEqual([]);
});

test('a directory that other users may enter is neither trusted nor used', async () => {
  const cwd = project();
  mkdirSync(join(cwd, 'paster'));
  chmodSync(join(cwd, 'paster'), 0o777);
  // It would be reported as a server of another version.
  const files = [join(cwd, 'etc/x.ini')];
  const liar = createServer((socket) => socket.end(`${JSON.stringify({ paster: '0.0.1', pid: 4711, files })}\n`));
  whenOver(() => liar.close());
  const own = await serve(['etc/x.ini'], { cwd, env: at(cwd) });
  expect(socketsOf(cwd)).toEqual([]);
  // The server has used the next private directory, and is found there.
  expect((await status(cwd, 'etc/x.ini')).stdout).toContain(`process ${own.pid}`);
  const [name = ''] = readdirSync(join(cwd, `paster-${process.geteuid?.()}`));
  await own.kill('SIGTERM');
  await new Promise<void>((resolve) => liar.listen(join(cwd, 'paster', name), resolve));
  expect(await status(cwd, 'etc/x.ini')).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(/^paster: no server of etc\/x\.ini is running/),
  });
});

test('a server that finds no directory for its socket serves without one', async () => {
  const cwd = project();
  const env = { XDG_RUNTIME_DIR: '/nonexistent', TMPDIR: '/nonexistent' };
  const program = await serve(['etc/x.ini', '-v'], { cwd, env });
  expect(await (await fetch(program.url)).text()).toBe('Hello');
  await eventually(() => program.output.includes('paster status will not find this server'));
});

test('the socket is private to its user, and only the first suitable directory is created', async () => {
  const cwd = project();
  const program = paster(['serve', 'etc/x.ini'], { cwd, env: at(cwd) });
  await program.says(/^serving on/m);
  const [name = ''] = socketsOf(cwd);
  expect(statSync(join(cwd, 'paster', name)).mode & 0o777).toBe(0o600);
  expect(readdirSync(cwd)).not.toContain(`paster-${process.geteuid?.()}`);
});

test('a socket of a process in another PID namespace stays as long as that process listens', async () => {
  const cwd = project();
  mkdirSync(join(cwd, 'paster'), { mode: 0o700 });
  // Like one of another container: no process here has this PID.
  const far = createServer((socket) => socket.on('error', () => {}).end());
  whenOver(() => far.close());
  const name = `${2 ** 22 + 1}-far`;
  await new Promise<void>((resolve) => far.listen(join(cwd, 'paster', name), resolve));
  const program = await serve(['etc/x.ini'], { cwd, env: at(cwd) });
  expect((await status(cwd, 'etc/x.ini')).stdout).toContain(`process ${program.pid}`);
  expect(socketsOf(cwd)).toContain(name);
});

test('after a deployment by a link the server is found by the path that it was started with', async () => {
  const cwd = project();
  for (const release of ['1', '2']) {
    writeFiles(join(cwd, 'releases', release), { 'app.js': APP, 'etc/x.ini': INI.replace('./', '../') });
  }
  symlinkSync('releases/1', join(cwd, 'current'));
  const program = await serve(['current/etc/x.ini', '-w', '1'], { cwd, env: at(cwd) });
  const isFound = async (file: string) => (await status(cwd, file)).stdout.includes(`server ${program.pid}`);
  expect(await isFound('current/etc/x.ini')).toBe(true);
  expect(await isFound('releases/1/etc/x.ini')).toBe(true);
  expect(await isFound('releases/2/etc/x.ini')).toBe(false);
  symlinkSync('releases/2', join(cwd, 'next'));
  renameSync(join(cwd, 'next'), join(cwd, 'current'));
  program.child.kill('SIGHUP');
  await program.says(/reloaded/);
  expect(await isFound('current/etc/x.ini')).toBe(true);
  expect(await isFound('releases/2/etc/x.ini')).toBe(true);
});

test('a server of another version is reported, and what responds with something else is ignored', async () => {
  const cwd = project();
  const program = await serve(['etc/x.ini'], { cwd, env: at(cwd) });
  const answers = (text: string) => {
    const server = createServer((socket) => socket.on('error', () => {}).end(text));
    whenOver(() => server.close());
    return server;
  };
  const files = [join(cwd, 'etc/x.ini')];
  const put = (name: string, text: string) =>
    new Promise<void>((resolve) => answers(text).listen(join(cwd, 'paster', name), resolve));
  await put('1-a', '{}');
  await put('2-b', `${JSON.stringify({ file: files[0], status: {} })}\n`);
  await put('3-c', 'no JSON\n');
  await put('4-d', `${JSON.stringify({ paster: '0.0.1', pid: 4, files: [join(cwd, 'etc/y.ini')] })}\n`);
  const shown = await status(cwd, 'etc/x.ini');
  expect(shown).toMatchObject({ status: 0, stderr: '' });
  await put('5-e', `${JSON.stringify({ paster: '0.0.1', pid: 4711, files })}\n{"of": "another form"}\n`);
  const mixed = await status(cwd, 'etc/x.ini');
  expect(mixed.stdout).toContain(`process ${program.pid}`);
  expect([mixed.status, mixed.stderr]).toEqual([
    1,
    expect.stringMatching(/^paster: server 4711 runs paster 0\.0\.1, and this is \S+ \(.*\)\n$/),
  ]);
});

test.each([[[]], [['--json']]])('%j escapes control characters that a client has sent', async (options) => {
  const cwd = project();
  writeFileSync(join(cwd, 'etc/x.ini'), INI.replace('./', '../').replace('#http', '#scgi'));
  const program = await serve(['etc/x.ini'], { cwd, env: at(cwd) });
  const { port, hostname } = new URL(program.url);
  const client = connect(Number(port), hostname);
  whenOver(() => client.destroy());
  // Node's own parser would refuse this request; a web server forwards it.
  const head = 'CONTENT_LENGTH\x000\0SCGI\x001\0REQUEST_METHOD\0GET\0REQUEST_URI\0/held?\x9b31m\x85\0';
  client.write(Buffer.from(`${head.length}:${head},`, 'latin1'));
  await new Promise((resolve) => client.once('data', resolve));
  const { stdout } = await status(cwd, ...options, 'etc/x.ini');
  expect(stdout).toMatch(/held\?\\(?:x9b31m\\x85|u009b31m\\u0085)/);
  expect(stdout).not.toMatch(/(?!\n)\p{Cc}/u);
});

describe.runIf(requireRoot())('as root', () => {
  test.each([
    ['of another user', (runtime: string) => chownSync(runtime, 65534, 65534)],
    ['writable by all users', (runtime: string) => chmodSync(runtime, 0o777)],
    [
      'a link into a directory of another user',
      (runtime: string) => {
        mkdirSync(`${runtime}-real/in`, { recursive: true });
        chownSync(`${runtime}-real`, 65534, 65534);
        rmdirSync(runtime);
        symlinkSync(`${runtime}-real/in`, runtime);
      },
    ],
  ])('a directory inside one that is %s is neither used nor trusted', async (_whose, make) => {
    const cwd = project();
    const runtime = join(cwd, 'run');
    mkdirSync(runtime);
    make(runtime);
    const env = { XDG_RUNTIME_DIR: runtime, TMPDIR: cwd };
    const program = await serve(['etc/x.ini'], { cwd, env });
    expect(readdirSync(runtime)).toEqual([]);
    const { stdout } = await paster(['status', 'etc/x.ini'], { cwd, env }).finished();
    expect(stdout).toContain(`process ${program.pid}`);

    // A socket that is already there is not asked.
    mkdirSync(join(runtime, 'paster'), { mode: 0o700 });
    const [name = ''] = readdirSync(join(cwd, 'paster-0'));
    renameSync(join(cwd, 'paster-0', name), join(runtime, 'paster', name));
    expect((await paster(['status', 'etc/x.ini'], { cwd, env }).finished()).status).toBe(1);
  });

  test('a directory inside a sticky one that all users may write to, such as /tmp, is used', async () => {
    const cwd = project();
    const runtime = join(cwd, 'run');
    mkdirSync(runtime);
    chmodSync(runtime, 0o1777);
    await serve(['etc/x.ini'], { cwd, env: at(runtime) });
    expect(socketsOf(runtime)).toHaveLength(1);
  });
});
