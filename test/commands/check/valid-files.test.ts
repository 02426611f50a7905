/** `paster check` on files without errors: exit status 0, no factory called, and warnings at most. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkFile } from '../../../src/deploy/check/check.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { paster, ROOT } from '../../helpers/programs/program.ts';
import { check, lines, MODULE, SERVER } from './findings.ts';

describe('a file without errors', () => {
  test('is ok, and none of its factories is called', async () => {
    const ini = `[app:main]\nuse = call:./app.mjs:make\nanything = goes\n${SERVER}`;
    const { stdout, status } = await check({ 'x.ini': ini });
    expect([stdout, status]).toEqual(['x.ini: ok\n', 0]);
    const directory = temporaryDirectory({ 'app.mjs': MODULE, 'x.ini': ini });
    await checkFile(join(directory, 'x.ini'), {});
    await expect(import('node:fs/promises').then((fs) => fs.readdir(directory))).resolves.toEqual(['app.mjs', 'x.ini']);
  });

  test('may be given as a URI, with %20 for a space', async () => {
    const ini = `[app:main]\nuse = npm:paster#test\n${SERVER}`;
    const { stdout, status } = await check({ 'x y.ini': ini }, ['config:x%20y.ini']);
    expect([stdout, status]).toEqual(['x y.ini: ok\n', 0]);
  });

  test.each([
    ['', ['x.ini:6:1: warning: [server:main] max_memory has no effect: one process without workers is not replaced']],
    ['workers = 1\n', []],
    ['[process:jobs]\ncommand = sleep 1000\n', []],
  ])('max_memory needs a supervisor, which "%s" brings', async (more, warnings) => {
    const ini = `[app:main]\nuse = npm:paster#test\n[server:main]\nuse = npm:paster#http\nport = 8080\nmax_memory = 500\n${more}`;
    const { stdout, stderr, status } = await check({ 'x.ini': ini });
    expect([`${stdout}${stderr}`.split('\n').filter((line) => line.includes('warning')), status]).toEqual([
      warnings,
      0,
    ]);
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
    '%s with %s over %s behind "%s": warns if a local proxy would admit everyone',
    async (name, setting, kind, other, warned) => {
      const front = other === '' ? '' : `[filter:front]\nuse = npm:paster#${other}\n`;
      const app = `[app:a]\nuse = npm:paster#test\n[pipeline:main]\npipeline =${other && ' front'} f a\n`;
      const server = `[server:main]\nuse = npm:paster#${kind}\nsocket = %(here)s/s\n`;
      const ini = `[filter:f]\nuse = npm:paster#${name}\n${setting}\n${front}${app}${server}`;
      const warning = /^3:\d+: warning: \[filter:f\] .*means every client of a proxy on this machine/;
      expect(await lines(ini)).toEqual(warned ? [expect.stringMatching(warning)] : []);
    },
  );

  test('with warnings still exits with 0', async () => {
    const { stdout, status } = await check({
      'x.ini': `[app:main]\nuse = module:./app.mjs\n[filter:f]\nuse = module:./app.mjs\n${SERVER}`,
    });
    expect([stdout, status]).toEqual(['x.ini:3:1: warning: [filter:f] is not used: nothing refers to it\n', 0]);
  });

  test('gets a warning for each reload_files pattern without a match', async () => {
    const { stdout, status } = await check(
      {
        'etc/x.ini':
          '[app:main]\nuse = module:../app.mjs\nset reload_files = ../data/*.json\n' +
          `${SERVER}reload_files =\n    ../views %(here)s/../view\n    ../views/*.htm\n    ../empty\n`,
        'views/a.html': '',
        'empty/node_modules/a.html': '',
      },
      ['etc/x.ini'],
    );
    const from = 'warning: [server:main] reload_files: no file matches $DIR';
    expect(stdout.split('\n')).toEqual([
      'etc/x.ini:3:20: warning: [app:main] reload_files: no file matches $DIR/data/*.json yet',
      `etc/x.ini:7:14: ${from}/view yet`,
      `etc/x.ini:8:5: ${from}/views/*.htm yet`,
      `etc/x.ini:9:5: ${from}/empty yet`,
      '',
    ]);
    expect(status).toBe(0);
    const spaces = await check(
      {
        'my etc/x.ini':
          '[app:main]\nuse = module:../app.mjs\n' +
          `${SERVER}reload_files = ../my\\ views/*.html %(here)s/../my\\ data ../my\\ view\n`,
        'my views/a.html': '',
        'my data/b c.json': '',
      },
      ['my etc/x.ini'],
    );
    expect(spaces.stdout).toBe(`my etc/x.ini:5:57: ${from}/my view yet\n`);
    const shared = await check({
      'x.ini': `[DEFAULT]\nreload_files = a.json\n[app:main]\nuse = npm:paster#test\n${SERVER}`,
    });
    expect(shared.stdout).toBe('x.ini:2:16: warning: [DEFAULT] reload_files: no file matches $DIR/a.json yet\n');
  });

  test.each(['etc/develop.ini', 'etc/config.ini'])('this repository’s %s is ok', async (file) => {
    const { stdout, status } = await paster(['check', file], { cwd: ROOT }).finished();
    expect([stdout, status]).toEqual([`${file}: ok\n`, 0]);
  });

  test('name=value overrides the file, as for serve', async () => {
    const ini = `[app:main]\nuse = module:./app.mjs\n[server:main]\nuse = npm:paster#http\nport = %(p)s\n`;
    expect((await check({ 'x.ini': ini }, ['x.ini', 'p=8080'])).status).toBe(0);
    expect((await check({ 'x.ini': ini }, ['x.ini', 'p=x'])).stdout).toContain('x.ini:5:1: [server:main] port: "x"');
    expect((await check({ 'x.ini': ini })).stdout).toBe('x.ini:5:8: [server:main] port: %(p)s is not defined\n');
  });
});
