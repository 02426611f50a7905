/** A server that is replaced by another process: another Node, another paster, under load, in every way to run it. */
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { mountSmallDisk, temporaryDirectory } from '../../helpers/directory.ts';
import { startNginx } from '../../helpers/front-end.ts';
import { beforeSuite } from '../../helpers/lifetime.ts';
import { echoingApp, Load } from '../../helpers/load.ts';
import {
  eventually,
  freePort,
  getOver,
  isAlive,
  needProgram,
  Program,
  ROOT,
  requireProgram,
  requireRoot,
  requireTool,
} from '../../helpers/program.ts';
import { FastcgiClient } from '../../servers/fastcgi/client.ts';

const nginx = requireProgram('nginx');
const python = requireProgram('python3');
const notify = requireProgram('systemd-notify');
const NODES = [requireTool('node 22'), requireTool('node 24')] as const;
const [OLD_NODE, NEW_NODE] = NODES.map((node) => node ?? process.execPath) as [string, string];

const ROUNDS = Number(process.env['UPGRADES'] ?? 4);
const OTHER_VERSION = '99.0.0';

const PASTER = join(ROOT, 'bin/paster.js');
let otherPaster: string;
beforeSuite(async () => {
  otherPaster = join(copyOfPaster(temporaryDirectory(), OTHER_VERSION), 'bin/paster.js');
});

/** The built package with another number. */
function copyOfPaster(directory: string, version: string): string {
  for (const name of ['bin', 'dist']) cpSync(join(ROOT, name), join(directory, name), { recursive: true });
  const manifest = readFileSync(join(ROOT, 'package.json'), 'utf8');
  writeFileSync(join(directory, 'package.json'), manifest.replace(/"version": ".*?"/, `"version": "${version}"`));
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  return directory;
}

interface SiteOptions {
  readonly section: string;
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly app?: string;
}

class Site {
  readonly directory: string;
  readonly program: Program;
  readonly url: string;

  constructor(directory: string, program: Program, url: string) {
    this.directory = directory;
    this.program = program;
    this.url = url;
    onTestFinished(async () => {
      if (this.isDaemon) await this.paster(['serve', '--stop-daemon', '--pid-file', 'x.pid']).finished();
    });
  }

  get isDaemon(): boolean {
    return this.program.child.spawnargs.includes('start');
  }

  static async start({ section, args = [], env = {}, app = echoingApp('v0') }: SiteOptions): Promise<Site> {
    const directory = temporaryDirectory({
      'package.json': '{"type": "module"}',
      'app.js': app,
      'x.ini': ini(section),
    });
    const command = [PASTER, 'serve', 'x.ini', '--pid-file', 'x.pid', ...args];
    // For tests with other users.
    chmodSync(directory, 0o755);
    const program = new Program(OLD_NODE, command, { cwd: directory, env });
    const [, url = ''] = await program.says(/^serving on (\S+)$/m);
    const site = new Site(directory, program, url);
    if (site.isDaemon) await program.finished();
    return site;
  }

  paster(args: readonly string[], { node = OLD_NODE, bin = PASTER, env = {} } = {}): Program {
    return new Program(node, [bin, ...args], { cwd: this.directory, env });
  }

  /** @returns what the command prints */
  async upgrade(how: { readonly node?: string; readonly bin?: string } = {}): Promise<string> {
    const { status, stdout, stderr } = await this.paster(['upgrade', 'x.ini'], how).finished();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return stdout;
  }

  async failToUpgrade(): Promise<string> {
    const { status, stdout, stderr } = await this.paster(['upgrade', 'x.ini']).finished();
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    return stderr;
  }

  /** Of the process that serves. */
  get pid(): number {
    return Number(this.read('x.pid').split('\n')[0]);
  }

  read(name: string): string {
    return readFileSync(join(this.directory, name), 'utf8');
  }

  save(name: string, text: string): void {
    writeFileSync(join(this.directory, `${name}.new`), text);
    renameSync(join(this.directory, `${name}.new`), join(this.directory, name));
  }
}

