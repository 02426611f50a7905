/** Which packages an application imports, in the order in which Node evaluates them. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { EvaluationOrder } from '../../../src/process/preload/evaluation-order.ts';
import { loadedModule } from '../../../src/process/preload/loaded-module.ts';
import { moduleImports } from '../../../src/process/preload/module-imports.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';

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
    ['import { A, B } from "a";\nimport C, * as e from "c";\nlet a: A, d: Map<A, B>; function f(c: C): c is C {}', []],
    [
      'import { type A, b } from "a";\nimport { type B } from "b";\nimport "c"; import {D} from "d"; new D();',
      ['c', 'd'],
    ],
    [
      'import { A } from "a";\nimport { B } from "b"; x({ a: A, b: [B] }); type C = A; interface D extends B {}',
      ['a', 'b'],
    ],
    [
      'import { A } from "a";\nimport { B } from "b"; type C = A; interface D<T extends A> { a: A; } class E extends B {}',
      ['b'],
    ],
    [
      'import A from "a";\nimport b from "b";\nexport const c = (a: A, d = b()): A => x as A; export { E } from "e";',
      ['b', 'e'],
    ],
  ])('in the output of a compiler: %j', (source, head) => {
    expect(moduleImports(source, true).head).toEqual(head);
  });

  test.each([
    ['setup();\nconst a = require("a");', ['a']],
    ['const a = require("a")();\nrequire("b");', ['a', 'b']],
    ['const a = load(require("a"));\nrequire("b");', ['a', 'b']],
    ['Object.defineProperty(exports, "b", { value: true });\nrequire("b");', ['b']],
    ['module.require("a"); if (x) require("b"); await import("c");', ['b?', 'c']],
    ['const { a } = (await import("a")).b; import("b"); await import("c").catch(() => {});', ['a', 'b?', 'c!']],
    ['await import("a").then((a) => a.b); await Promise.all([import("b")]);', ['a!', 'b?']],
    ['require(name); require("a" + b); import(`a`); require.resolve("b"); "require(\'b\')";', ['*', '*', '*?']],
    ['await import("./a.json", { with: { type: "json" } }); import.meta.url;', ['./a.json']],
    ['import type a = require("a"); import b = require("b");', ['b']],
    ['x();\nif (a) require("a"); else require("b");\nrequire("c");', ['a?', 'b?', 'c']],
    ['x();\nif (a)\n  // Why\n  require("a")\nelse\n  require("b")\nrequire("c")', ['a?', 'b?', 'c']],
    ['x();\nif (y(a)) {\n  require("a");\n} else {\n  require("b");\n}\nrequire("c");', ['a?', 'b?', 'c']],
    [
      'x();\nconst a = b || require("a")\nconst c = b ? require("b") : require("c")\nrequire("d")',
      ['a?', 'b?', 'c?', 'd'],
    ],
    ['x();\nconst y = b\n  ? require("a")\n  : require("b"), z = require("c");', ['a?', 'b?', 'c']],
    ['x();\nconst a = () => require("a"), b = require("b");\na\n  && require("c");', ['a?', 'b', 'c?']],
    ['x();\nfunction a({ b }) { return require("a"); }\nrequire("b");', ['a?', 'b']],
    ['x();\nclass A extends B { static a = require("a"); b() { require("b"); } }\nrequire("c");', ['a?', 'b?', 'c']],
    ['x();\ntry { require("a"); } catch (e) { require("b"); }\nrequire("c");', ['a!', 'b?', 'c']],
    ['x();\nfor (const a of b) require(a);\nwhile (c(d)) { require("a"); }\nrequire("b");', ['*?', 'a?', 'b']],
    [
      'app.use("/a", require("./a"), { b: require("b")(), c: [require("c")], d() { require("d"); } });',
      ['./a', 'b', 'c', 'd?'],
    ],
    ['x();\nif (!a) return;\nrequire("a");', ['a?']],
    ['x();\nconst a = () => { return 1; };\nb.catch(() => {});\nrequire("a");', ['a']],
    ['x();\nconst a = /[{"]/.test(b) / 2;\nrequire("a"); const c = d / 2; /{/.test("}");\nrequire("b")', ['a', 'b']],
  ])('in its code: %j', (source, body) => {
    // `*`: computed; `?`: conditional; `!`: guarded as well.
    const calls = moduleImports(source).body.map(
      ({ specifier = '*', isConditional, isGuarded }) => `${specifier}${isGuarded ? '!' : isConditional ? '?' : ''}`,
    );
    expect(calls).toEqual(body);
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

/** The order for an application whose entry is app.js. `*`: after code of the application; `?`: was never loaded. */
function order(directory: string, entry = 'app.js', names = ['a', 'b', 'c', 'd']): string[] {
  const packages = new Map(
    names.map((name) => {
      const file = join(directory, 'node_modules', name, 'index.js');
      return [file, { file, kind: 'import' as const, byTsx: false }];
    }),
  );
  const app = { file: join(directory, entry), kind: 'import' as const, byTsx: false };
  const { units } = new EvaluationOrder().units({
    loads: { modules: [app], evaluated: 1 },
    packages,
    isLoaded: () => true,
  });
  return units.map(({ file, isFirst, isKnown }) => {
    const [, name = ''] = /node_modules\/(\w+)\//.exec(file) ?? [];
    return `${name}${isFirst ? '' : '*'}${isKnown ? '' : '?'}`;
  });
}

