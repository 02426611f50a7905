/** `paster exe`: INI files that are executable. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../helpers/directory.ts';
import { runHere } from '../helpers/programs/command.ts';
import { type Finished, Program, paster, ROOT, requireTool } from '../helpers/programs/program.ts';

const APP = '[app:main]\nuse = npm:paster#test\nformat = json\n[server:main]\nuse = npm:paster#http\nport = 0\n';

/** A PATH with `paster`, as npm links it, and `node`. */
function binDirectory(node: string): string {
  const directory = temporaryDirectory();
  symlinkSync(join(ROOT, 'bin/paster.js'), join(directory, 'paster'));
  symlinkSync(node, join(directory, 'node'));
  return directory;
}

const exe = (ini: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<Finished> =>
  paster(['exe', 'x.ini', ...args], { cwd: temporaryDirectory({ 'x.ini': ini }), env }).finished();

test('an executable INI file runs the command of [exe]', async () => {
  const directory = temporaryDirectory({
    'x.ini': `#!/usr/bin/env -S paster exe\n[exe]\ncommand = request\nadd = /where\nmethod = DELETE\n${APP}`,
  });
  chmodSync(join(directory, 'x.ini'), 0o755);
  const env = { PATH: `${binDirectory(process.execPath)}:${process.env['PATH']}` };
  const { stdout, stderr, status } = await new Program(join(directory, 'x.ini'), [], { cwd: '/', env }).finished();
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toMatchObject({ REQUEST_METHOD: 'DELETE', PATH_INFO: '/where' });
  expect(status).toBe(0);
});

test('without [exe] the command is serve, and arguments after the file are its options', async () => {
  const program = paster(['exe', 'x.ini', '--log-file', 'out.log', '--no-such'], {
    cwd: temporaryDirectory({ 'x.ini': APP }),
  });
  const { stderr, status } = await program.finished();
  expect(stderr).toContain("serve: unknown option '--no-such'");
  expect(status).toBe(2);
});

test('keys of [exe] are options with underscores, and flags are booleans', async () => {
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
  const { stderr, status } = await runHere(['exe', 'x.ini'], { cwd: temporaryDirectory({ 'x.ini': ini }) });
  expect(stderr).toContain(message);
  expect(status).toBe(2);
});

test('run by a web server, it ignores arguments, which come from the client', async () => {
  const ini = `[exe]\ncommand = request\nadd = /\n${APP}`;
  const { stdout, status } = await exe(ini, ['--method', 'DELETE'], { GATEWAY_INTERFACE: 'CGI/1.1' });
  expect(JSON.parse(stdout)).toMatchObject({ REQUEST_METHOD: 'GET' });
  expect(status).toBe(0);
});

test.each([{ GATEWAY_INTERFACE: 'CGI/1.1' }, { REQUEST_METHOD: 'GET' }])(
  'run by a web server that only sets %j, it ignores arguments',
  async (variables) => {
    const { status, stderr } = await exe(`[exe]\ncommand = request\nadd = /\n${APP}`, ['--no-such'], variables);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  },
);

const withNode22 = test.skipIf(requireTool('node 22') === undefined);

withNode22('run by a web server, arguments do not reach the Node of a child either', async () => {
  const directory = temporaryDirectory({ 'x.ini': `[exe]\ncommand = check\n${APP}` });
  const code = `data:text/javascript,import('node:fs').then(fs=>fs.writeFileSync('${directory}/taken',''))`;
  writeFileSync(join(directory, 'trap.json'), JSON.stringify({ nodeOptions: { import: [code] } }));
  const node = requireTool('node 22') ?? '';
  const bin = binDirectory(node);
  // Node runs this code if it gets the option itself.
  execFileSync(node, ['--experimental-config-file=trap.json', '-e', '0'], { cwd: directory, stdio: 'ignore' });
  expect(existsSync(join(directory, 'taken'))).toBe(true);
  rmSync(join(directory, 'taken'));
  const args = ['exe', 'x.ini', '--experimental-config-file', 'trap.json'];
  const env = { GATEWAY_INTERFACE: 'CGI/1.1', PATH: `${bin}:${process.env['PATH']}` };
  const { stdout, status } = await new Program(join(bin, 'paster'), args, { cwd: directory, env }).finished();
  expect({ stdout, status }).toEqual({ stdout: 'x.ini: ok\n', status: 0 });
  expect(existsSync(join(directory, 'taken'))).toBe(false);
});

test.each([
  ['--log-file+out.log', ['--log-file', 'out.log'], true],
  ['x%3By', ['x\\;y'], true],
  ['name%3Dvalue', ['name=value'], true],
  ['--log-file=out.log', ['--log-file', 'out.log'], false],
  ['', ['--log-file', 'out.log'], false],
])(
  'run by a web server with the query %j, another command refuses the arguments %j: %j',
  async (query, args, refused) => {
    const cwd = temporaryDirectory({ 'x.ini': '[app:main]\nuse = npm:paster#test\n' });
    const env = { GATEWAY_INTERFACE: 'CGI/1.1', REQUEST_METHOD: 'GET', QUERY_STRING: query };
    const { stderr, stdout } = await paster(['serve', '-s', 'cgi', 'x.ini', ...args], { cwd, env }).finished();
    expect(stderr.includes('the command line of this CGI program ends with the query of a request')).toBe(refused);
    expect(stdout === '').toBe(refused);
  },
);

test('run by a web server, serve responds by CGI', async () => {
  const { stdout, stderr, status } = await exe('[app:main]\nuse = npm:paster#test\nformat = json\n', ['client'], {
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
  expect(body).not.toContain('PASTER_');
  expect(status).toBe(0);
});
