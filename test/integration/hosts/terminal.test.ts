/** What a developer sees at a terminal: the output of `serve` next to what scripts read. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import {
  eventually,
  freePort,
  isAlive,
  needProgram,
  Program,
  paster,
  ROOT,
  serve,
} from '../../helpers/programs/program.ts';
import { atTerminal, shown } from '../../helpers/programs/terminal.ts';

const APP = `export default (req, res) => {
  res.end('hello');
};
`;

const INI =
  '[DEFAULT]\ndebug = true\n[app:main]\nuse = module:./app.js\n[server:main]\nuse = npm:paster#http\nport = 0\n';

function project(app = APP, ini = INI): string {
  return temporaryDirectory({ 'app.js': app, 'package.json': '{"type": "module"}', 'x.ini': ini });
}

/** The INI file with translogger and these settings. */
const logged = (settings: string) =>
  `${INI.replace('[server', 'filter-with = log\n[server')}[filter:log]\nuse = npm:paster#translogger\n${settings}\n`;

const urlOf = async (program: Program) => (await program.says(/Local:.*?(http:[\w.:/]+)/))[1] ?? '';

test('one process in development shows addresses, file and mode, in colours, and nothing for scripts', async () => {
  const app = APP.replace('res.end(', "if (req.url === '/die') setImmediate(() => none.such());\n  res.end(");
  const cwd = project(app, logged('format = %%(status)s of my own'));
  const program = atTerminal(['serve', 'x.ini'], { cwd, env: { NO_COLOR: '' } });
  await program.says(/Mode/);
  await eventually(() => program.output.includes('to stop'));
  expect(shown(program.output)).toMatch(
    /^\n {2}paster \S+ {2}ready in [\d.]+ m?s\n\n {2}➜ {2}Local: +http:\/\/127\.0\.0\.1:\d+\n {2}➜ {2}Network: +use --host 0\.0\.0\.0 to expose\n {2}➜ {2}Config: +x\.ini\n {2}➜ {2}Mode: +development · PID \d+\n {2}➜ {2}press /,
  );
  expect(program.output).toContain('\x1b[32m');
  expect(program.output).not.toContain('Starting server');
  // The INI file's own format is used, and each request has one line.
  await fetch(`${await urlOf(program)}/own`);
  await program.says(/200 of my own/);
  expect(program.output).not.toContain('GET /own');

  await fetch(`${await urlOf(program)}/die`).catch(() => {});
  expect((await program.finished()).status).toBe(1);
  const end = shown(program.output).split('paster: error: ')[1];
  expect(end).toMatch(
    /^process \d+ ended with status 1\n(?:200 .*\n)?\d\d:\d\d:\d\d ReferenceError: none is not defined\n\n.*\n {2}> 2 \| /,
  );
});

