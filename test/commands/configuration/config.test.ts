/** `paster config`: what the loader sees, as text and as JSON that does not change its form. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../helpers/directory.ts';
import { leastContrast, overhang, startChromium, visit } from '../helpers/documentation/chromium.ts';
import { runHere } from '../helpers/programs/command.ts';
import { type Finished, needProgram, paster, ROOT } from '../helpers/programs/program.ts';

async function config(ini: string, args: readonly string[]): Promise<Finished> {
  const directory = temporaryDirectory({ 'x.ini': ini });
  const finished = await runHere(['config', 'x.ini', ...args], { cwd: directory });
  return { ...finished, stdout: finished.stdout.replaceAll(directory, '$DIR') };
}

const INI = `[DEFAULT]
port = 8080
10 = ten
2 = two

[app:main]
use = npm:paster#test
url = http://localhost:%(port)s/
lines =
  one
  # no comment in it
  two
port = 1

[__proto__]
__proto__ = %(here)s
9 = %%
1 = one

[7]

[formatter_x]
format = %(message)s
datefmt = %H:%M
x = %(nope)s
`;

const AROUND = '"here": "$DIR",\n      "__file__": "$DIR/x.ini"';

test('--json: [DEFAULT] first, the order of the file, each section with what it inherits', async () => {
  const { stdout, stderr, status } = await config(INI, ['--json']);
  expect(stdout).toBe(`{
  "file": "$DIR/x.ini",
  "sections": {
    "DEFAULT": {
      ${AROUND},
      "port": "8080",
      "10": "ten",
      "2": "two"
    },
    "app:main": {
      "use": "npm:paster#test",
      "url": "http://localhost:1/",
      "lines": "\\none\\ntwo",
      "port": "1",
      ${AROUND},
      "10": "ten",
      "2": "two"
    },
    "__proto__": {
      "__proto__": "$DIR",
      "9": "%",
      "1": "one",
      ${AROUND},
      "port": "8080",
      "10": "ten",
      "2": "two"
    },
    "7": {
      ${AROUND},
      "port": "8080",
      "10": "ten",
      "2": "two"
    },
    "formatter_x": {
      "format": "%(message)s",
      "datefmt": "%H:%M",
      "x": "%(nope)s",
      ${AROUND},
      "port": "8080",
      "10": "ten",
      "2": "two"
    }
  },
  "errors": [
    {
      "section": "formatter_x",
      "key": "x",
      "message": "[formatter_x] x: %(nope)s is not defined",
      "line": 25
    }
  ]
}
`);
  expect([stderr, status]).toEqual(['', 0]);
});

test('--json without mistakes has no errors', async () => {
  const { stdout } = await config('[a]\nb = c\n', ['--json', '--section', 'a']);
  expect(JSON.parse(stdout)).toEqual({
    file: '$DIR/x.ini',
    sections: { a: { b: 'c', here: '$DIR', __file__: '$DIR/x.ini' } },
  });
});

test('text: own keys, those inherited in [DEFAULT] alone; what cannot be interpolated is said apart', async () => {
  const { stdout, stderr, status } = await config(INI, []);
  expect(stdout).toBe(`[DEFAULT]
here = $DIR
__file__ = $DIR/x.ini
port = 8080
10 = ten
2 = two

[app:main]
use = npm:paster#test
url = http://localhost:1/
lines =
    one
    two
port = 1

[__proto__]
__proto__ = $DIR
9 = %
1 = one

[7]

[formatter_x]
format = %(message)s
datefmt = %H:%M
x = %(nope)s
`);
  expect(stderr).toBe('paster: x.ini:25:5: [formatter_x] x: %(nope)s is not defined\n');
  expect(status).toBe(0);
});

test('text: what says something else in a section than in [DEFAULT] stands there too', async () => {
  const { stdout } = await config('[DEFAULT]\nname = x\nhello = hello %(name)s\n[a]\nname = y\n', []);
  expect(stdout.split('\n\n')[1]).toBe('[a]\nname = y\nhello = hello y\n');
});

test('--section shows all of one section, -v where it is written', async () => {
  const { stdout } = await config('[DEFAULT]\na = 1\n[b]\nc =\n  2\n', ['--section', 'b', '-v', 'd=3']);
  expect(stdout).toBe(`[b]
# x.ini:4:1
c =
    2
# not from a file
here = $DIR
# not from a file
__file__ = $DIR/x.ini
# x.ini:2:1
a = 1
# not from a file
d = 3
`);
});

test('name=value wins over [DEFAULT], in interpolation too, and is literal', async () => {
  const { stdout } = await config('[DEFAULT]\na = 1\n[b]\nc = %(a)s\n', ['a=%(x)s', '--json', '--section', 'b']);
  expect(JSON.parse(stdout).sections.b).toMatchObject({ a: '%(x)s', c: '%(x)s' });
});

test('--raw interpolates nothing and finds nothing wrong', async () => {
  const { stdout, stderr } = await config('[a]\nb = %(nope)s %%\n', ['--raw', '--json', '--section', 'a']);
  expect(JSON.parse(stdout)).toMatchObject({ sections: { a: { b: '%(nope)s %%' } } });
  expect(JSON.parse(stdout)).not.toHaveProperty('errors');
  expect(stderr).toBe('');
});

test('a mistake of [DEFAULT] is listed for each section in JSON, and said once in text', async () => {
  const ini = '[DEFAULT]\na = %(b)s\n[c]\n[d]\nb = 1\n';
  expect(JSON.parse((await config(ini, ['--json'])).stdout).errors).toEqual([
    { section: 'DEFAULT', key: 'a', message: expect.stringContaining('[DEFAULT] a: %(b)s is not defined'), line: 2 },
    { section: 'c', key: 'a', message: expect.stringContaining('[c] a: %(b)s is not defined'), line: 2 },
  ]);
  expect((await config(ini, [])).stderr.trim().split('\n')).toHaveLength(1);
});

test.each([
  [['--section', 'app:mian'], 'paster: config: there is no section [app:mian] (did you mean "app:main"?)\n'],
  [['--section', 'nothing-like-it'], /there are: DEFAULT, app:main/],
  [['port'], /"port" is not of the form name=value/],
])('%j is a mistake', async (args, message) => {
  const { stdout, stderr, status } = await config(INI, args);
  expect([stdout, status]).toEqual(['', 2]);
  expect(stderr).toMatch(message);
});

test('a file with mistakes is not shown: all of them are', async () => {
  const { stdout, stderr, status } = await config('[a]\nb\nc = 1\nc = 2\n', ['--json']);
  expect([stdout, status]).toEqual(['', 2]);
  expect(stderr).toMatch(/^paster: x\.ini:2:1: .*\npaster: x\.ini:4:1: .*\n$/);
});

test.each([[[]], [['-v']], [['--json']], [['--raw']]])('control characters come out escaped %j', async (args) => {
  const { stdout, stderr } = await config('[a\u001b[31m]\nb\u009b = \u001b]0;x\u0007\t\u202e\nc = %(\u001b)s\n', args);
  expect(stdout.length).toBeGreaterThan(100);
  expect(stdout + stderr).not.toMatch(/[^\P{C}\n]/u);
});

test('JSON with control characters is still the text of the file', async () => {
  const { stdout } = await config('[a]\nb = \u001b]0;x\u0007\u009b\u202e\u{e0001}\n', ['--json', '--section', 'a']);
  expect(JSON.parse(stdout).sections.a.b).toBe('\u001b]0;x\u0007\u009b\u202e\u{e0001}');
});

test('a long output is complete, and a reader that goes away is no mistake', async () => {
  const ini = Array.from({ length: 5000 }, (_, index) => `[s${index}]\nkey = ${'x'.repeat(40)}\n`).join('');
  const directory = temporaryDirectory({ 'x.ini': ini });
  const { stdout } = await paster(['config', 'x.ini', '--json'], { cwd: directory }).finished();
  expect(Object.keys(JSON.parse(stdout).sections)).toHaveLength(5001);
  const program = paster(['config', 'x.ini'], { cwd: directory });
  program.child.stdout?.destroy();
  const { stderr, status } = await program.finished();
  expect([stderr, status]).toEqual(['', 0]);
});

test('this repository’s own file', async () => {
  const { stdout } = await paster(['config', '--json', 'etc/develop.ini'], { cwd: ROOT }).finished();
  const shown = JSON.parse(stdout);
  expect(shown.file).toBe(join(ROOT, 'etc/develop.ini'));
  expect(shown.sections['server:main']).toMatchObject({ use: 'npm:paster#http', port: '8080', http_port: '8080' });
});

const COMPOSED = `[composite:main]
use = egg:Paste#urlmap
/ = shop
/status = status
filter-with = log

[pipeline:shop]
pipeline = log page

[app:page]
use = npm:paster#test
format = json
; a key by whose name it is a secret
api_token = xyz

[app:status]
use = npm:paster#test

[filter:log]
use = npm:paster#translogger

[server:main]
use = egg:Paste#http
port = 8081
`;

test('--tree: which part wraps which, from the server inwards, and the line of each', async () => {
  const { stdout, stderr, status } = await config(COMPOSED, ['--tree']);
  expect(stdout).toBe(`[server:main] egg:Paste#http                     x.ini:22
└─ [filter:log] npm:paster#translogger           x.ini:19
   └─ [composite:main] egg:Paste#urlmap          x.ini:1
      ├─ /  [filter:log] npm:paster#translogger  x.ini:19
      │  └─ [app:page] npm:paster#test           x.ini:10
      └─ /status  [app:status] npm:paster#test   x.ini:16
`);
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
});

test('--tree -v: with the settings, no secrets, and another application by name', async () => {
  const { stdout } = await config(COMPOSED, ['--tree', '-v', '-n', 'page']);
  expect(stdout).toMatch(/^│ +port = 8081 +x\.ini:24$/m);
  expect(stdout).toMatch(/^ +api_token = \*+ +x\.ini:14$/m);
  expect(stdout).not.toContain('xyz');
  expect(stdout).not.toContain('urlmap');
});

test('--tree without a server section shows the application alone', async () => {
  const { stdout, status } = await config('[app:main]\nuse = npm:paster#test\n', ['--tree']);
  expect(stdout).toBe('[app:main] npm:paster#test  x.ini:1\n');
  expect(status).toBe(0);
});

test('--tree: a name that leads nowhere is shown as an error', async () => {
  const ini = '[composite:main]\nuse = npm:paster#urlmap\n/ = home\n/api = apo\n[app:home]\nuse = npm:paster#test\n';
  const { stdout, status } = await config(ini, ['--tree']);
  expect([stdout.split('\n').filter((line) => line.includes('error')), status]).toEqual([
    [expect.stringContaining('└─ /api  [apo] error: there is no section [app:apo]')],
    0,
  ]);
});

test('--tree: names and values of a file cannot reach the terminal raw', async () => {
  const { stdout } = await config('[app:main]\nuse = npm:paster#test\nformat = \x1b[31m\n', ['--tree', '-v']);
  expect(stdout).toContain('format = \\x1b[31m');
});

test('--html: the same as a page', async () => {
  const { stdout, status } = await config(`${COMPOSED}[filter:<b>]\nuse = log\n`, ['--html', '--app-name', 'status']);
  expect(stdout).toMatch(/^<!doctype html>/);
  expect(stdout).toContain('[server:main]');
  expect(stdout).toContain('[app:status]');
  expect(stdout).not.toContain('xyz');
  expect(status).toBe(0);
});

test('--html in a browser: the ways of a request lead to the parts, which can be closed', async () => {
  const chromium = needProgram('chromium');
  const { stdout } = await config(`${COMPOSED}[filter:<b>]\nuse = npm:paster#lint\n`, ['--html']);
  const file = join(temporaryDirectory({ 'x.html': stdout }), 'x.html');
  const browser = await startChromium(chromium);
  for (const [width, dark] of [
    [360, true],
    [1440, false],
  ] as const) {
    const { page, errors } = await visit(browser, `file://${file}`, { dark, viewport: { width, height: 800 } });
    expect(await overhang(page)).toBe(0);
    expect((await leastContrast(page)).ratio).toBeGreaterThanOrEqual(4.5);
    const ways = page.locator('.way');
    expect(await ways.count()).toBe(2);
    await ways.last().locator('a').last().click();
    const target = page.locator('details:target');
    expect(await target.locator('dl').first().isVisible()).toBe(true);
    await target.locator('summary').first().focus();
    await page.keyboard.press('Enter');
    expect(await target.locator('dl').first().isVisible()).toBe(false);
    expect(errors).toEqual([]);
  }
});

test.each([
  [['--tree', '--json'], 'config: --json does not go with --tree or --html'],
  [['--tree', '--html'], 'config: --tree and --html exclude each other'],
  [['-n', 'x'], 'config: --app-name needs --tree or --html'],
  [['--tree', '-n', 'nope'], 'there is no section [app:nope]'],
])('%j is refused', async (args, message) => {
  const { stderr, status } = await config(COMPOSED, args);
  expect(stderr).toContain(message);
  expect(status).toBe(2);
});

const SECRETS = `[DEFAULT]
db_password = hunter22hunter
short_token = abc
plain = hunter22

[app:main]
use = npm:paster#test
url = postgres://me:%(db_password)s@db/x
query = /x?password=%(db_password)s&page=2
joined = a %(db_password)s b
same = hunter22hunter
dsn = https://key@sentry.example/1
options = {"apiKey": "sesame", "size": 3}
max_tokens = 4096
token_header = X-Token
ssl_key = /etc/ssl/key.pem
cookie_name = sid
smtp_password =
credentials = true
from_environment = %(ENV_SOME_SECRET)s!
filter-with = auth

[filter:auth]
use = npm:paster#auth_basic
realm = here
users = me:$2b$05$hash
`;

describe('what is secret', () => {
  const env = { SOME_SECRET: 'from the environment' };

  async function shown(args: readonly string[]): Promise<string> {
    const directory = temporaryDirectory({ 'x.ini': SECRETS });
    const { stdout, stderr, status } = await runHere(['config', 'x.ini', ...args], { cwd: directory, env });
    expect([status, stderr]).toEqual([0, '']);
    return stdout;
  }

  test('--json: of secrets a fixed text, everything else as it is', async () => {
    const { sections } = JSON.parse(await shown(['--json']));
    expect(sections['app:main']).toMatchObject({
      use: 'npm:paster#test',
      url: 'postgres://me:********@db/x',
      query: '/x?password=********&page=2',
      joined: 'a ******** b',
      // Nobody can know that it is one.
      same: 'hunter22hunter',
      dsn: '********',
      options: '{"apiKey": "********", "size": 3}',
      max_tokens: '4096',
      token_header: 'X-Token',
      ssl_key: '/etc/ssl/key.pem',
      cookie_name: 'sid',
      smtp_password: '',
      credentials: 'true',
      from_environment: '********!',
      db_password: '********',
      short_token: '********',
      plain: 'hunter22',
    });
    // Not by its name: what the part declares.
    expect(sections['filter:auth']).toMatchObject({ realm: 'here', users: '********' });
  });

  test.each([[[]], [['--raw']], [['-v']], [['--tree', '-v']], [['--html']], [['--section', 'app:main']]])(
    '%j hides it, and shows it where that is asked for',
    async (args) => {
      const isRaw = args.includes('--raw');
      const hidden = await shown(args);
      expect(hidden).toContain('********');
      for (const secret of ['sesame', 'sentry', 'from the env', 'me:$2b']) expect(hidden).not.toContain(secret);
      expect(hidden).not.toContain('me:hunter22');
      const open = await shown([...args, '--show-secrets']);
      expect(open).not.toContain('********');
      expect(open).toContain(isRaw ? 'me:%(db_password)s@db' : 'me:hunter22hunter@db');
    },
  );

  test('of the environment nothing that a shell says of itself, and no path of a file that is there', async () => {
    const directory = temporaryDirectory({
      'x.ini': `[app:main]\nuse = npm:paster#test\nsocket = %(here)s/../var/app.sock\nkeys = %(ENV_CLOUD_CREDENTIALS)s\nother = %(ENV_DB_PASSWORD)s\n`,
      'keys.json': '{}',
    });
    const env = {
      PWD: directory,
      OLDPWD: directory,
      CLOUD_CREDENTIALS: join(directory, 'keys.json'),
      DB_PASSWORD: '/not/a/file',
    };
    const { stdout } = await paster(['config', 'x.ini', '--section', 'app:main'], { cwd: directory, env }).finished();
    expect(stdout).toContain(`socket = ${directory}/../var/app.sock\n`);
    expect(stdout).toContain(`keys = ${directory}/keys.json\n`);
    expect(stdout).toContain('other = ********\n');
    // Also where the directory has gone since.
    const gone = { PWD: join(directory, 'gone') };
    const { stdout: later } = await paster(['config', 'y.ini'], {
      cwd: temporaryDirectory({ 'y.ini': `[app:main]\nuse = npm:paster#test\nat = %(ENV_PWD)s/x\n` }),
      env: gone,
    }).finished();
    expect(later).toContain(`at = ${gone.PWD}/x\n`);
  });

  test('given on the command line too', async () => {
    const text = await shown(['db_password=other%secret', '--section', 'app:main']);
    expect(text).toContain('url = postgres://me:********@db/x');
    expect(text).toContain('joined = a ******** b');
    expect(text).not.toContain('other%secret');
  });
});
