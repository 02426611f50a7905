/** A server in the background: start, status, restart, stop, and everything that must not happen in between. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory, writeFiles } from '../../helpers/directory.ts';
import {
  eventually,
  type Finished,
  isAlive,
  paster,
  pasterWithoutRoot,
  serve,
} from '../../helpers/programs/program.ts';

const APP = `export default (req, res) => {
  console.log('asked for', req.url);
  if (req.url === '/pid') return res.end(String(process.pid));
  if (req.url === '/exit') process.exit(9);
  if (req.url === '/slow') return setTimeout(() => res.end('done'), 700);
  res.end('hello');
};
`;
const INI = (server = '') =>
  `[app:main]\nuse = module:./app.js\n[server:main]\nuse = npm:paster#http\nport = 0\n${server}\n`;

/** A project whose background server ends with the test. */
function project(server = '', app = APP): string {
  const directory = temporaryDirectory({ 'app.js': app, 'package.json': '{"type": "module"}', 'x.ini': INI(server) });
  onTestFinished(async () => {
    const files = ['paster.pid', 'var/paster.pid'].map((name) => join(directory, name));
    if (files.some((file) => existsSync(file))) await run(directory, '--stop-daemon');
  });
  return directory;
}

function run(cwd: string, ...args: readonly string[]): Promise<Finished> {
  return paster(['serve', ...args], { cwd }).finished();
}

const urlOf = ({ stdout }: Finished) => /^serving on (\S+)$/m.exec(stdout)?.[1] ?? '';
const pidIn = (directory: string, file = 'paster.pid') =>
  Number(readFileSync(join(directory, file), 'utf8').split('\n')[0]);
const get = async (url: string) => (await fetch(url, { headers: { connection: 'close' } })).text();

test.each([
  ['one process', '', 'paster: server x.ini'],
  ['two workers', 'workers = 2', 'paster: supervisor x.ini'],
])('the whole life cycle of %s', async (_what, server, title) => {
  const directory = project(server);
  expect(await run(directory, 'x.ini', 'status')).toMatchObject({
    status: 1,
    stdout: expect.stringMatching(/not running/),
  });

  const started = await run(directory, 'x.ini', 'start');
  expect(started, started.stderr).toMatchObject({ status: 0, stderr: '' });
  // The server is ready as soon as the command has returned.
  expect(await get(urlOf(started))).toBe('hello');
  const pid = pidIn(directory);
  expect(started.stdout).toContain(`Starting server in PID ${pid}.`);
  if (process.platform === 'linux') {
    expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replace(/\0+$/, '')).toBe(title);
  }
  expect(await run(directory, 'x.ini', 'status')).toMatchObject({
    status: 0,
    stdout: `Server running in PID ${pid}\n`,
  });
  expect(await run(directory, '--status')).toMatchObject({ status: 0 });

  const second = await run(directory, 'x.ini', '--daemon');
  expect(second).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(/is already running: .*paster\.pid names process/),
  });
  expect(pidIn(directory)).toBe(pid);

  const restarted = await run(directory, 'x.ini', 'restart', 'a=b');
  expect(restarted, restarted.stderr).toMatchObject({ status: 0 });
  expect(isAlive(pid)).toBe(false);
  expect(await get(urlOf(restarted))).toBe('hello');

  expect(await run(directory, 'x.ini', 'stop')).toMatchObject({ status: 0 });
  await expect(fetch(urlOf(restarted))).rejects.toThrow();
  expect(readdirSync(directory).sort()).toEqual(['app.js', 'package.json', 'paster.log', 'x.ini']);
  expect(readFileSync(join(directory, 'paster.log'), 'utf8')).toMatch(/^serving on[\s\S]*asked for \/$/m);

  const again = await run(directory, 'x.ini', 'stop');
  expect(again).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(
      /not running: there is no pid file \S+\/paster\.pid \(name another with --pid-file\)/,
    ),
  });
});

