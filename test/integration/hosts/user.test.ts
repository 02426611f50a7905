/** `--user` and `--group`: root opens the sockets, and another user runs the application. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import {
  eventually,
  getOver,
  Program,
  paster,
  pasterWithoutRoot,
  ROOT,
  requireRoot,
  serve,
} from '../../helpers/programs/program.ts';

// Each reports its user, at import and now.
const APP = `const atImport = [process.getuid(), process.getgid()];
export default (req, res) => {
  console.log('asked for', req.url);
  res.end(JSON.stringify({ atImport, now: [process.getuid(), process.getgid()], groups: process.getgroups() }));
};
`;

function project(server = 'port = 0'): string {
  const directory = temporaryDirectory({
    'app.js': APP,
    'package.json': '{"type": "module"}',
    'x.ini': `[app:main]\nuse = module:./app.js\n[server:main]\nuse = npm:paster#http\n${server}\n`,
  });
  // Only its creator may enter a temporary directory.
  chmodSync(directory, 0o755);
  return directory;
}

test.each([
  [['--user', 'no-such-user'], /there is no user "no-such-user"/],
  [['--group', 'no-such-group'], /there is no group "no-such-group"/],
])('%j is an error, and nothing starts', async (option, message) => {
  for (const mode of [[], ['-w', '2'], ['--daemon']]) {
    const cwd = project();
    const finished = await paster(['serve', 'x.ini', ...option, ...mode], { cwd }).finished();
    expect(finished).toMatchObject({ status: 2, stdout: '', stderr: expect.stringMatching(message) });
    expect(existsSync(join(cwd, 'paster.log'))).toBe(false);
  }
});

test('only root can change to another user', async () => {
  const finished = await pasterWithoutRoot(['serve', 'x.ini', '--user', 'root'], { cwd: project() }).finished();
  expect(finished).toMatchObject({ status: 1, stderr: expect.stringMatching(/cannot change to user root/) });
});

describe.runIf(requireRoot())('as root', () => {
  const id = (option: string, name: string) => Number(execFileSync('id', [option, name], { encoding: 'utf8' }));

  test.each([
    ['one process', []],
    ['two workers', ['-w', '2']],
    ['reload', ['--reload']],
  ])('the user loads and runs the application: %s', async (_what, mode) => {
    const program = await serve(['x.ini', '--user', 'nobody', '--group', 'daemon', ...mode], { cwd: project() });
    const whom = [id('-u', 'nobody'), id('-g', 'daemon')];
    const answer = (await (await fetch(program.url)).json()) as { groups: number[] };
    expect(answer).toMatchObject({ atImport: whom, now: whom });
    expect(answer.groups).not.toContain(0);
    expect((await program.kill('SIGTERM')).status).toBe(0);
  });

  test.each([[[]], [['-w', '1']]])('--group alone changes the group %j', async (mode) => {
    const program = await serve(['x.ini', '--group', 'daemon', ...mode], { cwd: project() });
    expect(await (await fetch(program.url)).json()).toMatchObject({
      atImport: [0, id('-g', 'daemon')],
      groups: [id('-g', 'daemon')],
    });
  });

  test.each([
    ['one process', []],
    ['workers', ['-w', '1']],
  ])('root opens a port below 1024, and a socket that the user owns: %s', async (_what, mode) => {
    const low = await serve(['x.ini', '--user', 'nobody', '-p', '871', '--pid-file', 'a.pid', ...mode], {
      cwd: project(),
    });
    expect((await fetch(low.url)).status).toBe(200);
    expect((await low.kill('SIGTERM')).status).toBe(0);

    const cwd = project('socket = %(here)s/run/app.sock');
    mkdirSync(join(cwd, 'run'));
    const program = await serve(['x.ini', '--user', 'nobody', ...mode], { cwd });
    const { uid, mode: bits } = statSync(join(cwd, 'run/app.sock'));
    expect([uid, bits & 0o777]).toEqual([id('-u', 'nobody'), 0o660]);
    expect(await getOver(join(cwd, 'run/app.sock'))).toContain('atImport');
    const ended = await program.kill('SIGTERM');
    expect(ended.status).toBe(0);
    // The supervisor is still root and removes the socket; a single process may not, and says so.
    const stays = mode.length === 0;
    expect(existsSync(join(cwd, 'run/app.sock'))).toBe(stays);
    if (stays) expect(ended.stderr).toMatch(/app\.sock is left behind: user nobody may not write/);

    // The next start replaces the leftover file.
    const again = await serve(['x.ini', '--user', 'nobody', ...mode], { cwd });
    expect(await getOver(join(cwd, 'run/app.sock'))).toContain('atImport');
    await again.kill('SIGTERM');
  });

  test.each([
    ['one process', []],
    ['workers', ['-w', '1']],
    ['a daemon', ['--daemon']],
  ])('the environment is that of the user before the application is loaded: %s', async (_what, mode) => {
    const cwd = project('port = 0');
    writeFileSync(
      join(cwd, 'app.js'),
      `const atImport = { ...process.env };
      export default (globalConf, { home }) => (req, res) => res.end(JSON.stringify({ ...atImport, IN_FILE: home }));`,
    );
    const ini = readFileSync(join(cwd, 'x.ini'), 'utf8');
    writeFileSync(
      join(cwd, 'x.ini'),
      ini.replace('use = module:./app.js', 'use = call:./app.js:default\nhome = %(ENV_HOME)s'),
    );
    const account = execFileSync('getent', ['passwd', 'nobody'], { encoding: 'utf8' }).trim().split(':');
    const env = {
      HOME: '/root',
      USER: 'root',
      LOGNAME: 'root',
      SHELL: '/bin/bash',
      MAIL: '/var/mail/root',
      XDG_RUNTIME_DIR: '/run/user/0',
      XDG_CONFIG_HOME: '/root/.config',
      OTHER: 'stays',
    };
    const program = await serve(['x.ini', '--user', 'nobody', ...mode], { cwd, env });
    const seen = (await (await fetch(program.url)).json()) as Record<string, string>;
    const [HOME, SHELL] = account.slice(-2);
    expect(seen).toMatchObject({ HOME, SHELL, USER: 'nobody', LOGNAME: 'nobody', IN_FILE: HOME, OTHER: 'stays' });
    expect(seen).toMatchObject({ MAIL: '/var/mail/nobody' });
    expect(Object.keys(seen).filter((name) => name.startsWith('XDG_'))).toEqual([]);
    if (mode.includes('--daemon')) await paster(['serve', 'x.ini', 'stop'], { cwd }).finished();
  });

  test('the HOME of a --dotenv file overrides the user’s', async () => {
    const cwd = project('port = 0');
    writeFileSync(join(cwd, 'app.js'), 'export default (req, res) => res.end(process.env.HOME);');
    writeFileSync(join(cwd, '.env'), 'HOME=/srv/elsewhere\n');
    for (const mode of [[], ['-w', '1']]) {
      // Without HOME in the environment, because a file does not override the environment.
      const command = ['-u', 'HOME', process.execPath, '--', join(ROOT, 'bin/paster.js')];
      const args = ['serve', 'x.ini', '--user', 'nobody', '-e', '.env', ...mode];
      const program = new Program('env', [...command, ...args], { cwd });
      const [, url = ''] = await program.says(/^serving on (\S+)$/m);
      expect(await (await fetch(url)).text()).toBe('/srv/elsewhere');
    }
  });

  describe('variables from a file of the user', () => {
    /** The file makes Node and the shell load code that records its user, and has a harmless variable. */
    function withEnvFile(settings: string, sections = ''): { readonly cwd: string; readonly users: () => string[] } {
      const cwd = project(`port = 0\n${settings}env_file = home/.env`);
      writeFileSync(join(cwd, 'x.ini'), sections, { flag: 'a' });
      const home = join(cwd, 'home');
      mkdirSync(join(home, 'bin'), { recursive: true });
      chmodSync(home, 0o777);
      const note = join(home, 'note.cjs');
      const notes = join(home, 'notes');
      writeFileSync(note, `require('fs').appendFileSync(${JSON.stringify(notes)}, process.getuid() + '\\n');`);
      writeFileSync(notes, '');
      chmodSync(notes, 0o666);
      for (const program of ['systemd-notify', 'getent', 'logger', 'ps', 'getfacl']) {
        writeFileSync(join(home, 'bin', program), `#!/bin/sh\nid -u >> ${notes}\n`, { mode: 0o755 });
      }
      const path = `${join(home, 'bin')}:${process.env['PATH']}`;
      writeFileSync(join(home, '.env'), `NODE_OPTIONS=--require ${note}\nPATH=${path}\nOTHER=1\n`);
      writeFileSync(
        join(cwd, 'app.js'),
        `import { execFile } from 'node:child_process';
        export default (req, res) => execFile(process.execPath, ['-p', '0'], () =>
          res.end(JSON.stringify([process.env.NODE_OPTIONS, process.env.PATH, process.env.OTHER])));`,
      );
      return { cwd, users: () => readFileSync(notes, 'utf8').split('\n').filter(Boolean) };
    }

    test.each([
      ['one process', ''],
      ['a worker', 'workers = 1\n'],
    ])('run no code as root: %s', async (_what, settings) => {
      const { cwd, users } = withEnvFile(settings);
      const env = { NOTIFY_SOCKET: join(cwd, 'notify') };
      const program = await serve(['x.ini', '--user', 'nobody'], { cwd, env });
      const seen = async () => (await fetch(program.url)).json();
      const expected = [expect.stringContaining('note.cjs'), expect.stringContaining('/home/bin:'), '1'];
      expect(await seen()).toEqual(expected);
      program.child.kill('SIGHUP');
      if (settings !== '') await program.says(/^reloaded$/m);
      expect(await seen()).toEqual(expected);
      await program.kill('SIGTERM');
      // The processes that the application starts run as its user.
      expect(new Set(users())).toEqual(new Set([String(id('-u', 'nobody'))]));
      if (settings !== '') expect(program.stderr).toContain('NODE_OPTIONS has no effect on a process that root starts');
    });

    test('run no code as root: background processes and tasks', async () => {
      const { cwd, users } = withEnvFile(
        'workers = 1\n',
        `[process:jobs]\ncommand = sh -c 'node -e 0; echo $OTHER $PATH; sleep 100'\nuser = nobody\nenv_file = home/.env\n
        [task:now]\ncommand = true\nschedule = 0 0 1 1 *\nuser = nobody\nenv_file = home/.env\n`.replace(/^ +/gm, ''),
      );
      const program = await serve(['x.ini', '--user', 'nobody'], { cwd });
      await program.says(/^1 \S+\/home\/bin:/m);
      expect(program.stderr).toContain('[process:jobs] NODE_OPTIONS has no effect');
      expect((await paster(['run', 'x.ini', 'now'], { cwd }).finished()).status).toBe(0);
      await program.kill('SIGTERM');
      // The Node of the command has run the code, as its user.
      expect(new Set(users())).toEqual(new Set([String(id('-u', 'nobody'))]));
    });

    test('options that load nothing apply from the start', async () => {
      const { cwd } = withEnvFile('workers = 1\n');
      writeFileSync(join(cwd, 'home/.env'), 'NODE_OPTIONS=--max_old_space_size=321 --no-warnings\n');
      writeFileSync(
        join(cwd, 'app.js'),
        `import { getHeapStatistics } from 'node:v8';
        export default (req, res) => res.end(String(getHeapStatistics().heap_size_limit / 2 ** 20));`,
      );
      const program = await serve(['x.ini', '--user', 'nobody'], { cwd });
      expect(Number(await (await fetch(program.url)).text())).toBeLessThan(500);
      expect(program.stderr).toBe('');
    });
  });

  test('socket and pid file in a directory of the user are removed', async () => {
    const cwd = project('socket = %(here)s/run/app.sock');
    mkdirSync(join(cwd, 'run'), { mode: 0o777 });
    chmodSync(join(cwd, 'run'), 0o777);
    const program = await serve(['x.ini', '--user', 'nobody', '--pid-file', 'run/pid'], { cwd });
    expect(readFileSync(join(cwd, 'run/pid'), 'utf8').split('\n')[0]).toBe(String(program.pid));
    expect(await program.kill('SIGTERM')).toMatchObject({ status: 0, stderr: '' });
    expect(existsSync(join(cwd, 'run/app.sock'))).toBe(false);
    expect(existsSync(join(cwd, 'run/pid'))).toBe(false);
  });

  test('a worker that may not reopen the log is replaced by one that has inherited it', async () => {
    const cwd = project('port = 0\nworkers = 1');
    const program = paster(['serve', 'x.ini', '--user', 'nobody', '--log-file', 'a.log'], { cwd });
    const read = (name: string) => (existsSync(join(cwd, name)) ? readFileSync(join(cwd, name), 'utf8') : '');
    const [, url = ''] = await eventually(() => /^serving on (\S+)$/m.exec(read('a.log')) ?? undefined);
    renameSync(join(cwd, 'a.log'), join(cwd, 'old.log'));
    program.child.kill('SIGUSR1');
    await eventually(async () => {
      await (await fetch(`${url}/after`)).text();
      return read('a.log').includes('asked for /after');
    });
    expect(read('a.log')).toMatch(/worker \d+ cannot open its log again .* is replaced/);
  });
});
