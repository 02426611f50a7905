/** What the user of a server can do to the log files that root opens for it: nothing that the user could not do alone. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, paster, ROOT, requireRoot, serve } from '../../helpers/programs/program.ts';

const NOBODY = 65_534;
const SECRET = 'root:secret\n';
const PASTER = join(ROOT, 'bin/paster.js');

interface Layout {
  readonly handler?: string;
  readonly file?: string;
  readonly args?: string;
}

/** A project of root whose `var` belongs to the user nobody; `safe` has a file that only root can read. */
function project({ handler = 'FileHandler', file = 'var/log/app.log', args = '"a"' }: Layout = {}): string {
  const directory = temporaryDirectory({
    'app.js': 'export default (req, res) => res.end(String(process.pid));\n',
    'package.json': '{"type": "module"}',
    'x.ini': `[app:main]
use = module:./app.js
[server:main]
use = npm:paster#http
port = 0
workers = 1
[loggers]
keys = root
[handlers]
keys = file
[formatters]
keys = plain
[logger_root]
level = INFO
handlers = file
[handler_file]
class = ${handler}
formatter = plain
args = ("%(here)s/${file}", ${args})
[formatter_plain]
format = %(message)s
`,
    'safe/shadow': SECRET,
    'safe/app.log': SECRET,
    'var/log/.keep': '',
    'logs/.keep': '',
  });
  for (const path of ['', 'safe', 'logs', 'var', 'var/log']) chmodSync(join(directory, path), 0o755);
  for (const path of ['safe/shadow', 'safe/app.log']) chmodSync(join(directory, path), 0o600);
  for (const path of ['var', 'var/log']) chownSync(join(directory, path), NOBODY, NOBODY);
  return directory;
}

function asNobody(cwd: string, script: string): void {
  execFileSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', 'sh', '-euc', script], { cwd });
}

/** Everything below `safe`: names, owners, modes and contents. */
function safeState(cwd: string): unknown[] {
  return readdirSync(join(cwd, 'safe'))
    .sort()
    .map((name) => {
      const path = join(cwd, 'safe', name);
      const { uid, gid, mode } = lstatSync(path);
      return [name, uid, gid, mode, readFileSync(path, 'utf8')];
    });
}

const text = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8') : '');