const ini = (section: string) => `[app:main]\nuse = module:./app.js\n[server:main]\n${section}\n`;
const HTTP = 'use = npm:paster#http\nport = 0';
const FASTCGI = 'use = npm:paster#fastcgi\nsocket = a.sock';

const get = async (url: string) => (await fetch(url, { headers: { connection: 'close' } })).text();

/** Prints the datagrams that come. */
const RECEIVE = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1])
print('bound', flush=True)
while True:
  print(s.recv(4096).decode().replace('\\n', ' '), flush=True)
`;

async function systemd(): Promise<{ readonly receiver: Program; readonly env: NodeJS.ProcessEnv }> {
  const socket = join(temporaryDirectory(), 'notify');
  const receiver = new Program(python ?? '', ['-c', RECEIVE, socket]);
  await receiver.says(/bound/);
  return { receiver, env: { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '10000000' } };
}

describe(`${ROUNDS} upgrades between two versions of Node and of paster, under load`, () => {
  test.for([
    { over: 'HTTP', mode: 'in the foreground', workers: 2 },
    { over: 'HTTP', mode: 'in the background', workers: 0 },
    { over: 'FastCGI behind nginx', mode: 'under systemd', workers: 2 },
    { over: 'FastCGI behind nginx', mode: 'in the foreground', workers: 0 },
  ])('$over, $mode, $workers workers', async ({ over, mode, workers }, { skip }) => {
    skip(over !== 'HTTP' && !nginx, 'no nginx');
    skip(mode === 'under systemd' && !(python && notify), 'no python3 or systemd-notify');
    const isHttp = over === 'HTTP';
    const section = `${isHttp ? HTTP : FASTCGI}${workers > 0 ? `\nworkers = ${workers}` : ''}`;
    const manager = mode === 'under systemd' ? await systemd() : undefined;
    const args = mode === 'in the background' ? ['start'] : [];
    const site = await Site.start({ section, args, ...(manager ? { env: manager.env } : {}) });
    const url = isHttp ? site.url : (await startNginx(nginx ?? '', { socket: join(site.directory, 'a.sock') })).url;
    const loads = [true, false].map((keepAlive) => new Load(url, { keepAlive, clients: 4, pause: 4 }));
    const pids = [site.pid];
    for (let round = 1; round <= ROUNDS; round++) {
      site.save('app.js', echoingApp(`v${round}`));
      const isOther = round % 2 === 1;
      const how = isOther ? { node: NEW_NODE, bin: otherPaster } : { node: OLD_NODE, bin: PASTER };
      const said = await site.upgrade(how);
      expect(said).toContain(`server ${pids.at(-1)} is replaced by ${site.pid}, with paster `);
      if (isOther) expect(said).toContain(`paster ${OTHER_VERSION} `);
      pids.push(site.pid);
      await eventually(() => loads.every((load) => load.versions.has(`v${round}`)));
    }
    await Promise.all(loads.map((load) => load.stop()));
    expect(loads.flatMap((load) => load.failures)).toEqual([]);
    expect(new Set(pids).size).toBe(ROUNDS + 1);
    if (manager) {
      const told = [...manager.receiver.stdout.matchAll(/^MAINPID=(\d+) READY=1$/gm)].map(([, pid]) => Number(pid));
      expect(told).toEqual(pids.slice(1));
      expect(manager.receiver.stdout).not.toContain('STOPPING');
    }
    process.kill(site.pid, 'SIGTERM');
    if (mode === 'in the foreground') expect((await site.program.finished()).status).toBe(0);
  });
});

/** Every process answers with its PID, and to `/held` when there is a file `release`. */
const APP = `import { existsSync, writeFileSync } from 'node:fs';
export default (req, res) => {
  if (req.url !== '/held') return res.end(String(process.pid));
  writeFileSync('held', '');
  const timer = setInterval(() => {
    if (!existsSync('release')) return;
    clearInterval(timer);
    res.end('held by ' + process.pid);
  }, 20);
};
`;
const HANGING = 'setInterval(() => {}, 1000);\nawait new Promise(() => {});\nexport default () => {};\n';

const MODES = [
  ['one process', ''],
  ['workers', 'workers = 1'],
] as const;

/** Starts a server of which every process answers with its PID. */
function start(section: string, options: Omit<SiteOptions, 'section'> = {}): Promise<Site> {
  return Site.start({ app: APP, ...options, section });
}

describe.each(MODES)('%s', (_what, workers) => {
  test('a FastCGI connection that a web server keeps goes on in the new process, and the socket file stays', async () => {
    const site = await start(`${FASTCGI}\n${workers}`);
    const client = await FastcgiClient.connect(join(site.directory, 'a.sock'));
    const ask = async (id: number) =>
      (await client.ask(id, { REQUEST_METHOD: 'GET', REQUEST_URI: '/' }, { keep: true })).body.toString();
    const before = await ask(1);
    await site.upgrade();
    const after = await eventually(async () => {
      const pid = await ask(2);
      return pid !== before && pid;
    });
    if (workers === '') expect(after).toBe(String(site.pid));
    client.close();
    process.kill(site.pid, 'SIGTERM');
    expect((await site.program.finished()).status).toBe(0);
    expect(readdirSync(site.directory).sort()).toEqual(['app.js', 'package.json', 'x.ini']);
  });

  test('a request in flight is finished by the old process, and its launcher passes signals on', async () => {
    const site = await start(`${HTTP}\n${workers}`);
    const first = await get(site.url);
    const held = get(`${site.url}/held`);
    await eventually(() => existsSync(join(site.directory, 'held')));
    await site.upgrade();
    site.save('release', '');
    expect(await held).toBe(`held by ${first}`);
    const second = await get(site.url);
    await eventually(() => title(site.program.pid).startsWith('paster: launcher'));
    site.program.child.kill('SIGUSR2');
    await eventually(async () => (await get(site.url)) !== second);
    expect(site.pid).not.toBe(site.program.pid);
    site.program.child.kill('SIGTERM');
    expect((await site.program.finished()).status).toBe(0);
  });

  test('a version that does not load leaves the old one serving, and the reason is said', async () => {
    const site = await start(`${HTTP}\n${workers}`);
    const { pid } = site;
    for (const [file, text, reason] of [
      ['x.ini', ini(`${HTTP}\nprt = 1`), /x\.ini:6:1: \[server:main\] unknown setting "prt" \(did you mean "port"\?\)/],
      ['app.js', 'export default (;\n', /app\.js:1:17: .*SyntaxError/],
      ['app.js', 'process.exit(3);\n', /ended the process while it was loaded|ended with status 3/],
    ] as const) {
      const good = site.read(file);
      site.save(file, text);
      const said = await site.failToUpgrade();
      expect(said).toMatch(/^paster: not upgraded, server \d+ keeps running: /);
      expect(said).toMatch(reason);
      expect(site.program.stderr).toContain('not upgraded, server');
      expect((await fetch(site.url)).status).toBe(200);
      expect(site.pid).toBe(pid);
      site.save(file, good);
    }
    await site.upgrade();
    expect(site.pid).not.toBe(pid);
  });

  test('a version that hangs while it loads has its time, as at a start', async () => {
    const site = await start(`${HTTP}\nstart_timeout = 1\n${workers}`);
    site.save('app.js', HANGING);
    expect(await site.failToUpgrade()).toMatch(/keeps running: .*(does not serve after 3 s|not ready within 1 s)/);
    expect((await fetch(site.url)).status).toBe(200);
  });

  test('one upgrade at a time', async () => {
    const site = await start(`${HTTP}\n${workers}`);
    const [one, other] = await Promise.all([1, 2].map(() => site.paster(['upgrade', 'x.ini']).finished()));
    expect([one?.status, other?.status].sort()).toEqual([0, 1]);
    expect(`${one?.stderr}${other?.stderr}`).toMatch(/an upgrade is in progress|has taken over already|no server of/);
    expect((await fetch(site.url)).status).toBe(200);
  });

  test.each(['SIGTERM', 'SIGKILL'] as const)('%s to either process meanwhile', async (signal) => {
    const site = await start(`${HTTP}\n${workers}`);
    site.save('app.js', HANGING);
    // To the new one: the old one keeps running.
    const first = site.paster(['upgrade', 'x.ini']);
    process.kill(await startedPid(site, 1), signal);
    expect(await first.finished()).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/keeps running: .*ended/),
    });
    expect((await fetch(site.url)).status).toBe(200);
    // To the old one: both end.
    const second = site.paster(['upgrade', 'x.ini']);
    const successor = await startedPid(site, 2);
    process.kill(site.pid, signal);
    expect((await second.finished()).status).toBe(1);
    await site.program.finished();
    await eventually(() => !isAlive(successor));
    // A worker of a supervisor that was killed needs a moment to notice.
    await eventually(() =>
      fetch(site.url).then(
        () => false,
        () => true,
      ),
    );
  });

  test('the INI file may have other addresses and workers by then', async () => {
    const site = await start(`${HTTP}\nsocket = a.sock\n${workers}`.replace('port = 0\n', ''));
    const port = await freePort();
    site.save('x.ini', ini(`use = npm:paster#http\nlisten = 127.0.0.1:${port} unix:%(here)s/b.sock\nworkers = 2`));
    await site.upgrade();
    expect(await get(`http://127.0.0.1:${port}`)).toMatch(/^\d+$/);
    expect(await getOver(join(site.directory, 'b.sock'))).toMatch(/^\d+$/);
    await eventually(() => !existsSync(join(site.directory, 'a.sock')));
    // An address that another program has.
    site.save(
      'x.ini',
      ini(`use = npm:paster#http\nlisten = 127.0.0.1:${port} 127.0.0.1:${new URL(await other()).port}`),
    );
    expect(await site.failToUpgrade()).toMatch(/port \d+ on 127\.0\.0\.1 is in use/);
    expect(await get(`http://127.0.0.1:${port}`)).toMatch(/^\d+$/);
    expect(existsSync(join(site.directory, 'b.sock'))).toBe(true);
  });

  test('the new process inherits no other descriptors', async () => {
    const app = `import { openSync } from 'node:fs';\nconst opened = openSync('package.json');\n${APP}`;
    const site = await start(`${HTTP}\n${workers}`, { app });
    expect(await get(site.url)).toMatch(/^\d+$/);
    site.save('app.js', APP);
    await site.upgrade();
    const files = readdirSync(`/proc/${site.pid}/fd`).flatMap((fd) => linkOf(`/proc/${site.pid}/fd/${fd}`));
    expect(files.filter((file) => file.endsWith('package.json'))).toEqual([]);
  });
});

