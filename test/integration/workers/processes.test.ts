/** How `paster serve` reacts to signals and to the death of processes: as one process, with workers and monitored. */
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import {
  eventually,
  freePort,
  isAlive,
  needProgram,
  Program,
  paster,
  ROOT,
  serve,
} from '../../helpers/programs/program.ts';

const APP = `export default (req, res) => {
  if (req.url === '/exit') process.exit(9);
  if (req.url === '/slow') return setTimeout(() => res.end('done'), 500);
  res.end(String(process.pid));
};
`;

function project(app = APP, server = ''): string {
  return temporaryDirectory({
    'app.js': app,
    'package.json': '{"type": "module"}',
    'x.ini': `[app:main]\nuse = module:./app.js\n[server:main]\nuse = npm:paster#http\nport = 0\n${server}\n`,
  });
}

const get = async (url: string) => (await fetch(url, { headers: { connection: 'close' } })).text();

test('HUP, TTIN and USR1 do not end a single process, which logs what to do instead', async () => {
  const program = await serve(['x.ini'], { cwd: project() });
  program.child.kill('SIGHUP');
  await program.says(/HUP: a server without workers cannot reload: set workers = 1/);
  program.child.kill('SIGTTIN');
  await program.says(/TTIN and TTOU have no effect on a server without workers/);
  program.child.kill('SIGUSR1');
  await program.says(/USR1: there is no log file to open again/);
  expect(await get(program.url)).toBe(String(program.pid));
});

test.each([
  ['one process', ''],
  ['workers', 'workers = 1'],
])('INT after TERM ends a graceful stop at once: %s', async (_what, server) => {
  const program = await serve(['x.ini'], {
    cwd: project(APP.replace('500', '60000'), server),
  });
  const slow = fetch(`${program.url}/slow`).then(
    () => 'complete',
    () => 'aborted',
  );
  // When this later request has a response, the slow one has arrived.
  await get(program.url);
  program.child.kill('SIGTERM');
  expect((await program.kill('SIGINT')).status).toBe(0);
  expect(await slow).toBe('aborted');
});

test.each([
  ['one process', []],
  ['workers', ['-w', '1']],
])('TERM ends an application that is still loading: %s', async (_what, mode) => {
  const cwd = project(`process.stderr.write('loading\\n');\nawait new Promise((r) => setTimeout(r, 60000));\n${APP}`);
  const program = paster(['serve', 'x.ini', '--pid-file', 'a.pid', ...mode], { cwd });
  await program.says(/loading/);
  expect(await program.kill('SIGTERM')).toMatchObject({ status: 0, stdout: '', stderr: 'loading\n' });
  expect(existsSync(join(cwd, 'a.pid'))).toBe(false);
});

describe('a package’s script', () => {
  const started = async (script: string, command: readonly string[]) => {
    const cwd = project();
    mkdirSync(join(cwd, 'node_modules/.bin'), { recursive: true });
    symlinkSync(ROOT, join(cwd, 'node_modules/paster'));
    symlinkSync('../paster/bin/paster.js', join(cwd, 'node_modules/.bin/paster'));
    writeFileSync(join(cwd, 'package.json'), JSON.stringify({ type: 'module', scripts: { start: script } }));
    const [file = '', ...args] = command;
    const program = new Program(file, args, { cwd });
    const [, pid = ''] = await program.says(/^Starting server in PID (\d+)\.$/m);
    await program.says(/^serving on /m);
    onTestFinished(() => {
      if (isAlive(Number(pid))) process.kill(Number(pid), 'SIGKILL');
    });
    return { program, pid: Number(pid) };
  };

  test.each([
    ['npx', 'unused', ['npx', 'paster', 'serve', 'x.ini']],
    ['npm', 'true && paster serve x.ini 2>&1', ['npm', 'start']],
    ['npm, with workers', 'paster serve x.ini -w 1', ['npm', 'start']],
    ['npm and an argument', 'paster serve', ['npm', 'start', '--', 'x.ini']],
  ])('ends its server when it ends: %s', async (_what, script, command) => {
    const { program, pid } = await started(script, command);
    await program.kill('SIGTERM');
    await eventually(() => !isAlive(pid));
  });

  test.each(['paster serve x.ini & sleep 5', 'nohup paster serve x.ini; true'])(
    'may leave a server running: %s',
    async (script) => {
      const { program, pid } = await started(script, ['npm', 'start']);
      await program.kill('SIGTERM');
      // Longer than the server would take to notice.
      await sleep(2000);
      expect(isAlive(pid)).toBe(true);
    },
  );
});