describe.runIf(requireRoot())('root, with --user nobody', () => {
  const attacks: readonly (readonly [string, string])[] = [
    ['a symbolic link', 'mv var/log/app.log var/log/old; ln -s ../../safe/shadow var/log/app.log'],
    ['a dangling symbolic link', 'rm var/log/app.log; ln -s ../../safe/new var/log/app.log'],
    ['a FIFO', 'rm var/log/app.log; mkfifo var/log/app.log'],
    ['a directory that has become a link', 'mv var/log var/old; ln -s ../safe var/log'],
    ['a directory', 'rm var/log/app.log; mkdir var/log/app.log'],
  ];
  const occasions = ['a worker is killed', 'USR1', 'HUP'] as const;

  test.each(attacks.flatMap(([what, script]) => occasions.map((occasion) => [what, occasion, script] as const)))(
    '%s as a log file, when %s, changes no file of root and does not block',
    async (_what, occasion, script) => {
      const cwd = project({ handler: 'handlers.WatchedFileHandler' });
      const program = await serve(['x.ini', '--user', 'nobody'], { cwd });
      const before = safeState(cwd);
      const worker = Number(await (await fetch(program.url)).text());
      asNobody(cwd, script);
      if (occasion === 'a worker is killed') process.kill(worker, 'SIGKILL');
      else program.child.kill(occasion === 'USR1' ? 'SIGUSR1' : 'SIGHUP');
      // The message is written to the file that is still open.
      await program.says(/cannot (?:write|rotate) the log file/);
      expect(safeState(cwd)).toEqual(before);
      expect((await program.kill('SIGTERM')).status).toBe(0);
      expect(safeState(cwd)).toEqual(before);
    },
  );

  test('a hard link to a file of root stays root’s', async () => {
    const cwd = project({ handler: 'handlers.WatchedFileHandler' });
    const program = await serve(['x.ini', '--user', 'nobody'], { cwd });
    const before = safeState(cwd);
    const worker = Number(await (await fetch(program.url)).text());
    // A system may let a user make such a link (fs.protected_hardlinks = 0).
    execFileSync('ln', ['-f', 'safe/shadow', 'var/log/app.log'], { cwd });
    process.kill(worker, 'SIGKILL');
    await program.says(/cannot rotate the log file/);
    expect((await program.kill('SIGTERM')).status).toBe(0);
    expect(safeState(cwd)).toEqual(before);
  });

  test.each([
    ['a FIFO', 'mkfifo var/log/app.log.lock'],
    ['a symbolic link', 'ln -s ../../safe/shadow var/log/app.log.lock; touch -h -d yesterday var/log/app.log.lock'],
  ])('%s as the lock of a rotation changes no file of root and does not block', async (_what, script) => {
    const cwd = project({ handler: 'handlers.RotatingFileHandler', args: '"a", 60, 3' });
    const program = await serve(['x.ini', '--user', 'nobody'], { cwd });
    const before = safeState(cwd);
    asNobody(cwd, script);
    for (let killed = 0; killed < 3; killed++) {
      const worker = Number(await (await fetch(program.url)).text());
      process.kill(worker, 'SIGKILL');
      const files = (): string[] =>
        readdirSync(join(cwd, 'var/log')).filter((name) => /^app\.log(?:\.\d)?$/.test(name));
      await eventually(() => files().some((name) => text(join(cwd, 'var/log', name)).includes(`worker ${worker}`)));
      await eventually(async () => Number(await (await fetch(program.url)).text()) !== worker);
    }
    expect((await program.kill('SIGTERM')).status).toBe(0);
    expect(safeState(cwd)).toEqual(before);
  });

  test.each([
    ['', ['--user', 'nobody']],
    [', nor does one without --user', []],
  ])('a rotation moves no file of root%s', async (_what, options) => {
    const cwd = project({ handler: 'handlers.RotatingFileHandler', args: '"a", 10, 3' });
    const program = await serve(['x.ini', ...options], { cwd });
    const before = safeState(cwd);
    const worker = Number(await (await fetch(program.url)).text());
    // The very file that is open, in a directory that only root can change.
    renameSync(join(cwd, 'var/log/app.log'), join(cwd, 'logs/app.log'));
    asNobody(cwd, 'mv var/log var/old; ln -s ../logs var/log');
    process.kill(worker, 'SIGKILL');
    // An empty file is not rotated, so the second line triggers the rotation.
    const next = await eventually(async () => {
      const pid = Number(await (await fetch(program.url)).text());
      return pid !== worker && pid;
    });
    process.kill(next, 'SIGKILL');
    await program.says(/cannot rotate the log file .*EACCES/);
    expect((await program.kill('SIGTERM')).status).toBe(0);
    expect(safeState(cwd)).toEqual(before);
    expect(readdirSync(join(cwd, 'logs')).sort()).toEqual(['.keep', 'app.log']);
  });

  test.each([
    ['a symbolic link', 'ln -s ../../safe/shadow var/log/app.log', /ELOOP/],
    ['a FIFO', 'mkfifo var/log/app.log', /ENXIO/],
    ['a FIFO with a reader', 'mkfifo var/log/app.log; sleep 20 <>var/log/app.log >&0 2>&0 &', /not a regular file/],
  ])('%s at the path of the log file prevents the server from starting', async (_what, script, reason) => {
    const cwd = project({ args: '"w"' });
    const before = safeState(cwd);
    asNobody(cwd, script);
    for (const mode of [['--log-file', 'var/log/app.log'], []]) {
      const finished = await paster(['serve', 'x.ini', '--user', 'nobody', ...mode], { cwd }).finished();
      expect(finished).toMatchObject({ status: 1, stderr: expect.stringMatching(reason) });
      expect(finished.stderr).toMatch(/cannot write the log file/);
    }
    expect(safeState(cwd)).toEqual(before);
  });

  test('--log-file follows no link in a directory of the user', async () => {
    const cwd = project();
    const program = paster(['serve', 'x.ini', '--user', 'nobody', '--log-file', 'var/own.log'], { cwd });
    await eventually(() => text(join(cwd, 'var/own.log')).includes('serving on'));
    expect(statSync(join(cwd, 'var/own.log')).uid).toBe(NOBODY);
    const before = safeState(cwd);
    asNobody(cwd, 'mv var/own.log var/old.log; ln -s ../safe/shadow var/own.log');
    program.child.kill('SIGUSR1');
    await eventually(() => text(join(cwd, 'var/log/app.log')).includes('cannot write the log file'));
    expect((await program.kill('SIGTERM')).status).toBe(0);
    expect(safeState(cwd)).toEqual(before);
  });

  test('in a directory that only root can change, root creates the file and gives it to the user, again after a rename', async () => {
    const cwd = project({ file: 'logs/app.log' });
    const program = await serve(['x.ini', '--user', 'nobody'], { cwd });
    const file = join(cwd, 'logs/app.log');
    expect(statSync(file)).toMatchObject({ uid: NOBODY, gid: NOBODY });
    expect(statSync(file).mode & 0o777).toBe(0o640);
    renameSync(file, `${file}.1`);
    program.child.kill('SIGUSR1');
    await eventually(() => existsSync(file));
    expect(statSync(file).uid).toBe(NOBODY);
    const worker = Number(await (await fetch(program.url)).text());
    process.kill(worker, 'SIGKILL');
    await eventually(() => text(file).includes(`worker ${worker}`));
    expect((await program.kill('SIGTERM')).status).toBe(0);
  });

  test('a file that root did not create keeps its owner', async () => {
    const cwd = project({ file: 'logs/app.log' });
    writeFileSync(join(cwd, 'logs/app.log'), 'older\n', { mode: 0o640 });
    const finished = await paster(['serve', 'x.ini', '--user', 'nobody'], { cwd }).finished();
    expect(finished).toMatchObject({ status: 1, stderr: expect.stringMatching(/logs\/app\.log: .*EACCES/) });
    expect(statSync(join(cwd, 'logs/app.log')).uid).toBe(0);
  });
});