test('the sockets of systemd are passed on, in their order', async () => {
  const directory = temporaryDirectory({ 'package.json': '{"type": "module"}', 'app.js': APP, 'x.ini': ini(HTTP) });
  const socket = join(directory, 'a.sock');
  const command = [process.execPath, PASTER, 'serve', 'x.ini', '-w', '1', '--pid-file', 'x.pid'];
  const args = ['-c', ACTIVATE, socket, ...command];
  const program = new Program(needProgram('python3'), args, { cwd: directory });
  await program.says(/^serving on [\s\S]*^serving on .*\n/m);
  const site = new Site(directory, program, /serving on (http:\S+\d)$/m.exec(program.stdout)?.[1] ?? '');
  for (let round = 0; round < 2; round++) {
    const before = await get(site.url);
    await site.upgrade();
    expect(await get(site.url)).not.toBe(before);
    expect(await getOver(socket)).toBe(await get(site.url));
  }
  expect(program.stdout.match(/serving on .*/g)?.slice(-2)).toEqual(
    program.stdout.match(/serving on .*/g)?.slice(0, 2),
  );
});

/** Opens a Unix and a TCP socket as descriptors 3 and 4, and becomes the program. */
const ACTIVATE = `
import os, socket, sys
unix = socket.socket(socket.AF_UNIX); unix.bind(sys.argv[1]); unix.listen()
tcp = socket.socket(); tcp.bind(('127.0.0.1', 0)); tcp.listen()
os.dup2(unix.fileno(), 20); os.dup2(tcp.fileno(), 21)
os.dup2(20, 3); os.dup2(21, 4)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2')
os.execv(sys.argv[2], sys.argv[2:])
`;

