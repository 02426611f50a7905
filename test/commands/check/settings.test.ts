/** `paster check`: all mistakes of a file in one run, a line each, and nothing called, served or left behind. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkFile } from '../../../src/deploy/check/check.ts';
import { formatError } from '../../../src/errors.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, type Finished, paster, ROOT } from '../../helpers/program.ts';

const MODULE = `
import { writeFileSync } from 'node:fs';
const called = () => { writeFileSync(new URL('called', import.meta.url), ''); return (req, res) => res.end(); };
export const make = () => called();
export const makeComposite = () => called();
export const value = 42;
export const typed = () => called();
typed.settings = { '~standard': { version: 1, vendor: 'test', validate: (given) =>
  given.size === '1' ? { value: given } : { issues: [{ message: 'must be 1', path: ['size'] }] } } };
export const broken = () => called();
broken.settings = { '~standard': { version: 1, vendor: 'test', validate() { throw new TypeError('no schema'); } } };
export default called;
`;

const SERVER = '[server:main]\nuse = npm:paster#http\n';

/** Gives nothing else a turn, like a loop, but takes no processor time from the other tests. */
const BLOCKS = 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);\n';

async function check(files: Readonly<Record<string, string>>, args: readonly string[] = ['x.ini']): Promise<Finished> {
  const directory = temporaryDirectory({ 'app.mjs': MODULE, ...files });
  const finished = await paster(['check', ...args], { cwd: directory }).finished();
  return { ...finished, stdout: finished.stdout.replaceAll(directory, '$DIR') };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/**
 * The findings of `check` for a file, in lines as it prints them but without the file's name. They are made in this process: one of
 * its own for each would take most of this file's time.
 */
async function lines(ini: string, others: Readonly<Record<string, string>> = {}): Promise<string[]> {
  const directory = temporaryDirectory({ 'app.mjs': MODULE, 'x.ini': ini, ...others });
  const found = await checkFile(join(directory, 'x.ini'), {});
  return found.map(({ severity, error }) => {
    const line = formatError(error, directory)
      .replace(/^x\.ini:/, '')
      .replaceAll(directory, '$DIR');
    return severity === 'error' ? line : line.replace(/^\d+:\d+: /, '$&warning: ');
  });
}

describe('a file that is right', () => {
  test('is ok, and no factory of it has been called', async () => {
    const ini = `[app:main]\nuse = call:./app.mjs:make\nanything = goes\n${SERVER}`;
    const { stdout, status } = await check({ 'x.ini': ini });
    expect([stdout, status]).toEqual(['x.ini: ok\n', 0]);
    const directory = temporaryDirectory({ 'app.mjs': MODULE, 'x.ini': ini });
    await checkFile(join(directory, 'x.ini'), {});
    await expect(import('node:fs/promises').then((fs) => fs.readdir(directory))).resolves.toEqual(['app.mjs', 'x.ini']);
  });

  test('may be named by a URI, in which a blank is %20', async () => {
    const ini = `[app:main]\nuse = npm:paster#test\n${SERVER}`;
    const { stdout, status } = await check({ 'x y.ini': ini }, ['config:x%20y.ini']);
    expect([stdout, status]).toEqual(['x y.ini: ok\n', 0]);
  });

  test.each([
    ['grantip', '127.0.0.1 = joe:admin', 'http', '', true],
    ['grantip', '127.0.0.0/8 = joe', 'http', '', true],
    ['grantip', 'grant = ::1 -:system', 'http', '', true],
    ['maintenance', 'allow = 10.0.0.1 127.0.0.1', 'http', '', true],
    ['grantip', '10.0.0.1 = joe', 'http', '', false],
    ['grantip', '127.0.0.1 = joe', 'fastcgi', '', false],
    ['grantip', '127.0.0.1 = joe', 'http', 'proxy_headers', false],
    ['grantip', '127.0.0.1 = joe', 'http', 'prefix', false],
  ])(
    '%s with %s over %s behind "%s": whether a local proxy admits everyone',
    async (name, setting, kind, other, warned) => {
      const front = other === '' ? '' : `[filter:front]\nuse = npm:paster#${other}\n`;
      const app = `[app:a]\nuse = npm:paster#test\n[pipeline:main]\npipeline =${other && ' front'} f a\n`;
      const server = `[server:main]\nuse = npm:paster#${kind}\nsocket = %(here)s/s\n`;
      const ini = `[filter:f]\nuse = npm:paster#${name}\n${setting}\n${front}${app}${server}`;
      const warning = /^3:\d+: warning: \[filter:f\] .*means every client of a proxy on this machine/;
      expect(await lines(ini)).toEqual(warned ? [expect.stringMatching(warning)] : []);
    },
  );

  test('with warnings still ends with 0', async () => {
    const { stdout, status } = await check({
      'x.ini': `[app:main]\nuse = module:./app.mjs\n[filter:f]\nuse = module:./app.mjs\n${SERVER}`,
    });
    expect([stdout, status]).toEqual(['x.ini:3:1: warning: [filter:f] is not used: nothing refers to it\n', 0]);
  });

  test.each(['etc/develop.ini', 'etc/config.ini'])('this repository’s %s', async (file) => {
    const { stdout, status } = await paster(['check', file], { cwd: ROOT }).finished();
    expect([stdout, status]).toEqual([`${file}: ok\n`, 0]);
  });

  test('name=value counts as it does for serve', async () => {
    const ini = `[app:main]\nuse = module:./app.mjs\n[server:main]\nuse = npm:paster#http\nport = %(p)s\n`;
    expect((await check({ 'x.ini': ini }, ['x.ini', 'p=8080'])).status).toBe(0);
    expect((await check({ 'x.ini': ini }, ['x.ini', 'p=x'])).stdout).toContain('x.ini:5:1: [server:main] port: "x"');
    expect((await check({ 'x.ini': ini })).stdout).toBe('x.ini:5:8: [server:main] port: %(p)s is not defined\n');
  });
});

describe('what is used', () => {
  test('follows composites of strangers by the words in their values', async () => {
    const composite = '[composite:main]\nuse = call:./app.mjs:makeComposite\none = a\nsome = b gone\nurl = http://x\n';
    const part = 'use = module:./app.mjs\n';
    expect(await lines(`${composite}[app:a]\n${part}[app:b]\n${part}[app:c]\n${part}${SERVER}`)).toEqual([
      '10:1: warning: [app:c] is not used: nothing refers to it',
    ]);
  });

  test('follows a composite that is wrong itself', async () => {
    const ini = `[composite:main]\nuse = egg:Paste#urlmpa\n/ = a\n[app:a]\nuse = module:./app.mjs\n${SERVER}`;
    expect(await lines(ini)).toEqual([
      '2:7: [composite:main] paster has nothing for egg:Paste#urlmpa (did you mean "urlmap"?)',
    ]);
  });

  test('what only an unused section refers to is not reported a second time', async () => {
    const ini = `[app:main]\nuse = module:./app.mjs\n[app:inner]\nuse = module:./app.mjs\n[app:outer]\nuse = inner\n${SERVER}`;
    expect(await lines(ini)).toEqual(['5:1: warning: [app:outer] is not used: nothing refers to it']);
  });

  test('is not asked of a file that only lends its parts', async () => {
    expect(await lines('[app:a]\nuse = module:./app.mjs\n[filter:f]\nuse = npm:paster#translogger\nx = 1')).toEqual([
      '5:1: [filter:f] unknown setting "x" (known settings: format, json, logger_name, logging_level, set_logger_level, setup_console_handler, skip)',
    ]);
  });

  test.each([
    ['[app:web]', '1:1: warning: there is no section [app:main] in this file: serve needs --app-name'],
    ['[app:mian]', '1:1: there is no section [app:main] in this file (rename [app:mian] to [app:main])'],
    ['[App:main]', '1:1: there is no kind of section "App:" (rename [App:main] to [app:main])'],
  ])('%s in place of a main application', async (header, expected) => {
    expect(await lines(`${header}\nuse = module:./app.mjs\n${SERVER}`)).toEqual([expected]);
  });

  test('a misspelt server section', async () => {
    const ini = '[app:main]\nuse = module:./app.mjs\n[sevrer:main]\nuse = npm:paster#http\n';
    expect(await lines(ini)).toEqual([
      '3:1: there is no kind of section "sevrer:" (rename [sevrer:main] to [server:main])',
    ]);
  });

  test('a socket in a directory that does not exist', async () => {
    const ini = '[app:main]\nuse = module:./app.mjs\n[server:main]\nuse = npm:paster#http\nsocket = var/x.sock\n';
    const { stdout } = await check({ 'x.ini': ini });
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(
        /^x\.ini:5:1: warning: serve needs the directory of the socket .*\/var, which does not exist here \(mkdir -p\)$/,
      ),
      '',
    ]);
  });

  test('a file without a server', async () => {
    expect(await lines('[app:main]\nuse = module:./app.mjs\n')).toEqual([
      '1:1: warning: there is no section [server:main] in this file: serve needs --server-name or --server',
    ]);
  });
});

