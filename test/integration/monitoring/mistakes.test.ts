/** Errors of the user: each gets one clear message and the right exit status, and nothing is left behind. */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { runHere } from '../../helpers/programs/command.ts';
import { paster, ROOT, serve } from '../../helpers/programs/program.ts';

const APP = `use = call:${ROOT}/test/fixtures/apps/probe.js:makeProbe`;
const SERVER = '[server:main]\nuse = npm:paster#http\nport = 0\n';

async function fails(
  args: readonly string[],
  files: Readonly<Record<string, string>>,
  status: number,
): Promise<string> {
  const directory = temporaryDirectory(files);
  const before = readdirSync(directory, { recursive: true });
  // Errors that are found before any code of the user is imported do not need a separate process.
  const serves = ['serve', ...args];
  const options = { cwd: directory };
  const finished = await (status === 2 ? runHere(serves, options) : paster(serves, options).finished());
  expect(finished.stdout).toBe('');
  expect(finished.stderr).not.toMatch(/^\s+at /m);
  expect(finished.status, finished.stderr).toBe(status);
  expect(readdirSync(directory, { recursive: true })).toEqual(before);
  return finished.stderr;
}

test.each([
  ['a missing file', ['gone.ini'], {}, /gone\.ini.*no such file/],
  ['a misspelt name', ['develop.in'], { 'develop.ini': '' }, /did you mean|there are: develop\.ini/],
  ['not an INI file', ['x.ini'], { 'x.ini': '{"json": true}\n' }, /x\.ini:1:1: not an INI file/],
  ['a binary file', ['x.ini'], { 'x.ini': '\u0000\u0001\u0002' }, /x\.ini:1:1: not an INI file: .*binary/],
  ['a line without a separator', ['x.ini'], { 'x.ini': `[app:main]\nwhat is this\n${SERVER}` }, /x\.ini:2:1: /],
  [
    'an unknown application',
    ['x.ini', '-n', 'mian'],
    { 'x.ini': `[app:main]\n${APP}\n${SERVER}` },
    /x\.ini:1:1: .*\[app:mian\].*did you mean \[app:main\]/,
  ],
  [
    'no server section',
    ['x.ini'],
    { 'x.ini': `[app:main]\n${APP}\n` },
    /x\.ini:1:1: there is no section \[server:main\]/,
  ],
  [
    'an unknown scheme',
    ['x.ini'],
    { 'x.ini': `[app:main]\nuse = eg:Paste#urlmap\n${SERVER}` },
    /x\.ini:2:7: \[app:main\] unknown scheme "eg:".*did you mean "egg:"/,
  ],
  [
    'a missing module',
    ['x.ini'],
    { 'x.ini': `[app:main]\nuse = module:./gone.js\n${SERVER}` },
    /x\.ini:2:7: \[app:main\] there is no module .*gone\.js/,
  ],
  [
    'a missing export',
    ['x.ini'],
    { 'x.ini': `[app:main]\nuse = module:./a.mjs#b\n${SERVER}`, 'a.mjs': 'export const c = 1;\n' },
    /x\.ini:2:7: .*a\.mjs exports no "b"/,
  ],
  [
    'an unknown setting',
    ['x.ini'],
    { 'x.ini': `[app:main]\n${APP}\n[server:main]\nuse = npm:paster#http\nprot = 1\n` },
    /x\.ini:5:1: \[server:main\] unknown setting "prot" \(did you mean "port"\?\)/,
  ],
  [
    'a setting of the wrong type',
    ['x.ini'],
    { 'x.ini': `[app:main]\n${APP}\n[server:main]\nuse = npm:paster#http\nport = 80a\n` },
    /x\.ini:5:1: \[server:main\] port: "80a" is not a whole number/,
  ],
  [
    'an impossible port',
    ['x.ini', '--port', '99999'],
    { 'x.ini': `[app:main]\n${APP}\n${SERVER}` },
    /^paster: --port: 99999 is out of range/,
  ],
  [
    'a timeout that is not a number',
    ['x.ini', '--graceful-timeout', 'soon'],
    { 'x.ini': `[app:main]\n${APP}\n${SERVER}` },
    /^paster: --graceful-timeout: /,
  ],
  [
    'a number of workers of zero',
    ['x.ini', '-w', '0'],
    { 'x.ini': `[app:main]\n${APP}\n${SERVER}` },
    /^paster: --workers: 0 is out/,
  ],
  [
    'a port that is not a number',
    ['x.ini', '-p', 'abc'],
    { 'x.ini': '' },
    /^paster: --port: "abc" is not a whole number/,
  ],
  [
    'a socket and a port',
    ['x.ini', '--socket', 's', '-p', '1'],
    { 'x.ini': '' },
    /^paster: --socket and --port are mutually exclusive/,
  ],
  [
    'a server named by type and by name',
    ['x.ini', '-s', 'http', '--server-name', 'main'],
    { 'x.ini': `[app:main]\n${APP}\n${SERVER}` },
    /^paster: --server and --server-name are mutually exclusive/,
  ],
  [
    'a section without a file',
    ['module:./a.js', '--server-name', 'x'],
    {},
    /^paster: --server-name names a section, but/,
  ],
  [
    'an address that is open to every host',
    ['x.ini', '-s', 'fastcgi', '--host', '0.0.0.0', '-p', '9000'],
    { 'x.ini': `[app:main]\n${APP}\n${SERVER}` },
    /^paster: --host: FastCGI on 0\.0\.0\.0:9000/,
  ],
  [
    'host and socket',
    ['x.ini'],
    { 'x.ini': `[app:main]\n${APP}\n[server:main]\nuse = npm:paster#http\nport = 1\nsocket = s\n` },
    /x\.ini:\d:1: .*are mutually exclusive/,
  ],
  ['an argument that assigns nothing', ['x.ini', 'port'], { 'x.ini': '' }, /"port" is not of the form name=value/],
  ['an unknown option', ['x.ini', '--relaod'], { 'x.ini': '' }, /unknown option '--relaod'/],
  ['an unknown server', ['x.ini', '-s', 'htp'], { 'x.ini': '' }, /there is no built-in server "htp"/],
])('%s is an error', async (_what, args, files, message) => {
  expect(await fails(args, files as Record<string, string>, 2)).toMatch(message);
});