/** Blocks its process forever, and leaves the processor to others. */
const LOOPING = 'for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);';
const LOOP = `process.stderr.write('looping\\n');\n${LOOPING}\n`;

test.each([
  ['at a request', `export default () => {\n${LOOP}};\n`, []],
  ['while it is loaded', LOOP, []],
  ['at a request, in a worker', `export default () => {\n${LOOP}};\n`, ['-w', '1']],
])('a second Ctrl-C ends an application that blocks its process: %s', async (_what, app, mode) => {
  const script = needProgram('script');
  const command = [process.execPath, join(ROOT, 'bin/paster.js'), 'serve', 'x.ini', '--pid-file', 'a.pid', ...mode];
  const options = { cwd: project(app), typing: true };
  // Reads standard error until all children have closed it.
  const line = `trap : INT; ${command.join(' ')} 2>&1 >/dev/tty | (trap '' INT; exec cat)`;
  const program = new Program(script, ['-qefc', line, '/dev/null'], options);
  if (app !== LOOP) {
    const [, url = ''] = await program.says(/Local: +(http:\S+)/);
    void fetch(url).catch(() => {});
  }
  await program.says(/looping/);
  // Of two simultaneous signals, the system may deliver only one.
  const pressing = setInterval(() => program.type('\x03'), 200);
  await program.finished().finally(() => clearInterval(pressing));
  if (mode.length === 0) expect(program.output).toContain('does not respond to Ctrl-C: killed');
  expect(program.output).not.toMatch(/No such process/);
});

test('without a terminal, only the two lines for scripts are printed', async () => {
  const program = await serve(['x.ini'], { cwd: project() });
  expect(await program.kill('SIGTERM')).toMatchObject({
    stdout: `Starting server in PID ${program.pid}.\nserving on ${program.url}\n`,
    stderr: '',
  });
});

test('--open reports that there is no browser, or that a browser cannot connect', async () => {
  const program = await serve(['x.ini', '--open'], { cwd: project(), env: { PATH: '/nonexistent' } });
  await program.says(/--open: there is no (xdg-)?open here; open http:\S+ yourself/);
  expect((await fetch(program.url)).status).toBe(200);
  const fastcgi = await serve(['x.ini', '--open', '-s', 'fastcgi', '-p', '0', '--host', '127.0.0.1'], {
    cwd: project(),
  });
  await fastcgi.says(/a browser cannot connect/);
});

test('--monitor-restart restarts a server that has died, and TERM ends both', async () => {
  const cwd = project();
  const port = await freePort();
  const program = await serve(['x.ini', '-p', String(port), '--monitor-restart', '--pid-file', 'a.pid'], { cwd });
  const pid = () => get(program.url).catch(() => undefined);
  const first = await get(program.url);
  expect(first).not.toBe(String(program.pid));
  // Signals are sent to the monitor, which writes the file when the server has reported that it listens.
  await eventually(() => existsSync(join(cwd, 'a.pid')));
  expect(readFileSync(join(cwd, 'a.pid'), 'utf8').split('\n')[0]).toBe(String(program.pid));
  await get(`${program.url}/exit`).catch(() => {});
  await program.says(/the server ended with status 9; it is started again/);
  const second = await eventually(pid);
  expect(second).not.toBe(first);
  process.kill(Number(second), 'SIGKILL');
  await program.says(/ended by SIGKILL; it is started again/);
  // A version that does not load is retried.
  const third = await eventually(pid);
  writeFileSync(join(cwd, 'app.js'), 'throw new Error("broken");');
  process.kill(Number(third), 'SIGKILL');
  await program.says(/ended with status 1: .*broken; it is started again/);
  writeFileSync(join(cwd, 'app.js'), APP);
  await eventually(pid);

  expect((await program.kill('SIGTERM')).status).toBe(0);
  await expect(fetch(program.url)).rejects.toThrow();
  expect(existsSync(join(cwd, 'a.pid'))).toBe(false);
});

test('--monitor-restart gives up on a server that never started', async () => {
  const program = paster(['serve', 'x.ini', '--monitor-restart'], { cwd: project('throw new Error("broken");') });
  const { status, stderr } = await program.finished();
  expect(status).toBe(1);
  expect(stderr.match(/broken/g)).toHaveLength(1);
});