describe('other files', () => {
  test('a mistake in a file that is used is reported there', async () => {
    const { stdout, status } = await check({
      'x.ini': `[app:main]\nuse = config:other.ini\n[app:two]\nuse = config:broken.ini\n[app:three]\nuse = config:gone.ini\n${SERVER}`,
      'other.ini': '[app:main]\nuse = npm:paster#test\nformt = 1\nx = %(y)s\n[app:unused]\nuse = nothing\n',
      'broken.ini': 'no section\n[a]\nb\n',
    });
    expect(status).toBe(2);
    expect(stdout.split('\n').filter((line) => !line.includes('warning'))).toEqual([
      expect.stringMatching(/^broken\.ini:1:1: .*before the first section/),
      expect.stringMatching(/^broken\.ini:3:1: /),
      'other.ini:3:1: [app:main] unknown setting "formt" (did you mean "format"?)',
      expect.stringMatching(/^other\.ini:4:5: \[app:main\] x: %\(y\)s is not defined/),
      expect.stringMatching(/^x\.ini:6:7: \[app:three\] cannot read \$DIR\/gone\.ini: there is no such file/),
      '',
    ]);
  });

  test('all syntax mistakes of the file itself', async () => {
    expect(await lines('a = 1\n[b\n[c]\nd\ne = 1\ne = 2\n')).toEqual([
      expect.stringMatching(/^1:1: /),
      expect.stringMatching(/^4:1: /),
      expect.stringMatching(/^6:1: .*already set on line 5/),
    ]);
  });

  test('a file that is not there', async () => {
    const { stdout, stderr, status } = await check({ 'x.ini': '' }, ['y.ini']);
    expect([stdout, status]).toEqual(['', 2]);
    expect(stderr).toMatch(/^paster: cannot read .*y\.ini: there is no such file/);
  });
});

