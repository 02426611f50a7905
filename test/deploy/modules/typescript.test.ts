/**
 * TypeScript modules, run by the built command: Node removes the types if it can, otherwise tsx does. The test runner
 * compiles TypeScript itself, so nothing is imported in its process.
 */
import { cpSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { type Finished, Program, paster, ROOT } from '../../helpers/programs/program.ts';

const INI = '[app:main]\nuse = module:./app.ts\n';
const APP = `import type { IncomingMessage, ServerResponse } from 'node:http';

interface Greeting {
  text: string;
}
const greeting: Greeting = { text: 'typed' };
export default (_req: IncomingMessage, res: ServerResponse): void => void res.end(greeting.text);
`;

const stripsTypes = Boolean((process.features as { typescript?: unknown }).typescript);

function project(files: Readonly<Record<string, string>>, packages: readonly string[] = ['tsx']): string {
  const directory = temporaryDirectory({ 'package.json': '{"type": "module"}', ...files });
  mkdirSync(join(directory, 'node_modules'), { recursive: true });
  for (const name of packages) symlinkSync(join(ROOT, 'node_modules', name), join(directory, 'node_modules', name));
  return directory;
}

function get(directory: string, ini = 'main.ini'): Promise<Finished> {
  return paster(['request', ini, '/'], { cwd: directory }).finished();
}

test('an application is loaded', async () => {
  expect(await get(project({ 'main.ini': INI, 'app.ts': APP }))).toMatchObject({ status: 0, stdout: 'typed' });
});

test('an application in a package without "type": "module" is loaded', async () => {
  const directory = project({ 'main.ini': INI, 'app.ts': APP, 'package.json': '{}' });
  expect(await get(directory)).toMatchObject({ status: 0, stdout: 'typed' });
});

test.each([
  ['app.mts', APP],
  ['app.cts', 'export default (_req: unknown, res: { end(text: string): void }) => res.end("typed");\n'],
])('%s is loaded', async (name, source) => {
  const text = stripsTypes && name.endsWith('.cts') ? source.replace('export default', 'module.exports =') : source;
  const directory = project({ 'main.ini': `[app:main]\nuse = module:./${name}\n`, [name]: text });
  expect(await get(directory)).toMatchObject({ status: 0, stdout: 'typed' });
});

test('JSX, which Node never loads by itself, is loaded by tsx', async () => {
  const app =
    'const h = (tag: string) => "<" + tag + ">";\n' +
    'export default (_req: unknown, res: { end(text: string): void }) => res.end(<b />);\n';
  const directory = project({
    'main.ini': '[app:main]\nuse = module:./app.tsx\n',
    'app.tsx': `/** @jsx h */\n${app}`,
  });
  expect(await get(directory)).toMatchObject({ status: 0, stdout: '<b>' });
});

test('modules that one INI file names share what they import', async () => {
  const directory = project({
    'main.ini':
      '[app:main]\nuse = call:./app.ts:make\nfilter-with = count\n[filter:count]\nuse = call:./filter.ts:make\n',
    'state.ts': 'export const state: { filters: number } = { filters: 0 };\n',
    'app.ts':
      'import { state } from "./state.ts";\n' +
      'export const make = () => (_req: unknown, res: { end(text: string): void }) => res.end(String(state.filters));\n',
    'filter.ts':
      'import { state } from "./state.ts";\n' +
      'export const make = () => (app: Function): Function => { state.filters++; return app; };\n',
  });
  expect(await get(directory)).toMatchObject({ status: 0, stdout: '1' });
});

test('the tsx of the INI file’s project also loads a module elsewhere', async () => {
  const elsewhere = temporaryDirectory({ 'app.ts': APP, 'package.json': '{"type": "module"}' });
  const { cli, directory } = installed({ 'main.ini': `[app:main]\nuse = module:${elsewhere}/app.ts\n` }, ['tsx']);
  const finished = await new Program(process.execPath, [cli, 'request', 'main.ini', '/'], {
    cwd: directory,
  }).finished();
  expect(finished).toMatchObject({ status: 0, stdout: 'typed' });
});

test('a module that throws is reported at its own line', async () => {
  const source = `interface A {\n  a: string;\n}\nconst a: A = { a: 'x' };\nthrow new Error(\`on purpose \${a.a}\`);\n`;
  const directory = project({ 'main.ini': INI, 'app.ts': source });
  const { status, stderr } = await get(directory);
  expect(stderr).toMatch(/^paster: app\.ts:5:\d+: \[app:main\] Error: on purpose x\n$/);
  expect(status).toBe(1);
});

test('a module with a syntax error is reported at its own line', async () => {
  const directory = project({
    'main.ini': INI,
    'app.ts': 'const a: number = 1;\nconst b: = = 2;\nexport default a;\n',
  });
  const { status, stderr } = await get(directory);
  expect(stderr).toMatch(/^paster: app\.ts:2:\d+: /);
  expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  expect(status).toBe(1);
});

test.runIf(!stripsTypes)('without tsx, an error at the line that names the module says what is missing', async () => {
  const { cli, directory } = installed({ 'main.ini': INI, 'app.ts': APP }, []);
  const finished = await new Program(process.execPath, [cli, 'request', 'main.ini', '/'], {
    cwd: directory,
  }).finished();
  expect(finished.stderr).toBe(
    `paster: main.ini:2:7: [app:main] ${directory}/app.ts is TypeScript, which Node ${process.version} does not load ` +
      '(use Node 22.18 or later, or install tsx: npm install --save-dev tsx)\n',
  );
  expect(finished.status).toBe(2);
});

describe.runIf(stripsTypes)('syntax that Node would have to compile', () => {
  const HINT =
    '(Node only removes types, and does not compile decorators, enums, JSX or packages: build to JavaScript, or install ' +
    'tsx and set NODE_OPTIONS=--import=tsx)\n';
  const RESPOND = 'export default (_req: unknown, res: any) => res.end("typed");\n';

  test.each<[what: string, column: number, code: string]>([
    ['a decorator', 1, '@D class A {}'],
    ['a decorator of a parameter', 13, 'class A { m(@D x: number) {} }'],
    ['an enum', 1, 'enum E { A }'],
    ['a namespace', 1, 'namespace N { export const a = 1; }'],
    ['a parameter property', 23, 'class A { constructor(private a: string) {} }'],
  ])('%s is reported with its place and a hint, and tsx compiles it', async (what, column, code) => {
    const source = `function D(..._: any[]): any {}\nconst a: number = 1;\n${code}\n${RESPOND}`;
    const directory = project({
      'tsconfig.json': '{"compilerOptions": {"experimentalDecorators": true}}',
      'main.ini': INI,
      'app.ts': 'import own from "./own.ts";\nexport default own;\n',
      'own.ts': source,
    });
    const { stderr, status } = await get(directory);
    expect(stderr).toMatch(/^paster: own\.ts:3:\d+: \[app:main\] SyntaxError: /);
    if (what.includes('decorator')) expect(stderr).toContain(`own.ts:3:${column}: `);
    expect(stderr.endsWith(HINT)).toBe(true);
    expect(status).toBe(1);
    const env = { NODE_OPTIONS: '--import=tsx' };
    const compiled = await paster(['request', 'main.ini', '/'], { cwd: directory, env }).finished();
    expect(compiled).toMatchObject({ status: 0, stdout: 'typed' });
  });

  test('an imported .tsx module gets the hint too', async () => {
    const directory = project({
      'main.ini': INI,
      'app.ts': 'import page from "./page.tsx";\nexport default page;\n',
      'page.tsx': RESPOND,
    });
    expect((await get(directory)).stderr).toContain(HINT);
  });

  test('a package in TypeScript gets the hint too', async () => {
    const directory = project({
      'main.ini': INI,
      'app.ts': 'export { default } from "typed";\n',
      'node_modules/typed/package.json': '{"name": "typed", "type": "module", "exports": "./index.ts"}',
      'node_modules/typed/index.ts': RESPOND,
    });
    expect((await get(directory)).stderr).toContain(HINT);
  });

  test('any other syntax error gets its place without the hint', async () => {
    const directory = project({ 'main.ini': INI, 'app.ts': `const a: number = 1;\nconst b = a a;\n${RESPOND}` });
    const { stderr } = await get(directory);
    expect(stderr).toMatch(/^paster: app\.ts:2:\d+: /);
    expect(stderr).not.toContain('tsx');
  });
});

/** A project with a copy of paster that has no tsx next to it, like an installed one. */
function installed(
  files: Readonly<Record<string, string>>,
  packages: readonly string[],
): { cli: string; directory: string } {
  const own = temporaryDirectory();
  const dependencies = ['import-meta-resolve', 'light-my-request', 'srvx', 'chokidar'];
  mkdirSync(join(own, 'node_modules'));
  for (const name of dependencies) symlinkSync(join(ROOT, 'node_modules', name), join(own, 'node_modules', name));
  for (const part of ['bin', 'dist', 'package.json']) cpSync(join(ROOT, part), join(own, part), { recursive: true });
  return { cli: join(own, 'bin/paster.js'), directory: project(files, packages) };
}
