/** Which sockets and connections the new process takes over in an upgrade, and which requests the old one finishes. */
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, freePort, getOver, needProgram, Program } from '../../helpers/programs/program.ts';
import { FastcgiClient } from '../../servers/fastcgi/client.ts';
import { APP, FASTCGI, get, HTTP, ini, MODES, PASTER, start, UpgradedServer } from './upgraded-server.ts';

describe.each(MODES)('%s', (_what, workers) => {
  test('a keep-alive FastCGI connection continues in the new process, and the socket file stays', async () => {
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

  test('the old process finishes a request in flight, and the launcher forwards signals', async () => {
    const site = await start(`${HTTP}\n${workers}`);
    const first = await get(site.url);
    const held = get(`${site.url}/held`);
    await eventually(() => existsSync(join(site.directory, 'held')));
    await site.upgrade();
    site.save('release', '');
    expect(await held).toBe(`held by ${first}`);
    const second = await get(site.url);
    await site.becomesLauncher();
    site.program.child.kill('SIGUSR2');
    await eventually(async () => (await get(site.url)) !== second);
    expect(site.pid).not.toBe(site.program.pid);
    site.program.child.kill('SIGTERM');
    expect((await site.program.finished()).status).toBe(0);
  });

  test('the INI file may have changed addresses and workers', async () => {
    const site = await start(`${HTTP}\nsocket = a.sock\n${workers}`.replace('port = 0\n', ''));
    const port = await freePort();
    site.save('x.ini', ini(`use = npm:paster#http\nlisten = 127.0.0.1:${port} unix:%(here)s/b.sock\nworkers = 2`));
    await site.upgrade();
    expect(await get(`http://127.0.0.1:${port}`)).toMatch(/^\d+$/);
    expect(await getOver(join(site.directory, 'b.sock'))).toMatch(/^\d+$/);
    await eventually(() => !existsSync(join(site.directory, 'a.sock')));
    // An address in use by another program.
    site.save(
      'x.ini',
      ini(`use = npm:paster#http\nlisten = 127.0.0.1:${port} 127.0.0.1:${new URL((await start(HTTP)).url).port}`),
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

test('the sockets of systemd are passed on, in order', async () => {
  const directory = temporaryDirectory({ 'package.json': '{"type": "module"}', 'app.js': APP, 'x.ini': ini(HTTP) });
  const socket = join(directory, 'a.sock');
  const command = [process.execPath, PASTER, 'serve', 'x.ini', '-w', '1', '--pid-file', 'x.pid'];
  const args = ['-c', ACTIVATE, socket, ...command];
  const program = new Program(needProgram('python3'), args, { cwd: directory });
  await program.says(/^serving on [\s\S]*^serving on .*\n/m);
  const site = new UpgradedServer(directory, program, /serving on (http:\S+\d)$/m.exec(program.stdout)?.[1] ?? '');
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

/** Opens a Unix and a TCP socket as descriptors 3 and 4, and executes the program. Python may have opened them as 4 and 3. */
const ACTIVATE = `
import os, socket, sys
unix = socket.socket(socket.AF_UNIX); unix.bind(sys.argv[1]); unix.listen()
tcp = socket.socket(); tcp.bind(('127.0.0.1', 0)); tcp.listen()
os.dup2(unix.fileno(), 20); os.dup2(tcp.fileno(), 21)
os.dup2(20, 3); os.dup2(21, 4)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2')
os.execv(sys.argv[2], sys.argv[2:])
`;

function linkOf(path: string): string[] {
  try {
    return [readlinkSync(path)];
  } catch {
    return [];
  }
}
