/** Which processes run after an upgrade: the server, its launcher and monitor, workers and background processes. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, isAlive, Program, requireRoot } from '../../helpers/programs/program.ts';
import { APP, get, HTTP, ini, OLD_NODE, PASTER, start, UpgradedServer } from './upgraded-server.ts';

test('the monitor of --monitor-restart keeps running, and restarts the server', async () => {
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

test('a server ends with its launcher, and the launcher with the server', async () => {
  for (const victim of ['launcher', 'server'] as const) {
    const site = await start(HTTP);
    await site.upgrade();
    const { pid } = site;
    await site.becomesLauncher();
    process.kill(victim === 'server' ? pid : site.program.pid, 'SIGKILL');
    expect((await site.program.finished()).status).toBe(victim === 'server' ? 1 : null);
    await eventually(() => !isAlive(pid));
  }
});

test('after five upgrades two processes run', async () => {
  const site = await start(HTTP);
  const pids = [site.pid];
  for (let round = 0; round < 5; round++) {
    await site.upgrade();
    pids.push(site.pid);
  }
  await eventually(() => pids.filter(isAlive).length === 2);
  expect(pids.filter(isAlive)).toEqual([site.program.pid, site.pid]);
});

test('a HUP and an upgrade run one after the other', async () => {
  const site = await start(`${HTTP}\nworkers = 2`);
  site.program.child.kill('SIGHUP');
  await site.upgrade();
  expect(site.program.stderr).toMatch(/reloaded[\s\S]*upgrading/);
  // The new process handles the one that comes second.
  const upgrading = site.paster(['upgrade', 'x.ini']).finished();
  const { pid } = site;
  await site.startedPid(2);
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
  const site = new UpgradedServer(directory, program, url);
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

test('the new process handles a HUP during an upgrade without web workers', async () => {
  const section = (word: string) => `[process:one]\nuse = call:./job.js:run\nword = ${word}\n`;
  const directory = temporaryDirectory({
    'package.json': '{"type": "module"}',
    // If it finds the file `hold`, it loads until the file `go` exists.
    'job.js': `import { appendFileSync, existsSync, rmSync } from 'node:fs';
const isHeld = existsSync('hold');
if (isHeld) rmSync('hold');
while (isHeld && !existsSync('go')) await new Promise((resolve) => setTimeout(resolve, 20));
export async function run(globalConf, { word }, signal) {
  appendFileSync('words', word + '\\n');
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
}\n`,
    'x.ini': section('old'),
    words: '',
  });
  const program = new Program(OLD_NODE, [PASTER, 'serve', 'x.ini', '--pid-file', 'x.pid'], { cwd: directory });
  await program.says(/^Starting server in PID/m);
  const site = new UpgradedServer(directory, program, '');
  site.save('hold', '');
  const { pid } = site;
  const upgrading = site.paster(['upgrade', 'x.ini']).finished();
  await eventually(() => !existsSync(join(directory, 'hold')));
  site.save('x.ini', section('new'));
  process.kill(pid, 'SIGHUP');
  // The signal has arrived when the old process has responded.
  await site.paster(['status', 'x.ini']).finished();
  site.save('go', '');
  expect((await upgrading).status).toBe(0);
  await eventually(() => /\[process:one\] reloaded/.test(program.stderr));
  expect(site.read('words')).toBe('old\nold\nnew\n');
});

describe.runIf(requireRoot())('as root', () => {
  test('with --user, workers run as the user, and the supervisor stays root', async () => {
    const site = await start(`${HTTP}\nworkers = 1`, { args: ['--user', 'nobody'] });
    await site.upgrade();
    expect(statSync(`/proc/${site.pid}`).uid).toBe(0);
    expect(statSync(`/proc/${await get(site.url)}`).uid).not.toBe(0);
  });
});
