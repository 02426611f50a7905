/** Where npm packages are found, in every layout that package managers create, and the errors for broken packages. */
import { mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { appConfig, loadApp } from '../../../src/deploy/load.ts';
import { ConfigError, formatError } from '../../../src/errors.ts';
import type { App } from '../../../src/protocol/types.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';

type Answering = App & { readonly answer?: unknown };

/** A module whose factory makes an application with a property `answer`, the value of an expression. */
const parts = (answer: string, imports = '') =>
  `${imports}export const make = () => Object.assign(() => {}, { answer: ${answer} });\n`;

const manifest = (name: string, rest: object = {}) =>
  JSON.stringify({ name, type: 'module', paster: { 'paste.app_factory': { main: './parts.js:make' } }, ...rest });

/** The files of a package in `directory`. */
const files = (directory: string, name: string, answer = JSON.stringify(name)) => ({
  [`${directory}/package.json`]: manifest(name),
  [`${directory}/parts.js`]: parts(answer),
});

function link(directory: string, name: string, target: string): void {
  const path = join(directory, name);
  mkdirSync(dirname(path), { recursive: true });
  symlinkSync(target, path);
}

async function answer(relativeTo: string, ini = 'etc/main.ini'): Promise<unknown> {
  return ((await loadApp(`config:${ini}`, { relativeTo })) as Answering).answer;
}

const using = (uri: string) => ({ 'etc/main.ini': `[app:main]\nuse = ${uri}\n` });

async function failure(directory: string): Promise<string> {
  const error = await loadApp('config:etc/main.ini', { relativeTo: directory }).catch((thrown: unknown) => thrown);
  if (!(error instanceof ConfigError)) throw error;
  return formatError(error, directory);
}

describe('package layouts', () => {
  test('pnpm: a link into a store leads to a package with its dependencies next to it', async () => {
    const store = 'node_modules/.pnpm/pkg@1.0.0/node_modules';
    const directory = temporaryDirectory({
      ...using('npm:pkg'),
      [`${store}/pkg/package.json`]: manifest('pkg'),
      [`${store}/pkg/parts.js`]: parts('word', 'import { word } from "dependency";\n'),
      'node_modules/.pnpm/dependency@1.0.0/node_modules/dependency/package.json':
        '{"name": "dependency", "type": "module", "exports": "./index.js"}',
      'node_modules/.pnpm/dependency@1.0.0/node_modules/dependency/index.js': 'export const word = "from the store";\n',
    });
    link(directory, 'node_modules/pkg', '.pnpm/pkg@1.0.0/node_modules/pkg');
    link(directory, `${store}/dependency`, '../../dependency@1.0.0/node_modules/dependency');
    expect(await answer(directory)).toBe('from the store');
  });

  test('pnpm: a dependency of a dependency is not found', async () => {
    const directory = temporaryDirectory({
      ...using('npm:pkg'),
      ...files('node_modules/.pnpm/pkg@1.0.0/node_modules/pkg', 'pkg'),
    });
    expect(await failure(directory)).toMatch(
      /^etc\/main\.ini:2:7: \[app:main\] the package "pkg" is not installed for /,
    );
  });

  test('a workspace: node_modules links to a sibling package', async () => {
    const directory = temporaryDirectory({
      'apps/site/etc/main.ini': '[app:main]\nuse = npm:x\n',
      ...files('packages/x', 'x'),
    });
    link(directory, 'node_modules/x', '../packages/x');
    expect(await answer(directory, 'apps/site/etc/main.ini')).toBe('x');
  });

  test('hoisted: packages further up are found, and the nearest wins', async () => {
    const directory = temporaryDirectory({
      'apps/site/etc/main.ini': '[app:main]\nuse = npm:far\n[app:near]\nuse = npm:near\n',
      ...files('node_modules/far', 'far'),
      ...files('node_modules/near', 'near', '"too far"'),
      ...files('apps/site/node_modules/near', 'near'),
    });
    expect(await answer(directory, 'apps/site/etc/main.ini')).toBe('far');
    expect(await answer(directory, 'apps/site/etc/main.ini#near')).toBe('near');
  });

  test.each(['npm:@scope/pkg', 'egg:@scope/pkg', 'egg:@Scope/PKG#main', 'call:@scope/pkg/parts.js:make'])(
    'a scoped package is found: %s',
    async (uri) => {
      const directory = temporaryDirectory({ ...using(uri), ...files('node_modules/@scope/pkg', '@scope/pkg') });
      expect(await answer(directory)).toBe('@scope/pkg');
    },
  );

  test('in an INI file below a linked directory, `here` is the path as it was given', async () => {
    const directory = temporaryDirectory({
      'releases/1/etc/main.ini': '[app:main]\nuse = npm:pkg\nwhere = %(here)s\nfile = %(__file__)s\n',
      ...files('releases/1/node_modules/pkg', 'pkg'),
    });
    link(directory, 'current', 'releases/1');
    expect(await answer(directory, 'current/etc/main.ini')).toBe('pkg');
    const { globalConf, localConf } = await appConfig('config:current/etc/main.ini', { relativeTo: directory });
    expect({ ...globalConf }).toEqual({
      here: join(directory, 'current/etc'),
      __file__: join(directory, 'current/etc/main.ini'),
    });
    expect(localConf).toMatchObject({
      where: join(directory, 'current/etc'),
      file: join(directory, 'current/etc/main.ini'),
    });
  });

  test('a module is loaded once, whichever link leads to it', async () => {
    const directory = temporaryDirectory({
      'etc/main.ini': '[app:main]\nuse = npm:x\n[app:direct]\nuse = call:../packages/x/parts.js:make\n',
      'packages/x/package.json': manifest('x'),
      'packages/x/parts.js': 'let made = 0;\nexport const make = () => Object.assign(() => {}, { answer: ++made });\n',
    });
    link(directory, 'node_modules/x', '../packages/x');
    expect(await answer(directory)).toBe(1);
    expect(await answer(directory, 'etc/main.ini#direct')).toBe(2);
  });
});

describe('egg: names', () => {
  test.each(['egg:my-pkg', 'egg:my_pkg', 'egg:My.Pkg', 'egg:MY--PKG'])('%s is my-pkg', async (uri) => {
    const directory = temporaryDirectory({ ...using(uri), ...files('node_modules/my-pkg', 'my-pkg') });
    expect(await answer(directory)).toBe('my-pkg');
  });

  test('that match two packages are an error', async () => {
    const two = { ...files('node_modules/my-pkg', 'my-pkg'), ...files('node_modules/my_pkg', 'my_pkg') };
    const ambiguous = temporaryDirectory({ ...using('egg:My-Pkg'), ...two });
    const message = await failure(ambiguous);
    expect(message).toMatch(/^etc\/main\.ini:2:7: \[app:main\] "My-Pkg" could be my[-_]pkg or my[-_]pkg \(/);
    const exact = temporaryDirectory({ ...using('egg:my_pkg'), ...two });
    expect(await answer(exact)).toBe('my_pkg');
  });

  test.each(['egg:constructor', 'egg:__proto__', 'egg:toString#x'])(
    '%s is a package that is not installed',
    async (uri) => {
      const directory = temporaryDirectory(using(uri));
      expect(await failure(directory)).toMatch(
        /^etc\/main\.ini:2:7: \[app:main\] the package "\w+" is not installed for /,
      );
    },
  );

  test('with npm: must be the exact name of the package', async () => {
    const directory = temporaryDirectory({ ...using('npm:My_Pkg'), ...files('node_modules/my-pkg', 'my-pkg') });
    expect(await failure(directory)).toMatch(/the package "My_Pkg" is not installed .*\(did you mean "my-pkg"\?\)$/);
  });
});

describe('a package of ES modules with "exports"', () => {
  const PACKAGE = {
    'node_modules/modern/package.json': JSON.stringify({
      name: 'modern',
      type: 'module',
      exports: { '.': { import: './lib/index.js' }, './filters/*': './lib/filters/*.js', './app': './lib/app.js' },
    }),
    'node_modules/modern/lib/index.js': `${parts('"index"')}export const site = { app: make };\n`,
    'node_modules/modern/lib/app.js': 'export default Object.assign(() => {}, { answer: "ready" });\n',
    'node_modules/modern/lib/filters/tag.js':
      'export default ({ tag }) => (req, res, next) => { req.tag = tag; next(); };\n',
    'node_modules/modern/lib/hidden.js': parts('"hidden"'),
    'tags.js': 'export default (req) => { req.seen = req.tag; };\n',
    'package.json': '{"type": "module"}',
  };

  test.each([
    ['call:modern:make', 'index'],
    ['call:modern:site.app', 'index'],
    ['module:modern/app', 'ready'],
  ])('%s is found', async (uri, expected) => {
    expect(await answer(temporaryDirectory({ ...using(uri), ...PACKAGE }))).toBe(expected);
  });

  test('connect:modern/filters/tag is found', async () => {
    const directory = temporaryDirectory({
      ...PACKAGE,
      'etc/main.ini': `[app:main]\nuse = module:../tags.js\nfilter-with = tag\n[filter:tag]\nuse = connect:modern/filters/tag\ntag = 3\n`,
    });
    const app = await loadApp('config:etc/main.ini', { relativeTo: directory });
    const req: { seen?: unknown } = {};
    // No handler responds, so the middleware's promise stays pending.
    void app(req as never, {} as never);
    await expect.poll(() => req.seen).toBe(3);
  });

  test('a module that is not exported is not found', async () => {
    const directory = temporaryDirectory({ ...using('call:modern/lib/hidden.js:make'), ...PACKAGE });
    expect(await failure(directory)).toMatch(/^etc\/main\.ini:2:7: .*"modern\/lib\/hidden\.js".*"exports"/);
  });
});

describe('a broken package is reported at the line that uses it', () => {
  test.each<[what: string, uri: string, files: Record<string, string>, message: RegExp]>([
    [
      'package.json is not JSON',
      'npm:pkg',
      { 'node_modules/pkg/package.json': '{"name": "pkg",' },
      /pkg\/package\.json is not JSON: /,
    ],
    [
      'package.json is not an object',
      'npm:pkg',
      { 'node_modules/pkg/package.json': 'null' },
      /the package "pkg" has no app "main" \(its package\.json declares no entry points/,
    ],
    [
      'package.json declares no entry point',
      'npm:pkg',
      { 'node_modules/pkg/package.json': '{"name": "pkg"}' },
      /the package "pkg" has no app "main" \(its package\.json declares no entry points/,
    ],
    [
      'a misspelt entry point',
      'npm:pkg#mian',
      files('node_modules/pkg', 'pkg'),
      /the package "pkg" has no app "mian" \(did you mean "main"\?\)/,
    ],
    [
      'the module is missing',
      'npm:pkg',
      { 'node_modules/pkg/package.json': manifest('pkg'), 'node_modules/pkg/part.js': '' },
      /there is no module .*node_modules\/pkg\/parts\.js \(did you mean "\.\/part\.js"\?\)/,
    ],
    [
      'the export is missing',
      'npm:pkg',
      { 'node_modules/pkg/package.json': manifest('pkg'), 'node_modules/pkg/parts.js': 'export const maker = 1;\n' },
      /pkg\/parts\.js exports no "make" \(did you mean "maker"\?\)/,
    ],
    [
      'the entry point names no export',
      'npm:pkg',
      {
        'node_modules/pkg/package.json': manifest('pkg', { paster: { 'paste.app_factory': { main: './parts.js' } } }),
      },
      /"\.\/parts\.js" is not of the form module:name/,
    ],
    [
      'the entry point forgets the dot',
      'npm:pkg',
      {
        ...files('node_modules/pkg', 'pkg'),
        'node_modules/pkg/package.json': manifest('pkg', {
          paster: { 'paste.app_factory': { main: 'parts.js:make' } },
        }),
      },
      /there is no package "parts\.js".*\(did you mean "\.\/parts\.js"\?\)/,
    ],
    ['no name at all', 'npm:', {}, /"" is not the name of a package/],
    ['a path for a name', 'npm:../pkg', files('pkg', 'pkg'), /"\.\.\/pkg" is not the name of a package/],
    ['a path for an egg', 'egg:./pkg', files('pkg', 'pkg'), /"\.\/pkg" is not the name of a package/],
  ])('%s', async (_what, uri, installed, message) => {
    const text = await failure(temporaryDirectory({ ...using(uri), ...installed }));
    expect(text).toMatch(/^etc\/main\.ini:2:7: /);
    expect(text).toMatch(message);
  });
});
