/** The packed package as npm and pnpm install it, and in a node_modules that its user can only read. */
import { chmodSync, chownSync, mkdirSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory, writeFiles } from '../../helpers/directory.ts';
import { ONLINE, pack, run } from '../../helpers/programs/installed.ts';
import { beforeSuite, whenOver } from '../../helpers/programs/lifetime.ts';
import { Program, requireProgram, requireTool } from '../../helpers/programs/program.ts';

/** The user nobody. Modes do not restrict root, so if root runs the tests, paster runs as this user. */
const NOBODY = 65534;
const isRoot = process.getuid?.() === 0;

interface Manager {
  readonly name: string;
  readonly program: string | undefined;
  readonly args: readonly string[];
}

const pnpm = requireTool('pnpm');
const MANAGERS: readonly Manager[] = [
  { name: 'npm', program: 'npm', args: ['install', '--prefer-offline', '--no-audit', '--no-fund'] },
  {
    name: 'pnpm',
    program: pnpm && process.execPath,
    // Copied, because files linked into the store would be shared with other installations.
    args: [pnpm ?? '', 'install', '--prefer-offline', '--package-import-method=copy', '--store-dir=../store'],
  },
];

describe.each(MANAGERS)('$name', ({ name, program, args }) => {
  const missing = program === undefined || (isRoot && requireProgram('setpriv') === undefined);
  let home: string;

  /** Runs the installed command as a user who owns the directory `work` and can only read the rest. */
  function paster(command: readonly string[], cwd: string): Program {
    const words = [join(home, 'node_modules/.bin/paster'), ...command];
    const [file = '', ...rest] = isRoot
      ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', ...words]
      : words;
    return new Program(file, rest, { cwd, env: { HOME: cwd } });
  }

  beforeSuite(async () => {
    if (missing) return;
    const around = temporaryDirectory();
    chmodSync(around, 0o755);
    home = join(around, 'home');
    mkdirSync(join(home, 'work'), { recursive: true });
    const dependencies = { paster: `file:./${basename(await pack(home))}` };
    writeFiles(home, { 'package.json': JSON.stringify({ private: true, dependencies }) });
    await run(program, args, { cwd: home, env: { CI: '', ...ONLINE } });
    if (isRoot) chownSync(join(home, 'work'), NOBODY, NOBODY);
    chmodSync(home, 0o555);
    for (const path of everything(join(home, 'node_modules'))) chmodSync(path, statSync(path).mode & 0o555);
    whenOver(() => {
      for (const path of [home, ...everything(join(home, 'node_modules'))]) chmodSync(path, 0o755);
    });
  }, 300_000);

  test.skipIf(missing)('has its own layout of node_modules', () => {
    const installed = realpathSync(join(home, 'node_modules/paster'));
    // pnpm puts each package next to its own dependencies, and links to it where it is needed.
    const expected =
      name === 'pnpm' ? /node_modules\/\.pnpm\/paster@[^/]+\/node_modules\/paster$/ : /node_modules\/paster$/;
    expect(installed).toMatch(expected);
    expect(statSync(join(installed, 'dist')).mode & 0o222).toBe(0);
  });

  test.skipIf(missing)('creates, checks and serves a project, without writing to the package', async () => {
    const work = join(home, 'work');
    const created = await paster(['create', 'shop'], work).finished();
    expect(created).toMatchObject({ status: 0, stderr: '' });
    // npm records the tarball from which paster was installed; pnpm does not.
    const tarball = name === 'npm' ? ' ../../paster-[\\d.]+\\.tgz' : '';
    expect(created.stdout).toMatch(new RegExp(`^Next: cd shop && npm install${tarball} && npx paster serve`, 'm'));
    const shop = join(work, 'shop');
    for (const file of ['etc/develop.ini', 'etc/config.ini']) {
      expect(await paster(['check', file], shop).finished()).toMatchObject({ status: 0, stdout: `${file}: ok\n` });
    }
    for (const options of [[], ['--workers', '2'], ['--reload']]) {
      const serving = paster(['serve', 'etc/develop.ini', '--port', '0', ...options], shop);
      const [, url] = await serving.says(/^serving on (http:\S+)$/m);
      expect(await (await fetch(`${url}/hello/Ada`)).json()).toEqual({ message: 'Hello, Ada' });
      expect((await serving.kill('SIGTERM')).status).toBe(0);
      expect(serving.stderr).not.toMatch(/EACCES|permission/i);
    }
  });

  test.skipIf(missing)('imports only declared dependencies', async () => {
    const { status, stderr } = await paster(['points'], join(home, 'work')).finished();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    // Parts that import a library, most of them lazily.
    const parts = {
      error_page: '',
      proxy_headers: 'trusted_proxies = 127.0.0.1',
      security_headers: '',
      gzip: '',
      cors: 'origins = *',
      session: 'secret = 0123456789abcdef0123456789abcdef',
      ratelimit: 'limit = 10',
      static: 'document_root = .',
    };
    const sections = Object.entries(parts).map(
      ([part, more]) => `[filter:${part}]\nuse = npm:paster#${part}\n${more}\n`,
    );
    writeFiles(join(home, 'work'), {
      'all.ini': `[pipeline:main]
pipeline = ${Object.keys(parts).join(' ')} app
[app:app]
use = npm:paster#test
${sections.join('')}`,
    });
    const asked = await paster(
      ['request', '--header', 'accept-encoding:gzip', 'all.ini', '/'],
      join(home, 'work'),
    ).finished();
    expect(asked).toMatchObject({ status: 0, stderr: '' });
  });
});

/** Files and directories below a directory, links left out. */
function everything(directory: string): string[] {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  return [
    directory,
    ...entries.filter((entry) => !entry.isSymbolicLink()).map((entry) => join(entry.parentPath, entry.name)),
  ];
}
