/** Upgrades between versions of Node and of paster, under load, and to the release that a link leads to. */
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { beforeSuite } from '../../helpers/programs/lifetime.ts';
import { echoingApp, Load } from '../../helpers/programs/load.ts';
import { eventually, Program, ROOT, requireProgram, requireTool } from '../../helpers/programs/program.ts';
import { startNginx } from '../../helpers/web-servers/front-end.ts';
import { FASTCGI, get, HTTP, ini, OLD_NODE, PASTER, start } from './upgraded-server.ts';

const nginx = requireProgram('nginx');
const python = requireProgram('python3');
const notify = requireProgram('systemd-notify');
const NEW_NODE = requireTool('node 24') ?? process.execPath;

/** Number of upgrades to the other version and back; `UPGRADES=20` makes a long run. */
const ROUNDS = Number(process.env['UPGRADES'] ?? 2);
const OTHER_VERSION = '99.0.0';

let otherPaster: string;
beforeSuite(async () => {
  otherPaster = join(copyOfPaster(temporaryDirectory(), OTHER_VERSION), 'bin/paster.js');
});

/** The built package with another version number. */
function copyOfPaster(directory: string, version: string): string {
  for (const name of ['bin', 'dist']) cpSync(join(ROOT, name), join(directory, name), { recursive: true });
  const manifest = readFileSync(join(ROOT, 'package.json'), 'utf8');
  writeFileSync(join(directory, 'package.json'), manifest.replace(/"version": ".*?"/, `"version": "${version}"`));
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  return directory;
}

function versionOf(node: string): string {
  return execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
}

/** Prints the datagrams that arrive. */
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
    const app = echoingApp('v0');
    const site = await start(section, { app, args, ...(manager ? { env: manager.env } : {}) });
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
      expect(said).toContain(` and Node ${versionOf(how.node)}`);
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
