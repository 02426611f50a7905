/** Logging of real servers and of several processes at once: no line gets lost, and renamed files are reopened. */

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory, writeFiles } from '../../helpers/directory.ts';
import { blockBelow } from '../../helpers/documentation/documentation.ts';
import { eventually, freePort, needProgram, Program, paster, ROOT, serve } from '../../helpers/programs/program.ts';

const APP = `
import { configureLogging, getLogger } from 'paster';
export async function makeApp(globalConf, { log_conf }) {
  if (log_conf) await configureLogging(log_conf);
  const [source, client] = [getLogger('mapproxy.source'), getLogger('mapproxy.client.http')];
  return function handle(req, res) {
    source.info('serving %s', req.url);
    client.info('GET %s', req.url);
    console.warn('console %s', req.url);
    res.end(String(process.pid));
  };
}
`;

/** A directory in which `paster` and the replacement of MapProxy are installed. */
function project(files: Readonly<Record<string, string>> = {}): string {
  const directory = temporaryDirectory({
    'node_modules/MapProxy/package.json': JSON.stringify({
      name: 'MapProxy',
      type: 'module',
      paster: { 'paste.app_factory': { app: './app.js:makeApp' } },
    }),
    'node_modules/MapProxy/app.js': APP,
    'etc/mapproxy.yaml': 'services: {}\n',
    'var/.keep': '',
    ...files,
  });
  cpSync(join(ROOT, 'test/data/mapproxy'), join(directory, 'etc'), { recursive: true });
  symlinkSync(ROOT, join(directory, 'node_modules/paster'));
  writeFiles(directory, files);
  return directory;
}

/** An INI file that logs to `var/app.log`. */
function ini(port: number, { server = '', handler = 'FileHandler', args = '', loggers = '' } = {}): string {
  return `[app:main]
use = egg:MapProxy#app
filter-with = translogger
[filter:translogger]
use = egg:Paste#translogger
format = %%(REQUEST_URI)s
[server:main]
use = egg:Paste#http
port = ${port}
${server}
[loggers]
keys = root
${loggers}
[handlers]
keys = file
[formatters]
keys = default
[logger_root]
level = INFO
handlers = file
[handler_file]
class = ${handler}
formatter = default
args = (r"%(here)s/../var/app.log", "a"${args})
[formatter_default]
format = %(name)s %(levelname)s %(process)d %(message)s
`;
}

function read(directory: string, file: string): string {
  const path = join(directory, file);
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

test('the example of docs/logging.md logs what the page shows', async () => {
  const [port, page] = [await freePort(), 'docs/logging.md'];
  const application = `${blockBelow(page, 'In an application')}
export const makeApp = () => (req, res) => {
  getLogger('shop.client').info('to the client');
  res.end();
};`;
  const directory = project({
    'app.js': application,
    'etc/shop.ini': blockBelow(page, 'In an INI file').replace('8080', String(port)),
  });
  const program = await serve(['etc/shop.ini'], { cwd: directory });
  await fetch(`http://127.0.0.1:${port}/`);
  const { stdout, stderr } = await program.kill('SIGTERM');
  expect(stdout).toMatch(/ - INFO - \d+:shop\.cart:<module> - 3 items for ada$/m);
  expect(stdout).toMatch(/ - ERROR - \d+:shop\.cart:<module> - cannot pay\nError: no money\n {4}at /);
  expect(stdout).toMatch(/ - INFO - \d+:wsgi:translogger - 127\.0\.0\.1 - /);
  expect(stdout).not.toContain('to the client');
  expect(read(directory, 'var/client.log')).toBe('to the client\n');
  expect(stderr).toBe('');
});

test('MapProxy’s develop.ini logs to standard output in its own format', async () => {
  const directory = project();
  const port = await freePort();
  const program = await serve(['etc/develop.ini', '--port', String(port)], { cwd: directory });
  await fetch(`http://127.0.0.1:${port}/a?x=1`);
  const date = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}`;
  await program.says(new RegExp(`^${date} - INFO - ${program.pid}:mapproxy\\.source:handle - serving /a\\?x=1$`, 'm'));
  await program.says(
    new RegExp(`^${date} - INFO - ${program.pid}:wsgi:\\w+ - 127\\.0\\.0\\.1 - .*"GET /a\\?x=1 HTTP/1\\.1" 200`, 'm'),
  );
  const { stdout, stderr } = await program.kill('SIGTERM');
  expect(stdout).toContain('serving /a');
  expect(stderr).toBe('console /a?x=1\n');
});

test('MapProxy’s log_deploy.ini works, passed to its application by config.ini', async () => {
  const directory = project();
  const port = await freePort();
  const args = ['etc/config.ini', '-s', 'http', '--port', String(port)];
  const program = await serve(args, { cwd: directory });
  await fetch(`http://127.0.0.1:${port}/a`);
  await program.kill('SIGTERM');
  expect(read(directory, 'var/client.log')).toBe('GET /a\n');
  expect(read(directory, 'var/proxy.log')).toMatch(/^\S+ \S+ - INFO - \d+:mapproxy\.source:handle - serving \/a\n$/);
});

