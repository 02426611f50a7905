/** What `create .` detects in projects of many kinds, by their files, without installing or running anything. */
import { describe, expect, test } from 'vitest';
import { developmentLines, scriptEnvironment } from '../../src/deploy/programs/script-environment.ts';
import { lookAtProject } from '../../src/scaffold/existing-project.ts';
import { scriptsFor } from '../../src/scaffold/project-edits.ts';
import { temporaryDirectory } from '../helpers/directory.ts';

type Files = Readonly<Record<string, string>>;

function lookAt(manifest: object, files: Files = {}) {
  return lookAtProject(temporaryDirectory({ 'package.json': JSON.stringify(manifest), ...files }));
}

const PROGRAM: Files = { 'server.js': 'app.listen(3000)' };

describe('the program', () => {
  test.each([
    ['next', {}, 'listen:./node_modules/next/dist/bin/next#start', 3000],
    ['nuxt', { build: 'nuxt build', start: 'nuxt start' }, 'listen:./.output/server/index.mjs', 3000],
    ['@sveltejs/adapter-node', { dev: 'vite dev' }, 'listen:./build/index.js', 3000],
    ['@astrojs/node', { dev: 'astro dev', start: 'astro preview' }, 'listen:./dist/server/entry.mjs', 4321],
    ['@nestjs/core', { start: 'nest start', 'start:prod': 'node dist/main' }, 'listen:./dist/main.js', 3000],
    ['@adonisjs/core', { start: 'node bin/server.js', dev: 'node ace serve' }, 'listen:./build/bin/server.js', 3333],
    [
      '@angular/ssr',
      { start: 'ng serve', 'serve:ssr:shop': 'node dist/shop/server/server.mjs' },
      'listen:./dist/shop/server/server.mjs',
      4000,
    ],
  ])('of %s is in its build', (dependency, scripts, spec, port) => {
    const project = lookAt({ scripts, dependencies: { [dependency]: '1' } });
    expect([project.program.spec, project.port.port, project.isBuilt]).toEqual([spec, port, false]);
    expect(project.development.spec).toBe(spec);
    expect(project.framework?.dependency).toBe(dependency);
  });

  test('of AdonisJS is in its build, even in development, because its development server forks', () => {
    const manifest = { scripts: { dev: 'node ace serve --hmr' }, dependencies: { '@adonisjs/core': '6' } };
    expect(lookAt(manifest, { 'ace.js': '' }).development.spec).toBe('listen:./build/bin/server.js');
  });

  test('of a framework is found as built', () => {
    const files = { 'dist/main.js': 'bootstrap()' };
    expect(lookAt({ dependencies: { '@nestjs/core': '1' } }, files).isBuilt).toBe(true);
  });

  test('of Next.js may be one of the project', () => {
    const manifest = { dependencies: { next: '15' }, scripts: { start: 'NODE_ENV=production node server.js' } };
    expect(lookAt(manifest, PROGRAM).program).toMatchObject({
      spec: 'listen:./server.js',
      variables: ['NODE_ENV=production'],
    });
  });

  test.each([
    [
      'node --import ./trace.js --enable-source-maps server.js --x',
      'listen:./server.js#--x',
      ['--import ./trace.js', '--enable-source-maps'],
    ],
    ['cross-env PORT=1 node server', 'listen:./server.js', []],
    ['nodemon -w lib --ext js server.js', 'listen:./server.js', []],
    ['nodemon --exec babel-node other.js', 'listen:./server.js', []],
    ['node build.js && node server.js', 'listen:./server.js', []],
    ['paster serve etc/config.ini', 'listen:./server.js', []],
  ])('of the script "%s" is found', (start, spec, nodeOptions) => {
    const { program } = lookAt({ scripts: { start } }, { ...PROGRAM, 'lib/index.js': '', 'other.js': '' });
    expect([program.spec, program.nodeOptions]).toEqual([spec, nodeOptions]);
  });

  test.each([
    'tsx watch src/index.ts',
    'tsx --watch src/index.ts',
    'ts-node-dev --respawn src/index.ts',
    'node --watch src/index.ts',
  ])('in development is that of "dev": %s', (dev) => {
    const scripts = { dev, build: 'tsc', start: 'node dist/index.js' };
    const { program, development, language, isBuilt } = lookAt({ scripts }, { 'src/index.ts': 'app.listen(3000)' });
    expect([program.spec, development.spec]).toEqual(['listen:./dist/index.js', 'listen:./src/index.ts']);
    expect([language.value, isBuilt]).toEqual(['TypeScript', false]);
  });

  test.each([
    ['nuxt', 'nuxt', 'nuxt dev --port 3000', './node_modules/nuxt/x.js#dev --port 3000 --no-fork'],
    ['@react-router/dev', 'react-router', 'react-router dev', './node_modules/@react-router/dev/x.js#dev'],
    ['astro', 'astro', 'astro dev', './node_modules/astro/x.js#dev'],
    ['@sveltejs/kit', 'vite', 'vite', './node_modules/vite/x.js'],
    // Next to a server of the project's own, Vite only serves the pages.
    ['express', 'vite', 'vite', './server.js'],
  ])('of %s in development is the development server of its script', (dependency, command, dev, spec) => {
    const name = command === 'vite' ? 'vite' : dependency;
    const files = {
      ...PROGRAM,
      [`node_modules/${name}/package.json`]: `{"bin": {"${command}": "./x.js"}}`,
      [`node_modules/${name}/x.js`]: '',
    };
    const manifest = { scripts: { dev }, dependencies: { [dependency]: '1' }, devDependencies: { [name]: '1' } };
    expect(lookAt(manifest, files).development.spec).toBe(`listen:${spec}`);
  });

  test.each([
    ['export default app;', 'module:./app.js'],
    ['module.exports = app;', 'module:./app.js'],
    ['export function makeApp() {}', 'call:./app.js:makeApp'],
    ['exports.makeApp = () => {};', 'call:./app.js:makeApp'],
    ['export default app; app.listen(3000);', 'listen:./app.js'],
    ["import './start.js';", 'listen:./app.js'],
  ])('with the text %s is found', (source, spec) => {
    expect(lookAt({}, { 'app.js': source }).program.spec).toBe(spec);
  });
});