test('control characters of a file are escaped at the terminal', async () => {
  const text = await fails(['x.ini'], { 'x.ini': '[app:main]\nuse = \u001b[31mred\n' }, 2);
  expect(text).not.toContain('\u001b');
});

describe('a line feed in the name of a directory', () => {
  const INI = `[app:main]\nuse = module:./gone.js\n[server:main]\nuse = npm:paster#http\nprot = 1\n`;

  test.each(['serve', 'check', 'config', 'request'])('does not split a line of %s', async (command) => {
    const directory = temporaryDirectory({ 'a\nb\u001b/x.ini': INI });
    const url = command === 'request' ? ['/'] : [];
    const { stdout, stderr } = await runHere([command, 'a\nb\u001b/x.ini', ...url], { cwd: directory });
    if (command === 'config') expect(stdout).toMatch(/^__file__ = .*a\n {4}b\\x1b\/x\.ini$/m);
    else expect(stdout + stderr).toMatch(/^(?:.*a\\nb\\x1b\/x\.ini:\d:\d.*\n)+$/);
  });

  test('does not split the line of a socket', async () => {
    const ini = `[app:main]\n${APP}\n[server:main]\nuse = npm:paster#http\nsocket = %(here)s/s\n`;
    const directory = temporaryDirectory({ 'a\nb/x.ini': ini });
    const program = paster(['serve', 'a\nb/x.ini'], { cwd: directory });
    await program.says(/^serving on http:\/\/unix:.*\/a\\nb\/s$/m);
  });
});