test('a graceful stop of several workers loses no line, including paster’s own', async () => {
  const port = await freePort();
  const directory = project({ 'etc/x.ini': ini(port, { server: 'workers = 2' }) });
  const program = await serve(['etc/x.ini'], { cwd: directory });
  await Promise.all(
    Array.from({ length: 200 }, (_, each) => fetch(`http://127.0.0.1:${port}/${each}`).then((answer) => answer.text())),
  );
  process.kill(program.pid, 'SIGTTIN');
  await eventually(() => /^paster INFO/m.test(read(directory, 'var/app.log')));
  await program.kill('SIGTERM');
  const lines = read(directory, 'var/app.log').split('\n');
  const logged = lines.flatMap((line) => /^wsgi INFO \d+ \/(\d+)$/.exec(line)?.[1] ?? []);
  expect(logged.map(Number).sort((one, other) => one - other)).toEqual(Array.from({ length: 200 }, (_, each) => each));
});

test('WINCH logs a line for each process', async () => {
  const port = await freePort();
  const directory = project({ 'etc/x.ini': ini(port, { server: 'workers = 2' }) });
  const program = await serve(['etc/x.ini'], { cwd: directory });
  process.kill(program.pid, 'SIGWINCH');
  await eventually(() => /^paster INFO \d+ listens/m.test(read(directory, 'var/app.log')));
  const lines = read(directory, 'var/app.log').match(/^paster INFO .*$/gm);
  const ofProcess = (what: string) =>
    expect.stringMatching(new RegExp(`^paster INFO \\d+ ${what} \\d+, up \\d+ s: [^\\\\]*$`));
  const address = expect.stringMatching(/^paster INFO \d+ listens on http:\S+ \(server main\)$/);
  expect(lines).toEqual([...['server', 'worker', 'worker'].map(ofProcess), address]);
});

test('a file with mode "w" is emptied once, not by each worker and reload', async () => {
  const port = await freePort();
  const directory = project({
    'etc/x.ini': ini(port, { server: 'workers = 2' }).replace('app.log", "a"', 'app.log", "w"'),
    'var/app.log': 'old\n',
  });
  const program = await serve(['etc/x.ini'], { cwd: directory });
  const ask = async (path: string): Promise<string> => (await fetch(`http://127.0.0.1:${port}${path}`)).text();
  for (let each = 0; each < 20; each++) await ask(`/before/${each}`);
  await eventually(() => read(directory, 'var/app.log').includes('/before/19'));
  program.child.kill('SIGHUP');
  await eventually(() => /^paster INFO \d+ reloaded$/m.test(read(directory, 'var/app.log')));
  for (let each = 0; each < 20; each++) await ask(`/after/${each}`);
  await program.kill('SIGTERM');
  const text = read(directory, 'var/app.log');
  expect(text).not.toContain('old');
  for (const when of ['before', 'after']) {
    for (let each = 0; each < 20; each++) expect(text).toContain(`/${when}/${each}\n`);
  }
});