describe('modules', () => {
  const INI = `[app:main]\nuse = module:./m.mjs\n${SERVER}`;

  test('one that listens and keeps running does not keep check running', async () => {
    const source =
      'import { createServer } from "node:net";\ncreateServer().listen(0);\nsetInterval(() => {}, 1000);\nexport default () => {};\n';
    expect((await check({ 'x.ini': INI, 'm.mjs': source })).stdout).toBe('x.ini: ok\n');
  });

  test('one that ends the process does not end it well', async () => {
    const { stderr, status } = await check({ 'x.ini': INI, 'm.mjs': 'process.exit(0);\n' });
    expect(stderr).toMatch(
      /^paster: x\.ini:1:1: \[app:main\] module:\.\/m\.mjs ended the process while it was imported/,
    );
    expect(status).toBe(2);
  });

  test('what fails in the background is told without a stack', async () => {
    const source =
      'Promise.reject(new Error("later"));\nawait new Promise((done) => setTimeout(done, 50));\nexport default () => {};\n';
    const { stdout, stderr, status } = await check({ 'x.ini': INI, 'm.mjs': source });
    expect([stdout, status]).toEqual(['x.ini: ok\n', 0]);
    expect(stderr).toBe('paster: m.mjs:1:16: later\n');
  });

  test('one whose import never ends is given up, and the rest is checked', async () => {
    const directory = temporaryDirectory({
      'x.ini': `[composite:main]\nuse = npm:paster#urlmap\n/a = a\n/b = b\n[app:a]\nuse = module:./m.mjs\n[app:b]\nuse = module:./m.mjs\n${SERVER}prot = 1\n`,
      'm.mjs': 'await new Promise(() => {});\nexport default 1;\n',
    });
    const found = await checkFile(join(directory, 'x.ini'), {}, { importTimeout: 200 });
    expect(found.map(({ error }) => formatError(error, directory))).toEqual([
      expect.stringMatching(/^x\.ini:6:7: module:\.\/m\.mjs: its import has not finished \(0\.2 s have passed/),
      expect.stringMatching(/^x\.ini:8:7: module:\.\/m\.mjs: its import has not finished/),
      expect.stringMatching(/^x\.ini:11:1: \[server:main\] unknown setting "prot"/),
    ]);
  });

  test('functions of one name beside different files are different ones', async () => {
    const ini = '[app:main]\nuse = npm:paster#health\nset here = %(here)s\ncheck = call:./health.mjs:check\n';
    const directory = temporaryDirectory({
      'x.ini': `[composite:main]\nuse = npm:paster#urlmap\n/a = config:a/x.ini\n/b = config:b/x.ini\n${SERVER}`,
      'a/x.ini': ini,
      'b/x.ini': ini,
      'a/health.mjs': 'await new Promise(() => {});\n',
      'b/health.mjs': 'export const check = 42;\n',
    });
    const found = await checkFile(join(directory, 'x.ini'), {}, { importTimeout: 300 });
    expect(found.map(({ error }) => formatError(error, directory))).toEqual([
      expect.stringMatching(/^a\/x\.ini:4:\d+: .*call:\.\/health\.mjs:check: its import has not finished/),
      expect.stringMatching(/^b\/x\.ini:4:\d+: .*call:\.\/health\.mjs:check is not a function but /),
    ]);
  });

  test('one that loops for ever is ended, and the rest is checked', async () => {
    const files = { 'x.ini': `[app:main]\nuse = module:./m.mjs\n${SERVER}prot = 1\n`, 'm.mjs': BLOCKS };
    const { stdout, stderr, status } = await check(files);
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(/^x\.ini:2:7: module:\.\/m\.mjs: its import has not finished \(.*loop there\?\)$/),
      expect.stringMatching(/^x\.ini:5:1: \[server:main\] unknown setting "prot"/),
      '',
    ]);
    expect([stderr, status]).toEqual(['', 2]);
  });

  test.each(['SIGTERM', 'SIGKILL'] as const)('a check that loops leaves nothing behind at %s', async (signal) => {
    const source = 'console.log("in", process.pid, ";");\nfor (;;);\n';
    const directory = temporaryDirectory({ 'x.ini': INI, 'm.mjs': source });
    const program = paster(['check', 'x.ini'], { cwd: directory });
    const [, pid = ''] = await program.says(/in (\d+) ;/);
    await program.kill(signal);
    await eventually(() => !isAlive(Number(pid)));
  });

  test.each([
    ['module:./app.mjs#value', '1:1: [app:main] this is not an application: 42'],
    ['module:./app.mjs#none', '2:7: [app:main] $DIR/app.mjs exports no "none"'],
    ['call:./app.mjs:broken', '[app:main] call:./app.mjs:broken failed: TypeError: no schema'],
  ])('%s', async (use, expected) => {
    const [first] = await lines(`[app:main]\nuse = ${use}\n${SERVER}`);
    expect(first).toContain(expected);
  });

  test('settings that a ready part does not get, and those that PasteScript’s test had', async () => {
    const server = '[server:main]\nuse = module:./server.mjs\nport = 1\nextra = x\n';
    const ini = `[app:main]\nuse = module:./app.mjs\na = 1\nfilter-with = f\n[filter:f]\nuse = module:./filter.mjs\n`;
    const rest = `b = 2\n[app:test]\nuse = egg:PasteScript#test\ntext = true\nlint = true\n${server}`;
    const others = {
      'filter.mjs': 'export default (app) => app;\n',
      'server.mjs': 'export default { scheme: "x", serve() {} };\n',
    };
    expect(await lines(ini + rest, others)).toEqual([
      expect.stringMatching(/^3:1: warning: \[app:main\] a has no effect: module:\.\/app\.mjs is ready made/),
      expect.stringMatching(/^7:1: warning: \[filter:f\] b has no effect/),
      expect.stringMatching(/^8:1: warning: \[app:test\] is not used/),
      expect.stringMatching(/^11:1: warning: \[app:test\] lint has no effect/),
      expect.stringMatching(/^15:1: warning: \[server:main\] extra has no effect/),
    ]);
  });

  test('an application that a composite has of [DEFAULT] is used', async () => {
    const ini = '[DEFAULT]\nnot_found_app = gone\n[composite:main]\nuse = egg:Paste#urlmap\n/ = a\n';
    expect(await lines(`${ini}[app:a]\nuse = npm:paster#test\n[app:gone]\nuse = npm:paster#test\n${SERVER}`)).toEqual(
      [],
    );
  });

  test('connect: options that are not JSON', async () => {
    const ini = `[app:main]\nuse = module:./app.mjs\nfilter-with = f\n[filter:f]\nuse = connect:./app.mjs\nx = [1,\n${SERVER}`;
    expect(await lines(ini)).toEqual([expect.stringMatching(/^6:5: \[filter:f\] x: this is not JSON/)]);
  });
});