test('a package is resolved as each module of the application does', () => {
  const directory = project({
    ...PACKAGES,
    'node_modules/d/package.json': '{"name": "d", "exports": {"import": "./import.js", "require": "./index.js"}}',
    'node_modules/d/import.js': '',
    'app.js': 'import "a"; import "./inner/own.js"; import "b"; import "d";',
    'inner/own.js': 'import "a"; import "./other.js";',
    'inner/other.js': 'export * from "a"; export * from "./own.js";',
  });
  const packages = new Map(
    ['a', 'b', 'd'].map((name) => {
      const file = join(directory, 'node_modules', name, 'index.js');
      return [file, { file, kind: 'import' as const, byTsx: false }];
    }),
  );
  const app = { file: join(directory, 'app.js'), kind: 'import' as const, byTsx: false };
  const requests = new EvaluationOrder()
    .units({ loads: { modules: [app], evaluated: 1 }, packages, isLoaded: () => true })
    .units.map((unit) =>
      unit.requests.map(({ from, specifier }) => `${specifier} ${from.slice(directory.length + 1)}`),
    );
  // The module that `import` finds in "d" is not one that the application has loaded.
  expect(requests).toEqual([['a app.js', 'a inner/own.js', 'a inner/other.js'], ['b app.js'], []]);
});

test('packages whose manifests have changed are found, and none is listed after an import that only Node can resolve', () => {
  const manifest = 'node_modules/b/package.json';
  const directory = project({
    ...PACKAGES,
    [manifest]: '{"name": "b", "exports": "./index.js"}',
    'node_modules/b/new/index.js': '',
    'app.js': 'import "a"; import "b"; import "@/alias"; import "c";',
  });
  const packages = new Map(
    ['a', 'b', 'c', 'b/new'].map((name) => {
      const file = join(directory, 'node_modules', name, 'index.js');
      return [file, { file, kind: 'import' as const, byTsx: false }];
    }),
  );
  const app = { file: join(directory, 'app.js'), kind: 'import' as const, byTsx: false };
  const order = new EvaluationOrder();
  const names = () =>
    order
      .units({ loads: { modules: [app], evaluated: 1 }, packages, isLoaded: () => true })
      .units.map(({ file }) => basename(dirname(file)));
  expect(names()).toEqual(['a', 'b']);
  order.forget();
  expect(names()).toEqual(['a', 'b']);
  // Node has read the manifest, and does not read it again in this process.
  writeFileSync(join(directory, manifest), '{"name": "b", "exports": "./new/index.js"}');
  order.forget();
  expect(names()).toEqual(['a', 'new']);
});