describe.runIf(requireRoot())('root, without --user', () => {
  test.each([
    ['a symbolic link', 'ln -s ../../safe/shadow var/log/app.log'],
    ['a directory replaced by a link', 'rmdir var/log; ln -s ../safe var/log'],
  ])('%s in a directory of another user opens no file of root', async (_what, script) => {
    const cwd = project();
    const before = safeState(cwd);
    asNobody(cwd, `rm -f var/log/.keep; ${script}`);
    const finished = await paster(['serve', 'x.ini'], { cwd }).finished();
    expect(finished).toMatchObject({ status: 1, stderr: expect.stringMatching(/cannot write the log file/) });
    expect(safeState(cwd)).toEqual(before);
  });

  test.each([
    [
      'a file behind a directory',
      'ln -s var/log linked',
      'linked/app.log',
      'rm var/log/.keep; rmdir var/log; ln -s ../safe var/log',
    ],
    ['a file behind a link', 'ln -s var/log/own.log linked', 'linked', 'ln -s ../../safe/shadow var/log/own.log'],
    [
      'a file behind ".."',
      'ln -s var/log linked',
      'linked/../log/app.log',
      'mv var/log var/old; ln -s ../safe var/log',
    ],
  ])('%s in another user’s directory, reached by a link of root, is opened as that user', async (...layout) => {
    const [, link, file, script] = layout;
    const cwd = project();
    execFileSync('sh', ['-c', link], { cwd });
    asNobody(cwd, script);
    const before = safeState(cwd);
    const finished = await paster(['serve', 'x.ini', '--log-file', file], { cwd }).finished();
    expect(finished).toMatchObject({ status: 1, stderr: expect.stringMatching(/cannot write the log file/) });
    expect(safeState(cwd)).toEqual(before);
  });

  test('/dev/stdout is the open file, wherever it is', async () => {
    const cwd = project();
    asNobody(cwd, 'touch var/out');
    const script = `exec "${process.execPath}" "${PASTER}" serve x.ini --log-file /dev/stdout --pid-file x.pid >>var/out`;
    const shell = spawn('sh', ['-c', script], { cwd, stdio: 'ignore' });
    onTestFinished(() => void shell.kill('SIGKILL'));
    await eventually(() => text(join(cwd, 'var/out')).includes('serving on'));
    shell.kill('SIGTERM');
    await once(shell, 'exit');
  });

  test('root may use devices and links that only root can change', async () => {
    const cwd = project();
    execFileSync('ln', ['-s', '/dev/null', 'null.log'], { cwd });
    const program = await serve(['x.ini', '--user', 'nobody', '--pid-file', 'x.pid'], { cwd });
    expect((await program.kill('SIGTERM')).status).toBe(0);
    const silent = paster(['serve', 'x.ini', '--user', 'nobody', '--log-file', 'null.log', '--pid-file', 'x.pid'], {
      cwd,
    });
    await eventually(() => existsSync(join(cwd, 'x.pid')));
    expect((await silent.kill('SIGTERM')).status).toBe(0);
  });
});