test('kill -9 loses only the latest lines', async () => {
  const port = await freePort();
  const directory = project({ 'etc/x.ini': ini(port) });
  const program = await serve(['etc/x.ini'], { cwd: directory });
  const asked: { readonly path: string; readonly at: number }[] = [];
  const begin = performance.now();
  while (performance.now() - begin < 1500) {
    const path = `/${asked.length}`;
    await (await fetch(`http://127.0.0.1:${port}${path}`)).text();
    asked.push({ path, at: performance.now() });
  }
  process.kill(program.pid, 'SIGKILL');
  const killed = performance.now();
  const text = read(directory, 'var/app.log');
  // Lines are written after a tenth of a second at most; the rest is for a busy machine.
  const old = asked.filter(({ at }) => at < killed - 600);
  expect(old.length).toBeGreaterThan(10);
  expect(old.filter(({ path }) => !text.includes(` ${path}\n`))).toEqual([]);
});

test.runIf(existsSync('/dev/full'))('a full disk is reported once', async () => {
  const directory = project({
    'etc/x.ini': ini(0).replace('%(here)s/../var/app.log', '/dev/full'),
    'writer.mjs': WRITER,
  });
  const { stderr } = await new Program(process.execPath, ['writer.mjs', 'a', '300'], { cwd: directory }).finished();
  expect(stderr.match(/cannot write the log file \/dev\/full: ENOSPC/g)).toHaveLength(1);
});

test('after USR1 every process writes to the file that now has the name', async () => {
  const port = await freePort();
  const directory = project({ 'etc/x.ini': ini(port, { server: 'workers = 2' }) });
  const program = await serve(['etc/x.ini'], { cwd: directory });
  const ask = async (path: string): Promise<void> =>
    void (await (await fetch(`http://127.0.0.1:${port}${path}`)).text());
  await ask('/before');
  await eventually(() => read(directory, 'var/app.log').includes('/before'));
  renameSync(join(directory, 'var/app.log'), join(directory, 'var/old.log'));
  process.kill(program.pid, 'SIGUSR1');
  await eventually(() => existsSync(join(directory, 'var/app.log')));
  const old = read(directory, 'var/old.log');
  for (let each = 0; !read(directory, 'var/app.log').includes('/after'); each++) await ask(`/after${each}`);
  expect(old).toContain('/before');
  expect(read(directory, 'var/app.log')).not.toContain('/before');
});

test('a reload reads the sections again', async () => {
  const port = await freePort();
  const directory = project({ 'etc/x.ini': ini(port) });
  await serve(['etc/x.ini', '--reload'], { cwd: directory });
  writeFiles(directory, { 'etc/x.ini': ini(port).replace('%(process)d', 'changed') });
  await eventually(() => {
    void fetch(`http://127.0.0.1:${port}/again`).catch(() => {});
    return /^wsgi INFO changed \/again$/m.test(read(directory, 'var/app.log'));
  });
});

test('after HUP the supervisor logs as the sections say now, and to standard error without them', async () => {
  const port = await freePort();
  const server = 'workers = 1';
  const directory = project({ 'etc/x.ini': ini(port, { server }) });
  const program = await serve(['etc/x.ini'], { cwd: directory });
  const reload = async (text: string): Promise<void> => {
    writeFiles(directory, { 'etc/x.ini': text });
    program.child.kill('SIGHUP');
  };
  await reload(ini(port, { server }).replaceAll('app.log', 'new.log').replace('%(process)d', 'changed'));
  await eventually(() => /^paster INFO \d+ reloaded$/m.test(read(directory, 'var/app.log')));
  const before = read(directory, 'var/app.log');
  await reload(ini(port, { server }).replace(/\[loggers\][\s\S]*/, ''));
  await eventually(() => /^paster INFO changed reloaded$/m.test(read(directory, 'var/new.log')));
  expect(program.stderr).toBe('');
  await reload(ini(port, { server }));
  await program.says(/^reloading \(HUP\)\nreloaded$/m);
  expect(read(directory, 'var/app.log')).toBe(before);
  program.child.kill('SIGHUP');
  await eventually(() => read(directory, 'var/app.log') !== before);
  expect(program.stderr).toBe('reloading (HUP)\nreloaded\n');
});

