/** How several servers start: in the background, with options, at a terminal, and with the sockets of systemd. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { freePort, Program, paster, ROOT, requireProgram } from '../../helpers/programs/program.ts';
import { atTerminal, shown } from '../../helpers/programs/terminal.ts';
import { get, getByFastcgi, live, Project, WEB } from './two-servers.ts';

const python = requireProgram('python3');

test('start in the background, with status and metrics of both servers', async () => {
  const port = await freePort();
  const metrics = '[app:main]\nuse = npm:paster#metrics\n';
  const cwd = temporaryDirectory({ 'x.ini': `[paster]\nserve = web live\n${metrics}${WEB}workers = 1\n${live(port)}` });
  const started = await paster(['serve', 'x.ini', 'start'], { cwd }).finished();
  expect({ status: started.status, lines: started.stdout.trimEnd().split('\n').slice(1) }).toEqual({
    status: 0,
    lines: [`serving on fastcgi://unix:${cwd}/web.sock`, `serving on http://127.0.0.1:${port}`],
  });
  try {
    await getByFastcgi(join(cwd, 'web.sock'));
    await get(`http://127.0.0.1:${port}`);
    const { stdout } = await paster(['status', 'x.ini'], { cwd }).finished();
    expect(stdout).toMatch(/: 2 requests, 0 in flight/);
    expect(await get(`http://127.0.0.1:${port}`)).toMatch(/^paster_http_requests_total\{.*\} 2$/m);
  } finally {
    await paster(['serve', 'x.ini', 'stop'], { cwd }).finished();
  }
  expect(existsSync(join(cwd, 'web.sock'))).toBe(false);
});

test('two servers get different free ports', async () => {
  const cwd = temporaryDirectory({
    'x.ini': `[paster]\nserve = a, b\n[app:main]\nuse = npm:paster#test\n[server:a]\nuse = npm:paster#http\nport = 0\nworkers = 1
[server:b]\nuse = npm:paster#http\nport = 0\n`,
  });
  const program = paster(['serve', 'x.ini'], { cwd });
  const [, one, two] = await program.says(/^serving on (http\S+)\nserving on (http\S+)$/m);
  expect(one).not.toBe(two);
  expect((await fetch(one ?? '')).ok && (await fetch(two ?? '')).ok).toBe(true);
  program.child.kill('SIGHUP');
  await program.says(/^reloaded$/m);
  expect((await fetch(one ?? '')).ok && (await fetch(two ?? '')).ok).toBe(true);
});

test('-p applies to the only HTTP server', async () => {
  const site = await Project.create();
  const port = await freePort();
  const { directory: cwd } = site;
  const program = paster(['serve', 'x.ini', '-p', String(port)], { cwd });
  await program.says(new RegExp(`^serving on fastcgi://unix:.*\nserving on http://127.0.0.1:${port}$`, 'm'));
});

test('at a terminal, all addresses are shown', async () => {
  const site = await Project.create();
  const program = atTerminal(['serve', 'x.ini'], { cwd: site.directory });
  await program.says(/shows its processes/);
  const banner = shown(program.output);
  expect(banner).toContain(`Socket:  fastcgi://unix:${site.socket}`);
  expect(banner).toContain(`Local:   http://127.0.0.1:${site.port}`);
});

/** Opens a TCP and a Unix socket as descriptors 3 and 4, and executes the program. Python may have opened them as 4 and 3. */
const ACTIVATE = `
import os, socket, sys
unix = socket.socket(socket.AF_UNIX); unix.bind(sys.argv[1]); unix.listen()
tcp = socket.socket(); tcp.bind(('127.0.0.1', int(sys.argv[2]))); tcp.listen()
os.dup2(tcp.fileno(), 20); os.dup2(unix.fileno(), 21)
os.dup2(20, 3); os.dup2(21, 4)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2')
os.execv(sys.argv[3], sys.argv[3:])
`;

describe.runIf(python)('sockets of systemd', () => {
  async function activated(portOfUnit: number | undefined): Promise<{ site: Project; program: Program; port: number }> {
    const site = await Project.create();
    const port = portOfUnit ?? site.port;
    const command = [process.execPath, join(ROOT, 'bin/paster.js'), 'serve', 'x.ini'];
    const program = new Program(python ?? '', ['-c', ACTIVATE, site.socket, String(port), ...command], {
      cwd: site.directory,
    });
    return { site, program, port };
  }

  test('are used by the servers whose sections name them', async () => {
    const { site, program } = await activated(undefined);
    await program.says(/^serving on http.*\n/m);
    expect(await getByFastcgi(site.socket)).toMatch(/^v0 /);
    expect(await get(site.url)).toMatch(/^v0 /);
    program.child.kill('SIGHUP');
    await program.says(/^reloaded$/m);
    expect(await get(site.url)).toMatch(/^v0 /);
  });

  test('are refused if no section names them', async () => {
    const { program, port } = await activated(await freePort());
    const { status, stderr } = await program.finished();
    expect(status).toBe(2);
    expect(stderr).toContain(`systemd has opened 127.0.0.1:${port}, which [server:web] and [server:live] do not name`);
  });
});