describe.each([
  ['one process', []],
  ['workers', ['-w', '1']],
])('an application or server that never starts is reported (%s)', (_what, args) => {
  const FILES = {
    'a.mjs': `export const hang = () => new Promise(() => {});
      export const unready = () => Object.assign(() => {}, { ready: hang });
      export const exit = () => process.exit(0);
      export const schema = () => {};
      schema.settings = { '~standard': { version: 1, vendor: 'x', validate: hang } };\n`,
    'hang.mjs': 'await new Promise(() => {});\nexport default () => {};\n',
  };

  test.each([
    ['module:./hang.mjs', /^paster: x\.ini:1:1: \[app:main\] module:\.\/hang\.mjs never becomes ready/],
    ['call:./a.mjs:hang', /^paster: x\.ini:1:1: \[app:main\] call:\.\/a\.mjs:hang never becomes ready/],
    [
      'call:./a.mjs:schema',
      /^paster: x\.ini:1:1: \[app:main\] call:\.\/a\.mjs:schema: the validation of its settings never becomes ready/,
    ],
    ['call:./a.mjs:unready', /^paster: the application never becomes ready/],
    ['call:./a.mjs:exit', /^paster: x\.ini:1:1: \[app:main\] call:\.\/a\.mjs:exit ended the process while it was/],
  ])('%s', async (use, message) => {
    const files = { 'x.ini': `[app:main]\nuse = ${use}\n${SERVER}`, ...FILES };
    expect(await fails(['x.ini', ...args], files, 1)).toMatch(message);
  });

  test('a server', async () => {
    const ini = `[app:main]\n${APP}\n[server:main]\npaste.server_factory = ./a.mjs:hang\n`;
    const message = /^paster: x\.ini:3:1: \[server:main\] \.\/a\.mjs:hang never becomes ready/;
    expect(await fails(['x.ini', ...args], { 'x.ini': ini, ...FILES }, 1)).toMatch(message);
  });
});

describe.each([
  ['an error in a timer', "setTimeout(() => { throw new Error('boom'); }, 50);"],
  ['a rejection that nothing handles', "Promise.reject(new Error('boom'));"],
  ['an error of a thread', 'new Worker("throw new Error(\'boom\')", { eval: true });'],
])('%s while an application is loaded', (_what, code) => {
  const app = `import { Worker } from 'node:worker_threads';\nexport const make = () => { ${code} return new Promise(() => {}); };\n`;
  const files = { 'app.mjs': app, 'x.ini': `[app:main]\nuse = call:./app.mjs:make\n${SERVER}` };

  test.each([[[]], [['-w', '1']]])('is reported in one line by serve %j', async (options) => {
    const message = await fails(['x.ini', ...options], files, 1);
    expect(message).toMatch(
      /^paster: (?:app\.mjs:2:\d+|x\.ini:1:1): \[app:main\] call:\.\/app\.mjs:make failed: boom\n$/,
    );
  });
});

test('an error in a worker is reported like one in a single process', async () => {
  const files = {
    'a.mjs': 'export default () => { throw new Error("on purpose"); };\n',
    'x.ini': `[app:main]\nuse = module:./a.mjs\n${SERVER}`,
  };
  for (const workers of [[], ['-w', '1']]) {
    const program = await serve(['x.ini', ...workers], { cwd: temporaryDirectory(files) });
    expect((await fetch(program.url)).status).toBe(500);
    await program.says(/^paster: error: GET \/ failed: Error: on purpose$/m);
  }
});

test.each([
  ['a module that throws', 'throw new Error("at import");\n', /a\.mjs:1:7: \[app:main\] Error: at import/],
  ['a module that does not parse', 'export default (;\n', /a\.mjs:1:\d+: \[app:main\] SyntaxError/],
])('%s is an error at its own file and line', async (_what, source, message) => {
  const ini = `[app:main]\nuse = module:./a.mjs\n${SERVER}`;
  expect(await fails(['x.ini'], { 'x.ini': ini, 'a.mjs': source }, 1)).toMatch(message);
});

test.each([
  ['', 'one process'],
  ['workers = 2', 'workers'],
])('a port in use is an error (%s)', async (workers) => {
  const taken = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void taken.close());
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  const ini = `[app:main]\n${APP}\n[server:main]\nuse = npm:paster#http\nport = ${port}\n${workers}\n`;
  expect(await fails(['x.ini'], { 'x.ini': ini }, 1)).toMatch(new RegExp(`port ${port}.*in use`));
});

test('a missing directory for the socket is an error at its line', async () => {
  const ini = `[app:main]\n${APP}\n[server:main]\nuse = npm:paster#fastcgi\nsocket = %(here)s/var/socket\n`;
  expect(await fails(['x.ini'], { 'x.ini': ini }, 1)).toMatch(/x\.ini:5:\d+: .*var.* does not exist/);
});