test('the monitor of --monitor-restart stays, and starts the server again', async () => {
  const site = await start(HTTP, { args: ['--monitor-restart'] });
  const monitor = await eventually(() => existsSync(join(site.directory, 'x.pid')) && site.pid);
  const first = await get(site.url);
  await site.upgrade();
  const second = await get(site.url);
  expect([second === first, site.pid]).toEqual([false, monitor]);
  process.kill(Number(second), 'SIGKILL');
  await site.program.says(/the server ended with status 1; it is started again/);
  await eventually(() => site.program.stdout.match(/^serving on /gm)?.length === 3);
  site.program.child.kill('SIGTERM');
  expect((await site.program.finished()).status).toBe(0);
});

test('a server is gone with its launcher, and the other way round', async () => {
  for (const victim of ['launcher', 'server'] as const) {
    const site = await start(HTTP);
    await site.upgrade();
    const { pid } = site;
    await eventually(() => title(site.program.pid).startsWith('paster: launcher'));
    process.kill(victim === 'server' ? pid : site.program.pid, 'SIGKILL');
    expect((await site.program.finished()).status).toBe(victim === 'server' ? 1 : null);
    await eventually(() => !isAlive(pid));
  }
});

test('ten upgrades leave two processes', async () => {
  const site = await start(HTTP);
  const pids = [site.pid];
  for (let round = 0; round < 10; round++) {
    await site.upgrade();
    pids.push(site.pid);
  }
  await eventually(() => pids.filter(isAlive).length === 2);
  expect(pids.filter(isAlive)).toEqual([site.program.pid, site.pid]);
});

