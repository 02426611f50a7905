/** FIFOs, devices and directories in place of a file that paster reads when it starts: it must not wait for a writer. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { beforeSuite } from '../../helpers/programs/lifetime.ts';
import { Program, paster, ROOT } from '../../helpers/programs/program.ts';

const APP = '[app:main]\nuse = module:./app.mjs\n';
const SERVER = '[server:main]\nuse = npm:paster#http\nport = 0\n';

/** A file in every place that can name one. */
const NAMED = `${APP}${SERVER}
[server:env]
use = main
env_file = FILE

[server:tls]
use = main
ssl_pem = FILE

[app:locked]
use = main
filter-with = auth
[filter:auth]
use = npm:paster#auth_basic
users_file = FILE

[app:ini]
use = config:FILE

[app:program]
use = listen:FILE

[app:module]
use = module:FILE

[app:factory]
use = call:FILE:makeApp
`;

/** @param kind mkfifo, mkdir, or the path of a device */
function directoryWith(kind: string, ini: string): { cwd: string; file: string } {
  const cwd = temporaryDirectory({ 'app.mjs': 'export default (req, res) => res.end(String(process.env.A));' });
  const file = kind.startsWith('/') ? kind : join(cwd, 'file');
  if (kind === 'mkfifo') execFileSync('mkfifo', [file]);
  if (kind === 'mkdir') mkdirSync(file);
  writeFileSync(join(cwd, 'x.ini'), ini.replaceAll('FILE', file));
  return { cwd, file };
}

describe.each(['mkfifo', 'mkdir', '/dev/zero'])('%s', (kind) => {
  const problem = kind === 'mkdir' ? /directory/ : /not a regular file/;

  describe('is refused with its place', () => {
    let cwd: string;
    let checked: readonly string[];
    beforeSuite(async () => {
      ({ cwd } = directoryWith(kind, NAMED));
      const { status, stdout, stderr } = await paster(['check', 'x.ini'], { cwd }).finished();
      expect(status).toBe(2);
      checked = (stdout + stderr).split('\n');
    });

    test.each([
      ['env_file', ['--server-name', 'env'], 'x.ini:9:1'],
      ['ssl_pem', ['--server-name', 'tls'], 'x.ini:13:1'],
      ['users_file', ['-n', 'locked'], 'x.ini:20:1'],
      ['an INI file', ['-n', 'ini'], 'x.ini:23:7'],
      ['a program', ['-n', 'program'], 'x.ini:26:7'],
      ['a module', ['-n', 'module'], 'x.ini:29:7'],
      ['a factory', ['-n', 'factory'], 'x.ini:32:7'],
    ])('%s', async (_what, options, place) => {
      const { status, stdout, stderr } = await paster(['serve', 'x.ini', ...options], { cwd }).finished();
      expect(status).toBe(2);
      for (const lines of [checked, (stdout + stderr).split('\n')]) {
        expect(lines.find((line) => line.includes(place))).toMatch(problem);
      }
    });
  });

  test('is refused as an argument', async () => {
    const { cwd, file } = directoryWith(kind, `${APP}${SERVER}`);
    for (const args of [
      ['check', file],
      ['serve', 'x.ini', '--dotenv', file],
    ]) {
      const { status, stdout, stderr } = await paster(args, { cwd }).finished();
      expect([status, stdout + stderr]).toEqual([2, expect.stringMatching(problem)]);
    }
  });
});

test('variables may come through a pipe of the shell, and from /dev/null', async () => {
  const { cwd } = directoryWith('/dev/null', `${APP}${SERVER}`);
  const command = [process.execPath, join(ROOT, 'bin/paster.js'), 'request', 'x.ini', '/', '--dotenv'];
  const piped = new Program('bash', ['--norc', '-c', '"$0" "$@" <(echo A=piped)', ...command], { cwd });
  expect((await piped.finished()).stdout).toBe('piped');
  const empty = await paster(['request', 'x.ini', '/', '--dotenv', '/dev/null'], { cwd }).finished();
  expect(empty.stdout).toBe('undefined');
  const checked = await paster(['check', 'x.ini', '--dotenv', '/dev/null'], { cwd }).finished();
  expect(checked.stdout).toBe('x.ini: ok\n');
});