describe('servers', () => {
  test.each([
    ['ssl_cert = gone.pem', 'ssl_cert alone is not enough'],
    ['ssl_cert = a\n  b\nssl_key = a', 'ssl_cert has 2 lines and ssl_key has 1 line'],
    ['ssl_client_ca = ca.pem', 'ssl_client_ca needs ssl_pem, or ssl_cert and ssl_key'],
    ['ssl_client_verify = required', 'ssl_client_verify needs ssl_client_ca'],
    ['listen = nowhere', 'listen: "nowhere" is not an address'],
    ['workers = 0', 'workers: 0 is out of range'],
    ['graceful_timeout = 3000000', 'graceful_timeout: 3000000 is out of range'],
    ['request_timeout = 30\nheaders_timeout = 31', 'headers_timeout: 31 is more than request_timeout (30)'],
  ])('%s', async (setting, expected) => {
    expect(await lines(`[app:main]\nuse = module:./app.mjs\n${SERVER}${setting}\n`)).toEqual([
      expect.stringContaining(expected),
    ]);
  });

  test('a ready one has an address like others', async () => {
    const server = '[server:main]\nuse = module:./server.mjs\nport = 1\nsocket = x\n';
    const others = { 'server.mjs': 'export default { scheme: "x", serve() {} };\n' };
    expect(await lines(`[app:main]\nuse = module:./app.mjs\n${server}`, others)).toEqual([
      '5:1: [server:main] socket and port exclude each other (keep one of them)',
    ]);
  });

  test.each(['paste.server_factory = ./gone.mjs:make', 'use = npm:paster#htp'])(
    'one that is not there still has an address (%s)',
    async (use) => {
      const found = await lines(`[app:main]\nuse = module:./app.mjs\n[server:main]\n${use}\nport = 99999\n`);
      expect(found).toEqual([
        expect.stringMatching(
          /^4:\d+: \[server:main\] there is no module|^4:7: \[server:main\] the package "paster" has no server "htp"/,
        ),
        expect.stringMatching(/^5:1: \[server:main\] port: 99999 is out of range/),
      ]);
    },
  );
});

