/** `canary`: after HUP, one worker of the new version serves next to the old ones, and is withdrawn if it fails more often. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, freePort, isAlive, paster, requireProgram, serve } from '../../helpers/programs/program.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { startNginx } from '../../helpers/web-servers/front-end.ts';

const nginx = requireProgram('nginx');

/** Responds with its version; `fails` is an expression with the number of the request. */
const version = (name: string, fails = 'false') => `import { existsSync } from 'node:fs';
let number = 0;
export default (req, res) => {
  number++;
  res.setHeader('x-version', '${name}');
  if (req.url === '/crash') process.exit(9);
  res.statusCode = (${fails}) || existsSync('outage') ? 500 : 200;
  res.end('${name} ' + process.pid);
};
`;

async function site(
  settings: string,
  { server = 'use = npm:paster#http\nport = 0', app = 'use = module:../app.js' } = {},
) {
  const ini = (more: string) => `[app:main]\n${app}\n[server:main]\n${server}\n${more}\n`;
  const cwd = temporaryDirectory({
    'app.js': version('old'),
    'package.json': '{"type": "module"}',
    'etc/x.ini': ini(settings),
  });
  const env = { XDG_RUNTIME_DIR: cwd, TMPDIR: cwd };
  const program = await serve(['etc/x.ini'], { cwd, env });
  return {
    cwd,
    program,
    control: (...words: string[]) => paster(['control', 'etc/x.ini', ...words], { cwd, env }).finished(),
    deploy: (text: string) => writeFileSync(join(cwd, 'app.js'), text),
    configure: (more: string) => writeFileSync(join(cwd, 'etc/x.ini'), ini(more)),
  };
}

/** Sends requests until the test ends, with short pauses that leave the processors to paster, and counts the responses of each version. */
function clients(url: string, count = 6) {
  const counts = new Map<string, number>();
  const lost: unknown[] = [];
  let isOver = false;
  const client = async () => {
    while (!isOver) {
      try {
        const { headers } = await ask(url, '/');
        const name = String(headers['x-version']);
        counts.set(name, (counts.get(name) ?? 0) + 1);
      } catch (error) {
        if (!isOver) lost.push(error);
      }
      await sleep(4);
    }
  };
  const running = Promise.all(Array.from({ length: count }, client));
  const stop = async () => {
    isOver = true;
    await running;
  };
  onTestFinished(stop);
  const of = (name: string) => counts.get(name) ?? 0;
  return { of, lost, stop };
}

describe('a version that fails 20 % of its requests is withdrawn within 100 of them', () => {
  test.each([
    ['one worker', 'workers = 1', undefined],
    ['two workers', 'workers = 2', undefined],
    ['spare workers', 'workers = 2\nspare_workers = 1', undefined],
    [
      'counted requests',
      'workers = 2',
      'use = npm:paster#urlmap\n/ = shop\n/metrics = metrics\n[app:shop]\nuse = module:../app.js\n[app:metrics]\nuse = npm:paster#metrics',
    ],
  ])('%s', async (_what, settings, app) => {
    const { program, deploy } = await site(`${settings}\ncanary = 600s`, app === undefined ? {} : { app });
    const { of, lost, stop } = clients(program.url);
    await eventually(() => of('old') > 50);
    deploy(version('new', 'number % 5 === 0'));
    process.kill(program.pid, 'SIGHUP');
    const [line] = await program.says(/the new version is withdrawn.*/);
    expect(line).toMatch(
      /^the new version is withdrawn, the old one keeps running: \d+ of \d+ requests failed \(\d+\.\d %\), and with the old version 0 of \d+ requests failed \(0\.0 %\) in the same time$/,
    );
    const before = of('old');
    // Requests in flight finish; after that, a worker that still served would get every third request.
    await eventually(() => of('old') > before + 20);
    const canary = of('new');
    await eventually(() => of('old') > before + 120);
    expect(of('new')).toBe(canary);
    await stop();
    expect(canary).toBeGreaterThan(0);
    expect(canary).toBeLessThanOrEqual(100);
    expect(lost).toEqual([]);
  });

  test.skipIf(!nginx)('behind nginx over FastCGI', async () => {
    const { cwd, program, deploy } = await site('workers = 2\ncanary = 600', {
      server: 'use = npm:paster#fastcgi\nsocket = ../a.sock\nmode = 666',
    });
    const { url } = await startNginx(nginx ?? '', { socket: join(cwd, 'a.sock') });
    const { of, lost } = clients(url);
    await eventually(() => of('old') > 50);
    deploy(version('new', 'number % 5 === 0'));
    process.kill(program.pid, 'SIGHUP');
    await program.says(/the new version is withdrawn/);
    const before = of('old');
    await eventually(() => of('old') > before + 120);
    expect(of('new')).toBeLessThanOrEqual(100);
    expect(lost).toEqual([]);
  });
});

test('a version that does not fail serves next to the old one, and then replaces it', async () => {
  const { program, deploy, control } = await site('workers = 2\ncanary = 1');
  const { of, lost } = clients(program.url);
  await eventually(() => of('old') > 20);
  deploy(version('new'));
  const reloaded = control('reload');
  await eventually(() => of('new') > 0);
  const before = of('old');
  await eventually(() => of('old') > before);
  expect(await reloaded).toMatchObject({ status: 0, stdout: expect.stringMatching(/^reloaded: 2 workers/) });
  expect(program.stderr).toMatch(/worker \d+ of the new version serves beside the old one for 1 s/);
  expect(program.stderr).toMatch(/of the new version 0 of \d+ requests failed \(0\.0 %\); the other workers follow/);
  const after = of('new');
  await eventually(() => of('new') > after + 50);
  expect(lost).toEqual([]);
  await control('stop');
});