test('a HUP and an upgrade take turns', async () => {
  const site = await start(`${HTTP}\nworkers = 2`);
  site.program.child.kill('SIGHUP');
  await site.upgrade();
  expect(site.program.stderr).toMatch(/reloaded[\s\S]*upgrading/);
  // The new process does the other one.
  const upgrading = site.paster(['upgrade', 'x.ini']).finished();
  const { pid } = site;
  await startedPid(site, 2);
  process.kill(pid, 'SIGHUP');
  expect((await upgrading).status).toBe(0);
  await eventually(() => site.program.stderr.match(/^reloaded$/gm)?.length === 2);
  expect((await fetch(site.url)).status).toBe(200);
});

test('background processes are replaced too, and an exclusive one never runs twice', async () => {
  const section = (name: string, settings = '') => `[process:${name}]\nuse = call:./job.js:${name}\n${settings}`;
  const job = (name: string) => `export const ${name} = () => async (signal) => {
  appendFileSync('${name}', 'begins ' + process.pid + '\\n');
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
  appendFileSync('${name}', 'ends ' + process.pid + '\\n');
};\n`;
  const directory = temporaryDirectory({
    'package.json': '{"type": "module"}',
    'app.js': APP,
    'job.js': `import { appendFileSync } from 'node:fs';\n${job('one')}${job('two')}`,
    'x.ini': `${ini(`${HTTP}\nworkers = 1`)}${section('one', 'exclusive = true\n')}${section('two')}`,
  });
  const program = new Program(OLD_NODE, [PASTER, 'serve', 'x.ini', '--pid-file', 'x.pid'], { cwd: directory });
  const [, url = ''] = await program.says(/^serving on (\S+)$/m);
  const site = new Site(directory, program, url);
  const words = (name: string) => site.read(name).match(/^\w+/gm) ?? [];
  for (let round = 1; round <= 2; round++) {
    await eventually(() => words('one').length === 2 * round - 1);
    await site.upgrade();
  }
  await eventually(() => words('one').length === 5 && words('two').length === 5);
  expect(words('one')).toEqual(['begins', 'ends', 'begins', 'ends', 'begins']);
  program.child.kill('SIGTERM');
  expect((await program.finished()).status).toBe(0);
  expect([words('one').length, words('two').length]).toEqual([6, 6]);
});