test('a command for another INI file does not affect the server of the default pid file', async () => {
  const directory = project();
  writeFileSync(join(directory, 'y.ini'), INI());
  symlinkSync('x.ini', join(directory, 'link.ini'));
  const url = urlOf(await run(directory, 'x.ini', 'start'));
  const served = `paster\\.pid names process ${pidIn(directory)}, which serves x\\.ini`;
  const notRunning = new RegExp(`Server not running: \\S+${served} \\(name another with --pid-file\\)`);
  const runsAlready = new RegExp(
    `a server is already running: \\S+${served} \\(stop it first, or use another --pid-file\\)`,
  );
  expect(await run(directory, 'y.ini', 'status')).toMatchObject({
    status: 1,
    stdout: expect.stringMatching(notRunning),
  });
  for (const [action, message] of [
    ['stop', notRunning],
    ['restart', runsAlready],
    ['start', runsAlready],
  ] as const) {
    expect(await run(directory, 'y.ini', action)).toMatchObject({ status: 1, stderr: expect.stringMatching(message) });
  }
  expect(await get(url)).toBe('hello');
  const own = ['--pid-file', 'y.pid', '--log-file', 'y.log'];
  for (const action of ['start', 'restart', 'stop']) {
    expect((await run(directory, 'y.ini', action, ...own)).status).toBe(0);
  }
  for (const same of ['./x.ini', 'link.ini', 'config:x.ini']) {
    expect((await run(directory, same, 'status')).status).toBe(0);
  }
  expect((await run(directory, 'y.ini', 'stop', '--pid-file', 'paster.pid')).status).toBe(0);
});

test('a project with var/ has its pid file and log there', async () => {
  const directory = project();
  mkdirSync(join(directory, 'var'));
  const started = await run(directory, 'x.ini', 'start');
  try {
    expect(started).toMatchObject({ status: 0 });
    expect(readdirSync(join(directory, 'var')).sort()).toEqual(['paster.log', 'paster.pid']);
    expect(readdirSync(directory)).not.toContain('paster.pid');
  } finally {
    expect(await run(directory, 'x.ini', 'stop')).toMatchObject({ status: 0 });
  }
});

test('a server that was started before var/ existed is found and stopped', async () => {
  const directory = project('', `${APP}import { writeSync } from 'node:fs'; writeSync(1, 'by descriptor\\n');\n`);
  await run(directory, 'x.ini', 'start');
  const before = readFileSync(join(directory, 'paster.log'), 'utf8');
  expect(before).toContain('by descriptor');
  mkdirSync(join(directory, 'var'));
  expect(await run(directory, '--status')).toMatchObject({ status: 0 });
  expect(await run(directory, 'x.ini', 'restart')).toMatchObject({ status: 0 });
  expect(readdirSync(join(directory, 'var')).sort()).toEqual(['paster.log', 'paster.pid']);
  expect(readFileSync(join(directory, 'var/paster.log'), 'utf8')).toMatch(/^by descriptor[\s\S]*^serving on/m);
  expect(readFileSync(join(directory, 'paster.log'), 'utf8')).toBe(before);
  expect(await run(directory, 'x.ini', 'stop')).toMatchObject({ status: 0 });
});

test('a monitored server that restarts keeps its log file, even if var/ exists by then', async () => {
  const directory = project(
    '',
    `${APP}import { writeSync } from 'node:fs'; writeSync(1, \`pid \${process.pid}\\n\`);\n`,
  );
  const pidFile = join(directory, 'my.pid');
  const started = await run(directory, 'x.ini', 'start', '--monitor-restart', '--pid-file', pidFile);
  expect(started, started.stderr).toMatchObject({ status: 0 });
  try {
    const log = () => readFileSync(join(directory, 'paster.log'), 'utf8');
    mkdirSync(join(directory, 'var'));
    process.kill(Number(/^pid (\d+)$/m.exec(log())?.[1]), 'SIGKILL');
    await eventually(() => log().match(/^serving on/gm)?.length === 2);
    expect(readdirSync(join(directory, 'var'))).toEqual([]);
  } finally {
    expect(await run(directory, 'x.ini', 'stop', '--pid-file', pidFile)).toMatchObject({ status: 0 });
  }
});

test('stop lets a request in flight finish', async () => {
  const directory = project();
  const url = urlOf(await run(directory, 'x.ini', '--daemon'));
  const slow = get(`${url}/slow`);
  await eventually(() => readFileSync(join(directory, 'paster.log'), 'utf8').includes('/slow'));
  expect((await run(directory, '--stop-daemon')).status).toBe(0);
  expect(await slow).toBe('done');
});

test('a server that does not stop is killed', async () => {
  const stubborn = `${APP}setInterval(() => { for (const name of ['SIGTERM', 'SIGINT']) process.removeAllListeners(name).on(name, () => {}); }, 5);\n`;
  const directory = project('graceful_timeout = 1', stubborn);
  await run(directory, 'x.ini', 'start');
  const pid = pidIn(directory);
  const stopped = await run(directory, 'x.ini', 'stop');
  expect(stopped.stdout).toMatch(/has not ended: sending SIGINT\n.*has not ended: sending SIGKILL/);
  expect(stopped.status).toBe(0);
  expect(isAlive(pid)).toBe(false);
  expect(existsSync(join(directory, 'paster.pid'))).toBe(false);
});

