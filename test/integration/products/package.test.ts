/** The result of `npm run build` and `npm pack`: the package as its users get it. */
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { describe, expect, test } from 'vitest';
import * as library from '../../../src/index.ts';
import { temporaryDirectory, writeFiles } from '../../helpers/directory.ts';
import { MANIFEST, pack, project, run } from '../../helpers/programs/installed.ts';
import { beforeSuite } from '../../helpers/programs/lifetime.ts';
import { Program, ROOT } from '../../helpers/programs/program.ts';

/** The maximum size in bytes of the tarball. */
const LARGEST_PACKAGE = 620_000;

let tarball: string;
beforeSuite(async () => {
  tarball = await pack(temporaryDirectory());
});

function filesOf(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' });
}

describe('the packed package', () => {
  /** Each file of the package matches one of these. */
  const EXPECTED = [
    /^package\.json$/,
    /^(?:CHANGELOG|README)\.md$/,
    /^LICENSE$/,
    /^bin\/paster\.js$/,
    /^dist\/[\w/-]+\.js$/,
    /^dist\/[\w/-]+\.d\.ts$/,
    // npm would leave out or interpret a name that starts with a dot.
    /^templates\/(?:[\w+-]+\/)*(?:template\.ini|__\w+|[^/._]+\.(?:css|txt|svg)|[^/.][^/]*_tmpl)$/,
  ];

  test('is small, and has only the expected files', async () => {
    const { installed } = await project(tarball);
    expect(statSync(tarball).size).toBeLessThan(LARGEST_PACKAGE);
    const files = filesOf(installed).filter((file) => statSync(join(installed, file)).isFile());
    expect(files.filter((file) => !EXPECTED.some((pattern) => pattern.test(file)))).toEqual([]);
    const needed = ['package.json', 'LICENSE', 'README.md', 'bin/paster.js', 'dist/cli.js', 'dist/index.d.ts'];
    expect(needed.filter((file) => !files.includes(file))).toEqual([]);
    // No two files have the same content: what two templates share is in a third.
    const contents = files
      .filter((file) => !file.startsWith('dist/'))
      .map((file) => readFileSync(join(installed, file)));
    expect(new Set(contents.map((content) => content.toString('latin1'))).size).toBe(contents.length);
  });

  test('passes publint', async () => {
    const { buffer } = new Uint8Array(readFileSync(tarball));
    const { messages, pkg } = await publint({ pack: { tarball: buffer }, strict: true });
    // bin/paster.js begins with #!/bin/sh and starts Node itself; publint knows only the line for Node.
    const others = messages.filter(({ code, path }) => code !== 'BIN_FILE_NOT_EXECUTABLE' || path[0] !== 'bin');
    expect(others.map((message) => formatMessage(message, pkg))).toEqual([]);
  });

  test('has types for every way to resolve it', async () => {
    const found = await checkPackage(createPackageFromTarballData(new Uint8Array(readFileSync(tarball))));
    expect(found.types).toEqual({ kind: 'included' });
    const problems = found.types === false ? [] : found.problems;
    // `require` loads it as well: Node supports that for modules since 20.19, the oldest version that paster supports.
    expect(problems.filter(({ kind }) => kind !== 'CJSResolvesToESM')).toEqual([]);
  });

  /** Every name of the API, and how programs use some of them. */
  const CONSUMER = `import { createServer, type RequestListener } from 'node:http';
import * as paster from 'paster';
import { type App, type AppLike, ConfigError, type Filter, type Loader, type Running, type Settings } from 'paster';

export const names: Record<string, unknown> = { ...paster };

export function makeApp(globalConf: Settings, { greeting = 'Hello' }: Settings): AppLike {
  const listener: RequestListener = (_req, res) => void res.end(greeting);
  return paster.asBool(globalConf['debug'] ?? 'false') ? listener : paster.urlMap({ '/': listener });
}

export async function makeComposite(loader: Loader): Promise<App> {
  const filter: Filter = paster.gzip({});
  return filter(await loader.getApp('main'));
}

export async function serve(): Promise<Running> {
  const server = await paster.loadServer('config:x.ini');
  return server.serve(await paster.loadApp('config:x.ini', { globalConf: { debug: 'true' } }));
}

createServer(await paster.loadApp('config:x.ini'));
try {
  paster.parseIni('[x', 'x.ini');
} catch (error) {
  if (error instanceof ConfigError) console.log(error.location?.line.toFixed());
}
// @ts-expect-error: a name of the wrong type, which reveals any-typed declarations.
paster.asInt({});
// @ts-expect-error: the same for an application.
paster.loadApp(1);
`;
  /** The newest compiler, and an older one that attw depends on; each takes a while. */
  const COMPILERS = [
    ['typescript/bin/tsc', 'node16', 'node16'],
    ['typescript/bin/tsc', 'nodenext', 'nodenext'],
    ['typescript/bin/tsc', 'esnext', 'bundler'],
    ['@arethetypeswrong/core/node_modules/typescript/bin/tsc', 'nodenext', 'nodenext'],
  ] as const;

  test.each(COMPILERS)('type checks with %s, module %s and resolution %s', async (compiler, module, resolution) => {
    const { directory } = await project(tarball, { 'consumer.ts': CONSUMER }, ['@types/node']);
    const { status, stdout } = await new Program(
      process.execPath,
      [
        ...[join(ROOT, 'node_modules', compiler), '--noEmit', '--strict', '--types', 'node'],
        // All declarations except those of JavaScript and the browser, which belong to the compiler.
        ...['--skipLibCheck', 'false', '--skipDefaultLibCheck'],
        ...['--target', 'es2022', '--module', module, '--moduleResolution', resolution],
        ...['--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', 'consumer.ts'],
      ],
      { cwd: directory },
    ).finished();
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });
});

