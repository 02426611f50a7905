/** `environment` and `env_file` in the server's section, and NODE_ENV, in every process of an application. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, paster, serve } from '../../helpers/programs/program.ts';

const APP = `const atImport = process.env.SETTING;
const early = globalThis.early;
export const make = (globalConf, { word }) => (req, res) => {
  const { FILE, SETTING, OPTION, NODE_ENV } = process.env;
  res.end(JSON.stringify({ word, atImport, early, FILE, SETTING, OPTION, NODE_ENV }));
};
`;

const ENVIRONMENT = `environment =
  # a comment
  SETTING=%(ENV_FILE)s and setting
  OPTION=from the setting
env_file = %(here)s/one.env two.env
`;

function project(environment = ENVIRONMENT, defaults = ''): string {
  const cwd = temporaryDirectory({
    'package.json': '{ "type": "module" }',
    'app.js': APP,
    'etc/one.env': 'FILE=one\nSETTING=file\nOPTION=file\nWORD="of one"\n',
    'etc/two.env': 'FILE=two\n',
    'option.env': 'OPTION=option\n',
    'etc/x.ini': `[DEFAULT]\n${defaults}\n[app:main]\nuse = call:../app.js:make\nword = %(ENV_WORD)s\n
[server:main]\nuse = npm:paster#http\nport = 0\n${environment}`,
  });
  for (const file of ['one', 'two']) chmodSync(join(cwd, `etc/${file}.env`), 0o600);
  return cwd;
}

/** The environment of the program, in which NODE_ENV is not set. */
const OUTER = { NODE_ENV: undefined, SETTING: 'outer', FILE: 'outer' };

const asked = async (url: string): Promise<Record<string, string>> =>
  (await fetch(url)).json() as Promise<Record<string, string>>;

const SEEN = {
  word: 'of one',
  FILE: 'two',
  SETTING: 'two and setting',
  atImport: 'two and setting',
  OPTION: 'option',
  NODE_ENV: 'production',
};

describe('the order is: the environment, env_file, environment, --dotenv', () => {
  test.each([[[]], [['-w', '2']]])('in serve %j', async (mode) => {
    const program = await serve(['etc/x.ini', '-e', 'option.env', ...mode], { cwd: project(), env: OUTER });
    expect(await asked(program.url)).toEqual(SEEN);
  });

  test('in request and shell', async () => {
    const options = { cwd: project(), env: OUTER, input: "(await request('/')).text\n" };
    const request = paster(['request', 'etc/x.ini', '/', '-e', 'option.env'], options);
    const shell = paster(['shell', '-q', 'etc/x.ini', '-e', 'option.env'], options);
    expect(JSON.parse((await request.finished()).stdout)).toEqual(SEEN);
    expect((await shell.finished()).stdout).toContain('"atImport":"two and setting"');
  });
});