test.each([
  ['an unknown host', ['--host', 'no.such.host.invalid'], /^paster: --host: the host name/],
  ['a host of another machine', ['--host', '192.0.2.1', '-w', '1'], /^paster: --host: 192\.0\.2\.1 is not an address/],
  ['a directory that is missing', ['--socket', './gone/s'], /^paster: --socket: directory/],
])('%s on the command line is an error that names the option', async (_what, args, message) => {
  const ini = `[app:main]\n${APP}\n${SERVER}host = 127.0.0.1\n`;
  expect(await fails(['x.ini', ...args], { 'x.ini': ini }, 1)).toMatch(message);
});

test.each([
  ['socket_owner = nobody-at-all', '', /^paster: x\.ini:6:1: .*there is no user "nobody-at-all"/],
  ['backlog = 5\nsocket_group = no-group', 'workers = 1', /^paster: x\.ini:7:1: .*there is no group "no-group"/],
])('%s is an error at its own line', async (setting, workers, message) => {
  const ini = `[app:main]\n${APP}\n[server:main]\nuse = npm:paster#fastcgi\nsocket = s\n${setting}\n${workers}\n`;
  expect(await fails(['x.ini'], { 'x.ini': ini }, 2)).toMatch(message);
});

test('a prefix that is mapped twice is an error at its own line', async () => {
  const ini = `[composite:main]\nuse = egg:Paste#urlmap\n/a = x\n/a/ = x\n[app:x]\n${APP}\n${SERVER}`;
  expect(await fails(['x.ini'], { 'x.ini': ini }, 2)).toMatch(
    /^paster: x\.ini:4:1: \[composite:main\] "\/a\/": this prefix/,
  );
});

test('a certificate that does not exist is an error at its own line', async () => {
  const ini = `[app:main]\n${APP}\n${SERVER}ssl_pem = gone.pem\n`;
  expect(await fails(['x.ini'], { 'x.ini': ini }, 2)).toMatch(
    /^paster: x\.ini:6:1: \[server:main\] ssl_pem: there is no file \/\S+\/gone\.pem \(create it or correct the path/,
  );
});

test('an application that fails in every worker ends serve with one error', async () => {
  const ini = `[app:main]\nuse = module:./a.mjs\n${SERVER}workers = 2\n`;
  const text = await fails(['x.ini'], { 'x.ini': ini, 'a.mjs': 'throw new Error("at import");\n' }, 1);
  expect(text.match(/a\.mjs:1:7: \[app:main\] Error: at import/g)).toHaveLength(1);
});

describe('a large file', () => {
  const LONG = 10_000_000;
  const [section, server] = ['[app:main]\nuse = npm:paster#test\n', '[server:main]\nuse = npm:paster#http\n'];

  test.each<[what: string, text: () => string, status: number, found: RegExp]>([
    [
      'a number of 10 MB',
      () => `${section}${server}port = ${'9'.repeat(LONG)}\n`,
      2,
      /^x\.ini:5:1: .*more characters\)/,
    ],
    ['a key of 10 MB', () => `${section}${'k'.repeat(LONG)} = 1\n${server}`, 2, /^x\.ini:3:1: .*more characters\)/],
    [
      'a line of 10 MB without a separator',
      () => `${section}${'k'.repeat(LONG)}\n${server}`,
      2,
      /^x\.ini:3:1: "k+\.\.\." is/,
    ],
    ['a header of 10 MB', () => `${section}[${'h'.repeat(LONG)}\n${server}`, 2, /^x\.ini:3:1: .* lacks its closing/],
    ['a value of 10 MB', () => `${section}${server}[other]\na = ${'v'.repeat(LONG)}\nb = %(a)s\n`, 0, /^x\.ini: ok$/m],
    ['a value of a million lines', () => `${section}${server}[other]\na = 1\n${'  x\n'.repeat(1_000_000)}`, 0, /ok$/m],
    [
      '100,000 sections',
      () => section + server + Array.from({ length: 1e5 }, (_, i) => `[o${i}]\na = 1\n`).join(''),
      0,
      /ok/,
    ],
  ])('with %s is checked, and the report is short', async (_what, text, status, found) => {
    const directory = temporaryDirectory({ 'x.ini': text() });
    const checked = await runHere(['check', 'x.ini'], { cwd: directory });
    expect(checked.stdout).toMatch(found);
    expect(checked.stdout.length).toBeLessThan(10_000);
    expect([checked.stderr, checked.status]).toEqual(['', status]);
    const shown = await runHere(['config', '--section', 'server:main', 'x.ini'], { cwd: directory });
    expect(shown.stderr.length).toBeLessThan(10_000);
    expect([0, 2]).toContain(shown.status);
  });
});

