/**
 * `paster create` from the packed tarball: each template in each language is served, changed and
 * tested. The projects are workspaces of one directory, so that a single `npm install` installs the dependencies of each
 * package.json, and the tarball for `paster`.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ONLINE, pack, project, run } from '../../helpers/programs/installed.ts';
import { beforeSuite, whenOver } from '../../helpers/programs/lifetime.ts';
import { eventually, freePort, Program } from '../../helpers/programs/program.ts';

const TEMPLATES = ['basic', 'express', 'koa', 'fastify', 'hono'];
const PROJECTS = TEMPLATES.flatMap((template) => ['js', 'ts'].map((language) => ({ template, language })));

let home: string;

beforeSuite(async () => {
  home = mkdtempSync(join(tmpdir(), 'paster-home-'));
  whenOver(() => rmSync(home, { recursive: true, force: true }));
  const tarball = await pack(home);
  const { installed } = await project(tarball);
  mkdirSync(join(home, 'projects'));
  for (const { template, language } of PROJECTS) {
    const args = ['create', `${template}-${language}`, '-t', template, `language=${language}`, '-o', 'projects'];
    await run(process.execPath, [join(installed, 'bin/paster.js'), ...args], { cwd: home });
  }
  const dependencies = { paster: `file:./${basename(tarball)}` };
  writeFileSync(
    join(home, 'package.json'),
    JSON.stringify({ private: true, workspaces: ['projects/*'], dependencies }),
  );
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline'], { cwd: home, env: ONLINE });
}, 300_000);

test('each project passes its own tests and type checks', async () => {
  const { stdout } = await run('npm', ['test', '--workspaces'], { cwd: home });
  expect(stdout.match(/^(?:#|ℹ) pass 8$/gm), stdout).toHaveLength(PROJECTS.length);
  const types = await run('npm', ['run', 'types', '--workspaces', '--if-present'], { cwd: home });
  const typed = PROJECTS.filter(({ language }) => language === 'ts');
  expect(types.stdout.match(/^> tsc$/gm), types.stdout).toHaveLength(typed.length);
  for (const { template, language } of PROJECTS) {
    const tsconfig = join(home, 'projects', `${template}-${language}`, 'tsconfig.json');
    expect([template, existsSync(tsconfig)]).toEqual([template, language === 'ts']);
  }
});

test('each project can be used by another INI file', async () => {
  const names = PROJECTS.map(({ template, language }) => `${template}-${language}`);
  const map = names.map((name) => `/${name} = ${name}\n`).join('');
  const apps = names.map((name) => `[app:${name}]\nuse = config:${name}/etc/develop.ini\n`).join('');
  const server = '[server:main]\nuse = npm:paster#http\nport = 0\n';
  writeFileSync(join(home, 'projects/other.ini'), `[composite:main]\nuse = npm:paster#urlmap\n${map}${apps}${server}`);
  const program = new Program(join(home, 'node_modules/.bin/paster'), ['serve', 'projects/other.ini'], { cwd: home });
  const [, url = ''] = await program.says(/^serving on (http:.*)$/m);
  for (const name of names) {
    const response = await fetch(`${url}/${name}/`);
    expect([response.status, await response.text()]).toEqual([200, expect.stringContaining(name)]);
  }
  await endServe(program);
});

describe.each(PROJECTS)('$template in $language', ({ template, language }) => {
  const name = `${template}-${language}`;
  const directory = (): string => join(home, 'projects', name);
  // npx starts more slowly than paster; the tests below use it.
  const paster = (args: readonly string[]): Program => {
    return new Program(join(home, 'node_modules/.bin/paster'), args, { cwd: directory() });
  };

  test('passes paster check', async () => {
    for (const file of ['etc/develop.ini', 'etc/config.ini']) {
      expect(await paster(['check', file]).finished()).toMatchObject({ status: 0, stdout: `${file}: ok\n` });
    }
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
  await run(join(home, 'node_modules/.bin/paster'), args, { cwd: home });
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
