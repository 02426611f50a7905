/** A deployment with `current -> releases/1`, as Capistrano and Deployer make it: switched, reloaded, removed. */
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { MANIFEST } from '../../helpers/programs/installed.ts';
import { eventually, Program, paster, ROOT, serve } from '../../helpers/programs/program.ts';

const APP = `import { readFileSync } from 'node:fs';
const release = NUMBER;
export default (req, res) => {
  if (req.url === '/number') return res.end(String(release));
  if (req.url === '/pid') return res.end(String(process.pid));
  res.end(release + ' ' + readFileSync('data.txt', 'utf8') + ' ' + process.cwd());
};
`;

/** The directory with `releases/` and the link `current`. */
function releases(): string {
  const root = temporaryDirectory({});
  for (const number of [1, 2, 3]) {
    const release = join(root, 'releases', String(number));
    mkdirSync(join(release, 'etc'), { recursive: true });
    writeFileSync(join(release, 'package.json'), '{"type": "module"}');
    writeFileSync(join(release, 'app.js'), APP.replace('NUMBER', String(number)));
    writeFileSync(join(release, 'data.txt'), `data ${number}`);
    writeFileSync(
      join(release, 'etc/x.ini'),
      `[app:main]\nuse = module:../app.js\n[server:main]\nuse = npm:paster#http\nport = 0\nworkers = 1\n`,
    );
  }
  switchTo(root, 1);
  return root;
}

/** Atomically, as deployment tools do. */
function switchTo(root: string, number: number): void {
  symlinkSync(`releases/${number}`, join(root, 'next'));
  renameSync(join(root, 'next'), join(root, 'current'));
}

const get = async (url: string) => (await fetch(url, { headers: { connection: 'close' } })).text();

/** The directory of a shell after `cd current`. */
function entered(root: string, below = ''): { readonly cwd: string; readonly env: NodeJS.ProcessEnv } {
  const cwd = join(root, 'current', below);
  return { cwd, env: { PWD: cwd } };
}

/** Waits until a release responds, from its own directory. */
async function servesRelease(root: string, number: number, url: string): Promise<void> {
  const expected = `${number} data ${number} ${join(root, 'releases', String(number))}`;
  await eventually(async () => (await get(url).catch(() => '')) === expected);
}

/** Kills the worker that responds, and waits for its successor. */
async function replaceWorker(url: string): Promise<void> {
  const pid = await get(`${url}/pid`);
  process.kill(Number(pid), 'SIGKILL');
  await eventually(async () => ![pid, ''].includes(await get(`${url}/pid`).catch(() => '')));
}

test('HUP serves the release that the link leads to, which needs none of the earlier releases', async () => {
  const root = releases();
  const program = await serve(['etc/x.ini'], entered(root));
  await servesRelease(root, 1, program.url);
  switchTo(root, 2);
  program.child.kill('SIGHUP');
  await servesRelease(root, 2, program.url);
  rmSync(join(root, 'releases/1'), { recursive: true });
  // A spare worker replaces it; the next one starts without the first release.
  for (let times = 0; times < 3; times++) {
    await replaceWorker(program.url);
    await servesRelease(root, 2, program.url);
  }
  switchTo(root, 3);
  rmSync(join(root, 'releases/2'), { recursive: true });
  program.child.kill('SIGHUP');
  await servesRelease(root, 3, program.url);
  await replaceWorker(program.url);
  await servesRelease(root, 3, program.url);
  expect(program.stderr).not.toMatch(/does not start/);
});

test('the first release may be removed before the first HUP, and a worker that dies meanwhile is replaced', async () => {
  const root = releases();
  const program = await serve(['etc/x.ini'], entered(root));
  switchTo(root, 2);
  rmSync(join(root, 'releases/1'), { recursive: true });
  await replaceWorker(program.url);
  await replaceWorker(program.url);
  await servesRelease(root, 2, program.url);
  program.child.kill('SIGHUP');
  await program.says(/^reloaded$/m);
  await servesRelease(root, 2, program.url);
});

test('--reload serves a release as soon as the link leads to it, whether or not the first one is removed', async () => {
  const root = releases();
  const program = await serve(['etc/x.ini', '--reload'], entered(root));
  await servesRelease(root, 1, program.url);
  switchTo(root, 2);
  await servesRelease(root, 2, program.url);
  rmSync(join(root, 'releases/1'), { recursive: true });
  switchTo(root, 3);
  await servesRelease(root, 3, program.url);
});

test('paster itself may be part of the release, and the server may be started below the link', async () => {
  const root = releases();
  for (const number of [1, 2]) installPaster(join(root, 'releases', String(number)));
  const own = join(root, 'current/node_modules/paster/bin/paster.js');
  const program = new Program(process.execPath, [own, 'serve', 'x.ini'], entered(root, 'etc'));
  const [, url = ''] = await program.says(/^serving on (\S+)$/m);
  switchTo(root, 2);
  rmSync(join(root, 'releases/1'), { recursive: true });
  program.child.kill('SIGHUP');
  await eventually(async () => (await get(`${url}/number`).catch(() => '')) === '2');
});

/** A copy of the build, with links to its dependencies. */
function installPaster(directory: string): void {
  const installed = join(directory, 'node_modules/paster');
  mkdirSync(installed, { recursive: true });
  for (const name of ['bin', 'dist', 'package.json']) {
    cpSync(join(ROOT, name), join(installed, name), { recursive: true });
  }
  for (const name of Object.keys(MANIFEST.dependencies)) {
    const link = join(directory, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', name), link);
  }
}

test('the paths of exported configurations contain the link', async () => {
  const root = releases();
  const ini = join(root, 'current/etc/x.ini');
  writeFileSync(ini, readFileSync(ini, 'utf8').replace('port = 0', 'socket = ../var/app.sock'));
  const { status, stdout } = await paster(['export', 'systemd', 'etc/x.ini'], entered(root)).finished();
  expect(status).toBe(0);
  expect(stdout).toContain(`WorkingDirectory=${root}/current\n`);
  expect(stdout).toContain(`ListenStream=${root}/current/var/app.sock\n`);
  expect(stdout).not.toContain('releases/');
});

test('PWD is trusted only if it names the working directory', async () => {
  const root = releases();
  const directoryFor = async (PWD: string): Promise<string> => {
    const program = paster(['points', '--json'], { cwd: join(root, 'releases/1'), env: { PWD } });
    return String(JSON.parse((await program.finished()).stdout).directory);
  };
  expect(await directoryFor(join(root, 'current'))).toBe(join(root, 'current'));
  for (const wrong of [
    join(root, 'releases/2'),
    'current',
    '.',
    '',
    join(root, 'none'),
    `${root}/current/../current`,
  ]) {
    expect(await directoryFor(wrong)).toBe(join(root, 'releases/1'));
  }
});
