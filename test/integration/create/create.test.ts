/**
 * `paster create` from the packed tarball: each template in each language is served, changed and
 * tested. The projects are workspaces of one directory, so that a single `npm install` installs the dependencies of each
 * package.json, and the tarball for `paster`.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ONLINE, pack, run } from '../../helpers/programs/installed.ts';
import { beforeSuite, whenOver } from '../../helpers/programs/lifetime.ts';
import { eventually, freePort, Program } from '../../helpers/programs/program.ts';

const TEMPLATES = ['basic', 'express', 'koa', 'fastify', 'hono'];
const PROJECTS = TEMPLATES.flatMap((template) => ['js', 'ts'].map((language) => ({ template, language })));

let home: string;

beforeSuite(async () => {
  home = mkdtempSync(join(tmpdir(), 'paster-home-'));
  whenOver(() => rmSync(home, { recursive: true, force: true }));
  const dependencies = { paster: `file:./${basename(await pack(home))}` };
  const install = ['install', '--no-audit', '--no-fund', '--prefer-offline'];
  // paster is installed first and alone, as a user does before creating a project.
  writeFileSync(join(home, 'package.json'), JSON.stringify({ private: true, dependencies }));
  await run('npm', install, { cwd: home, env: ONLINE });
  mkdirSync(join(home, 'projects'));
  for (const { template, language } of PROJECTS) {
    const args = ['create', `${template}-${language}`, '-t', template, `language=${language}`, '-o', 'projects'];
    await run(join(home, 'node_modules/.bin/paster'), args, { cwd: home });
  }
  writeFileSync(
    join(home, 'package.json'),
    JSON.stringify({ private: true, workspaces: ['projects/*'], dependencies }),
  );
  await run('npm', install, { cwd: home, env: ONLINE });
}, 300_000);

describe.each(PROJECTS)('$template in $language', ({ template, language }) => {
  const name = `${template}-${language}`;
  const directory = (): string => join(home, 'projects', name);
  // npx starts more slowly than paster; the tests below use it.
  const paster = (args: readonly string[]): Program => {
    return new Program(join(home, 'node_modules/.bin/paster'), args, { cwd: directory() });
  };

  test('passes its own tests and type checks', async () => {
    const { stdout } = await run('npm', ['test'], { cwd: directory() });
    expect(stdout).toMatch(/^(?:#|ℹ) pass 8$/m);
    if (language === 'ts') await run('npm', ['run', 'types'], { cwd: directory() });
    expect(existsSync(join(directory(), 'tsconfig.json'))).toBe(language === 'ts');
  });

  test('passes paster check', async () => {
    for (const file of ['etc/develop.ini', 'etc/config.ini']) {
      expect(await paster(['check', file]).finished()).toMatchObject({ status: 0, stdout: `${file}: ok\n` });
    }
  });

  test('can be used by another INI file', async () => {
    writeFileSync(join(directory(), 'etc/other.ini'), '[app:main]\nuse = config:develop.ini\n');
    const { status, stdout } = await paster(['request', 'etc/other.ini', '/']).finished();
    expect([status, stdout.includes(name)]).toEqual([0, true]);
  });

  test('serves etc/develop.ini over HTTP with --reload', async () => {
    const port = await freePort();
    const program = paster(['serve', 'etc/develop.ini', '--reload', `http_port=${port}`]);
    await program.says(/^serving on http:\/\/127\.0\.0\.1:\d+$/m);
    const url = `http://127.0.0.1:${port}`;
    const page = await (await fetch(url)).text();
    expect(page).toContain(`<h1>Hello from ${name}</h1>`);
    const [, style = ''] = /href="(static\/style\.css\?v=\w+)"/.exec(page) ?? [];
    expect((await fetch(`${url}/${style}`)).headers.get('cache-control')).toContain('immutable');
    const app = join(directory(), `app.${language}`);
    const source = readFileSync(app, 'utf8');
    writeFileSync(app, source.replaceAll('`Hello, ', '`Good morning, '));
    await eventually(async () => (await (await fetch(`${url}/hello/Ada`)).text()).includes('Good morning, Ada'));
    writeFileSync(app, source);
    await endServe(program);
  });
});

test('etc/config.ini serves over FastCGI without changes', async () => {
  const directory = join(home, 'projects/basic-js');
  const program = new Program('npx', ['--no-install', 'paster', 'serve', 'etc/config.ini'], { cwd: directory });
  await program.says(/^serving on fastcgi:\/\/unix:.*var\/fcgi-socket$/m);
  expect(existsSync(join(directory, 'var/fcgi-socket'))).toBe(true);
  await endServe(program);
  expect(existsSync(join(directory, 'var/fcgi-socket'))).toBe(false);
});

test('the template etc serves an existing application', async () => {
  const args = ['create', 'map', '-t', 'etc', 'app=module:../server.js', 'server=http'];
  await run('npx', ['--no-install', 'paster', ...args], { cwd: home });
  writeFileSync(join(home, 'map/server.js'), "module.exports = (req, res) => res.end('my own');\n");
  const port = await freePort();
  const serve = ['serve', 'etc/develop.ini', `http_port=${port}`];
  const program = new Program('npx', ['--no-install', 'paster', ...serve], { cwd: join(home, 'map') });
  await program.says(/^serving on http/m);
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('my own');
  await endServe(program);
});

/** Stops the server by the PID that it has printed, since npx runs it as a child. */
async function endServe(program: Program): Promise<void> {
  const [, pid] = await program.says(/^Starting server in PID (\d+)\.$/m);
  process.kill(Number(pid), 'SIGTERM');
  await program.finished();
}