test('control characters of a file do not reach the terminal', async () => {
  const { stdout } = await check({
    'x.ini': `[app:main]\nuse = \u001b[31mred\u009b\n[app:\u001b[0m]\nuse = main\n${SERVER}`,
  });
  expect(stdout).toContain('\\x1b[31mred\\x9b');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it is about
  expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u0080-\u009f]/);
});

test('__proto__ is a name like others', async () => {
  const ini = `[app:main]\nuse = __proto__\n[app:__proto__]\nuse = npm:paster#test\n__proto__ = 1\nconstructor = 2\n${SERVER}`;
  expect(await lines(ini)).toEqual([
    '5:1: [app:main] unknown setting "__proto__" (known settings: format, text)',
    '6:1: [app:main] unknown setting "constructor" (known settings: format, text)',
  ]);
});

describe('what is secret is not quoted', () => {
  const SCHEMA = `const schema = (validate) => ({ '~standard': { version: 1, vendor: 'x', validate } });
    export const typed = () => {};
    typed.settings = schema((given) => ({ issues: [{ message: \`not a number: "\${given.api_token}"\`, path: ['api_token'] }] }));
    export const failing = () => {};
    failing.settings = schema((given) => { throw new Error('cannot use ' + given.api_token); });\n`;

  test.each([
    ['a value that a schema quotes', '[app:main]\nuse = call:./s.mjs:typed\napi_token = hunter22\n', 3],
    ['a short one', '[app:main]\nuse = call:./s.mjs:typed\napi_token = hun\n', 3],
    ['an error of a schema', '[app:main]\nuse = call:./s.mjs:failing\napi_token = hunter22\n', undefined],
    ['a line that lacks its "="', '[app:main]\nuse = npm:paster#test\ndb_password hunter22\n', 3],
    ['a line that was to continue one', '[app:main]\nuse = npm:paster#test\ntoken = a\nhunter22\n', 4],
    ['a password in an address', '[app:main]\nuse = npm:paster#proxy\naddress = http://me:hunter22@127.0.0.1/\n', 3],
  ])('%s', async (_what, ini, line) => {
    const { stdout, status } = await check({ 'x.ini': `${ini}${line === 4 ? '' : SERVER}`, 's.mjs': SCHEMA });
    expect(status).toBe(2);
    expect(stdout).toContain('********');
    expect(stdout).not.toContain('hun');
    if (line !== undefined) expect(stdout).toMatch(new RegExp(`^x\\.ini:${line}:1: `));
  });
});