test('a log file in a directory that does not exist prevents serve from starting', async () => {
  const directory = project({ 'etc/x.ini': ini(await freePort()).replace('/../var/', '/../gone/') });
  const { status, stderr } = await paster(['serve', 'etc/x.ini'], { cwd: directory }).finished();
  expect(stderr).toMatch(
    /^paster: etc\/x\.ini:\d+:8: \[handler_file\] cannot write the log file \S+: ENOENT.*\(create its directory: mkdir -p \S+\)\n$/,
  );
  expect(status).toBe(1);
});

test('capture_console turns console output of the application into records', async () => {
  const port = await freePort();
  const directory = project({ 'etc/x.ini': ini(port, { loggers: 'capture_console = true' }) });
  const program = await serve(['etc/x.ini'], { cwd: directory });
  await fetch(`http://127.0.0.1:${port}/a`);
  const { stderr } = await program.kill('SIGTERM');
  expect(read(directory, 'var/app.log')).toMatch(/^console WARNING \d+ console \/a$/m);
  expect(stderr).toBe('');
});

const WRITER = `
import { configureLogging, getLogger } from 'paster';
await configureLogging('etc/x.ini');
const log = getLogger('writer');
const [, , name, count] = process.argv;
for (let each = 0; each < Number(count); each++) {
  log.info('%s %d', name, each);
  if (each % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
}
`;

test.each([
  ['handlers.RotatingFileHandler', ', 5000, 500'],
  // Two files: most lines are in one that has been removed, and no line may be cut or inside another.
  ['handlers.RotatingFileHandler', ', 50000, 1'],
])('several processes share a file while it is rotated: %s%s', async (handler, args) => {
  const directory = project({ 'etc/x.ini': ini(0, { handler, args }), 'writer.mjs': WRITER });
  const writers = ['a', 'b', 'c'].map(
    (name) => new Program(process.execPath, ['writer.mjs', name, '2000'], { cwd: directory }),
  );
  for (const writer of writers) expect((await writer.finished()).stderr).toBe('');
  const files = readdirSync(join(directory, 'var')).filter((name) => name.startsWith('app.log'));
  const lines = files.flatMap((name) => read(directory, `var/${name}`).split('\n').slice(0, -1));
  expect(lines.filter((line) => !/^writer INFO \d+ [abc] \d+$/.test(line))).toEqual([]);
  expect(new Set(lines).size).toBe(lines.length);
  expect(files.length).toBeGreaterThan(1);
  if (args.endsWith(' 1')) expect(files.sort()).toEqual(['app.log', 'app.log.1']);
  else expect(lines).toHaveLength(6000);
});

test('several processes share a file that is rotated every second', async () => {
  const text = ini(0, { handler: 'handlers.TimedRotatingFileHandler' }).replace('"a")', '"S", 1)');
  const directory = project({ 'etc/x.ini': text, 'writer.mjs': WRITER.replace(', 1));', ', 80));') });
  const writers = ['a', 'b', 'c'].map(
    (name) => new Program(process.execPath, ['writer.mjs', name, '1500'], { cwd: directory }),
  );
  for (const writer of writers) expect((await writer.finished()).stderr).toBe('');
  const files = readdirSync(join(directory, 'var')).filter((name) => name.startsWith('app.log'));
  expect(files.filter((name) => !/^app\.log(?:\.\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d)?$/.test(name))).toEqual([]);
  expect(files.length).toBeGreaterThan(1);
  const lines = files.flatMap((name) => read(directory, `var/${name}`).split('\n').slice(0, -1));
  expect(lines.filter((line) => !/^writer INFO \d+ [abc] \d+$/.test(line))).toEqual([]);
  expect([lines.length, new Set(lines).size]).toEqual([4500, 4500]);
});