test.each([
  ['process.kill(process.pid, "SIGKILL"); setInterval(() => {}, 1000); await new Promise(() => {});', 'by SIGKILL'],
  ['process.exit(7);', 'with status 7'],
])('--monitor-restart reports a server that ends before it listens: %s', async (code, how) => {
  const finished = await paster(['serve', 'x.ini', '--monitor-restart'], { cwd: project(code) }).finished();
  expect(finished).toMatchObject({
    status: 1,
    stderr: expect.stringContaining(`the server ended ${how} before it listened`),
  });
});

test('a server whose monitor was killed ends', async () => {
  const program = await serve(['x.ini', '--monitor-restart'], { cwd: project() });
  await program.kill('SIGKILL');
  await eventually(() =>
    fetch(program.url).then(
      () => false,
      () => true,
    ),
  );
});

test('a blocked worker is killed, after its requests in flight and its position are logged', async () => {
  const app = `import { execFileSync } from 'node:child_process';
function spin() { ${LOOPING} }
export default (req, res) => {
  if (req.url.startsWith('/spin')) spin();
  if (req.url === '/sleep') execFileSync('sleep', ['20']);
  if (req.url === '/open') return;
  res.end(String(process.pid));
};
`;
  // The worker has a tenth of this to find its position, even on a busy machine.
  const program = await serve(['x.ini'], { cwd: project(app, 'workers = 1\nworker_timeout = 4') });
  const first = await get(program.url);
  const open = fetch(`${program.url}/open`).catch(() => {});
  await get(program.url);
  await expect(fetch(`${program.url}/spin?id=7`, { method: 'PUT' })).rejects.toThrow();
  const second = await get(program.url);
  expect(second).not.toBe(first);
  await open;
  const record =
    /worker (\d+) has been blocked for [\d.]+ s, with these requests in flight:\n([\s\S]*?)it is here:\n(.*)/;
  const [, pid, inFlight, frame] = await program.says(record);
  expect(pid).toBe(first);
  expect(inFlight?.trim().split('\n')).toEqual([
    expect.stringMatching(/^GET \/open, for [\d.]+ s$/),
    expect.stringMatching(/^ *PUT \/spin\?id=7, for [\d.]+ s$/),
  ]);
  expect(frame).toMatch(/^ {2}at spin \(.*app\.js:2:\d+\)$/);

  await expect(fetch(`${program.url}/sleep`)).rejects.toThrow();
  await program.says(/GET \/sleep, for [\d.]+ s\nit waits for the system, in something like execSync/);
  await get(program.url);
});

test('a changed reload_files takes effect with the reload that it causes', async () => {
  const app = `import { readFileSync } from 'node:fs';
export const makeApp = (_, { data }) => (req, res) => res.end(readFileSync(data, 'utf8') + process.pid);
`;
  const ini = (patterns: string) =>
    `[app:main]\nuse = call:./app.js:makeApp\ndata = %(here)s/data/deep/a.yaml\nreload_files = ${patterns}\n` +
    '[server:main]\nuse = npm:paster#http\nport = 0\n';
  const cwd = project(app);
  mkdirSync(join(cwd, 'data/deep'), { recursive: true });
  const data = join(cwd, 'data/deep/a.yaml');
  writeFileSync(data, 'one ');
  writeFileSync(join(cwd, 'x.ini'), ini('none-*.yaml'));
  const program = await serve(['x.ini', '--reload'], { cwd });
  const pid = async () => (await get(program.url)).split(' ')[1];
  const first = await pid();
  writeFileSync(data, 'two ');
  // The patterns do not match a.yaml yet, so only the change of x.ini reloads.
  writeFileSync(join(cwd, 'x.ini'), ini('data/**/*.yaml'));
  await program.says(/reloaded in \d+ ms: .*x\.ini/);
  expect(program.output).not.toMatch(/reloaded.*a\.yaml/);
  const second = await pid();
  expect(second).not.toBe(first);
  writeFileSync(data, 'three ');
  await program.says(/reloaded in \d+ ms: .*a\.yaml/);
  expect(await get(program.url)).toMatch(/^three /);
  writeFileSync(join(cwd, 'data/deep/new.yaml'), 'new');
  await program.says(/reloaded in \d+ ms: .*new\.yaml/);
  expect(program.output).not.toMatch(/reloaded.*and 1 more/);
});

