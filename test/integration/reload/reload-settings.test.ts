/** `reload_ignore` and `reload_exclusive`: files of a build tool cause no reload, and a program that holds a lock reloads. */
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, serve } from '../../helpers/programs/program.ts';

const SERVER = '[server:main]\nuse = npm:paster#http\nport = 0\n';
const get = async (url: string): Promise<string> => (await fetch(url)).text();
const becomes = (url: string, text: string): Promise<boolean> =>
  eventually(async () => (await get(url).catch(() => '')) === text);

describe('reload_ignore', () => {
  // Below a directory with an ignored name: only names in the project count.
  function project(settings: string): string {
    const cwd = join(temporaryDirectory(), 'var/shop');
    for (const name of ['etc', '.next', 'var', 'dist']) mkdirSync(join(cwd, name), { recursive: true });
    const built = (directory: string) => `require('./${directory}/built.cjs')`;
    writeFileSync(
      join(cwd, 'app.cjs'),
      `const built = [${built('.next')}, ${built('dist')}].join(' ');\nlet version = 'one';\n`,
    );
    appendFileSync(join(cwd, 'app.cjs'), 'module.exports = (req, res) => res.end(built + " " + version);\n');
    for (const name of ['.next', 'dist']) writeFileSync(join(cwd, name, 'built.cjs'), `module.exports = 'first';\n`);
    writeFileSync(join(cwd, 'etc/x.ini'), `[app:main]\nuse = module:../app.cjs\n${SERVER}${settings}`);
    return cwd;
  }

  const change = (cwd: string, file: string): void => writeFileSync(join(cwd, file), `module.exports = 'second';\n`);

  test('ignores by default what Next.js builds, and var', async () => {
    const cwd = project('reload_files = ../**/*.txt\n');
    const program = await serve(['etc/x.ini', '--reload'], { cwd });
    expect(await get(program.url)).toBe('first first one');
    change(cwd, '.next/built.cjs');
    writeFileSync(join(cwd, 'var/log.txt'), 'x');
    change(cwd, 'dist/built.cjs');
    expect(await becomes(program.url, 'second second one')).toBe(true);
    writeFileSync(join(cwd, 'a.txt'), 'x');
    await program.says(/reloaded in \d+ ms: \S+a\.txt/);
    expect(program.output).not.toMatch(/\.next|log\.txt/);
  });

  test('may be a list of names and paths, which replaces the default', async () => {
    const cwd = project('reload_ignore = dis* ../none\n');
    const program = await serve(['etc/x.ini', '--reload'], { cwd });
    change(cwd, 'dist/built.cjs');
    change(cwd, '.next/built.cjs');
    expect(await becomes(program.url, 'second second one')).toBe(true);
    expect(program.output).not.toMatch(/dist\/built/);
  });

  test('may be changed while the server runs', async () => {
    const cwd = project('');
    const program = await serve(['etc/x.ini', '--reload'], { cwd });
    appendFileSync(join(cwd, 'etc/x.ini'), 'reload_ignore = ../dist\n');
    await program.says(/reloaded in \d+ ms: \S+x\.ini/);
    change(cwd, 'dist/built.cjs');
    change(cwd, '.next/built.cjs');
    expect(await becomes(program.url, 'second second one')).toBe(true);
    expect(program.output).not.toMatch(/dist\/built/);
  });
});

describe('reload_exclusive', () => {
  const app = (version: string): string => `import { openSync, rmSync } from 'node:fs';
const lock = new URL('./lock', import.meta.url);
openSync(lock, 'wx');
const app = (req, res) => res.end('${version}');
app.close = () => rmSync(lock);
export default app;
`;

  function project(settings: string): string {
    return temporaryDirectory({
      'app.mjs': app('one'),
      'x.ini': `[app:main]\nuse = module:./app.mjs\n${SERVER}${settings}`,
    });
  }

  test.each([
    ['--reload', ['--reload'], /reloaded in/],
    ['HUP', ['-w', '1'], /^reloaded$/m],
  ])('%s: the old worker ends before the new one loads, and requests wait', async (_what, options, message) => {
    const cwd = project('reload_exclusive = true\n');
    const program = await serve(['x.ini', ...options], { cwd });
    expect(await get(program.url)).toBe('one');
    writeFileSync(join(cwd, 'app.mjs'), app('two'));
    if (options.includes('-w')) program.child.kill('SIGHUP');
    const answers: string[] = [];
    while (!message.test(program.output)) {
      const response = await fetch(program.url, { headers: { connection: 'close' } });
      answers.push(await response.text());
    }
    expect(await get(program.url)).toBe('two');
    expect(new Set([...answers, 'one', 'two'])).toEqual(new Set(['one', 'two']));
    expect(program.output).not.toMatch(/does not start|EEXIST/);
  });

  test('a version that does not start is tried again until it does', async () => {
    const cwd = project('reload_exclusive = true\n');
    const program = await serve(['x.ini', '-w', '1'], { cwd });
    writeFileSync(join(cwd, 'app.mjs'), 'throw new Error("broken")');
    program.child.kill('SIGHUP');
    await program.says(/the new version does not start, and the old one has ended: .*broken/);
    writeFileSync(join(cwd, 'app.mjs'), app('two'));
    expect(await get(program.url)).toBe('two');
  });
});