describe('what a part needs beside types', () => {
  test('a transparent proxy that may be sent anywhere', async () => {
    const ini = (more: string) => `[app:main]\nuse = npm:paster#transparent_proxy\n${more}${SERVER}`;
    for (const more of ['', 'allowed_hosts =\n']) {
      expect(await lines(ini(more))).toEqual([
        expect.stringMatching(/^1:1: \[app:main\] a transparent proxy would connect to .* \(.*"force_host".*\)$/),
      ]);
    }
    for (const more of ['force_host = 127.0.0.1:1\n', 'allowed_hosts = a.example\n']) {
      expect(await lines(ini(more))).toEqual([]);
    }
  });

  test.each([
    ['app', 'redirect', 'to = //evil.example', /^3:1: .*"\/\/evil\.example" is no URL to redirect to/],
    ['app', 'cgi', 'script = nosuch.cgi', /^3:1: .*there is no script nosuch\.cgi/],
    ['app', 'transparent_proxy', 'force_host = a@b', /^3:1: .*force_host: "a@b" is not of the form host or host:port/],
    [
      'app',
      'transparent_proxy',
      'allowed_hosts = *',
      /^3:1: .*\* would let any client reach what this machine reaches/,
    ],
    ['composite', 'urlmap', '/a = config:y.ini\n/a/ = config:y.ini', /^4:1: .*"\/a\/": this prefix is mapped already/],
    ['composite', 'cascade', 'catch = 404', /^1:1: .*a cascade of no applications/],
  ])('[%s:main] use = npm:paster#%s, %s', async (kind, part, settings, mistake) => {
    const others = { 'y.ini': '[app:main]\nuse = npm:paster#test\n' };
    const ini = `[${kind}:main]\nuse = npm:paster#${part}\n${settings}\n${SERVER}`;
    expect(await lines(ini, others)).toEqual([expect.stringMatching(mistake)]);
  });

  test.each([
    ['static', 'document_root ='],
    ['cgi', 'script ='],
    ['cgi_bin', 'directory ='],
  ])('a path for %s that is empty, and would be the directory of the INI file', async (part, setting) => {
    expect(await lines(`[app:main]\nuse = npm:paster#${part}\n${setting}\n${SERVER}`)).toEqual([
      expect.stringMatching(/^3:1: \[app:main\] \w+: it is empty \(allowed: the path of a [^)]+\)$/),
    ]);
  });

  test.each([
    [
      'app',
      'static',
      'document_root = no',
      'document_root: there is no directory $DIR/no (create it (mkdir -p $DIR/no)',
    ],
    ['app', 'static', 'document_root = app.mjs', 'document_root: $DIR/app.mjs is not a directory'],
    ['app', 'static', 'document_root = app.mjs/no', 'document_root: ENOTDIR'],
    ['app', 'static', 'robots = no\ndocument_root = .', 'robots: there is no file $DIR/no'],
    ['app', 'static', 'favicon = .\ndocument_root = .', 'favicon: $DIR is a directory'],
    ['filter', 'static', 'document_root = no', 'document_root: there is no directory $DIR/no'],
    ['app', 'cgi_bin', 'directory = no', 'directory: there is no directory $DIR/no'],
    ['app', 'cgi_bin', 'document_root = no\ndirectory = .', 'document_root: there is no directory $DIR/no'],
    ['filter', 'error_page', 'error_log = no/e.log', 'error_log: there is no directory $DIR/no'],
    ['filter', 'profile', 'log_filename = no/p\ndebug = true', 'log_filename: there is no directory $DIR/no'],
    ['filter', 'auth_basic', 'users_file = no', 'users_file: there is no file $DIR/no'],
    ['filter', 'auth_digest', 'users_file = no\nrealm = r', 'users_file: there is no file $DIR/no'],
  ])('[%s:main] use = npm:paster#%s, %s: a path that leads nowhere', async (kind, part, settings, message) => {
    const section = `[${kind}:main]\nuse = npm:paster#${part}\n${settings}\n`;
    const ini = kind === 'app' ? section + SERVER : `${section}[app:main]\nuse = module:./app.mjs\n${SERVER}`;
    const found = await lines(`${ini}`);
    expect(found.filter((line) => !line.includes('is not used'))).toEqual([
      expect.stringContaining(`3:1: [${kind}:main] ${message}`),
    ]);
  });

  test('the functions that a health check names', async () => {
    const ini = (check: string) => `[app:main]\nuse = npm:paster#health\ncheck = ${check}\n${SERVER}`;
    for (const [names, message] of [
      ['./app.mjs:make', /^3:1: \[app:main\] check: "\.\/app\.mjs:make" is not of the form call:module:name/],
      ['call:./app.mjs:make call:./no.mjs:x', /^3:9: \[app:main\] there is no module \$DIR\/no\.mjs/],
      ['call:./app.mjs:mak', /^3:9: \[app:main\] \$DIR\/app\.mjs exports no "mak" \(did you mean "make"\?\)/],
      ['call:./app.mjs:value', /^3:9: \[app:main\] check: call:\.\/app\.mjs:value is not a function but 42/],
    ] as const) {
      expect(await lines(ini(names))).toEqual([expect.stringMatching(message)]);
    }
    expect(await lines(ini('call:./no.mjs:x call:./app.mjs:make call:./app.mjs:value'))).toHaveLength(2);
    expect(await lines(ini('call:./app.mjs:make'))).toEqual([]);
  });
});

