/** `paster config`: what the loader sees, as text and as JSON in a stable format. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { paster, ROOT } from '../../helpers/programs/program.ts';
import { config } from './run-config.ts';

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

const HERE_AND_FILE = '"here": "$DIR",\n      "__file__": "$DIR/x.ini"';

test('--json has [DEFAULT] first, the order of the file, and in each section what it inherits', async () => {
  const { stdout, stderr, status } = await config(INI, ['--json']);
  expect(stdout).toBe(`{
  "file": "$DIR/x.ini",
  "sections": {
    "DEFAULT": {
      ${HERE_AND_FILE},
      "port": "8080",
      "10": "ten",
      "2": "two"
    },
    "app:main": {
      "use": "npm:paster#test",
      "url": "http://localhost:1/",
      "lines": "\\none\\ntwo",
      "port": "1",
      ${HERE_AND_FILE},
      "10": "ten",
      "2": "two"
    },
    "__proto__": {
      "__proto__": "$DIR",
      "9": "%",
      "1": "one",
      ${HERE_AND_FILE},
      "port": "8080",
      "10": "ten",
      "2": "two"
    },
    "7": {
      ${HERE_AND_FILE},
      "port": "8080",
      "10": "ten",
      "2": "two"
    },
    "formatter_x": {
      "format": "%(message)s",
      "datefmt": "%H:%M",
      "x": "%(nope)s",
      ${HERE_AND_FILE},
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

test('--json has no errors for a correct file', async () => {
  const { stdout } = await config('[a]\nb = c\n', ['--json', '--section', 'a']);
  expect(JSON.parse(stdout)).toEqual({
    file: '$DIR/x.ini',
    sections: { a: { b: 'c', here: '$DIR', __file__: '$DIR/x.ini' } },
  });
});

test('text shows the own keys of each section, and reports values that cannot be interpolated separately', async () => {
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

test('text also shows an inherited value that interpolates differently than in [DEFAULT]', async () => {
  const { stdout } = await config('[DEFAULT]\nname = x\nhello = hello %(name)s\n[a]\nname = y\n', []);
  expect(stdout.split('\n\n')[1]).toBe('[a]\nname = y\nhello = hello y\n');
});

test('--section shows all keys of one section, and with -v their places', async () => {
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

test('name=value overrides [DEFAULT], in interpolation too, and is not interpolated itself', async () => {
  const { stdout } = await config('[DEFAULT]\na = 1\n[b]\nc = %(a)s\n', ['a=%(x)s', '--json', '--section', 'b']);
  expect(JSON.parse(stdout).sections.b).toMatchObject({ a: '%(x)s', c: '%(x)s' });
});

test('--raw interpolates nothing and reports no interpolation errors', async () => {
  const { stdout, stderr } = await config('[a]\nb = %(nope)s %%\n', ['--raw', '--json', '--section', 'a']);
  expect(JSON.parse(stdout)).toMatchObject({ sections: { a: { b: '%(nope)s %%' } } });
  expect(JSON.parse(stdout)).not.toHaveProperty('errors');
  expect(stderr).toBe('');
});

test('an error in [DEFAULT] is listed for each section in JSON, and once in text', async () => {
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
])('%j is an error', async (args, message) => {
  const { stdout, stderr, status } = await config(INI, args);
  expect([stdout, status]).toEqual(['', 2]);
  expect(stderr).toMatch(message);
});

test('for a file with errors, only the errors are shown, all of them', async () => {
  const { stdout, stderr, status } = await config('[a]\nb\nc = 1\nc = 2\n', ['--json']);
  expect([stdout, status]).toEqual(['', 2]);
  expect(stderr).toMatch(/^paster: x\.ini:2:1: .*\npaster: x\.ini:4:1: .*\n$/);
});

test.each([[[]], [['-v']], [['--json']], [['--raw']]])(
  'control characters are escaped with the options %j',
  async (args) => {
    const { stdout, stderr } = await config(
      '[a\u001b[31m]\nb\u009b = \u001b]0;x\u0007\t\u202e\nc = %(\u001b)s\n',
      args,
    );
    expect(stdout.length).toBeGreaterThan(100);
    expect(stdout + stderr).not.toMatch(/[^\P{C}\n]/u);
  },
);

test('JSON with control characters parses to the text of the file', async () => {
  const { stdout } = await config('[a]\nb = \u001b]0;x\u0007\u009b\u202e\u{e0001}\n', ['--json', '--section', 'a']);
  expect(JSON.parse(stdout).sections.a.b).toBe('\u001b]0;x\u0007\u009b\u202e\u{e0001}');
});

test('a long output is complete, and a reader that closes the pipe causes no error', async () => {
  const ini = Array.from({ length: 5000 }, (_, index) => `[s${index}]\nkey = ${'x'.repeat(40)}\n`).join('');
  const directory = temporaryDirectory({ 'x.ini': ini });
  const { stdout } = await paster(['config', 'x.ini', '--json'], { cwd: directory }).finished();
  expect(Object.keys(JSON.parse(stdout).sections)).toHaveLength(5001);
  const program = paster(['config', 'x.ini'], { cwd: directory });
  program.child.stdout?.destroy();
  const { stderr, status } = await program.finished();
  expect([stderr, status]).toEqual(['', 0]);
});

test('this repository’s own file is shown', async () => {
  const { stdout } = await paster(['config', '--json', 'etc/develop.ini'], { cwd: ROOT }).finished();
  const shown = JSON.parse(stdout);
  expect(shown.file).toBe(join(ROOT, 'etc/develop.ini'));
  expect(shown.sections['server:main']).toMatchObject({ use: 'npm:paster#http', port: '8080', http_port: '8080' });
});