describe('the order of packages', () => {
  test('imports of an inner module come before those that follow it', () => {
    const directory = project({
      ...PACKAGES,
      'app.js': 'import "a"; import "./own.js"; import "d";',
      'own.js': 'import "b"; await import("c");',
    });
    // Node continues with `d` while own.js waits. It is unknown what else other modules wait for.
    expect(order(directory)).toEqual(['a', 'b', 'd*']);
  });

  test('a script runs its own code between its calls of require', () => {
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

  test('imports in TypeScript name the JavaScript file', () => {
    const directory = project({ ...PACKAGES, 'app.ts': 'import "./own.js"; import "a";', 'own.ts': 'import "b";' });
    expect(order(directory, 'app.ts')).toEqual(['b', 'a*']);
  });

  describe('a package with an entry for import and one for require', () => {
    const FILES = {
      ...PACKAGES,
      'node_modules/d/package.json': '{"name": "d", "exports": {"import": "./import.js", "require": "./require.cjs"}}',
      'node_modules/d/import.js': '',
      'node_modules/d/require.cjs': '',
      'own.cjs': 'start(); require("d");',
    };
    const entries = (directory: string, loaded: Readonly<Record<string, 'import' | 'require'>>) => {
      const packages = new Map(
        Object.entries({ 'a/index.js': 'import' as const, ...loaded }).map(([name, kind]) => {
          const file = join(directory, 'node_modules', name);
          return [file, { file, kind, byTsx: false }];
        }),
      );
      const app = { file: join(directory, 'app.js'), kind: 'import' as const, byTsx: false };
      const loads = { modules: [app], evaluated: 1 };
      const { units } = new EvaluationOrder().units({ loads, packages, isLoaded: () => true });
      return units.map(
        ({ file, isKnown }) => `${file.slice(`${directory}/node_modules/`.length)}${isKnown ? '' : '?'}`,
      );
    };

    test('has a place for each of them', () => {
      const directory = project({ ...FILES, 'app.js': 'import "./own.cjs"; import "a"; import "d";' });
      const loaded = { 'd/import.js': 'import', 'd/require.cjs': 'require' } as const;
      expect(entries(directory, loaded)).toEqual(['d/require.cjs', 'a/index.js', 'd/import.js']);
    });

    test('is unknown where a module asks for the entry that was not loaded', () => {
      const directory = project({ ...FILES, 'app.js': 'import "d"; import "./own.cjs"; import "a";' });
      expect(entries(directory, { 'd/require.cjs': 'require' })).toEqual([
        'd/import.js?',
        'd/require.cjs',
        'a/index.js',
      ]);
    });
  });

  test('what a module requires after an await has no certain place, nor has what comes after it', () => {
    const directory = project({
      ...PACKAGES,
      'app.js': 'import "a"; import "./waits.js"; import "./after.js"; import "d";',
      'waits.js':
        'import "./empty.js"; const later = async () => await start(); require("b"); if (x) await load(); require("c");',
      'empty.js': '',
      'after.js': 'import "./waits.js"; require("./own.cjs");',
      'own.cjs': 'require("d");',
    });
    const loaded = (name: string, kind: 'import' | 'require' = 'import') => {
      const file = join(directory, name);
      return { file, kind, byTsx: false };
    };
    const packages = ['a', 'b', 'c', 'd'].map((name) => loaded(`node_modules/${name}/index.js`));
    const modules = [loaded('app.js'), ...packages, loaded('waits.js'), loaded('own.cjs', 'require')];
    const { units, isConditional } = new EvaluationOrder().units({
      loads: { modules, evaluated: modules.length },
      packages: new Map(packages.map((each) => [each.file, each])),
      isLoaded: () => true,
    });
    const names = units.map(({ file, isConditional }) => basename(dirname(file)) + (isConditional ? '?' : ''));
    expect(names).toEqual(['a', 'b', 'c?', 'd?']);
    expect(isConditional).toBe(true);
  });

  test('a package that was never loaded keeps its position', () => {
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