test('USR2 follows a link that leads to another release', async () => {
  const root = temporaryDirectory();
  for (const version of ['1.0.0', '2.0.0']) {
    const release = join(root, version);
    copyOfPaster(join(release, 'paster'), version);
    const files = { 'package.json': '{"type": "module"}', 'app.js': echoingApp(version), 'x.ini': ini(HTTP) };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(release, name), text);
  }
  symlinkSync('1.0.0', join(root, 'current'));
  const cwd = join(root, 'current');
  const program = new Program(process.execPath, ['paster/bin/paster.js', 'serve', 'x.ini'], { cwd, env: { PWD: cwd } });
  const [, url = ''] = await program.says(/^serving on (\S+)$/m);
  expect(await get(url)).toMatch(/^1\.0\.0 /);
  symlinkSync('2.0.0', join(root, 'next'));
  renameSync(join(root, 'next'), cwd);
  program.child.kill('SIGUSR2');
  await program.says(/^upgraded: process \d+ serves, with paster 2\.0\.0 /m);
  await eventually(async () => (await get(url)).startsWith('2.0.0 '));
  expect((await program.kill('SIGTERM')).status).toBe(0);
});

test('a server with --reload is refused', async () => {
  const site = await start(HTTP, { args: ['--reload'] });
  expect(await site.failToUpgrade()).toMatch(
    /keeps running: it reloads on changes, which is for development \(restart it\)/,
  );
});

describe.runIf(requireRoot())('as root', () => {
  test('a pid file that cannot be written keeps the old process', async () => {
    const disk = join(temporaryDirectory(), 'disk');
    mountSmallDisk(disk);
    const pidFile = join(disk, 'x.pid');
    const site = await start(HTTP, { args: ['--pid-file', pidFile, '--workers', '1'] });
    writeFileSync(join(disk, 'full'), '');
    expect(() => appendFileSync(join(disk, 'full'), Buffer.alloc(1_000_000))).toThrow('ENOSPC');
    const [pid] = readFileSync(pidFile, 'utf8').split('\n');
    expect(await site.failToUpgrade()).toMatch(/keeps running: cannot write the pid file .*: no space left/);
    expect(readFileSync(pidFile, 'utf8').split('\n')[0]).toBe(pid);
    expect(readdirSync(disk).sort()).toEqual(['full', 'x.pid']);
    expect((await fetch(site.url)).status).toBe(200);
  });

  test('with --user: workers belong to the user, and the supervisor stays root', async () => {
    const site = await start(`${HTTP}\nworkers = 1`, { args: ['--user', 'nobody'] });
    await site.upgrade();
    expect(statSync(`/proc/${site.pid}`).uid).toBe(0);
    expect(statSync(`/proc/${await get(site.url)}`).uid).not.toBe(0);
  });
});

/** The process that an upgrade starts, as the log says. */
async function startedPid(site: Site, round: number): Promise<number> {
  return eventually(
    () =>
      Number([...site.program.stderr.matchAll(/upgrading: process (\d+) starts/g)][round - 1]?.[1] ?? 0) || undefined,
  );
}

async function other(): Promise<string> {
  return (await start(HTTP)).url;
}

function title(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
}

function linkOf(path: string): string[] {
  try {
    return [readlinkSync(path)];
  } catch {
    return [];
  }
}