test('characters of patterns are literal in the names of directories', async () => {
  const parent = temporaryDirectory();
  const cwd = join(parent, 'a[b]{c,d}*');
  mkdirSync(join(cwd, 'data'), { recursive: true });
  writeFileSync(join(cwd, 'app.js'), 'export default (req, res) => res.end();');
  writeFileSync(join(cwd, 'package.json'), '{"type": "module"}');
  writeFileSync(
    join(cwd, 'x.ini'),
    '[app:main]\nuse = module:./app.js\nreload_files = data/*.yaml %(here)s/more/*.yaml\n[server:main]\nuse = npm:paster#http\nport = 0\n',
  );
  const program = await serve(['x.ini', '--reload'], { cwd });
  writeFileSync(join(cwd, 'data/a.yaml'), '1');
  await program.says(/reloaded in \d+ ms: .*a\.yaml/);
  mkdirSync(join(cwd, 'more'));
  writeFileSync(join(cwd, 'more/b.yaml'), '1');
  await program.says(/reloaded in \d+ ms: .*b\.yaml/);
  // Nothing outside the project is watched, such as its siblings.
  const directory = `/proc/${program.child.pid}/fdinfo`;
  const watches = await eventually(() => {
    try {
      const descriptors = readdirSync(directory).map((fd) => readFileSync(join(directory, fd), 'utf8'));
      return descriptors.flatMap((each) => each.match(/^inotify wd:\w+ ino:\w+/gm) ?? []);
    } catch {
      // A descriptor has been closed meanwhile.
      return undefined;
    }
  });
  const inode = statSync(parent).ino.toString(16);
  expect(watches.length).toBeGreaterThan(0);
  expect(watches.filter((watch) => watch.endsWith(` ino:${inode}`))).toEqual([]);
});

describe('HUP with another configuration', () => {
  const ini = (server: string) =>
    `[app:main]\nuse = module:./app.js\n[server:main]\nuse = npm:paster#http\n${server}\n`;
  const pids = async (url: string) => new Set(await Promise.all(Array.from({ length: 20 }, () => get(url))));
  /** The processes that respond, until there are at least as many as expected: 20 requests may all reach the same worker. */
  const workers = async (url: string, expected: number): Promise<Set<string>> => {
    const seen = new Set<string>();
    await eventually(async () => {
      for (const pid of await pids(url)) seen.add(pid);
      return seen.size >= expected;
    });
    return seen;
  };
  const reloaded = (program: { stderr: string }) => program.stderr.match(/^reloaded$/gm)?.length ?? 0;

  test('changes the number of workers, and a number set by TTOU stays if the file has not changed it', async () => {
    const cwd = project(APP, 'workers = 1');
    const program = await serve(['x.ini'], { cwd });
    writeFileSync(join(cwd, 'x.ini'), ini('port = 0\nworkers = 3'));
    program.child.kill('SIGHUP');
    await program.says(/^3 workers$/m);
    await eventually(async () => (await pids(program.url)).size === 3);
    program.child.kill('SIGTTOU');
    await program.says(/^2 workers$/m);
    program.child.kill('SIGHUP');
    await eventually(() => reloaded(program) === 2);
    await eventually(async () => (await pids(program.url)).size === 2);
    expect(program.stderr).toMatch(
      /^reloading \(HUP\)\n3 workers\nreloaded\n2 workers\nreloading \(HUP\)\nreloaded\n$/,
    );
  });

  test('opens new addresses, keeps the others and closes the rest', async () => {
    const cwd = project(APP, 'workers = 1');
    const [kept, closed, opened] = [await freePort(), await freePort(), await freePort()];
    const at = (port: number) => `http://127.0.0.1:${port}`;
    const listen = (...ports: number[]) =>
      ini(`listen = ${ports.map((port) => `127.0.0.1:${port}`).join(' ')}\nworkers = 1`);
    writeFileSync(join(cwd, 'x.ini'), listen(kept, closed));
    const program = await serve(['x.ini'], { cwd });
    writeFileSync(join(cwd, 'x.ini'), listen(kept, opened));
    program.child.kill('SIGHUP');
    await program.says(new RegExp(`^serving on ${at(opened)}$`, 'm'));
    await eventually(() => reloaded(program) === 1);
    expect(await get(at(kept))).toBe(await get(at(opened)));
    await expect(fetch(at(closed))).rejects.toThrow();
    // And back to the first one.
    writeFileSync(join(cwd, 'x.ini'), listen(kept, closed));
    program.child.kill('SIGHUP');
    await eventually(() => reloaded(program) === 2);
    expect(await get(at(closed))).toBe(await get(at(kept)));
  });

  test.each([
    ['an address in use', (port: number) => `listen = 127.0.0.1:${port}\nworkers = 2`, /x\.ini:5:\d+: .*is in use/],
    ['an error', () => 'prot = 1\nworkers = 2', /x\.ini:5:1: .*unknown setting "prot"/],
  ])('%s changes nothing', async (_what, server, message) => {
    const other = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void other.close());
    await once(other, 'listening');
    const cwd = project(APP, 'workers = 2');
    const program = await serve(['x.ini'], { cwd });
    const before = await workers(program.url, 2);
    writeFileSync(join(cwd, 'x.ini'), ini(server((other.address() as AddressInfo).port)));
    program.child.kill('SIGHUP');
    await program.says(/the new version does not start, the old one keeps running/);
    expect(program.stderr).toMatch(message);
    expect(await workers(program.url, 2)).toEqual(before);
  });

  test('a version that only some workers can load is rejected, and all old workers stay', async () => {
    const loadsOnce = `import { existsSync, writeFileSync } from 'node:fs';
const mark = new URL('./mark', import.meta.url);
if (existsSync(mark)) throw new Error('only once');
writeFileSync(mark, String(process.pid));
export default (req, res) => res.end('new');
`;
    const cwd = project(APP, 'workers = 2');
    const program = await serve(['x.ini'], { cwd });
    const before = await workers(program.url, 2);
    writeFileSync(join(cwd, 'app.js'), loadsOnce);
    program.child.kill('SIGHUP');
    await program.says(/the new version does not start, the old one keeps running: .*only once/);
    // The worker that has loaded it may respond until it ends.
    await eventually(() => !isAlive(Number(readFileSync(join(cwd, 'mark'), 'utf8'))));
    expect(await workers(program.url, 2)).toEqual(before);
  });

  test('a version that never gets ready is abandoned', async () => {
    const cwd = project(APP, 'workers = 1');
    const program = await serve(['x.ini'], { cwd });
    const before = await get(program.url);
    // Only now, because on a busy machine the version that does start may take longer.
    writeFileSync(join(cwd, 'x.ini'), ini('port = 0\nworkers = 1\nstart_timeout = 1'));
    writeFileSync(join(cwd, 'app.js'), 'await new Promise(() => setInterval(() => {}, 1000));');
    program.child.kill('SIGHUP');
    await program.says(/the old one keeps running: .* was not ready within 1 s/);
    expect(await get(program.url)).toBe(before);
  });
});

