/** `paster create` as a user gets it: from the packed tarball, installed into an empty directory. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../helpers/directory.ts';
import { eventually, freePort, Program, paster, ROOT } from '../helpers/program.ts';

let home: string;

/** npm, without this repository's settings. */
function npm(args: readonly string[], cwd: string): string {
  return execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'paster-home-'));
  const [packed] = JSON.parse(npm(['pack', '--json', '--ignore-scripts', '--pack-destination', home], ROOT)) as {
    filename: string;
  }[];
  writeFileSync(join(home, 'package.json'), '{"private": true}');
  npm(['install', '--no-audit', '--no-fund', join(home, packed?.filename ?? '')], home);
  execFileSync('npx', ['--no-install', 'paster', 'create', 'myapp'], { cwd: home });
}, 120_000);

afterAll(() => rmSync(home, { recursive: true, force: true }));

function npx(args: readonly string[]): Program {
  return new Program('npx', ['--no-install', 'paster', ...args], { cwd: join(home, 'myapp') });
}

describe('the created project', () => {
  test('has what it needs', () => {
    const files = readdirSync(join(home, 'myapp'), { recursive: true }).map(String).sort();
    expect(files).toEqual(
      expect.arrayContaining([
        '.gitignore',
        'app.js',
        'etc/config.ini',
        'etc/develop.ini',
        'package.json',
        'var',
        'var/.gitkeep',
      ]),
    );
    expect(readFileSync(join(home, 'myapp/package.json'), 'utf8')).toContain('"name": "myapp"');
  });

  test('serves etc/develop.ini over HTTP at once, with --reload', async () => {
    const port = await freePort();
    const program = npx(['serve', 'etc/develop.ini', '--reload', `http_port=${port}`]);
    await program.says(/^serving on http:\/\/127\.0\.0\.1:\d+$/m);
    const url = `http://127.0.0.1:${port}/`;
    expect(await (await fetch(url)).text()).toBe('Hello from myapp\n');
    const ini = join(home, 'myapp/etc/develop.ini');
    const original = readFileSync(ini, 'utf8');
    writeFileSync(ini, original.replace('Hello from', 'Greetings from'));
    await eventually(async () => (await (await fetch(url)).text()) === 'Greetings from myapp\n');
    await endServe(program);
    writeFileSync(ini, original);
  });

  test('serves etc/config.ini over FastCGI at once', async () => {
    const program = npx(['serve', 'etc/config.ini']);
    await program.says(/^serving on fastcgi:\/\/unix:.*var\/fcgi-socket$/m);
    expect(existsSync(join(home, 'myapp/var/fcgi-socket'))).toBe(true);
    await endServe(program);
    expect(existsSync(join(home, 'myapp/var/fcgi-socket'))).toBe(false);
  });

  test('passes its own tests', () => {
    npm(['test'], join(home, 'myapp'));
  });
});

/** npx runs the command as a child: the one to stop is the one that said its PID. */
async function endServe(program: Program): Promise<void> {
  const [, pid] = await program.says(/^Starting server in PID (\d+)\.$/m);
  process.kill(Number(pid), 'SIGTERM');
  await program.finished();
}

describe('create', () => {
  test('keeps a file that differs, with status 1, and replaces it when told to', async () => {
    const directory = temporaryDirectory({ 'myapp/app.js': 'mine\n' });
    const kept = await paster(['create', 'myapp', '--no-interactive'], { cwd: directory }).finished();
    expect(kept.status).toBe(1);
    expect(kept.stdout).toContain('kept: myapp/app.js');
    expect(readFileSync(join(directory, 'myapp/app.js'), 'utf8')).toBe('mine\n');
    expect((await paster(['create', 'myapp', '-f'], { cwd: directory }).finished()).status).toBe(0);
    expect(readFileSync(join(directory, 'myapp/app.js'), 'utf8')).not.toBe('mine\n');
  });

  test('--simulate writes nothing', async () => {
    const directory = temporaryDirectory();
    const { status, stdout } = await paster(['create', '-n', 'myapp'], { cwd: directory }).finished();
    expect([status, readdirSync(directory)]).toEqual([0, []]);
    expect(stdout).toContain('would be created: myapp/etc/develop.ini');
  });

  test.each(['../up', '.', 'a/b', '/abs', 'UPPER case', 'node_modules', ''])('refuses the name "%s"', async (name) => {
    const directory = temporaryDirectory();
    const { status, stderr } = await paster(['create', name], { cwd: directory }).finished();
    expect(status).toBe(2);
    expect(stderr).toMatch(/^paster: create: .*name/);
    expect(readdirSync(directory)).toEqual([]);
  });

  test('the name is no variable', async () => {
    const directory = temporaryDirectory();
    const { status, stderr } = await paster(['create', 'x', 'name=../up'], { cwd: directory }).finished();
    expect([status, readdirSync(directory)]).toEqual([2, []]);
    expect(stderr).toContain('the name is the argument');
  });

  test('an unknown template names the known ones', async () => {
    const { status, stderr } = await paster(['create', '-t', 'basik', 'x'], { cwd: temporaryDirectory() }).finished();
    expect([status, stderr]).toEqual([2, 'paster: create: there is no template "basik" (did you mean "basic"?)\n']);
  });
});