test('workers in development show requests in their own lines instead of those of translogger, reloads and errors', async () => {
  const args = ['serve', 'x.ini', '--reload', '-w', '2'];
  const cwd = project(APP, logged(''));
  const program = atTerminal(args, { cwd });
  const url = await urlOf(program);
  await Promise.all(
    [1, 2, 3, 4].map((each) => fetch(`${url}/${each}?token=abcdefgh`, { headers: { connection: 'close' } })),
  );
  await eventually(
    () => shown(program.output).match(/^\d\d:\d\d:\d\d GET \/\d\?token=\*+ 200 [\d.]+ m?s$/gm)?.length === 4,
  );
  expect(program.output).not.toContain('HTTP/1.1');

  writeFileSync(
    join(cwd, 'app.js'),
    `export default () => {\n\tthrow new TypeError('no \x1b[2J cart', { cause: 1 });\n};\n`,
  );
  await program.says(/^\d\d:\d\d:\d\d app\.js changed, reloaded in [\d.]+ m?s\r$/m);
  // A keep-alive connection may still lead to the old version.
  await eventually(async () => (await fetch(`${url}/cart`)).status === 500);
  await program.says(/caused by 1/);
  expect(shown(program.output)).toMatch(
    new RegExp(
      [
        '^\\d\\d:\\d\\d:\\d\\d GET /cart failed',
        'TypeError: no \\\\x1b\\[2J cart',
        '',
        '    1 \\| export default \\(\\) => {',
        "  > 2 \\|   throw new TypeError\\('no \\\\x1b\\[2J cart', { cause: 1 }\\);",
        '      \\|         \\^',
        '    3 \\| };',
        '',
        '    at (?:.* \\()?app\\.js:2:8\\)?',
        '    … \\d frames of Node, paster and packages \\(-v shows them\\)',
        'caused by 1$',
      ].join('\\n'),
      'm',
    ),
  );
  const dying = 'export default (req, res) => {\n  res.end();\n  setImmediate(() => none.such());\n};\n';
  writeFileSync(join(cwd, 'app.js'), dying);
  const statusOf = async () => (await fetch(url, { headers: { connection: 'close' } }).catch(() => undefined))?.status;
  await eventually(async () => (await statusOf()) === 200);
  await program.says(/^paster: error: worker \d+ ended with status \d+\r$/m);
  await program.says(/ ReferenceError: none is not defined\r$/m);
  await program.says(/> 3 \| {3}setImmediate\(\(\) => none\.such/);
  writeFileSync(join(cwd, 'app.js'), 'export default (req, res => {};\n');
  await program.says(/ app\.js:1:\d+: \[app:main\] SyntaxError: .*\s+> 1 \| export default/);
});

test.each([
  ['with workers', ['--reload']],
  ['one process', []],
])('HUP ends the server only if its terminal is closed, %s', async (_how, args) => {
  const cwd = project();
  const program = atTerminal(['serve', 'x.ini', ...args], { cwd });
  const url = await urlOf(program);
  const pid = Number((await program.says(/PID (\d+)/))[1]);
  process.kill(pid, 'SIGHUP');
  await program.says(
    args.length > 0 ? /configuration and code reloaded in/ : /HUP: a server without workers cannot reload/,
  );
  expect((await fetch(url)).status).toBe(200);
  await program.kill('SIGKILL');
  await eventually(() => !isAlive(pid));
});

test('keys and Enter work after a start in the background, which reads nothing and is not stopped', async () => {
  const script = needProgram('script');
  const cwd = project(APP, INI.replace('port = 0', `port = ${await freePort()}`));
  // Without line editing, which would draw the prompt repeatedly.
  const shell = new Program(script, ['-qefc', 'bash --norc --noprofile --noediting -i', '/dev/null'], {
    cwd,
    typing: true,
    // In CI there are no keys.
    env: { TERM: 'xterm', PS1: '$ ', CI: '' },
  });
  const command = `${process.execPath} ${join(ROOT, 'bin/paster.js')} serve x.ini --reload`;
  shell.type(`${command} &\r`);
  await shell.says(/press h \+ enter/);
  const url = await urlOf(shell);
  shell.type('echo typed-$((1 + 1))\r');
  await shell.says(/^typed-2/m);
  expect((await fetch(url)).status).toBe(200);
  shell.type('jobs\r');
  await shell.says(/Running .*serve x\.ini/);

  shell.type('fg\r');
  // The server checks once a second whether the terminal is its own.
  const asking = setInterval(() => shell.type('h\r'), 500);
  await shell.says(/press q \+ enter to stop/).finally(() => clearInterval(asking));
  shell.type('r\r');
  await shell.says(/^\d\d:\d\d:\d\d configuration and code reloaded in [\d.]+ m?s\r$/m);
  const { length } = shell.output;
  shell.type('u\r');
  await eventually(() => shell.output.slice(length).includes(`Local:   ${url}`));
  const before = shell.output.length;
  shell.type('q\r');
  // The prompt of the shell.
  await eventually(() => /[#$] $/.test(shell.output.slice(before)));
  shell.type('echo ended-$?; exit 7\r');
  await shell.says(/^ended-0/m);
  expect((await shell.finished()).status).toBe(7);
});

test('production with workers on a socket has no colours', async () => {
  const ini = INI.replace('debug = true', 'debug = false').replace('port = 0', 'socket = %(here)s/./a.sock');
  const cwd = project(APP, ini);
  const program = atTerminal(['serve', 'x.ini', '-w', '2'], { cwd, env: { FORCE_COLOR: '1' } });
  await program.says(/paster status x\.ini shows its processes/);
  expect(program.output).toContain(`  ➜  Socket:  http://unix:${cwd}/a.sock\r\n`);
  expect(program.output).toMatch(/Mode: +production · 2 workers · PID \d+\r\n/);
  expect(program.output).not.toContain('\x1b');
});

test('output to a pipe has the two lines for scripts and no colour', async () => {
  const cwd = project(APP, logged(''));
  const program = await serve(['x.ini', '--reload'], { cwd, env: { NO_COLOR: '', FORCE_COLOR: '1' } });
  await fetch(program.url);
  const { stdout, stderr } = await program.kill('SIGTERM');
  expect(stdout).toBe(`Starting server in PID ${program.pid}.\nserving on ${program.url}\n`);
  expect(stderr).toMatch(/^\S+ - - \[.*\] "GET \/ HTTP\/1.1" 200 5 "-" "\w+"\n$/);
});

test('errors of commands show the lines of the INI file, and nothing more in a pipe', async () => {
  const cwd = project(APP, INI.replace('port', 'prot'));
  const frame = '\n\n    5 | [server:main]\n    6 | use = npm:paster#http\n  > 7 | prot = 0\n      | ^\n\n';
  const line = 'x.ini:7:1: [server:main] unknown setting "prot" (did you mean "port"?)';
  const [checked, served, piped, forced] = await Promise.all([
    atTerminal(['check', 'x.ini'], { cwd }).finished(),
    atTerminal(['serve', 'x.ini'], { cwd, env: { NO_COLOR: '' } }).finished(),
    paster(['check', 'x.ini'], { cwd, env: { NO_COLOR: '' } }).finished(),
    paster(['check', 'x.ini'], { cwd, env: { NO_COLOR: '', FORCE_COLOR: '1' } }).finished(),
  ]);
  const code = '  PASTER_SETTING: docs/error-codes.md#paster_setting\n';
  expect(shown(checked.stdout)).toBe(`${line}${frame}${code}`);
  expect(shown(served.stdout)).toBe(`paster: ${line}${frame}${code}`);
  expect(served.stdout).toContain('\x1b[31m');
  expect([checked.status, served.status]).toEqual([2, 2]);
  expect(piped.stdout).toBe(`${line}\n`);
  expect(forced.stdout).toContain('\x1b[36mx.ini:7:1');
  expect(shown(forced.stdout)).toBe(`${line}\n`);
});