describe('environment outside the server’s section', () => {
  const printed = `process.env.AT_IMPORT = [process.env.A, process.env.B, process.env.C].join();
export const make = (globalConf, localConf) => (req, res) =>
  res.end(JSON.stringify([process.env.AT_IMPORT, process.env.D ?? null, localConf.environment ?? null]));
`;
  const projectOf = (ini: string): string =>
    temporaryDirectory({
      'package.json': '{ "type": "module" }',
      'app.js': printed,
      'server.js': `import { createServer } from 'node:http';
import { make } from './app.js';
createServer(make({}, {})).listen(3000);`,
      'x.ini': ini,
    });
  const SERVER = '[server:main]\nuse = npm:paster#http\nport = 0\n';
  const SERVER_C = `${SERVER}environment = C=server\n`;
  const responseOf = async (ini: string, path = '/'): Promise<unknown> => {
    const { stdout, stderr, status } = await paster(['request', 'x.ini', path], { cwd: projectOf(ini) }).finished();
    expect([status, stderr]).toEqual([0, '']);
    return JSON.parse(stdout);
  };
  const DEFAULTS = '[DEFAULT]\nenvironment =\n  A=default\n  B=default\n  C=default\n';

  test.each(['call:./app.js:make', 'listen:./server.js'])(
    'has the order [DEFAULT], application, server: %s',
    async (use) => {
      const ini = `${DEFAULTS}[app:main]\nuse = ${use}\nset environment =\n  B=app\n  C=app\n${SERVER}set environment = C=server\n`;
      const seen = (await responseOf(ini)) as unknown[];
      expect(seen[0]).toBe('default,app,server');
    },
  );

  test('is read for an application behind a filter and in a composite', async () => {
    const ini = `[composite:main]\nuse = npm:paster#urlmap\n/ = shop\n[app:shop]\nuse = call:./app.js:make
environment = A=shop\nfilter-with = head\n[filter:head]\nuse = npm:paster#security_headers\n${SERVER_C}`;
    expect(await responseOf(ini)).toEqual(['shop,,server', null, null]);
  });

  test('is passed to the factory if it is not a list of variables', async () => {
    const ini = `[app:main]\nuse = call:./app.js:make\nenvironment = staging\n${SERVER_C}`;
    expect(await responseOf(ini)).toEqual([',,server', null, 'staging']);
  });

  test.each([
    ['[app:main]', `[app:main]\nuse = call:./app.js:make\nenvironment =\n  A=1\n  hunter22\n${SERVER}`, 'x.ini:3:1: '],
    [
      '[DEFAULT]',
      `[DEFAULT]\nenvironment =\n  A=1\n  hunter22\n[app:main]\nuse = call:./app.js:make\n${SERVER}`,
      'x.ini:2:1: ',
    ],
  ])('has an error in %s', async (section, ini, place) => {
    const { stderr, status } = await paster(['serve', 'x.ini'], { cwd: projectOf(ini) }).finished();
    expect(stderr).toContain(`${place}${section} environment: line 3 is not NAME=value`);
    expect(status).toBe(2);
    const check = await paster(['check', 'x.ini'], { cwd: projectOf(ini) }).finished();
    expect(check.stdout).toContain(`${place}${section} environment: line 3 is not NAME=value`);
  });

  test('is read again at HUP', async () => {
    const ini = (value: number): string =>
      `[app:main]\nuse = call:./app.js:make\nenvironment = D=${value}\n[server:main]\nuse = npm:paster#http\nport = 0\n`;
    const cwd = projectOf(ini(1));
    const program = await serve(['x.ini', '-w', '1'], { cwd });
    const seen = async (): Promise<unknown> => ((await (await fetch(program.url)).json()) as unknown[])[1];
    expect(await seen()).toBe('1');
    writeFileSync(join(cwd, 'x.ini'), ini(2));
    program.child.kill('SIGHUP');
    expect(await eventually(async () => (await seen()) === '2')).toBe(true);
  });
});

describe('NODE_ENV', () => {
  const WITHOUT = 'env_file = one.env\n';
  test.each([
    ['production by default', [WITHOUT], undefined, 'production'],
    ['not set with debug', [WITHOUT, 'debug = true'], undefined, undefined],
    ['that of the environment', [WITHOUT], 'test', 'test'],
    ['that of the INI file', [`${WITHOUT}environment = NODE_ENV=staging\n`, 'debug = true'], 'test', 'staging'],
  ])('is %s', async (_what, [environment, defaults], outer, seen) => {
    const { stdout } = await paster(['request', 'etc/x.ini', '/'], {
      cwd: project(environment, defaults),
      env: { NODE_ENV: outer },
    }).finished();
    expect(JSON.parse(stdout)['NODE_ENV']).toBe(seen);
  });

  test('is not set with --reload', async () => {
    const program = await serve(['etc/x.ini', '--reload'], { cwd: project(WITHOUT), env: OUTER });
    expect(await asked(program.url)).not.toHaveProperty('NODE_ENV');
  });
});

