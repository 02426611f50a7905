/** Which sections and files `paster check` looks at: those that are used, unused and missing ones, and other files. */
import { describe, expect, test } from 'vitest';
import { check, lines, SERVER } from './findings.ts';

describe('the check of sections', () => {
  test('follows third-party composites by the words in their values', async () => {
    const composite = '[composite:main]\nuse = call:./app.mjs:makeComposite\none = a\nsome = b gone\nurl = http://x\n';
    const part = 'use = module:./app.mjs\n';
    expect(await lines(`${composite}[app:a]\n${part}[app:b]\n${part}[app:c]\n${part}${SERVER}`)).toEqual([
      '10:1: warning: [app:c] is not used: nothing refers to it',
    ]);
  });

  test('follows a composite that has an error itself', async () => {
    const ini = `[composite:main]\nuse = egg:Paste#urlmpa\n/ = a\n[app:a]\nuse = module:./app.mjs\n${SERVER}`;
    expect(await lines(ini)).toEqual([
      '2:7: [composite:main] paster has nothing for egg:Paste#urlmpa (did you mean "urlmap"?)',
    ]);
  });

  test('reports once what only an unused section refers to', async () => {
    const ini = `[app:main]\nuse = module:./app.mjs\n[app:inner]\nuse = module:./app.mjs\n[app:outer]\nuse = inner\n${SERVER}`;
    expect(await lines(ini)).toEqual(['5:1: warning: [app:outer] is not used: nothing refers to it']);
  });

  test('does not look for [app:main] in a file without a server', async () => {
    expect(await lines('[app:a]\nuse = module:./app.mjs\n[filter:f]\nuse = npm:paster#translogger\nx = 1')).toEqual([
      '5:1: [filter:f] unknown setting "x" (known settings: format, json, logger_name, logging_level, set_logger_level, setup_console_handler, skip)',
    ]);
  });

  test.each([
    ['[app:web]', '1:1: warning: there is no section [app:main] in this file: serve needs --app-name'],
    ['[app:mian]', '1:1: there is no section [app:main] in this file (rename [app:mian] to [app:main])'],
    ['[App:main]', '1:1: there is no kind of section "App:" (rename [App:main] to [app:main])'],
  ])('%s instead of [app:main] is reported', async (header, expected) => {
    expect(await lines(`${header}\nuse = module:./app.mjs\n${SERVER}`)).toEqual([expected]);
  });

  test('a misspelt server section is reported', async () => {
    const ini = '[app:main]\nuse = module:./app.mjs\n[sevrer:main]\nuse = npm:paster#http\n';
    expect(await lines(ini)).toEqual([
      '3:1: there is no kind of section "sevrer:" (rename [sevrer:main] to [server:main])',
    ]);
  });

  test('a socket in a directory that does not exist is reported', async () => {
    const ini = '[app:main]\nuse = module:./app.mjs\n[server:main]\nuse = npm:paster#http\nsocket = var/x.sock\n';
    const { stdout } = await check({ 'x.ini': ini });
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(
        /^x\.ini:5:1: warning: serve needs the directory of the socket .*\/var, which does not exist here \(mkdir -p\)$/,
      ),
      '',
    ]);
  });

  test('a file without a server is reported', async () => {
    expect(await lines('[app:main]\nuse = module:./app.mjs\n')).toEqual([
      '1:1: warning: there is no section [server:main] in this file: serve needs --server-name or --server',
    ]);
  });
});

describe('other files', () => {
  test('an error in an included file is reported there', async () => {
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

  test('all syntax errors of the file itself are reported', async () => {
    expect(await lines('a = 1\n[b\n[c]\nd\ne = 1\ne = 2\n')).toEqual([
      expect.stringMatching(/^1:1: /),
      expect.stringMatching(/^4:1: /),
      expect.stringMatching(/^6:1: .*already set on line 5/),
    ]);
  });

  test('a file that does not exist is reported', async () => {
    const { stdout, stderr, status } = await check({ 'x.ini': '' }, ['y.ini']);
    expect([stdout, status]).toEqual(['', 2]);
    expect(stderr).toMatch(/^paster: cannot read .*y\.ini: there is no such file/);
  });
});

test('__proto__ is a name like any other', async () => {
  const ini = `[app:main]\nuse = __proto__\n[app:__proto__]\nuse = npm:paster#test\n__proto__ = 1\nconstructor = 2\n${SERVER}`;
  expect(await lines(ini)).toEqual([
    '5:1: [app:main] unknown setting "__proto__" (known settings: format, text)',
    '6:1: [app:main] unknown setting "constructor" (known settings: format, text)',
  ]);
});
