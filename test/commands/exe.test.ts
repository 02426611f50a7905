/** `paster exe`: INI files that are programs. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../helpers/directory.ts';
import { type Finished, Program, paster, ROOT } from '../helpers/program.ts';

const APP = '[app:main]\nuse = npm:paster#test\nformat = json\n[server:main]\nuse = npm:paster#http\nport = 0\n';

const exe = (ini: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<Finished> =>
  paster(['exe', 'x.ini', ...args], { cwd: temporaryDirectory({ 'x.ini': ini }), env }).finished();

test('the file itself is the program: its first line names paster, [exe] the command', async () => {
  const directory = temporaryDirectory({
    'x.ini': `#!/usr/bin/env -S paster exe\n[exe]\ncommand = request\nadd = /where\nmethod = DELETE\n${APP}`,
    // What npm makes of "bin".
    'bin/paster': `#!/bin/sh\nexec ${process.execPath} ${join(ROOT, 'bin/paster.js')} "$@"\n`,
  });
  chmodSync(join(directory, 'x.ini'), 0o755);
  chmodSync(join(directory, 'bin/paster'), 0o755);
  const env = { PATH: `${directory}/bin:${process.env['PATH']}` };
  const { stdout, stderr, status } = await new Program(join(directory, 'x.ini'), [], { cwd: '/', env }).finished();
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toMatchObject({ REQUEST_METHOD: 'DELETE', PATH_INFO: '/where' });
  expect(status).toBe(0);
});

test('without [exe] it is serve; arguments behind the file are its own, options too', async () => {
  const program = paster(['exe', 'x.ini', '--log-file', 'out.log', '--no-such'], {
    cwd: temporaryDirectory({ 'x.ini': APP }),
  });
  const { stderr, status } = await program.finished();
  expect(stderr).toContain("serve: unknown option '--no-such'");
  expect(status).toBe(2);
});

test('options by their names with underscores; flags by true and false', async () => {
  const directory = temporaryDirectory({});
  writeFileSync(join(directory, 'x.ini'), `[exe]\nquiet = false\npid_file = %(here)s/run.pid\nstatus = yes\n${APP}`);
  const { stdout, status } = await paster(['exe', 'x.ini'], { cwd: directory }).finished();
  expect(stdout).toContain('run.pid');
  expect(status).toBe(1);
});

test.each([
  ['[exe]\npid_flie = x\n', 'x.ini:2:1: [exe] serve has no option "pid_flie" (did you mean "pid_file"?)'],
  ['[exe]\nquiet = perhaps\n', 'x.ini:2:1: [exe] quiet: "perhaps" is neither true nor false'],
  ['[exe]\ncommand = sevre\n', 'x.ini:2:1: [exe] there is no command "sevre" to execute (did you mean "serve"?)'],
  ['[exe]\ncommand = exe\n', 'x.ini:2:1: [exe] there is no command "exe" to execute'],
  ['[exe]\npid_file = %(nope)s\n', 'x.ini:2:12: [exe] pid_file: %(nope)s is not defined'],
])('%j is refused with its place', async (ini, message) => {
  const { stderr, status } = await exe(ini);
  expect(stderr).toContain(message);
  expect(status).toBe(2);
});

test('run by a web server, arguments are the client’s and count for nothing', async () => {
  const ini = `[exe]\ncommand = request\nadd = /\n${APP}`;
  const { stdout, status } = await exe(ini, ['--method', 'DELETE'], { GATEWAY_INTERFACE: 'CGI/1.1' });
  expect(JSON.parse(stdout)).toMatchObject({ REQUEST_METHOD: 'GET' });
  expect(status).toBe(0);
});

test('run by a web server, serve answers by CGI', async () => {
  const { stdout, stderr, status } = await exe('[app:main]\nuse = npm:paster#test\nformat = json\n', [], {
    GATEWAY_INTERFACE: 'CGI/1.1',
    REQUEST_METHOD: 'GET',
    SCRIPT_NAME: '/x.ini',
    PATH_INFO: '/page',
    SERVER_NAME: 'example.com',
    SERVER_PORT: '80',
    SERVER_PROTOCOL: 'HTTP/1.1',
  });
  expect(stderr).toBe('');
  const [head = '', body = ''] = stdout.split(/\r\n\r\n/);
  expect(head).toContain('Status: 200 OK');
  expect(JSON.parse(body)).toMatchObject({ SCRIPT_NAME: '/x.ini', PATH_INFO: '/page' });
  expect(status).toBe(0);
});
