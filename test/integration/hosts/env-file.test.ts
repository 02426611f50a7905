/** `--dotenv`: variables from a file, in every command, in workers, and again at each reload. */
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, Program, paster, ROOT, requireRoot, serve } from '../../helpers/programs/program.ts';

const APP = `export const make = (globalConf, localConf) => (req, res) =>
  res.end(JSON.stringify({ conf: localConf.word, env: process.env.WORD, gone: process.env.GONE, home: process.env.HOME }));
`;

function project(variables: string, ini = ''): string {
  return temporaryDirectory({
    'package.json': '{ "type": "module" }',
    'app.js': APP,
    'etc/.env': variables,
    'etc/x.ini': `${ini}[app:main]\nuse = call:../app.js:make\nword = %(ENV_WORD)s\n[server:main]\nuse = npm:paster#http\nport = 0\n`,
  });
}

interface Seen {
  readonly conf: string;
  readonly env: string;
}

const asked = async (url: string): Promise<Seen> => (await fetch(url)).json() as Promise<Seen>;

/** Resolves when both the configuration and the code have this value. */
const becomes = (url: string, word: string): Promise<boolean> =>
  eventually(async () => {
    const answer = await fetch(url);
    if (answer.status !== 200) return false;
    const { conf, env } = (await answer.json()) as Seen;
    return conf === word && env === word;
  });

describe('every command that reads a configuration reads the file', () => {
  const FILE = ['--dotenv', 'etc/.env'];

  test.each([
    ['request', ['etc/x.ini', '/', ...FILE], '"conf":"from file","env":"from file"'],
    ['post', [...FILE, 'etc/x.ini', '/'], '"conf":"from file","env":"from file"'],
    ['config', ['etc/x.ini', ...FILE], 'word = from file'],
    ['check', ['etc/x.ini', ...FILE], 'etc/x.ini: ok'],
    ['setup-app', ['etc/x.ini', ...FILE], 'nothing to set up'],
    ['export', ['nginx', 'etc/x.ini', ...FILE, 'port=80'], 'proxy_pass'],
    ['shell', ['-q', 'etc/x.ini', ...FILE], "'from file'"],
    ['exe', [...FILE, 'etc/request.ini'], 'word = from file'],
  ])('%s', async (command, args, said) => {
    const cwd = project('WORD="from file"\n');
    chmodSync(join(cwd, 'etc/.env'), 0o640);
    writeFileSync(join(cwd, 'etc/request.ini'), '[exe]\ncommand = config\n[x]\nword = %(ENV_WORD)s\n');
    const { status, stdout, stderr } = await paster([command, ...args], {
      cwd,
      input: 'config.localConf.word\n',
    }).finished();
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toContain(said);
  });

  test('exe with `dotenv` in [exe]', async () => {
    const cwd = project('WORD=one\n', '[exe]\ncommand = config\ndotenv = %(here)s/.env\n');
    expect(await paster(['exe', 'etc/x.ini', '--section', 'app:main'], { cwd }).finished()).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('word = one'),
    });
  });
});

test('the environment takes precedence, and then the last of several files', async () => {
  const cwd = project('WORD=first\nHOME=/nowhere\n');
  writeFileSync(join(cwd, 'b.env'), "export WORD='second'\n# a comment\n\nGONE=`two\nlines`\n");
  const files = ['--dotenv', 'etc/.env', '--dotenv', 'b.env'];
  const { stdout } = await paster(['request', ...files, 'etc/x.ini', '/'], {
    cwd,
    env: { HOME: '/home/me' },
  }).finished();
  expect(JSON.parse(stdout)).toEqual({ conf: 'second', env: 'second', gone: 'two\nlines', home: '/home/me' });
});