describe('in limited memory', () => {
  const HEAD = '[app:main]\nuse = npm:paster#test\n[server:main]\nuse = npm:paster#http\n[other]\n';
  const TOO_MANY = /^x\.ini:\d+:1: the file has more than 2500000 sections and settings \(is this/;

  /** Settings with different names: a tenth of the number that a file may have, in a tenth of the memory. */
  function settings(): string {
    const value = 'v'.repeat(24);
    return HEAD + Array.from({ length: 250_000 }, (_, i) => `k${i} = ${value}\n`).join('');
  }

  test.each<[what: string, text: () => string, megabytes: number, status: number, found: RegExp]>([
    ['100 MB in one value', () => `${HEAD}a = ${'v'.repeat(1e8)}\nb = %(a)s\n`, 1500, 0, /ok$/m],
    ['100 MB of sections', () => `${HEAD}${'[s]\n'.repeat(25_000_000)}`, 1500, 2, TOO_MANY],
    ['100 MB of one setting', () => `${HEAD}${'k=v\n'.repeat(25_000_000)}`, 1500, 2, TOO_MANY],
    ['10 MB of settings', settings, 150, 0, /ok$/m],
  ])('a file with %s is checked', async (_what, text, megabytes, status, found) => {
    const options = {
      cwd: temporaryDirectory({ 'x.ini': text() }),
      env: { NODE_OPTIONS: `--max-old-space-size=${megabytes}` },
    };
    const checked = await paster(['check', 'x.ini'], options).finished();
    expect(checked.stdout).toMatch(found);
    expect([checked.stderr, checked.status]).toEqual(['', status]);
    const shown = await paster(['config', '--section', 'server:main', 'x.ini'], options).finished();
    expect([shown.stderr.length < 10_000, shown.status]).toEqual([true, status]);
  });
});

test.each([
  [[], 0, /Usage: paster/],
  [['--help'], 0, /serve .*\n.*create/],
  [['help', 'serve'], 0, /--reload/],
  [['serve', '--help'], 0, /Examples:/],
  [['--version'], 0, /^\d+\.\d+\.\d+\n$/],
  [['-V'], 0, /^\d+\.\d+\.\d+\n$/],
  [['-v'], 0, /^\d+\.\d+\.\d+\n$/],
  [['version'], 0, /^\d+\.\d+\.\d+\n$/],
  [['serve', 'ok.ini', '--realod'], 2, /^paster: serve: unknown option '--realod' \(did you mean "--reload"\?\)\n$/],
  [['sreve'], 2, /did you mean "serve"\?/],
  [['serve'], 2, /found no program and no INI file in \S*test/],
  [['--nothing'], 2, /unknown option "--nothing"/],
])('paster %j', async (args, status, text) => {
  const finished = await paster(args, { cwd: join(ROOT, 'test') }).finished();
  expect(finished.status).toBe(status);
  expect(finished.stdout + finished.stderr).toMatch(text);
});

test.each([[[]], [['-w', '2']], [['--reload']]])(
  'serve warns once of settings that have no effect %j',
  async (mode) => {
    const ini = `[app:main]\nuse = egg:Paste#test\nlint = true\nfilter-with = page\n[filter:page]\nuse = npm:paster#error_page\nerror_email = me@example.org\n${SERVER}`;
    const program = await serve(['x.ini', ...mode], { cwd: temporaryDirectory({ 'x.ini': ini }) });
    for (const key of ['lint', 'error_email']) {
      expect(
        program.output.match(new RegExp(`warn: x\\.ini:\\d+:1: \\[[a-z:]+\\] ${key} has no effect: `, 'g')),
      ).toHaveLength(1);
    }
  },
);
