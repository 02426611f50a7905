/** What `npm run build` makes and `npm pack` takes: the package as its users get it. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import * as library from '../../src/index.ts';
import { temporaryDirectory, writeFiles } from '../helpers/directory.ts';
import { Program, ROOT } from '../helpers/program.ts';

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly paster: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

const MANIFEST = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest;

/** A project in which the packed package is installed, with its dependencies and nothing else. */
async function project(files: Readonly<Record<string, string>>): Promise<{ directory: string; installed: string }> {
  const directory = temporaryDirectory({ 'package.json': '{"type": "module"}', ...files });
  const pack = await new Program('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', directory], {
    cwd: ROOT,
  }).finished();
  const [{ filename }] = JSON.parse(pack.stdout) as [{ filename: string }];
  const installed = join(directory, 'node_modules/paster');
  mkdirSync(installed, { recursive: true });
  await new Program('tar', ['-xzf', join(directory, filename), '--strip-components=1', '-C', installed]).finished();
  for (const name of Object.keys(MANIFEST.dependencies)) {
    const link = join(directory, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', name), link);
  }
  return { directory, installed };
}

function filesOf(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' });
}

test('every entry point leads to the factory that it names', async () => {
  const { installed } = await project({});
  const { 'paste.paster_create_template': templates = {}, ...factories } = MANIFEST.paster;
  for (const directory of Object.values(templates)) {
    expect(existsSync(join(installed, directory, 'template.ini')), directory).toBe(true);
  }
  for (const expression of Object.values(factories).flatMap((group) => Object.values(group))) {
    const [module = '', name = ''] = expression.split(':');
    const { stdout } = await new Program(process.execPath, [
      '--input-type=module',
      ...[
        '-e',
        `import * as part from '${join(installed, module)}'; console.log(Object.keys(part), part.${name}.name)`,
      ],
    ]).finished();
    expect(stdout, expression).toContain(`'${name}'`);
    expect(stdout, expression).toMatch(new RegExp(`\\b${name}$`, 'm'));
  }
});

test('the library loads its parts when they are called for, also while others load them', async () => {
  const { directory } = await project({
    'app.ini': '[app]\nuse = npm:paster#test\nfilter-with = gzip\n[filter:gzip]\nuse = npm:paster#gzip\n',
    'parts.js': `import { gzip, health, loadApp, makeTranslogger } from 'paster';
      const loading = loadApp('config:app.ini', { relativeTo: import.meta.dirname });
      const wait = async () => { for (let turn = 0; turn < 40; turn += 1) { await undefined; gzip(); } };
      await wait();
      setImmediate(gzip);
      const served = await loading;
      console.log(gzip.name, gzip.length, typeof gzip(), typeof health(), typeof served);
      console.log(typeof makeTranslogger.settings['~standard'].validate, health.settings);`,
  });
  const { stdout, stderr } = await new Program(process.execPath, ['parts.js'], { cwd: directory }).finished();
  expect(stderr).toBe('');
  expect(stdout.split('\n')).toEqual(['gzip 0 function function function', 'function undefined', '']);
});

test('the library has its names, its errors theirs, and its types come along', async () => {
  const { directory, installed } = await project({
    'names.js': `import * as paster from 'paster';
      console.log(Object.keys(paster).sort().join(' '));
      try { paster.parseIni('lost', 'x.ini'); } catch (error) {
        console.log(error.name, error.code, error instanceof paster.PasterError, error.location.line);
      }
      for (const name of ['ConfigError', 'ErrorList', 'RunError', 'UsageError']) console.log(paster[name].name);`,
  });
  const { stdout, stderr } = await new Program(process.execPath, ['names.js'], { cwd: directory }).finished();
  expect(stderr).toBe('');
  expect(stdout.split('\n')).toEqual([
    Object.keys(library).sort().join(' '),
    'ConfigError PASTER_INI_NO_SECTION true 1',
    ...['ConfigError', 'ErrorList', 'RunError', 'UsageError'],
    '',
  ]);
  const declarations = readFileSync(join(installed, 'dist/index.d.ts'), 'utf8');
  for (const [, path = ''] of declarations.matchAll(/from '(\.[^']+)'/g)) {
    expect(existsSync(join(installed, 'dist', path.replace(/\.ts$/, '.d.ts'))), path).toBe(true);
  }
  expect(filesOf(installed).filter((file) => /\.map$|(?<!\.d)\.ts$|^src|^test/.test(file))).toEqual([
    ...filesOf(join(ROOT, 'templates'))
      .filter((file) => /(?<!\.d)\.ts$/.test(file))
      .map((file) => join('templates', file)),
  ]);
});

test('a worker of an installed paster serves, and says where an application fails', async () => {
  const { directory } = await project({
    'main.ini': '[app:main]\nuse = module:./app.js\n[server:main]\nuse = npm:paster#http\nport = 0\nworkers = 1\n',
    'app.js': `export default (req, res) => {
      if (req.url === '/') return res.end('installed');
      throw new Error('broken');
    };`,
  });
  const paster = new Program(process.execPath, ['node_modules/paster/bin/paster.js', 'serve', 'main.ini'], {
    cwd: directory,
  });
  const url = (await paster.says(/serving on (http:\S+)/))[1];
  expect(await (await fetch(`${url}/`)).text()).toBe('installed');
  await fetch(`${url}/fail`);
  await paster.says(/broken/);
  expect(paster.output).toContain(`${directory}/app.js:3`);
});

test('a mistake in the types keeps everything from being written, and a build takes out what it does not write', async () => {
  const copy = temporaryDirectory();
  for (const name of ['package.json', 'rolldown.config.ts', 'tsconfig.json', 'tsconfig.build.json', 'src']) {
    cpSync(join(ROOT, name), join(copy, name), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  writeFiles(copy, {
    'src/mistake.ts': "export const count: number = 'one';\n",
    'dist/stays.js': '',
    'dist/config/of-yore.js': '',
    'dist/config/of-yore.d.ts': '',
  });
  const failed = await new Program('npm', ['run', 'build'], { cwd: copy }).finished();
  expect(failed.status).not.toBe(0);
  expect(failed.stdout).toContain('src/mistake.ts');
  expect(filesOf(join(copy, 'dist')).sort()).toEqual(
    ['config', 'config/of-yore.d.ts', 'config/of-yore.js', 'stays.js'].sort(),
  );
  writeFiles(copy, { 'src/mistake.ts': 'export const count: number = 1;\n' });
  expect((await new Program('npm', ['run', 'build'], { cwd: copy }).finished()).status).toBe(0);
  expect(filesOf(join(copy, 'dist')).filter((file) => /stays|of-yore/.test(file))).toEqual([]);
  expect(existsSync(join(copy, 'dist/index.js'))).toBe(true);
});
