/** What other users can do to a server that root has started, in directories that they can write to: nothing. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import {
  eventually,
  getOver,
  Program,
  paster,
  ROOT,
  requireProgram,
  requireRoot,
} from '../../helpers/programs/program.ts';
import { NOBODY, swapFiles } from '../../helpers/programs/swapper.ts';

const STRACE = requireProgram('strace');
const PASTER = join(ROOT, 'bin/paster.js');
const APP = "export default (req, res) => res.end('hello from ' + process.getuid());\n";

interface Place {
  readonly cwd: string;
  /** A directory of the user nobody. */
  readonly home: string;
  readonly run: string;
}

function place(server = ''): Place {
  const cwd = temporaryDirectory({
    'app.js': APP,
    'package.json': '{"type": "module"}',
    'x.ini': `[app:main]\nuse = module:./app.js\n[server:main]\nuse = npm:paster#http\nsocket = %(here)s/home/run/app.sock\n${server}\n`,
  });
  chmodSync(cwd, 0o755);
  const home = join(cwd, 'home');
  const run = join(home, 'run');
  for (const each of [home, run]) {
    mkdirSync(each);
    chownSync(each, NOBODY, NOBODY);
  }
  return { cwd, home, run };
}

/** A process of root that has nothing to do with paster. */
function bystander(): ChildProcess {
  const child = spawn('sleep', ['600'], { stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

function isAlive({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null;
}

/** The content of a pid file at `path` that names this process. */
function pidFileText(pid: number, path: string): string {
  // Field 22 is the time when the process started (proc(5)).
  const start = readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[21];
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return `${pid}\n${start} ${boot}\n1\n${JSON.stringify(path)}\n`;
}

describe.runIf(requireRoot())('sockets', () => {
  test.skipIf(!STRACE).each([
    ['one process', [], ''],
    ['workers', ['-w', '1'], ''],
    ['reload', ['--reload'], ''],
    ['a monitor', ['--monitor-restart'], ''],
    ['another group', ['-w', '1'], 'socket_group = daemon\nmode = 600'],
    ['another owner', [], 'socket_owner = daemon'],
    ['a umask', [], 'umask = 117'],
  ])('change owner and mode by descriptor, not by path: %s', async (_what, mode, server) => {
    const { cwd, run } = place(server);
    // The directory gives its own group to new sockets, so that it has to be changed.
    chownSync(run, server.includes('owner') ? 1 : NOBODY, 2);
    chmodSync(run, 0o2755);
    const trace = join(cwd, 'trace');
    const calls = 'trace=chmod,fchmodat,chown,lchown,fchownat';
    const command = [process.execPath, PASTER, 'serve', 'x.ini', '--user', 'nobody', ...mode];
    const program = new Program(STRACE ?? '', ['-D', '-f', '-qq', '-o', trace, '-e', calls, '--', ...command], { cwd });
    await program.says(/^serving on /m);
    const { uid } = statSync(join(run, 'app.sock'));
    expect(uid).toBe(server.includes('owner') ? 1 : NOBODY);
    if (mode.includes('-w')) {
      const ini = readFileSync(join(cwd, 'x.ini'), 'utf8');
      writeFileSync(join(cwd, 'x.ini'), ini.replace('app.sock', 'other.sock'));
      program.child.kill('SIGHUP');
      await eventually(() => existsSync(join(run, 'other.sock')) && !existsSync(join(run, 'app.sock')));
    }
    expect((await program.kill('SIGTERM')).status).toBe(0);
    const lines = readFileSync(trace, 'utf8').split('\n');
    expect(lines.filter((line) => line.includes('"/proc/self/fd/'))).not.toEqual([]);
    expect(lines.filter((line) => line.includes('("') && !line.includes('("/proc/self/fd/'))).toEqual([]);
    expect(lines.filter((line) => line.includes(', "') && !line.includes(', "/proc/self/fd/'))).toEqual([]);
  });

  test.each([
    ['socket_group = daemon', { uid: NOBODY, gid: 1, mode: 0o660 }, 0o755],
    ['socket_group = daemon\nmode = 600', { uid: NOBODY, gid: 1, mode: 0o600 }, 0o2755],
    ['umask = 111', { uid: NOBODY, gid: NOBODY, mode: 0o666 }, 0o2755],
  ])('have the owner and mode of %j, even in a setgid directory', async (server, expected, bits) => {
    for (const mode of [[], ['-w', '1']]) {
      const { cwd, run } = place(server);
      chownSync(run, NOBODY, 2);
      chmodSync(run, bits);
      const program = paster(['serve', 'x.ini', '--user', 'nobody', ...mode], { cwd });
      await program.says(/^serving on /m);
      const { uid, gid, mode: found } = statSync(join(run, 'app.sock'));
      expect({ uid, gid, mode: found & 0o777 }).toEqual(expected);
      expect(await getOver(join(run, 'app.sock'))).toBe(`hello from ${NOBODY}`);
      expect(await program.kill('SIGTERM')).toMatchObject({ status: 0, stderr: '' });
      expect(readdirSync(run)).toEqual([]);
    }
  });

  test('are refused in a directory of a third user', async () => {
    const { cwd, run } = place();
    chownSync(run, 1, 1);
    const finished = await paster(['serve', 'x.ini', '--user', 'nobody'], { cwd }).finished();
    expect(finished.status).toBe(1);
    expect(finished.stderr).toContain(`user nobody may not create ${run}/app.sock (chown nobody ${run}, or`);
  });

  test('leave a directory alone to which another user’s link leads', async () => {
    for (const args of [[], ['--user', 'nobody']]) {
      const { cwd, home } = place();
      const other = join(cwd, 'other');
      mkdirSync(other);
      writeFileSync(join(cwd, 'x.ini'), readFileSync(join(cwd, 'x.ini'), 'utf8').replace('home/run', 'home/link'));
      symlinkSync(other, join(home, 'link'));
      const finished = await paster(['serve', 'x.ini', ...args], { cwd }).finished();
      expect(finished.status).toBe(1);
      expect(finished.stderr).toMatch(
        /root does not create .*home\/link\/app\.sock: another user controls|may not create/,
      );
      expect(readdirSync(other)).toEqual([]);
    }
  });
});

describe.runIf(requireRoot())('while files are swapped', () => {
  test.each([[[]], [['-w', '1']]])('starting and stopping changes no file of root: %j', async (mode) => {
    const swapped = await swapFiles();
    onTestFinished(() => swapped.stop());
    const { cwd } = place();
    const ini = readFileSync(join(cwd, 'x.ini'), 'utf8').replace('%(here)s/home/run', swapped.directory);
    writeFileSync(join(cwd, 'x.ini'), ini);
    for (let start = 0; start < 6; start++) {
      const args = ['serve', 'x.ini', '--user', 'nobody', '--pid-file', join(swapped.directory, 'paster.pid'), ...mode];
      const program = paster(args, { cwd });
      await program.says(/^serving on |paster: /m).catch(() => {});
      await program.kill('SIGTERM');
      expect(swapped.harm()).toEqual([]);
    }
  });
});

describe.runIf(requireRoot())('pid files', () => {
  const commands = [
    ['stop', (file: string) => ['serve', 'x.ini', 'stop', '--pid-file', file]],
    ['--stop-daemon', (file: string) => ['serve', '--stop-daemon', '--pid-file', file]],
    ['status', (file: string) => ['serve', 'x.ini', 'status', '--pid-file', file]],
    ['restart', (file: string) => ['serve', 'x.ini', 'restart', '--pid-file', file]],
  ] as const;

  test.each(commands)(
    'that are links to the arguments of a set-uid program are not trusted: %s',
    async (_name, command) => {
      const { cwd, run } = place();
      const victim = bystander();
      const file = join(run, 'paster.pid');
      // `su` waits for a password. /proc shows its arguments, which nobody has chosen, in a file of root.
      const su = spawn('/usr/bin/su', ['-c', 'true'], {
        argv0: pidFileText(victim.pid ?? 0, file),
        uid: NOBODY,
        gid: NOBODY,
        stdio: ['pipe', 'ignore', 'ignore'],
      });
      onTestFinished(() => void su.kill('SIGKILL'));
      await eventually(() => statSync(`/proc/${su.pid}/cmdline`).uid === 0 && /^\d+\n/.test(readCommand(su)));
      symlinkSync(`/proc/${su.pid}/cmdline`, file);
      const finished = await paster(command(file), { cwd }).finished();
      expect(isAlive(su)).toBe(true);
      expect(isAlive(victim)).toBe(true);
      expect(finished).toMatchObject({ status: 1, stderr: expect.stringContaining('it is a symbolic link') });
      expect(lstatSync(file).isSymbolicLink()).toBe(true);
    },
  );

  function readCommand({ pid }: ChildProcess): string {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  }

  test.each(commands)('that are FIFOs do not block: %s', async (_name, command) => {
    const { cwd, run } = place();
    const file = join(run, 'paster.pid');
    await once(spawn('mkfifo', [file]), 'exit');
    const finished = await paster(command(file), { cwd }).finished();
    expect(finished).toMatchObject({ status: 1, stderr: expect.stringContaining('it is not a regular file') });
  });

  test.each([
    ['of another user', (file: string) => chownSync(file, NOBODY, NOBODY)],
    ['that others may write to', (file: string) => chmodSync(file, 0o666)],
  ])('%s are not trusted', async (_what, change) => {
    const { cwd, run } = place();
    const victim = bystander();
    const file = join(run, 'paster.pid');
    writeFileSync(file, pidFileText(victim.pid ?? 0, file), { mode: 0o644 });
    change(file);
    expect(await paster(['serve', 'x.ini', 'stop', '--pid-file', file], { cwd }).finished()).toMatchObject({
      status: 1,
    });
    expect(isAlive(victim)).toBe(true);
  });

  test('of another server are not trusted, by a link to its directory, moved, or by a hard link', async () => {
    const { cwd, home, run } = place();
    const victim = bystander();
    const other = join(cwd, 'other');
    mkdirSync(other);
    const theirs = join(other, 'paster.pid');
    writeFileSync(theirs, pidFileText(victim.pid ?? 0, theirs));
    symlinkSync(other, join(home, 'link'));
    writeFileSync(join(run, 'paster.pid'), pidFileText(victim.pid ?? 0, theirs));
    for (const file of [join(home, 'link/paster.pid'), join(run, 'paster.pid')]) {
      const stopped = await paster(['serve', 'x.ini', 'stop', '--pid-file', file], { cwd }).finished();
      expect(stopped).toMatchObject({ status: 1, stderr: expect.stringContaining(`it was written for "${theirs}"`) });
    }
    expect(isAlive(victim)).toBe(true);
    expect(existsSync(theirs)).toBe(true);
  });

  test('are not written to a directory to which another user’s link leads', async () => {
    const { cwd, home } = place();
    const other = join(cwd, 'other');
    mkdirSync(other);
    symlinkSync(other, join(home, 'link'));
    const args = ['serve', 'x.ini', '--user', 'nobody', '--pid-file', join(home, 'link/paster.pid')];
    const finished = await paster(args, { cwd }).finished();
    expect(finished.status).toBe(1);
    expect(finished.stderr).toContain(`another user controls ${home} and can make the path lead elsewhere`);
    expect(readdirSync(other)).toEqual([]);
  });

  test.each([[[]], [['-w', '1']]])('work in a directory of the user: %j', async (mode) => {
    const { cwd, run } = place();
    const common = ['--pid-file', join(run, 'paster.pid')];
    const args = ['--user', 'nobody', ...mode, ...common];
    const start = await paster(['serve', 'x.ini', 'start', ...args], { cwd }).finished();
    expect(start).toMatchObject({ status: 0 });
    const status = await paster(['serve', 'x.ini', 'status', ...common], { cwd }).finished();
    expect(status).toMatchObject({ status: 0, stdout: expect.stringContaining('Server running') });
    expect(await paster(['serve', 'x.ini', 'restart', ...args], { cwd }).finished()).toMatchObject({ status: 0 });
    expect(await getOver(join(run, 'app.sock'))).toBe(`hello from ${NOBODY}`);
    expect(await paster(['serve', 'x.ini', 'stop', ...common], { cwd }).finished()).toMatchObject({ status: 0 });
    expect(readdirSync(run)).toEqual([]);
  });
});