test.each([
  [
    'an application that throws',
    { 'app.js': 'throw new Error("at import");' },
    1,
    /app\.js:1:7: \[app:main\] Error: at import/,
  ],
  [
    'an application that ends the process',
    { 'app.js': 'console.log("good bye"); process.exit(7);' },
    1,
    /ended with status 7 before it listened; it wrote:\n.*good bye/,
  ],
  ['an error in the configuration', { 'x.ini': INI('prot = 1') }, 2, /x\.ini:6:1: .*unknown setting "prot"/],
  [
    'a failing worker',
    { 'app.js': 'throw new Error("at import");', 'x.ini': INI('workers = 2') },
    1,
    /Error: at import/,
  ],
])('%s: the error is on the terminal, and nothing is left behind', async (_what, files, status, reason) => {
  const directory = project();
  writeFiles(directory, files as Record<string, string>);
  const finished = await run(directory, 'x.ini', '--daemon');
  expect(finished.stderr.replaceAll('\r', '')).toMatch(reason);
  expect(finished.stderr).not.toMatch(/^\s+at /m);
  expect(finished).toMatchObject({ status, stdout: '' });
  expect(existsSync(join(directory, 'paster.pid'))).toBe(false);
  // This error is found before the log file is opened.
  expect(existsSync(join(directory, 'paster.log'))).toBe(status === 1);
});

test('a port in use is reported on the terminal', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void taken.close());
  await once(taken, 'listening');
  const address = taken.address();
  const port = typeof address === 'object' ? address?.port : 0;
  const finished = await run(project(), 'x.ini', 'start', '-p', String(port));
  expect(finished).toMatchObject({ status: 1, stderr: expect.stringMatching(/in use by another program/) });
});

test('restart keeps the old server if the new configuration has an error', async () => {
  const directory = project();
  const url = urlOf(await run(directory, 'x.ini', 'start'));
  writeFiles(directory, { 'x.ini': INI('prot = 1') });
  expect(await run(directory, 'x.ini', 'restart')).toMatchObject({ status: 2 });
  expect(await get(url)).toBe('hello');
});

test.each([
  [['--daemon', '--reload'], /--daemon and --reload are mutually exclusive/],
  [['start', '--reload'], /--daemon and --reload are mutually exclusive/],
  [['stop', '--status'], /are mutually exclusive/],
])('%j is refused', async (args, message) => {
  const directory = project();
  const before = readdirSync(directory);
  expect(await run(directory, 'x.ini', ...args)).toMatchObject({ status: 2, stderr: expect.stringMatching(message) });
  expect(readdirSync(directory)).toEqual(before);
});

test.each([
  ['--pid-file', 'gone/a.pid', /cannot write the pid file .*mkdir -p .*gone/],
  ['--pid-file', 'file/a.pid', /cannot write the pid file .*file/],
  ['--pid-file', 'directory', /cannot write the pid file .*directory/],
  ['--log-file', 'gone/a.log', /cannot write the log file .*mkdir -p .*gone/],
  ['--log-file', 'directory', /cannot write the log file .*EISDIR/],
])('%s %s cannot be written, with an error in the foreground and in the background', async (option, value, message) => {
  const directory = project();
  mkdirSync(join(directory, 'directory'));
  writeFileSync(join(directory, 'file'), '');
  const before = readdirSync(directory);
  for (const mode of [[], ['--daemon']]) {
    const finished = await run(directory, 'x.ini', option, value, ...mode);
    expect(finished).toMatchObject({ status: 1, stdout: '', stderr: expect.stringMatching(message) });
    expect(readdirSync(directory)).toEqual(before);
  }
});

test('a directory without write permission is an error', async () => {
  const directory = project();
  mkdirSync(join(directory, 'closed'));
  chmodSync(join(directory, 'closed'), 0o500);
  const program = pasterWithoutRoot(['serve', 'x.ini', '--pid-file', 'closed/pid'], { cwd: directory });
  expect(await program.finished()).toMatchObject({
    status: 1,
    stdout: '',
    stderr: expect.stringMatching(/^paster: cannot write the pid file .*closed\/pid: EACCES: permission denied/),
  });
});

