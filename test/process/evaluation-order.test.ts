/** Which packages an application imports, in the order in which Node evaluates them. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { EvaluationOrder } from '../../src/process/preload/evaluation-order.ts';
import { loadedModule } from '../../src/process/preload/loaded-module.ts';
import { moduleImports } from '../../src/process/preload/module-imports.ts';
import { temporaryDirectory } from '../helpers/directory.ts';

describe('the imports in the text of a module', () => {
  test.each([
    ['import a from "a";import * as b from \'b\'\nimport { c, d as e } from "c";import "d"', ['a', 'b', 'c', 'd']],
    ['import a, { b } from "a";\nexport * from "b";\nexport { x as "y" } from "c";', ['a', 'b', 'c']],
    ['import type { A } from "a";\nexport type { B } from "b";\nimport type from "c";', ['c']],
    ['// import "a"\n/* import "b" */ import "c";\nconst text = `import "d"`;', ['c']],
    ['import x from "a" with { type: "json" };\nexport default 1;\nexport const from = "b";', ['a']],
    ['"use strict";\nconst a = require("a");\nvar { b, c } = require("b").d;\nrequire("c");', ['a', 'b', 'c']],
    ['import a = require("a");', []],
    [
      '"use strict";\nObject.defineProperty(exports, "__esModule", { value: true });\nconst tslib_1 = require("tslib");\n' +
        'const a_1 = tslib_1.__importDefault(require("a"));\ntslib_1.__exportStar(require("./b"), exports);\nsetup();',
      ['tslib', 'a', './b'],
    ],
  ])('%j', (source, head) => {
    expect(moduleImports(source).head).toEqual(head);
  });

  test.each([
    ['setup();\nconst a = require("a");', ['a']],
    ['const a = require("a")();\nrequire("b");', ['a', 'b']],
    ['const a = load(require("a"));\nrequire("b");', ['a', 'b']],
    ['Object.defineProperty(exports, "b", { value: true });\nrequire("b");', ['b']],
    ['module.require("a"); if (x) require("b"); await import("c");', ['b', 'c']],
    ['require(name); import(`a`); "require(\'b\')";', []],
  ])('in its code: %j', (source, body) => {
    expect(moduleImports(source).body).toEqual(body);
  });
});

function project(files: Readonly<Record<string, string>>): string {
  const directory = temporaryDirectory({});
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
  return directory;
}

const PACKAGES = Object.fromEntries(
  ['a', 'b', 'c', 'd'].flatMap((name) => [
    [`node_modules/${name}/package.json`, `{"name": "${name}", "type": "module", "exports": "./index.js"}`],
    [`node_modules/${name}/index.js`, ''],
  ]),
);

/** Of an application whose entry is app.js. `*`: after code of the application. */
function order(directory: string, entry = 'app.js', names = ['a', 'b', 'c', 'd']): string[] {
  const packages = new Map(
    names.map((name) => {
      const file = join(directory, 'node_modules', name, 'index.js');
      return [file, { file, kind: 'import' as const, byTsx: false }];
    }),
  );
  const app = { file: join(directory, entry), kind: 'import' as const, byTsx: false };
  return new EvaluationOrder().units([app], packages).map(({ file, isFirst, isKnown }) => {
    const [, name = ''] = /node_modules\/(\w+)\//.exec(file) ?? [];
    return `${name}${isFirst ? '' : '*'}${isKnown ? '' : '?'}`;
  });
}

test('a package is asked for as each module of the application does', () => {
  const directory = project({
    ...PACKAGES,
    'node_modules/d/package.json': '{"name": "d", "exports": {"import": "./import.js", "require": "./index.js"}}',
    'node_modules/d/import.js': '',
    'app.js': 'import "a"; import "./inner/own.js"; import "b"; import "d";',
    'inner/own.js': 'import "a"; import "./other.js";',
    'inner/other.js': 'import "a/index.js"; await import("a");',
  });
  const packages = new Map(
    ['a', 'b', 'd'].map((name) => {
      const file = join(directory, 'node_modules', name, 'index.js');
      return [file, { file, kind: 'import' as const, byTsx: false }];
    }),
  );
  const app = { file: join(directory, 'app.js'), kind: 'import' as const, byTsx: false };
  const requests = new EvaluationOrder()
    .units([app], packages)
    .map((unit) => unit.requests.map(({ from, specifier }) => `${specifier} ${from.slice(directory.length + 1)}`));
  // The module that `import` finds in "d" is not one that the application has loaded.
  expect(requests).toEqual([['a app.js', 'a inner/own.js', 'a inner/other.js'], ['b app.js'], []]);
});

describe('the order of packages', () => {
  test('what an inner module imports comes before what follows it', () => {
    const directory = project({
      ...PACKAGES,
      'app.js': 'import "a"; import "./own.js"; import "d";',
      'own.js': 'import "b"; await import("c");',
    });
    expect(order(directory)).toEqual(['a', 'b', 'c*', 'd*']);
  });

  test('a script runs code of its own between its calls of require', () => {
    const directory = project({
      'package.json': '{}',
      ...PACKAGES,
      'app.cjs': 'const a = require("./first.cjs");\nstart();\nrequire("b");',
      'first.cjs': 'require("a");',
      ...Object.fromEntries(['a', 'b'].map((name) => [`node_modules/${name}/package.json`, `{"name": "${name}"}`])),
    });
    expect(order(directory, 'app.cjs')).toEqual(['a', 'b*']);
  });

  test('a linked package is part of the application', () => {
    const directory = project({
      ...PACKAGES,
      'app.js': 'import "linked"; import "a";',
      'packages/linked/index.js': 'import "b";',
    });
    writeFileSync(join(directory, 'packages/linked/package.json'), '{"name": "linked", "exports": "./index.js"}');
    symlinkSync('../packages/linked', join(directory, 'node_modules/linked'));
    expect(order(directory)).toEqual(['b', 'a*']);
  });

  test('TypeScript names the file that it becomes', () => {
    const directory = project({ ...PACKAGES, 'app.ts': 'import "./own.js"; import "a";', 'own.ts': 'import "b";' });
    expect(order(directory, 'app.ts')).toEqual(['b', 'a*']);
  });

  test('a package that was never loaded has its place', () => {
    const directory = project({ ...PACKAGES, 'app.js': 'import "a"; import "b"; import "c";' });
    expect(order(directory, 'app.js', ['a', 'c'])).toEqual(['a', 'b*?', 'c*']);
  });
});

test('Node and tsx report the same file in several ways', () => {
  const file = '/x/app.ts';
  expect(loadedModule('file:///x/app.ts?v=1', 'import')).toEqual({ file, kind: 'import', byTsx: false });
  expect(loadedModule('file:///x/app.ts?tsx-namespace=paster', 'import')).toEqual({
    file,
    kind: 'import',
    byTsx: true,
  });
  expect(loadedModule('/x/app.ts?namespace=paster', 'require')).toEqual({ file, kind: 'require', byTsx: true });
  expect(loadedModule('node:fs', 'import')).toBeUndefined();
});