describe('a schema that does not come back', () => {
  const MODULE = (validate: string) =>
    `export const make = () => {};\nmake.settings = { '~standard': { version: 1, vendor: 'x', validate: ${validate} } };\n`;
  const INI = `[composite:main]\nuse = npm:paster#urlmap\n/a = a\n[app:a]\nuse = call:./m.mjs:make\n${SERVER}prot = 1\n`;

  test('is given up, and the rest is checked', async () => {
    const directory = temporaryDirectory({ 'x.ini': INI, 'm.mjs': MODULE('() => new Promise(() => {})') });
    const found = await checkFile(join(directory, 'x.ini'), {}, { importTimeout: 200 });
    expect(found.map(({ error }) => formatError(error, directory))).toEqual([
      expect.stringMatching(
        /^x\.ini:4:1: \[app:a\] call:\.\/m\.mjs:make: the validation of its settings has not finished/,
      ),
      expect.stringMatching(/^x\.ini:8:1: \[server:main\] unknown setting "prot"/),
    ]);
  });

  test('is ended where it loops', async () => {
    const { stdout, status } = await check({ 'x.ini': INI, 'm.mjs': MODULE(`() => { ${BLOCKS} }`) });
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(
        /^x\.ini:4:1: \[app:a\] call:\.\/m\.mjs:make: the validation of its settings has not finished/,
      ),
      expect.stringMatching(/^x\.ini:8:1: \[server:main\] unknown setting "prot"/),
      '',
    ]);
    expect(status).toBe(2);
  });
});