test('every entry point leads to the factory that it names', async () => {
  const { installed } = await project(tarball);
  const { 'paste.paster_create_template': templates = {}, ...factories } = MANIFEST.paster;
  for (const directory of Object.values(templates)) {
    expect(existsSync(join(installed, directory, 'template.ini')), directory).toBe(true);
  }
  const expressions = Object.values(factories).flatMap((group) => Object.values(group));
  const { stdout } = await run(process.execPath, ['--input-type=module'], {
    cwd: installed,
    input: `for (const expression of ${JSON.stringify(expressions)}) {
      const [module, name] = expression.split(':');
      const part = await import(new URL(module, 'file://${installed}/'));
      console.log(expression.replace(name, part[name].name), Object.keys(part).includes(name));
    }`,
  });
  expect(stdout.trim().split('\n')).toEqual(expressions.map((expression) => `${expression} true`));
});

test('loading a function needs three files of the library, and a filter only its own', async () => {
  const { directory, installed } = await project(tarball, {
    'app.js': 'export const make = () => (req, res) => res.end();\n',
    'app.ini': '[app:main]\nuse = call:./app.js:make\n',
    'load.js': `import { gzip, loadApp } from 'paster';
      console.log(typeof gzip, typeof (await loadApp('config:app.ini', { relativeTo: import.meta.dirname })));`,
    'call.js': "import { gzip } from 'paster';\ngzip();\nprocess.exit();",
  });
  const needed = ['index.js', 'base.js', 'load.js'];
  const others = filesOf(join(installed, 'dist')).filter((file) => file.endsWith('.js') && !needed.includes(file));
  const runs = (file: string) => new Program(process.execPath, [file], { cwd: directory }).finished();
  for (const file of others.filter((each) => /auth|session|static/.test(each))) rmSync(join(installed, 'dist', file));
  expect(await runs('call.js')).toMatchObject({ status: 0, stderr: '' });
  for (const file of others) rmSync(join(installed, 'dist', file), { force: true });
  expect(await runs('load.js')).toMatchObject({ stdout: 'function function\n', stderr: '' });
});

test('the library loads its parts on their first call, even while others are being loaded', async () => {
  const { directory } = await project(tarball, {
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

test('the library exports the same names, and its errors have their own', async () => {
  const { directory } = await project(tarball, {
    'names.js': `import * as paster from 'paster';
      console.log(Object.keys(paster).sort().join(' '));
      // A function loads its module before it reads its settings.
      for (const value of Object.values(paster)) void value.settings;
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
});

test('a worker of an installed paster serves, and reports the place of an error in the application', async () => {
  const { directory } = await project(tarball, {
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

test('a type error prevents the build from writing anything, and a build removes files that it does not write', async () => {
  const copy = temporaryDirectory();
  for (const name of ['package.json', 'rolldown.config.ts', 'tsconfig.json', 'tsconfig.build.json']) {
    cpSync(join(ROOT, name), join(copy, name));
  }
  // Only the names of the sources, which are built before the tests.
  const names = filesOf(join(ROOT, 'src')).filter((file) => file.endsWith('.ts'));
  const sources = names.map((name) => `src/${name}`);
  writeFiles(copy, Object.fromEntries(sources.map((path) => [path, `export const path = '${path}';\n`])));
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
