/** Which processes start and end: `--only` and `--without`, `paster control`, and the end of the supervisor. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runHere } from '../../helpers/programs/command.ts';
import { eventually, isAlive, paster, serve } from '../../helpers/programs/program.ts';
import { MAILER, notes, pids, project, serveAlone, statusOf, WEB } from './project.ts';

describe('starting', () => {
  const BOTH = `${WEB}[process:mailer]\nuse = call:./mailer.js:run\n[process:jobs]\ncommand = sleep 100\n`;
  const names = async (cwd: string) => {
    const { workers, processes = [] } = await statusOf(cwd);
    return [...(workers.length > 0 ? ['web'] : []), ...processes.map(({ name }) => name)].sort();
  };

  test.each([
    [[], ['jobs', 'mailer', 'web']],
    [['--only', 'mailer'], ['mailer']],
    [['--only', 'web'], ['web']],
    [
      ['--only', 'web,mailer'],
      ['mailer', 'web'],
    ],
    [['--without', 'mailer,web'], ['jobs']],
  ])('serve %j starts the expected sections', async (args, expected) => {
    const cwd = project(BOTH);
    const program = paster(['serve', 'x.ini', ...args], { cwd });
    await program.says(/^Starting server in PID \d+\.$/m);
    await eventually(async () => (await names(cwd).catch(() => [])).length > 0);
    expect(await names(cwd)).toEqual(expected);
    expect(program.stdout.includes('serving on')).toBe(expected.includes('web'));
    if (expected.includes('jobs')) return;
    for (const command of ['stop', 'start']) {
      const { status, stderr } = await runHere(['control', 'x.ini', command, 'jobs'], { cwd });
      expect([status, stderr]).toEqual([
        1,
        expect.stringContaining('[process:jobs] is not served: --only leaves it out'),
      ]);
    }
  });

  test.each([
    [
      ['--only', 'mialer'],
      /--only: there is no section \[process:mialer\] or \[task:mialer\] \(did you mean "mailer"\?\)/,
    ],
    [['--only', 'web', '--without', 'web'], /--only and --without leave nothing to run/],
    [['--only', ','], /--only: it names no section/],
    [
      ['--only', 'mailer', '-p', '80'],
      /serve: --port does not apply: --only leaves the web server out \(leave it out\)/,
    ],
    [['--only', 'jobs', '-w', '2'], /--workers does not apply/],
    [['--only', 'jobs', '--socket', 's'], /--socket does not apply/],
    [['--only', 'jobs', '--graceful-timeout', '2'], /--graceful-timeout does not apply/],
    [['--without', 'web', '--open'], /--open does not apply: --without leaves the web server out/],
    [['--without', 'web', '--inspect'], /--inspect does not apply/],
    [['--only', 'jobs', '-n', 'main'], /--app-name does not apply/],
    [['--only', 'jobs', '-s', 'http'], /--server does not apply/],
    [['--only', 'jobs', '--server-name', 'main'], /--server-name does not apply/],
  ])('serve %j is an error', async (args, message) => {
    const finished = await runHere(['serve', 'x.ini', ...args], { cwd: project(BOTH) });
    expect(finished).toMatchObject({ status: 2, stderr: expect.stringMatching(message) });
  });

  test.each([
    [[], false],
    [['--only', 'web'], true],
    [['--only', 'web', '--reload'], false],
    [['--only', 'web', '-w', '1'], false],
    [['--without', 'mailer'], false],
  ])('serve %j warns of a limit that needs a supervisor: %s', async (args, isWarned) => {
    const cwd = project(BOTH.replace('port = 0\n', 'port = 0\nmax_memory = 500\n'));
    const program = await serve(['x.ini', ...args], { cwd });
    expect(program.stderr.includes('[server:main] max_memory has no effect')).toBe(isWarned);
  });

  test('an option of the web server is an error in a file without one', async () => {
    const cwd = project('[process:jobs]\ncommand = sleep 100\n');
    const finished = await runHere(['serve', 'x.ini', '--host', '127.0.0.1'], { cwd });
    expect(finished).toMatchObject({ status: 2, stderr: expect.stringContaining('the INI file has no [server:main]') });
  });

  test.each([
    ['none', {}, /there is no such program/],
    ['one that is not executable', { 'bin/absent': '' }, /it is not executable \(chmod \+x .*bin\/absent\)/],
  ])('an error while starting ends all processes: of the programs in PATH, %s', async (_which, files, reason) => {
    const cwd = project(`${WEB}[process:jobs]\ncommand = absent\n`, files);
    // For any user but root, the system says EACCES of a directory like this, whatever is in the others.
    const closed = join(cwd, 'closed');
    mkdirSync(closed, { mode: 0 });
    const PATH = [process.env['PATH'], closed, join(cwd, 'bin')].join(delimiter);
    const finished = await paster(['serve', 'x.ini'], { cwd, env: { ...process.env, PATH } }).finished();
    expect(finished.status).not.toBe(0);
    expect(finished.stderr).toMatch(/^paster: x\.ini:\d+:\d+: \[process:jobs\] command: cannot start absent: /m);
    expect(finished.stderr).toMatch(reason);
  });
});

test('control stops and starts a section, and HUP keeps it that way', async () => {
  const night = '[task:night]\nschedule = @yearly\nuse = call:./mailer.js:run\n';
  const cwd = project(`${WEB}[process:mailer]\nuse = call:./mailer.js:run\n${night}`);
  const program = await serve(['x.ini'], { cwd });
  const control = async (...args: string[]) => (await runHere(['control', 'x.ini', ...args], { cwd })).stdout;
  expect(await control('stop', 'mailer')).toBe('process mailer is stopped\n');
  program.child.kill('SIGHUP');
  await program.says(/^reloaded$/m);
  expect((await runHere(['status', 'x.ini'], { cwd })).stdout).toMatch(/^process mailer: stopped/m);
  expect(await control('start', 'mailer')).toBe('process mailer runs\n');
  expect(await pids(cwd, 'mailer')).toHaveLength(1);
  for (const [name, message] of [
    ['mialer', /there is no process "mialer" in server \d+ \(there are: mailer\)/],
    ['web', /"web" is the web server, not a process \(/],
    ['night', /"night" is a task, which runs by its schedule \(paster run CONFIG night runs it now; /],
  ] as const) {
    expect((await runHere(['control', 'x.ini', 'stop', name], { cwd })).stderr).toMatch(message);
  }
});

test('HUP completes a start by control that it interrupts', async () => {
  const cwd = project('[process:mailer]\nuse = call:./mailer.js:run\n');
  const program = await serveAlone(cwd);
  expect((await runHere(['control', 'x.ini', 'stop', 'mailer'], { cwd })).status).toBe(0);
  const hangs = `import { appendFileSync } from 'node:fs';
appendFileSync('notes', 'loads\\n');
await new Promise(() => setInterval(() => {}, 1000));\n`;
  writeFileSync(join(cwd, 'mailer.js'), hangs);
  const starting = runHere(['control', 'x.ini', 'start', 'mailer'], { cwd });
  await eventually(() => notes(cwd).includes('loads'));
  writeFileSync(join(cwd, 'mailer.js'), MAILER);
  program.child.kill('SIGHUP');
  expect(await starting).toMatchObject({ status: 0, stdout: 'process mailer runs\n' });
  expect(await pids(cwd, 'mailer')).toHaveLength(1);
});

test('stop() of a process is called once, even if two signals request its end', async () => {
  const slow = `export const make = () => {
  let end;
  return {
    run: () => new Promise((resolve) => { end = resolve; console.log('runs'); }),
    stop: () => { console.log('stopping'); setTimeout(end, 300); },
  };
};\n`;
  const cwd = project('[process:slow]\nuse = call:./slow.js:make\n', { 'slow.js': slow });
  const program = await serveAlone(cwd);
  await eventually(async () => (await pids(cwd, 'slow')).length === 1);
  const [pid = 0] = await pids(cwd, 'slow');
  process.kill(pid);
  await program.says(/^stopping$/m);
  expect((await program.kill('SIGTERM')).status).toBe(0);
  expect(program.output.match(/^stopping$/gm)).toHaveLength(1);
});

test.each([
  [
    `command = sh -c 'trap "sleep 0.5; echo has ended; exit" TERM; echo runs; while :; do sleep 0.1; done'\nstart_seconds = 30`,
  ],
  ['use = program:./loads.js'],
])('a process that has not started yet gets its stop signal and graceful_timeout: %s', async (section) => {
  const loads = `process.on('SIGTERM', () => setTimeout(() => { console.log('has ended'); process.exit(); }, 500));
console.log('runs');
await new Promise((resolve) => setTimeout(resolve, 30_000));\n`;
  const cwd = project(`[process:jobs]\n${section}\n`, { 'loads.js': loads });
  const program = paster(['serve', 'x.ini'], { cwd });
  await program.says(/^runs$/m);
  const { status } = await program.kill('SIGTERM');
  expect([status, program.output]).toEqual([0, expect.stringMatching(/^has ended$/m)]);
});

test('a process ends when its supervisor is killed', async () => {
  const cwd = project(`[process:jobs]\ncommand = sh -c 'echo child $$; while :; do sleep 1; done'\n`);
  const program = await serveAlone(cwd);
  const [, child = ''] = await program.says(/^child (\d+)$/m);
  program.child.kill('SIGKILL');
  await eventually(() => !isAlive(Number(child)));
});