describe('the command of a package', () => {
  const manifest = { scripts: { start: 'strapi start' }, dependencies: { '@strapi/strapi': '5', next: '15' } };
  const PACKAGE = {
    'package.json': '{"bin": {"strapi": "./bin/strapi.js"}}',
    'bin/strapi.js': '',
  };
  const below = (path: string): Files =>
    Object.fromEntries(Object.entries(PACKAGE).map(([name, text]) => [`${path}/${name}`, text]));

  test('is the file that the package declares, even with pnpm, whose own commands are shell scripts', () => {
    const files = { ...below('node_modules/@strapi/strapi'), 'node_modules/.bin/strapi': '#!/bin/sh\n' };
    expect(lookAt(manifest, files).program.spec).toBe('listen:./node_modules/@strapi/strapi/bin/strapi.js#start');
  });

  test('may be in the workspace root', () => {
    const root = temporaryDirectory({
      ...below('node_modules/@strapi/strapi'),
      'apps/web/package.json': JSON.stringify(manifest),
    });
    expect(lookAtProject(`${root}/apps/web`).program.spec).toBe(
      'listen:../../node_modules/@strapi/strapi/bin/strapi.js#start',
    );
  });

  test('is looked for in other packages if a package.json is not JSON', () => {
    const files = { ...below('node_modules/@strapi/strapi'), 'node_modules/broken/package.json': '{' };
    const broken = { ...manifest, dependencies: { broken: '1', ...manifest.dependencies } };
    expect(lookAt(broken, files).program.spec).toBe('listen:./node_modules/@strapi/strapi/bin/strapi.js#start');
  });

  test('is not one that starts a development server', () => {
    const files = { ...PROGRAM, 'node_modules/vite/package.json': '{"bin": "x.js"}', 'node_modules/vite/x.js': '' };
    expect(lookAt({ scripts: { start: 'vite' }, devDependencies: { vite: '1' } }, files).program.spec).toBe(
      'listen:./server.js',
    );
  });
});

describe('the environment of', () => {
  test.each([
    ['A=1 PORT=3000 B=x=y A=2 node server.js', ['A=2', 'B=x=y'], []],
    [
      'cross-env NODE_OPTIONS=--no-warnings node -r ./a.js --import ./b.js --max-old-space-size=400 server.js --x',
      ['NODE_OPTIONS=--no-warnings --require=./a.js --import=./b.js --max-old-space-size=400'],
      [],
    ],
    ['node --inspect=9230 --env-file=.env --stack-size=900 server.js', [], ['--inspect=9230', '--stack-size=900']],
    ['tsx --tsconfig ./a.json server.js', [], ['--tsconfig ./a.json']],
    [
      `NODE_OPTIONS='--no-warnings --a=$1' A="b \\"c\\" & d" node 'server.js'`,
      ['NODE_OPTIONS=--no-warnings --a=$1', 'A=b "c" & d'],
      [],
    ],
    ['cross-env A="b c" node server.js', ['A=b c'], []],
    // Only a shell, or a quoted word, can have these.
    ['A="$HOME" node server.js', [], []],
    ['A="b node server.js', [], []],
    ['A=b node server.js "two words"', [], []],
  ])('the script "%s" becomes settings', (start, lines, lost) => {
    const { program } = lookAt({ scripts: { start } }, PROGRAM);
    expect(scriptEnvironment(program)).toEqual({ lines, lost });
  });

  test('development has NODE_ENV only from its own script', () => {
    const linesOf = (scripts: object) => {
      const { development, program } = lookAt({ scripts }, PROGRAM);
      return developmentLines(development, program);
    };
    expect(linesOf({ start: 'NODE_ENV=production A=1 node server.js' })).toEqual(['A=1']);
    expect(linesOf({ start: 'A=1 node server.js', dev: 'NODE_ENV=test node server.js' })).toEqual(['NODE_ENV=test']);
  });
});