test('an application that never gets ready ends serve with an error', async () => {
  const cwd = project('await new Promise(() => setInterval(() => {}, 1000));', 'workers = 2\nstart_timeout = 1');
  expect(await paster(['serve', 'x.ini'], { cwd }).finished()).toMatchObject({
    status: 1,
    stdout: '',
    stderr: expect.stringMatching(/^paster: .* was not ready within 1 s \(.*start_timeout/),
  });
});

test('connections wait while the first worker loads, and an address in use is reported before that', async () => {
  const cwd = project(`process.stderr.write('loading\\n');\nawait new Promise((r) => setTimeout(r, 500));\n${APP}`);
  const port = String(await freePort());
  const program = paster(['serve', 'x.ini', '-w', '1', '-p', port], { cwd });
  await program.says(/loading/);
  const early = get(`http://127.0.0.1:${port}`);
  const second = await paster(['serve', 'x.ini', '-w', '1', '-p', port], { cwd }).finished();
  expect(second).toMatchObject({ status: 1, stdout: '', stderr: expect.stringMatching(/in use by another program/) });
  expect(second.stderr).not.toContain('loading');
  expect(await early).toMatch(/^\d+$/);
});

test('of two servers that start on one address, one serves and the other reports the error', async () => {
  const cwd = project();
  const port = String(await freePort());
  const both = [1, 2].map(() => paster(['serve', 'x.ini', '-w', '1', '-p', port], { cwd }));
  const loser = await Promise.race(both.map(async (program) => ({ ...(await program.finished()), program })));
  expect(loser).toMatchObject({ status: 1, stderr: expect.stringMatching(/in use by another program/) });
  const winner = both.find((program) => program !== loser.program);
  await winner?.says(/^serving on/m);
  expect(await get(`http://127.0.0.1:${port}`)).toMatch(/^\d+$/);
});