test('NullHandler drops what would otherwise go to standard error', async () => {
  const text = ini(0, { handler: 'NullHandler' }).replace(/^args = .*$/m, 'args = ()');
  const directory = project({ 'etc/x.ini': text, 'writer.mjs': WRITER.replaceAll('log.info', 'log.error') });
  const run = new Program(process.execPath, ['writer.mjs', 'a', '10'], { cwd: directory });
  expect(await run.finished()).toEqual({ status: 0, stdout: '', stderr: '' });
});

test('WatchedFileHandler reopens a renamed file by itself', async () => {
  const port = await freePort();
  const directory = project({ 'etc/x.ini': ini(port, { handler: 'handlers.WatchedFileHandler' }) });
  await serve(['etc/x.ini'], { cwd: directory });
  await fetch(`http://127.0.0.1:${port}/before`);
  await eventually(() => read(directory, 'var/app.log').includes('/before'));
  renameSync(join(directory, 'var/app.log'), join(directory, 'var/old.log'));
  await fetch(`http://127.0.0.1:${port}/after`);
  await eventually(() => read(directory, 'var/app.log').includes('/after'));
  expect(read(directory, 'var/old.log')).not.toContain('/after');
});

test('a line is written even if the application stays busy: kill -9 loses only later ones', async () => {
  const directory = project({
    'etc/x.ini': ini(0),
    'busy.mjs': `
import { configureLogging, getLogger } from 'paster';
await configureLogging('etc/x.ini');
getLogger('busy').info('quiet');
await new Promise((resolve) => setTimeout(resolve, 1000));
for (let each = 0; ; each++) getLogger('busy').info('computing %d', each);
`,
  });
  const program = new Program(process.execPath, ['busy.mjs'], { cwd: directory });
  await eventually(() => read(directory, 'var/app.log') !== '');
  expect(read(directory, 'var/app.log')).toMatch(/^busy INFO \d+ quiet\n$/);
  await eventually(() => read(directory, 'var/app.log').includes('computing'));
  await program.kill('SIGKILL');
});

const SYSLOG = `
import { configureLogging, getLogger } from 'paster';
await configureLogging('etc/syslog.ini');
getLogger('shop').warning('to syslog');
await new Promise((resolve) => setTimeout(resolve, 60_000));
`;

function syslogIni(args: string): string {
  return ini(0)
    .replace('class = FileHandler', 'class = handlers.SysLogHandler')
    .replace(/^args = .*$/m, `args = ${args}`);
}

test('syslog gets records over UDP', async () => {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const address = `(('127.0.0.1', ${socket.address().port}), handlers.SysLogHandler.LOG_LOCAL1)`;
  const directory = project({ 'etc/syslog.ini': syslogIni(address), 'log.mjs': SYSLOG });
  const received = once(socket, 'message');
  const program = new Program(process.execPath, ['log.mjs'], { cwd: directory });
  const [message] = (await received) as [Buffer];
  // The facility local1 is 17, and the severity warning 4: 17 * 8 + 4 (RFC 5424 section 6.2.1).
  expect(message.toString()).toBe(`<140>shop WARNING ${program.pid} to syslog\0`);
  socket.close();
});

test('syslog gets records through a socket such as /dev/log', async () => {
  const python = needProgram('python3');
  const directory = project({ 'log.mjs': SYSLOG });
  mkdirSync(join(directory, 'run'));
  writeFiles(directory, { 'etc/syslog.ini': syslogIni(`("${directory}/run/log",)`) });
  const script =
    'import socket,sys; s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.bind(sys.argv[1]); print("bound",flush=True); print(s.recv(999).decode(),flush=True)';
  const daemon = new Program(python, ['-c', script, join(directory, 'run/log')]);
  await daemon.says(/bound/);
  new Program(process.execPath, ['log.mjs'], { cwd: directory });
  // The default facility, user, is 1: 1 * 8 + 4.
  await daemon.says(/^<12>.*shop WARNING \d+ to syslog/m);
});
