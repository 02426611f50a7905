/** Which packages `paster serve --reload` imports ahead, when it drops them, and what else it reads ahead. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, serve } from '../../helpers/programs/program.ts';
import { coldResponse } from './cold-response.ts';
import { app, INI, note, project, reload, save, spareIsReady, write } from './preload-project.ts';

describe('a configuration that was read ahead', () => {
  const FACTORY = `import { log } from 'log';
import 'sets-env';
import { version } from './version.js';
export const makeApp = (globals, { greeting, mode }) =>
  (req, res) => res.end(JSON.stringify({ version, greeting, mode, log }));
`;
  const ini = (greeting: string) =>
    `[app:main]\nuse = call:./app.js:makeApp\ngreeting = ${greeting}\nmode = %(ENV_PRELOAD_MODE)s\n[server:main]\nuse = npm:paster#http\nport = 0\n`;
  const own = (version: number) => `export const version = ${version};\n`;

  test('equals that of a cold start, whatever changes', { timeout: 120_000 }, async () => {
    const directory = project();
    const save = (version: number, greeting?: string) => {
      if (greeting !== undefined) write(directory, { 'more.ini': ini(greeting) });
      write(directory, { 'version.js': own(version) });
    };
    write(directory, {
      'app.js': FACTORY,
      'develop.ini': '[app:main]\nuse = config:more.ini\n[server:main]\nuse = config:more.ini\n',
    });
    save(0, 'one');
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory, env: { PRELOAD_MODE: 'shell' } });
    const shows = (version: number, greeting: string) => {
      // A package that is imported ahead sets this variable, and the INI file is read before that.
      const expected = { version, greeting, mode: 'shell', log: ['sets-env'] };
      return eventually(async () => (await (await fetch(program.url)).text()) === JSON.stringify(expected));
    };
    await shows(0, 'one');
    await spareIsReady(program);
    await reload(program, () => save(1));
    await shows(1, 'one');
    await spareIsReady(program);
    await reload(program, () => save(2, 'two'));
    await shows(2, 'two');
    // The current spare worker has read the second one.
    await spareIsReady(program);
    await reload(program, () => write(directory, { 'more.ini': ini('three') }));
    await shows(2, 'three');
    await spareIsReady(program);
    write(directory, { 'more.ini': ini('%(nothing)s') });
    await program.says(/%\(nothing\)s is not defined/);
    await reload(program, () => {
      save(3);
      save(4, 'four');
    });
    await shows(4, 'four');
    await spareIsReady(program);
    await reload(program, () => save(5));
    await shows(5, 'four');
  });
});

describe('packages that were imported ahead', () => {
  test('serve the next version, even if they come after code of the application', async () => {
    const directory = project();
    const text = (version: number) => app(version, ['plain', './look.js', './global.js', 'other']);
    write(directory, { 'app.js': text(0) });
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
    const [, prepared] = await program.says(/worker (\d+) has imported 3 packages ahead/);
    expect(await save(program, directory, text(1))).toBe(await coldResponse(directory));
    await program.says(new RegExp(`worker ${prepared} is ready`));
    expect(program.output).not.toContain('Warning');
  });

  test('print once for each version, before the application does', async () => {
    const directory = project();
    write(directory, { 'app.js': text(0) });
    function text(version: number): string {
      return `${app(version, ['prints', './look.js', 'plain'])}console.log('own ${version}');\n`;
    }
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
    for (let version = 1; version <= 2; version++) {
      const prepared = await spareIsReady(program);
      expect(program.stderr).toContain(`worker ${prepared} has imported 3 packages ahead`);
      await save(program, directory, text(version));
      expect(program.output).toContain(`worker ${prepared} is ready`);
    }
    await spareIsReady(program);
    const printed = (output: string) => output.match(/own \d|prints( old)?(?=$)/gm);
    expect(printed(program.stdout)).toEqual(['prints', 'own 0', 'prints', 'own 1', 'prints', 'own 2']);
    expect(printed(program.stderr)).toEqual(['prints', 'prints old', 'prints', 'prints old', 'prints', 'prints old']);
  });

  test.each(['module', 'commonjs'])('serve TypeScript of type %s', async (type) => {
    const directory = temporaryDirectory({
      'package.json': JSON.stringify({ type }),
      'develop.ini': INI.replace('app.js', 'app.ts'),
      'app.ts': "import { text } from './own.ts';\nexport default (req: unknown, res: any) => res.end(text);\n",
    });
    const own = (word: string) => `import { word } from 'words';\nexport const text: string = word + '${word}';\n`;
    write(directory, {
      'own.ts': own('one'),
      'node_modules/words/package.json': '{"name": "words"}',
      'node_modules/words/index.js': "exports.word = 'word ';\n",
    });
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
    await program.says(/has imported \d+ packages? ahead/);
    write(directory, { 'own.ts': own('two') });
    await eventually(async () => (await (await fetch(program.url)).text()) === 'word two');
    expect(program.output).not.toContain('is not imported ahead');
  });

  test('are dropped when the settings of tsx change', async () => {
    const directory = project();
    const text = (version: number) => `import 'plain';
class Base { set value(value: string) { set = value; } }
class Derived extends Base { value = 'by the accessor'; }
let set = 'by definition';
new Derived();
export default (req: unknown, res: any) => res.end(\`${version} \${set}\`);
`;
    const settings = (defines: boolean) =>
      JSON.stringify({ compilerOptions: { target: 'es2021', useDefineForClassFields: defines } });
    // Node itself never loads TSX.
    write(directory, {
      'develop.ini': INI.replace('app.js', 'app.tsx'),
      'tsconfig.json': '{"extends": "./base"}',
      'base.json': settings(true),
      'app.tsx': text(0),
    });
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
    const responds = (expected: string) =>
      eventually(
        async () => (await (await fetch(program.url, { headers: { connection: 'close' } })).text()) === expected,
      );
    await spareIsReady(program);
    await reload(program, () => write(directory, { 'app.tsx': text(1) }));
    await responds('1 by definition');
    await spareIsReady(program);
    write(directory, { 'base.json': settings(false), 'app.tsx': text(2) });
    await responds('2 by the accessor');
    expect(program.output).toMatch(/spare worker \d+ is not used: .*base\.json has changed/);
  });

  test('serve another configuration that loads the same modules', async () => {
    const directory = project();
    write(directory, { 'app.js': app(0, ['plain', 'other']), 'next.js': app(1, ['other', 'plain']) });
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
    const [, first] = await program.says(/worker (\d+) has imported 3 packages ahead/);
    write(directory, { 'develop.ini': `# comment\n${INI}` });
    await program.says(/reloaded in .*develop\.ini/);
    await program.says(new RegExp(`worker ${first} is ready`));

    const { length } = program.output;
    await eventually(() => /has imported 3 packages ahead/.test(program.output.slice(length)));
    write(directory, { 'develop.ini': INI.replace('app.js', 'next.js') });
    await program.says(/is not used: the application no longer imports plain in the same order/);
    const expected = await coldResponse(directory, 'next.js');
    await eventually(async () => (await (await fetch(program.url)).text()) === expected);
  });

  test('are dropped when a package is changed, removed or added', { timeout: 120_000 }, async () => {
    const directory = project();
    const text = (version: number) => app(version, ['plain', '{ mode } from "reads-env"'], ['mode']);
    write(directory, { 'app.js': text(0) });
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
    await spareIsReady(program);
    write(directory, { 'node_modules/reads-env/index.js': `${note('changed')}export const mode = 'changed';\n` });
    expect(await save(program, directory, text(1))).toBe(await coldResponse(directory));
    await program.says(/reads-env\/index\.js has changed/);

    await spareIsReady(program);
    write(directory, {
      'node_modules/reads-env/package.json': '{"name": "reads-env", "type": "module", "exports": "./new.js"}',
      'node_modules/reads-env/new.js': `${note('new')}export const mode = 'new';\n`,
    });
    expect(await save(program, directory, text(2))).toBe(await coldResponse(directory));

    await spareIsReady(program);
    // The new version is imported ahead too.
    expect(program.output.match(/has imported \d+ packages? ahead/g)?.at(-1)).toBe('has imported 3 packages ahead');
    rmSync(join(directory, 'node_modules/reads-env'), { recursive: true });
    writeFileSync(join(directory, 'app.js'), text(3));
    await program.says(/Cannot find package 'reads-env'/);
    expect(await save(program, directory, app(4, ['plain']))).toBe(await coldResponse(directory));
  });

  test.each(['js', 'cjs'])('are dropped when one is installed closer to a .%s module', async (type) => {
    const directory = project();
    const own = type === 'js' ? 'export { where } from "which";\n' : 'exports.where = require("which").where;\n';
    const packages = (where: string, at = '') => ({
      [`${at}node_modules/which/package.json`]: '{"name": "which"}',
      [`${at}node_modules/which/index.js`]: `exports.where = '${where}';\n`,
    });
    const text = (version: number) => app(version, ['plain', `{ where } from "./inner/own.${type}"`], ['where']);
    write(directory, { ...packages('outer'), [`inner/own.${type}`]: own, 'app.js': text(0) });
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
    await spareIsReady(program);
    expect(await save(program, directory, text(1))).toContain('outer');
    await spareIsReady(program);
    write(directory, packages('inner', 'inner/'));
    const body = await save(program, directory, text(2));
    expect(body).toContain('inner');
    expect(body).toBe(await coldResponse(directory));
  });

  test('stay out of an error, and serve its correction', async () => {
    const directory = project();
    write(directory, { 'app.js': app(0, ['plain', 'other']) });
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
    await spareIsReady(program);
    writeFileSync(join(directory, 'app.js'), 'export default (;\n');
    await program.says(/SyntaxError/);
    expect(program.output.match(/SyntaxError/g)).toHaveLength(1);
    expect(await save(program, directory, app(1, ['other', 'plain']))).toBe(await coldResponse(directory));
  });

  test('are none with reload_preload = off, and exclude those of reload_preload_except', async () => {
    const directory = project();
    write(directory, {
      'app.js': app(0, ['plain', 'other']),
      'develop.ini': `${INI}reload_preload_except = plain\n`,
    });
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
    await program.says(/plain is not imported ahead: it is in reload_preload_except/);
    await program.says(/has imported 2 packages ahead/);
    write(directory, { 'develop.ini': `${INI}reload_preload = off\n` });
    await program.says(/reloaded in/);
    const { length } = program.output;
    expect(await save(program, directory, app(1, ['plain', 'other']))).toBe(await coldResponse(directory));
    await spareIsReady(program);
    expect(program.output.slice(length)).not.toContain('packages ahead');
  });
});