test.each([
  ['package-lock.json', 'npm'],
  ['npm-shrinkwrap.json', 'npm'],
  ['pnpm-lock.yaml', 'pnpm'],
  ['yarn.lock', 'yarn'],
  ['bun.lock', 'bun'],
  ['bun.lockb', 'bun'],
])('%s is the lock file of %s', (file, manager) => {
  expect(lookAt({}, { ...PROGRAM, [file]: '' }).packageManager).toEqual({ value: manager, reason: file });
});

test('without a lock file the package manager is the one that package.json names, or npm', () => {
  const files = { ...PROGRAM, '.git/HEAD': '' };
  expect(lookAt({ packageManager: 'pnpm@10.1.0' }, files).packageManager.value).toBe('pnpm');
  expect(lookAt({}, files).packageManager).toEqual({ value: 'npm', reason: 'no lock file' });
});

test('the lock file of a workspace is above the directory', () => {
  const root = temporaryDirectory({ 'pnpm-lock.yaml': '', 'apps/web/server.js': 'app.listen(3000)', '.git/HEAD': '' });
  expect(lookAtProject(`${root}/apps/web`).packageManager.value).toBe('pnpm');
});

test('the kind of modules and the static directories are detected', () => {
  const files = { ...PROGRAM, 'public/a': '', 'dist/client/b': '', static: 'a file' };
  expect(lookAt({ type: 'module' }, files).modules.value).toBe('ES modules');
  expect(lookAt({}, files).modules.value).toBe('CommonJS');
  expect(lookAt({ main: 'a.mjs' }, { 'a.mjs': 'app.listen(1)' }).modules.value).toBe('ES modules');
  expect(lookAt({}, { 'server.js': "import 'x';\nlisten(1);" }).modules.value).toBe('ES modules');
  expect(lookAt({}, files).staticDirectories).toEqual(['dist/client', 'public']);
});

test('paster passes .env to the program, unless the program reads it', () => {
  const files = { ...PROGRAM, '.env': 'A=1\n' };
  const added = (manifest: object) => Object.values(scriptsFor(lookAt(manifest, files)).added);
  expect(added({})).toEqual(['paster serve etc/develop.ini --reload --dotenv .env', 'paster serve etc/config.ini']);
  expect(added({ dependencies: { dotenv: '1' } })[0]).toBe('paster serve etc/develop.ini --reload');
  expect(added({ scripts: { start: 'node --env-file=.env server.js' } })[1]).toBe(
    'paster serve etc/config.ini --dotenv .env',
  );
});

test.each([
  ['set NODE_ENV=production&& node server.js', 'cross-env NODE_ENV=production node server.js'],
  ['set "A=b c" && SET B=1 && node server.js', 'cross-env A="b c" B=1 node server.js'],
])('the script "%s" for Windows is an error with the portable command', (start, portable) => {
  const manifest = JSON.stringify({ scripts: { start } }, undefined, 2);
  const directory = temporaryDirectory({ ...PROGRAM, 'package.json': manifest });
  expect(() => lookAtProject(directory)).toThrow(
    expect.objectContaining({
      message: expect.stringContaining('the script "start" sets variables in a way that works only on Windows'),
      hint: `write "${portable}", or name the program: paster serve server.js`,
      location: { file: `${directory}/package.json`, line: 3, column: 14 },
    }),
  );
});

test.each([
  ['socket.io', /^Socket\.IO: /, false],
  ['node-red', /^Node-RED: /, true],
])('%s runs in one process', (dependency, reason, isExclusive) => {
  expect(lookAt({ dependencies: { [dependency]: '1' } }, PROGRAM).singleProcess).toEqual({
    reason: expect.stringMatching(reason),
    isExclusive,
  });
});

test('Verdaccio runs in one process, but not a project that only depends on it', () => {
  const bin = 'node_modules/verdaccio/bin/verdaccio';
  const files = {
    ...PROGRAM,
    [bin]: '#!/usr/bin/env node\n',
    'node_modules/verdaccio/package.json': JSON.stringify({ bin: { verdaccio: 'bin/verdaccio' } }),
  };
  const dependencies = { verdaccio: '6' };
  const registry = lookAt({ dependencies, scripts: { start: 'verdaccio --config ./config.yaml' } }, files);
  expect(registry).toMatchObject({
    singleProcess: { reason: expect.stringMatching(/^Verdaccio: /) },
    port: { port: 4873 },
  });
  expect(lookAt({ dependencies, scripts: { start: 'node server.js' } }, files).singleProcess).toBeUndefined();
});