describe.runIf(requireRoot())('configuration that root reads in a directory of nobody', () => {
  const APP = 'export default (req, res) => res.end(process.env.ONE + " " + process.env.OTHER);\n';

  function configured(): string {
    const directory = temporaryDirectory({
      'app/app.js': APP,
      'app/package.json': '{"type": "module"}',
      'app/x.ini': '[app:main]\nuse = module:./app.js\n[server:main]\nuse = npm:paster#http\nport = 0\nworkers = 1\n',
      'app/.env': 'ONE=1\n',
      'safe/other.env': 'OTHER=secret\n',
    });
    chmodSync(directory, 0o755);
    chmodSync(join(directory, 'safe/other.env'), 0o600);
    for (const name of ['', 'x.ini', '.env']) chownSync(join(directory, 'app', name), NOBODY, NOBODY);
    return join(directory, 'app');
  }
  const ARGS = ['x.ini', '--user', 'nobody', '--dotenv', '.env'];

  test.each([
    ['variables by a link', 'ln -sf ../safe/other.env .env', /\.env: .*permission denied/i],
    ['variables by a FIFO', 'rm .env; mkfifo .env', /not a regular file/],
    ['the INI file by a link', 'ln -sf ../safe/other.env x.ini', /cannot read .*x\.ini/],
  ])('%s: no file of root is read, and nothing blocks', async (_what, script, message) => {
    const cwd = configured();
    const program = await serve(ARGS, { cwd });
    asNobody(cwd, script);
    program.child.kill('SIGHUP');
    await program.says(message);
    expect(program.stderr).not.toContain('secret');
    expect(await (await fetch(program.url)).text()).toBe('1 undefined');
    expect((await program.kill('SIGTERM')).status).toBe(0);
  });

  test('a file of root in it, readable only by root, is read', async () => {
    const cwd = configured();
    writeFileSync(join(cwd, '.env'), 'OTHER=roots\n');
    chownSync(join(cwd, '.env'), 0, 0);
    chmodSync(join(cwd, '.env'), 0o600);
    const program = await serve(ARGS, { cwd });
    expect(await (await fetch(program.url)).text()).toBe('undefined roots');
  });
});