describe('an error in the file is reported', () => {
  test.each([
    [
      'nonsense',
      'WORD=1\npassword hunter22\n',
      /^paster: etc\/\.env:2:1: this line is neither NAME=value nor a comment/,
    ],
    ['a name with a space', 'MY WORD=1\n', /^paster: etc\/\.env:1:1: this line is neither/],
    [
      'a quote that is not closed',
      'WORD="hunter22\nX=1\n',
      /^paster: etc\/\.env:1:6: the value of WORD has no closing "/,
    ],
    ['a zero byte', 'WORD=a\0b\n', /^paster: etc\/\.env:1:1: this line is neither/],
  ])('%s', async (_what, variables, message) => {
    const { status, stderr } = await paster(['config', 'etc/x.ini', '--dotenv', 'etc/.env'], {
      cwd: project(variables),
    }).finished();
    expect([status, stderr]).toEqual([2, expect.stringMatching(message)]);
    expect(stderr).not.toContain('hunter22');
  });

  test('bytes that are not UTF-8', async () => {
    const cwd = project('');
    writeFileSync(join(cwd, 'etc/.env'), Buffer.from([0x57, 0x3d, 0xff, 0xfe, 0x0a]));
    const { status, stderr } = await paster(['config', 'etc/x.ini', '--dotenv', 'etc/.env'], { cwd }).finished();
    expect([status, stderr]).toEqual([2, expect.stringMatching(/^paster: --dotenv \S+: it is not UTF-8 text$/m)]);
  });

  test('a file that does not exist', async () => {
    const cwd = project('');
    for (const option of ['-e', '--dotenv']) {
      expect(await paster(['serve', 'etc/x.ini', option, 'etc/no.env'], { cwd }).finished()).toMatchObject({
        status: 2,
        stderr: expect.stringMatching(/^paster: --dotenv \S+\/etc\/no\.env: there is no such file$/m),
      });
    }
  });

  test('--env-file, an option of Node, is refused, and the file has no effect', async () => {
    const cwd = project('NODE_OPTIONS="--import=data:text/javascript,console.log(7)"\nWORD=1\n');
    const program = new Program(join(ROOT, 'bin/paster.js'), ['check', 'etc/x.ini', '--env-file', 'etc/.env'], { cwd });
    expect(await program.finished()).toEqual({
      status: 2,
      stdout: '',
      stderr:
        "paster: check: unknown option '--env-file' (--env-file is an option of Node itself: use -e or --dotenv)\n",
    });
    writeFileSync(join(cwd, 'etc/exe.ini'), '[exe]\nenv_file = .env\n');
    expect((await paster(['exe', 'etc/exe.ini'], { cwd }).finished()).stderr).toContain('use -e or --dotenv');
  });
});

test('NODE_OPTIONS in the file does not apply to paster and its children', async () => {
  const cwd = project('NODE_OPTIONS="--import=data:text/javascript,console.log(7)"\nWORD=1\n');
  chmodSync(join(cwd, 'etc/.env'), 0o640);
  const { stdout } = await paster(['check', 'etc/x.ini', '-e', 'etc/.env'], { cwd }).finished();
  expect(stdout).toBe('etc/x.ini: ok\n');
});

test.each(['serve', 'check', 'request'])('without the option %s does not read the file', async (command) => {
  const args = [command, 'x.ini', ...(command === 'request' ? ['/'] : [])];
  const { status, stdout, stderr } = await paster(args, { cwd: join(project('WORD=1\n'), 'etc') }).finished();
  expect([status, stdout + stderr]).toEqual([2, expect.stringMatching(/the environment variable WORD is not set/)]);
});

