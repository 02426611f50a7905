/** What `paster check` does with the modules and schemas of a file, even if they hang, loop or end the process. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkFile } from '../../../src/deploy/check/check.ts';
import { formatError } from '../../../src/errors.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { beforeSuite } from '../../helpers/programs/lifetime.ts';
import { eventually, isAlive, paster } from '../../helpers/programs/program.ts';
import { BLOCKS, checkInProcess, lines, SERVER } from './findings.ts';

// Some tests give a module 0.2 s, and the first import of the built-in parts takes longer on a busy machine.
beforeSuite(async () => {
  const parts = '[composite:main]\nuse = npm:paster#urlmap\n/ = a\n[app:a]\nuse = npm:paster#health\n';
  expect(await lines(parts + SERVER)).toEqual([]);
});

describe('modules', () => {
  const INI = `[app:main]\nuse = module:./m.mjs\n${SERVER}`;

  test('a module that listens and keeps running does not keep check running', async () => {
    const source =
      'import { createServer } from "node:net";\ncreateServer().listen(0);\nsetInterval(() => {}, 1000);\nexport default () => {};\n';
    expect((await checkInProcess({ 'x.ini': INI, 'm.mjs': source })).stdout).toBe('x.ini: ok\n');
  });

  test('a module that ends the process is an error, even with exit code 0', async () => {
    const { stderr, status } = await checkInProcess({ 'x.ini': INI, 'm.mjs': 'process.exit(0);\n' });
    expect(stderr).toMatch(
      /^paster: x\.ini:1:1: \[app:main\] module:\.\/m\.mjs ended the process while it was imported/,
    );
    expect(status).toBe(2);
  });

  test('an error in the background is reported without a stack', async () => {
    const source =
      'Promise.reject(new Error("later"));\nawait new Promise((done) => setTimeout(done, 50));\nexport default () => {};\n';
    const { stdout, stderr, status } = await checkInProcess({ 'x.ini': INI, 'm.mjs': source });
    expect([stdout, status]).toEqual(['x.ini: ok\n', 0]);
    expect(stderr).toBe('paster: m.mjs:1:16: later\n');
  });

  test('check gives up on a module whose import never ends, and checks the rest', async () => {
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

  test('functions with the same name in different directories are told apart', async () => {
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

  test('a module that loops forever is ended, and the rest is checked', async () => {
    const files = { 'x.ini': `[app:main]\nuse = module:./m.mjs\n${SERVER}prot = 1\n`, 'm.mjs': BLOCKS };
    const { stdout, stderr, status } = await checkInProcess(files);
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(/^x\.ini:2:7: module:\.\/m\.mjs: its import has not finished \(.*loop there\?\)$/),
      expect.stringMatching(/^x\.ini:5:1: \[server:main\] unknown setting "prot"/),
      '',
    ]);
    expect([stderr, status]).toEqual(['', 2]);
  });

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'a looping check leaves no process behind when it gets %s',
    async (signal) => {
      const source = 'console.log("in", process.pid, ";");\nfor (;;);\n';
      const directory = temporaryDirectory({ 'x.ini': INI, 'm.mjs': source });
      const program = paster(['check', 'x.ini'], { cwd: directory });
      const [, pid = ''] = await program.says(/in (\d+) ;/);
      await program.kill(signal);
      await eventually(() => !isAlive(Number(pid)));
    },
  );

  test.each([
    ['module:./app.mjs#value', '1:1: [app:main] this is not an application: 42'],
    ['module:./app.mjs#none', '2:7: [app:main] $DIR/app.mjs exports no "none"'],
    ['call:./app.mjs:broken', '[app:main] call:./app.mjs:broken failed: TypeError: no schema'],
  ])('use = %s is an error', async (use, expected) => {
    const [first] = await lines(`[app:main]\nuse = ${use}\n${SERVER}`);
    expect(first).toContain(expected);
  });

  test('settings that an imported part does not receive are reported, and the ones that PasteScript’s test had', async () => {
    const server = '[server:main]\nuse = module:./server.mjs\nport = 1\nextra = x\n';
    const ini = `[app:main]\nuse = module:./app.mjs\na = 1\nfilter-with = f\n[filter:f]\nuse = module:./filter.mjs\n`;
    const rest = `b = 2\n[app:test]\nuse = egg:PasteScript#test\ntext = true\nlint = true\n${server}`;
    const others = {
      'filter.mjs': 'export default (app) => app;\n',
      'server.mjs': 'export default { scheme: "x", serve() {} };\n',
    };
    expect(await lines(ini + rest, others)).toEqual([
      expect.stringMatching(
        /^3:1: warning: \[app:main\] a has no effect: module:\.\/app\.mjs is the application itself/,
      ),
      expect.stringMatching(/^7:1: warning: \[filter:f\] b has no effect/),
      expect.stringMatching(/^8:1: warning: \[app:test\] is not used/),
      expect.stringMatching(/^11:1: warning: \[app:test\] lint has no effect/),
      expect.stringMatching(/^15:1: warning: \[server:main\] extra has no effect/),
    ]);
  });

  test('a section that a composite uses only through [DEFAULT] is not reported as unused', async () => {
    const ini = '[DEFAULT]\nnot_found_app = gone\n[composite:main]\nuse = egg:Paste#urlmap\n/ = a\n';
    expect(await lines(`${ini}[app:a]\nuse = npm:paster#test\n[app:gone]\nuse = npm:paster#test\n${SERVER}`)).toEqual(
      [],
    );
  });

  test('an option of connect: that is not valid JSON is an error', async () => {
    const ini = `[app:main]\nuse = module:./app.mjs\nfilter-with = f\n[filter:f]\nuse = connect:./app.mjs\nx = [1,\n${SERVER}`;
    expect(await lines(ini)).toEqual([expect.stringMatching(/^6:5: \[filter:f\] x: this is not JSON/)]);
  });
});

describe('a schema that never returns', () => {
  const MODULE = (validate: string) =>
    `export const make = () => {};\nmake.settings = { '~standard': { version: 1, vendor: 'x', validate: ${validate} } };\n`;
  const INI = `[composite:main]\nuse = npm:paster#urlmap\n/a = a\n[app:a]\nuse = call:./m.mjs:make\n${SERVER}prot = 1\n`;

  test('is given up, and the rest is checked', async () => {
    const directory = temporaryDirectory({ 'x.ini': INI, 'm.mjs': MODULE('() => new Promise(() => {})') });
    const found = await checkFile(join(directory, 'x.ini'), {}, { importTimeout: 1000 });
    expect(found.map(({ error }) => formatError(error, directory))).toEqual([
      expect.stringMatching(
        /^x\.ini:4:1: \[app:a\] call:\.\/m\.mjs:make: the validation of its settings has not finished/,
      ),
      expect.stringMatching(/^x\.ini:8:1: \[server:main\] unknown setting "prot"/),
    ]);
  });

  test('is ended if it loops', async () => {
    const { stdout, status } = await checkInProcess({ 'x.ini': INI, 'm.mjs': MODULE(`() => { ${BLOCKS} }`) });
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