test('errors of both versions withdraw nothing', async () => {
  const { cwd, program, deploy } = await site('workers = 2\ncanary = 1');
  const { of } = clients(program.url);
  await eventually(() => of('old') > 20);
  deploy(version('new'));
  process.kill(program.pid, 'SIGHUP');
  await program.says(/serves beside the old one/);
  writeFileSync(join(cwd, 'outage'), '');
  await program.says(/of the new version [1-9]\d* of/);
  await program.says(/reloaded/);
});

test('a version whose worker dies is withdrawn, and paster control reports it', async () => {
  const { program, deploy, control } = await site('workers = 2\ncanary = 600');
  deploy(version('new'));
  const reloaded = control('reload');
  const [, canary] = await program.says(/worker (\d+) of the new version serves/);
  process.kill(Number(canary), 'SIGKILL');
  expect(await reloaded).toMatchObject({
    status: 1,
    stderr: `paster: not reloaded: the new version is withdrawn, the old one keeps running: its worker ${canary} ended by SIGKILL\n`,
  });
  expect(program.stderr).toContain(`worker ${canary} ended by SIGKILL`);
  expect((await ask(program.url, '/')).headers['x-version']).toBe('old');
});

test('if a worker of the old version dies too, the next worker of the new version is tried', async () => {
  const { program, deploy } = await site('workers = 2\ncanary = 600');
  const old = Number(String((await ask(program.url, '/')).body).split(' ')[1]);
  deploy(version('new'));
  process.kill(program.pid, 'SIGHUP');
  const [, canary] = await program.says(/worker (\d+) of the new version serves/);
  process.kill(old, 'SIGKILL');
  await program.says(new RegExp(`worker ${old} ended by SIGKILL`));
  process.kill(Number(canary), 'SIGKILL');
  await program.says(new RegExp(`worker ${canary} ended by SIGKILL`));
  const next = await eventually(async () => {
    const { headers, body } = await ask(program.url, '/');
    return headers['x-version'] === 'new' && Number(String(body).split(' ')[1]);
  });
  process.kill(next, 'SIGKILL');
  await program.says(new RegExp(`withdrawn.*worker ${next} ended by SIGKILL`));
  // The worker of the old version that died is then restarted with what is on disk.
  await eventually(async () => (await ask(program.url, '/')).headers['x-version'] === 'new');
});

test('a version is not tried if no worker of the old one is left', async () => {
  const { program, deploy, control } = await site('workers = 1\ncanary = 600');
  deploy('console.log("hangs"); await new Promise(() => setInterval(() => {}, 1000));');
  const { body } = await ask(program.url, '/');
  process.kill(Number(String(body).split(' ')[1]), 'SIGKILL');
  await program.says(/hangs/);
  deploy(version('new'));
  expect(await control('reload')).toMatchObject({ status: 0 });
  expect((await ask(program.url, '/')).headers['x-version']).toBe('new');
});

test('HUP during a trial tries the newer version, and TERM ends everything', async () => {
  const { program, deploy } = await site('workers = 1\ncanary = 600');
  const { of } = clients(program.url, 2);
  deploy(version('second'));
  process.kill(program.pid, 'SIGHUP');
  await eventually(() => of('second') > 0);
  deploy(version('third'));
  process.kill(program.pid, 'SIGHUP');
  await eventually(() => of('third') > 0);
  expect(program.stderr).toContain('starting over: a newer reload was requested');
  const before = of('second');
  await eventually(() => of('third') > 20 && of('old') > 20);
  // At most the requests in flight.
  expect(of('second') - before).toBeLessThanOrEqual(2);
  const [, canary] = [...program.stderr.matchAll(/worker (\d+) of the new version/g)].at(-1) ?? [];
  expect(isAlive(Number(canary))).toBe(true);
  expect(await program.kill('SIGTERM')).toMatchObject({ status: 0 });
  expect(isAlive(Number(canary))).toBe(false);
});

test('new addresses and another number of workers apply during a trial, and are reverted with the version', async () => {
  const [first, second, third] = [await freePort(), await freePort(), await freePort()];
  const listen = (...ports: number[]) => `listen = ${ports.map((port) => `127.0.0.1:${port}`).join(' ')}`;
  const { program, configure, deploy, control } = await site(`${listen(first, second)}\nworkers = 1\ncanary = 600`, {
    server: 'use = npm:paster#http',
  });
  configure(`${listen(first, third)}\nworkers = 2\ncanary = 600`);
  deploy(version('new'));
  process.kill(program.pid, 'SIGHUP');
  const versionAt = (port: number) =>
    ask(`http://127.0.0.1:${port}`, '/').then(
      ({ headers }) => headers['x-version'],
      () => 'none',
    );
  await eventually(async () => (await versionAt(third)) === 'new');
  expect(await versionAt(second)).toBe('old');
  const [, canary] = await program.says(/worker (\d+) of the new version serves/);
  process.kill(Number(canary), 'SIGKILL');
  await program.says(/withdrawn/);
  await eventually(async () => (await versionAt(third)) === 'none');
  for (const port of [first, second]) {
    expect(await versionAt(port)).toBe('old');
  }
  configure(`${listen(first, third)}\nworkers = 2\ncanary = 0.1`);
  expect((await control('reload')).stdout).toMatch(/^reloaded: 2 workers/);
  expect(await versionAt(third)).toBe('new');
});

test('a warning is logged if canary has no effect', async () => {
  const { program } = await site('canary = 10');
  await program.says(/canary has no effect: one process without workers does not reload/);
});
