/** FIFOs, devices and directories in place of a file that paster reads when it starts: it must not wait for a writer. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { Program, paster, ROOT } from '../../helpers/programs/program.ts';

const SERVER = '[server:main]\nuse = npm:paster#http\nport = 0\n';
const APP = '[app:main]\nuse = module:./app.mjs\n';
const AUTH = `${APP}filter-with = auth\n[filter:auth]\nuse = npm:paster#auth_basic\nusers_file = FILE\n`;

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

  test.each([
    ['env_file', `${APP}${SERVER}env_file = FILE\n`, 'x.ini:6:1'],
    ['ssl_pem', `${APP}${SERVER}ssl_pem = FILE\n`, 'x.ini:6:1'],
    ['users_file', `${AUTH}${SERVER}`, 'x.ini:6:1'],
    ['an INI file', `[app:main]\nuse = config:FILE\n${SERVER}`, 'x.ini:2:7'],
    ['a program', `[app:main]\nuse = listen:FILE\n${SERVER}`, 'x.ini:2:7'],
    ['a module', `[app:main]\nuse = module:FILE\n${SERVER}`, 'x.ini:2:7'],
    ['a factory', `[app:main]\nuse = call:FILE:makeApp\n${SERVER}`, 'x.ini:2:7'],
  ])('is refused with its place: %s', async (_what, ini, place) => {
    const { cwd } = directoryWith(kind, ini);
    for (const command of ['serve', 'check']) {
      const { status, stdout, stderr } = await paster([command, 'x.ini'], { cwd }).finished();
      expect(status).toBe(2);
      const line = (stdout + stderr).split('\n').find((each) => each.includes(place));
      expect(line).toMatch(problem);
    }
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