describe('NODE_OPTIONS', () => {
  const options = (value: number): string =>
    `env_file = one.env\nenvironment = NODE_OPTIONS=--import=data:text/javascript,globalThis.early=${value}\n`;

  test('applies to workers, and after a change no older spare worker serves', async () => {
    const cwd = project(options(1));
    const program = await serve(['etc/x.ini', '--reload'], { cwd, env: OUTER });
    expect(await asked(program.url)).toMatchObject({ early: 1 });
    for (const value of [2, 3]) {
      const file = join(cwd, 'etc/x.ini');
      writeFileSync(
        file,
        `[app:main]\nuse = call:../app.js:make\n[server:main]\nuse = npm:paster#http\nport = 0\n${options(value)}`,
      );
      expect(await eventually(async () => Number((await asked(program.url))['early']) === value)).toBe(true);
    }
  });

  test('gets a warning without workers, because it comes too late', async () => {
    const program = await serve(['etc/x.ini'], { cwd: project(options(1)), env: OUTER });
    await program.says(/NODE_OPTIONS of the INI file has no effect without workers/);
  });
});

describe('a reload reads the files again', () => {
  test('at HUP a removed variable gets the value of the environment', async () => {
    const cwd = project('env_file = one.env\n');
    const program = await serve(['etc/x.ini', '-w', '1'], { cwd, env: OUTER });
    expect(await asked(program.url)).toMatchObject({ word: 'of one', SETTING: 'file' });
    writeFileSync(join(cwd, 'etc/one.env'), 'WORD=new\n');
    program.child.kill('SIGHUP');
    await program.says(/reloaded/);
    // A keep-alive connection may still lead to the old worker.
    expect(await eventually(async () => (await asked(program.url))['word'] === 'new')).toBe(true);
    expect(await asked(program.url)).toMatchObject({ SETTING: 'outer' });
  });

  test('with --reload they are watched', async () => {
    const cwd = project('env_file = one.env\n');
    const program = await serve(['etc/x.ini', '--reload'], { cwd, env: OUTER });
    writeFileSync(join(cwd, 'etc/one.env'), 'WORD=new\n');
    expect(await eventually(async () => (await asked(program.url))['word'] === 'new')).toBe(true);
  });
});

describe('check', () => {
  const checked = async (cwd: string): Promise<string> =>
    (await paster(['check', 'etc/x.ini'], { cwd, env: OUTER }).finished()).stdout;

  test('uses the variables', async () => {
    expect(await checked(project())).toBe('etc/x.ini: ok\n');
  });

  test('reports errors in them', async () => {
    expect(await checked(project('environment =\n  A=1\n  hunter22\n'))).toContain(
      'etc/x.ini:10:1: [server:main] environment: line 3 is not NAME=value (allowed: a line NAME=value',
    );
    expect(await checked(project('env_file = no.env\n'))).toMatch(
      /etc\/x\.ini:10:1: \[server:main\] env_file: \S+\/etc\/no\.env: there is no such file/,
    );
    expect(await checked(project('environment = A=%(ENV_NOWHERE)s\n'))).toContain(
      '[server:main] environment: the environment variable NOWHERE is not set',
    );
  });

  test('warns of a file that all users can read', async () => {
    const cwd = project();
    chmodSync(join(cwd, 'etc/two.env'), 0o644);
    expect(await checked(cwd)).toMatch(/etc\/two\.env:1:1: warning: every user of this machine may read it/);
    const withDots = project('env_file = %(here)s/../etc/two.env\n');
    chmodSync(join(withDots, 'etc/two.env'), 0o644);
    expect(await checked(withDots)).toContain(`chmod 640 ${withDots}/etc/two.env`);
  });
});

test('config masks the secrets among them', async () => {
  const cwd = project('environment =\n  API_TOKEN=hunter2222\n  PLAIN=shown\nenv_file = one.env\n');
  const { stdout } = await paster(['config', 'etc/x.ini'], { cwd, env: OUTER }).finished();
  expect(stdout).toContain('PLAIN=shown');
  expect(stdout).not.toContain('hunter2222');
});