test('a process that has the PID only by chance is never signalled', async () => {
  const directory = project();
  const bystander = spawn('sleep', ['60']);
  onTestFinished(() => void bystander.kill());
  for (const text of [`${bystander.pid}\n`, `${bystander.pid}\nlong ago\n30\n`]) {
    writeFileSync(join(directory, 'paster.pid'), text);
    expect(await run(directory, 'x.ini', 'status')).toMatchObject({ status: 1 });
    expect(await run(directory, 'x.ini', 'stop')).toMatchObject({ status: 1 });
    expect(bystander.exitCode ?? bystander.signalCode).toBe(null);
    // The pid file is stale, so the next start replaces it.
    writeFileSync(join(directory, 'paster.pid'), text);
    expect(await run(directory, 'x.ini', 'start')).toMatchObject({ status: 0 });
    expect(await run(directory, 'x.ini', 'stop')).toMatchObject({ status: 0 });
    expect(bystander.exitCode ?? bystander.signalCode).toBe(null);
  }
});

test('the pid file of a killed server is recognized as stale', async () => {
  const directory = project('workers = 1');
  await run(directory, 'x.ini', 'start');
  const pid = pidIn(directory);
  process.kill(pid, 'SIGKILL');
  await eventually(() => !isAlive(pid));
  expect(await run(directory, '--status')).toMatchObject({
    status: 1,
    stdout: expect.stringMatching(/no longer a paster server/),
  });
  expect(await run(directory, 'x.ini', 'restart')).toMatchObject({ status: 0 });
  expect(pidIn(directory)).not.toBe(pid);
});

test('in the foreground, --pid-file exists while it listens, and --log-file replaces the terminal', async () => {
  const directory = project();
  const program = await serve(['x.ini', '--pid-file', 'a.pid'], { cwd: directory });
  expect(pidIn(directory, 'a.pid')).toBe(program.pid);
  expect((await program.kill('SIGTERM')).status).toBe(0);
  expect(existsSync(join(directory, 'a.pid'))).toBe(false);

  const logged = paster(['serve', 'x.ini', '--log-file', 'a.log'], { cwd: directory });
  const log = () => readFileSync(join(directory, 'a.log'), 'utf8');
  await eventually(() => existsSync(join(directory, 'a.log')) && log().includes('serving on'));
  expect(await logged.kill('SIGTERM')).toEqual({ status: 0, stdout: '', stderr: '' });
  expect(log()).toContain(`Starting server in PID ${logged.pid}.`);
});

test('an error with --log-file is on the terminal and in the file', async () => {
  const directory = project('', 'throw new Error("at import");');
  const finished = await run(directory, 'x.ini', '--log-file', 'a.log');
  expect(finished).toMatchObject({ status: 1, stderr: expect.stringMatching(/at import/) });
  expect(readFileSync(join(directory, 'a.log'), 'utf8')).toMatch(/paster: .*at import/);
});

test('a pid file that another process has written in the meantime is kept', async () => {
  const directory = project();
  const program = await serve(['x.ini', '--pid-file', 'a.pid'], { cwd: directory });
  writeFileSync(join(directory, 'a.pid'), '1\nanother\n');
  await program.kill('SIGTERM');
  expect(readFileSync(join(directory, 'a.pid'), 'utf8')).toBe('1\nanother\n');
});

test('the pid file is removed when the application ends the process', async () => {
  const directory = project();
  const program = await serve(['x.ini', '--pid-file', 'a.pid'], { cwd: directory });
  await fetch(`${program.url}/exit`).catch(() => {});
  expect((await program.finished()).status).toBe(9);
  expect(existsSync(join(directory, 'a.pid'))).toBe(false);
});

test.each([
  ['one process', ''],
  ['workers', 'workers = 2'],
])('USR1 reopens the log file: %s', async (_what, server) => {
  const directory = project(server);
  const url = urlOf(await run(directory, 'x.ini', 'start'));
  const log = (name: string) => readFileSync(join(directory, name), 'utf8');
  await get(`${url}/before`);
  renameSync(join(directory, 'paster.log'), join(directory, 'old.log'));
  await get(`${url}/between`);
  process.kill(pidIn(directory), 'SIGUSR1');
  await eventually(() => existsSync(join(directory, 'paster.log')));
  // Each worker reopens the file by itself, at its own time.
  await eventually(async () => {
    await get(`${url}/after`);
    return log('paster.log').includes('/after');
  });
  expect(log('old.log')).toMatch(/asked for \/before[\s\S]*asked for \/between/);
  expect(log('paster.log')).not.toContain('/between');
  expect(await run(directory, 'x.ini', 'stop')).toMatchObject({ status: 0 });
});