describe('serve', () => {
  const ARGS = ['etc/x.ini', '--dotenv', 'etc/.env'];

  test.each([[[]], [['-w', '2']]])('passes the variables to the application %j', async (mode) => {
    const program = await serve([...ARGS, ...mode], { cwd: project('WORD=one\nGONE=1\n') });
    expect(await asked(program.url)).toMatchObject({ conf: 'one', env: 'one', gone: '1' });
  });

  test('reads the file again at HUP: removed variables are gone, and after an error the old version keeps serving', async () => {
    const cwd = project('WORD=one\nGONE=1\n');
    const program = await serve([...ARGS, '-w', '2'], { cwd });
    writeFileSync(join(cwd, 'etc/.env'), 'WORD=two\n');
    program.child.kill('SIGHUP');
    await program.says(/reloaded/);
    for (let each = 0; each < 4; each++) {
      expect(await asked(program.url)).toEqual({ conf: 'two', env: 'two', home: process.env['HOME'] });
    }
    writeFileSync(join(cwd, 'etc/.env'), 'WORD three\n');
    program.child.kill('SIGHUP');
    await program.says(/does not start, the old one keeps running: etc\/\.env:1:1: this line is neither/);
    expect(await asked(program.url)).toMatchObject({ conf: 'two', env: 'two' });
  });

  test('passes the same variables to the successor of a worker that dies', async () => {
    const cwd = project('WORD=one\n');
    writeFileSync(join(cwd, 'app.js'), `${APP}setTimeout(() => process.exit(3), 1500);\n`);
    const program = await serve([...ARGS, '-w', '1'], { cwd });
    rmSync(join(cwd, 'etc/.env'));
    await program.says(/worker \d+ ended/);
    expect(await asked(program.url)).toMatchObject({ conf: 'one', env: 'one' });
  });

  test('watches the file with --reload', async () => {
    const cwd = project('WORD=one\n');
    const program = await serve([...ARGS, '--reload'], { cwd });
    for (const word of ['two', 'three']) {
      writeFileSync(join(cwd, 'etc/.env'), `WORD=${word}\n`);
      await becomes(program.url, word);
    }
    writeFileSync(join(cwd, 'etc/.env'), 'WORD\n');
    await eventually(async () => (await (await fetch(program.url)).text()).includes('etc/.env:1:1'));
    writeFileSync(join(cwd, 'etc/.env'), 'WORD=four\n');
    await becomes(program.url, 'four');
  });

  test('works in the background', async () => {
    const cwd = project('WORD=one\n');
    const started = await paster(['serve', ...ARGS, '-w', '1', '--daemon'], { cwd }).finished();
    const [, url = ''] = /^serving on (\S+)$/m.exec(started.stdout) ?? [];
    try {
      expect(await asked(url)).toMatchObject({ conf: 'one', env: 'one' });
      writeFileSync(join(cwd, 'etc/.env'), 'WORD=two\n');
      const [, pid = ''] = /in PID (\d+)/.exec(started.stdout) ?? [];
      process.kill(Number(pid), 'SIGHUP');
      await becomes(url, 'two');
    } finally {
      await paster(['serve', 'etc/x.ini', 'stop'], { cwd }).finished();
    }
  });

  test.runIf(requireRoot())('reads a file of root for an application of another user', async () => {
    const cwd = project('WORD=one\n');
    for (const path of [cwd, join(cwd, 'etc')]) chmodSync(path, 0o755);
    chmodSync(join(cwd, 'etc/.env'), 0o600);
    for (const mode of [[], ['-w', '1']]) {
      const program = await serve([...ARGS, '--user', 'nobody', ...mode], { cwd });
      expect(await asked(program.url)).toMatchObject({ conf: 'one', env: 'one' });
      await program.kill('SIGTERM');
    }
  });
});

test('check warns of a file that all users can read', async () => {
  const cwd = project('WORD=1\n');
  for (const [mode, said] of [
    [0o644, /^etc\/\.env:1:1: warning: every user of this machine may read it: chmod 640 /],
    [0o666, /^etc\/\.env:1:1: warning: every user of this machine may read and change it: chmod 660 /],
    [0o640, /^etc\/x\.ini: ok$/m],
  ] as const) {
    chmodSync(join(cwd, 'etc/.env'), mode);
    const { status, stdout } = await paster(['check', 'etc/x.ini', '--dotenv', 'etc/.env'], { cwd }).finished();
    expect([status, stdout]).toEqual([0, expect.stringMatching(said)]);
  }
});
