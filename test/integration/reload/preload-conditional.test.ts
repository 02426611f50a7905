/** Packages that are imported only by a condition, after a caught error or by a computed name: after an edit the response equals that of a cold start. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory, writeFiles } from '../../helpers/directory.ts';
import { eventually, type Program, serve } from '../../helpers/programs/program.ts';
import { coldResponse } from './cold-response.ts';
import { reload, responseOf, spareIsReady } from './preload-project.ts';

type Files = Readonly<Record<string, string>>;

const NAMES = ['first', 'plug-a', 'plug-b', 'last'];

/** Each package adds its name to the array that `log` exports. */
function packages(type: 'module' | 'commonjs'): Files {
  const text = (name: string) =>
    type === 'module' ? `import { log } from 'log';\nlog.push('${name}');\n` : `require('log').log.push('${name}');\n`;
  return Object.fromEntries(
    ['log', ...NAMES].flatMap((name) => [
      [`node_modules/${name}/package.json`, JSON.stringify({ name, type })],
      [
        `node_modules/${name}/index.js`,
        name !== 'log' ? text(name) : type === 'module' ? 'export const log = [];' : 'exports.log = [];',
      ],
      [`node_modules/${name}/data.json`, '{}'],
    ]),
  );
}

const INI = `[app:main]
use = call:./app.js:makeApp

[server:main]
use = npm:paster#http
port = 0
`;

async function save(program: Program & { url: string }, directory: string, files: Files, version: number) {
  await spareIsReady(program);
  await reload(program, () => writeFiles(directory, { ...files, 'version.cjs': `exports.version = ${version};` }));
  return await responseOf(program, version);
}

/** The application's own modules, in several versions. */
type Versions = readonly Files[];

const APP_END = `export const makeApp = async () => {
  await start();
  return (req, res) => res.end(JSON.stringify({ version, log }));
};
`;
const module = (text: string, start = ''): Files => ({
  'app.js': `import { version } from './version.cjs';\nimport { log } from 'log';\n${text}\nconst start = async () => { ${start} };\n${APP_END}`,
});
const script = (text: string, start = ''): Files => ({
  'app.js': `const { version } = require('./version.cjs');\nconst { log } = require('log');\n${text}\nconst start = async () => { ${start} };\n${APP_END.replace('export const makeApp', 'exports.makeApp')}`,
});
const which = (name: string) => `const which = '${name}';\n`;

const MODULES: Readonly<Record<string, Versions>> = {
  'a condition in an inner module': ['a', 'b'].map((name) => ({
    ...module("import 'first';\nimport './inner.js';\nimport './next.js';"),
    'inner.js': `${which(name)}if (which === 'a') await import('plug-a');\nelse await import('plug-b');`,
    'next.js': "import 'last';",
  })),
  'an inner module that waits': ['a', 'b'].map((name) => ({
    ...module(`import './inner.js';\nimport 'first';\nawait import('plug-${name}');\n`),
    'inner.js': "await import('last');",
  })),
  'a function called while modules are evaluated': ['a', 'b'].map((name) => ({
    ...module(`import { load } from './inner.js';\nawait load('${name}');\nawait import('last');`),
    'inner.js': "export const load = (which) => (which === 'a' ? import('plug-a') : import('plug-b'));",
  })),
  'a factory that imports by a condition': ['a', 'b'].map((name) =>
    module("import 'first';", `if ('${name}' === 'a') await import('plug-a'); await import('last');`),
  ),
  'a factory that imports an own module': ['a', 'b'].map((name) => ({
    ...module("import 'first';", `await import('plug-b'); if ('${name}' === 'a') await import('./inner.js');`),
    'inner.js': "import 'plug-a';\nimport 'last';",
  })),
  'computed names': ['a', 'b', 'ba'].map((names) => ({
    ...module("import 'first';", `for (const name of '${names}') await import('./' + name + '.js');`),
    'a.js': "import 'plug-a';\nimport 'last';",
    'b.js': "import 'plug-b';",
  })),
  'computed names before another module': ['a', 'b', ''].map((names) => ({
    ...module(
      `import 'first';\nfor (const name of '${names}') await import('./' + name + '.js');\nawait import('last');`,
    ),
    'a.js': "import 'plug-a';",
    'b.js': "import 'plug-b';",
  })),
  'a caught error half-way': ["throw new Error('half-way');", ''].map((code) => ({
    ...module("import 'first';\nawait import('./inner.js').catch(() => {});\nawait import('last');"),
    'inner.js': "import 'plug-a';\nimport './half.js';\nimport 'plug-b';",
    'half.js': code,
  })),
  'packages that two own modules import': ["import './one.js';\nimport './two.js';", "import './two.js';", ''].map(
    (imports) => ({
      ...module(`${imports}\nimport 'last';`),
      'one.js': "import 'plug-a';\nexport * from 'plug-b';",
      'two.js': "import 'first';\nimport 'plug-b';",
    }),
  ),
  createRequire: ['a', 'b'].map((name) =>
    module(
      `import data from 'log/data.json' with { type: 'json' };\nimport { createRequire } from 'node:module';\nimport 'first';\nconst require = createRequire(import.meta.url);\n${which(name)}` +
        "require('log/data.json');\nif (which === 'b') require.resolve('plug-a');\nawait import('./data.json', { with: { type: 'json' } });",
      "await import('last')",
    ),
  ),
};

const SCRIPTS: Readonly<Record<string, Versions>> = {
  'a condition': ['a', 'b'].map((name) =>
    script(
      `${which(name)}require('first');\nif (which === 'a') require('plug-a');\nelse require('plug-b');\nrequire('last');`,
    ),
  ),
  'a function called while modules are evaluated': ['a', 'b'].map((name) => ({
    ...script(`const { load } = require('./inner.js');\nload('${name}');\nrequire('last');`),
    'inner.js': "exports.load = (which) => (which === 'a' ? require('plug-a') : require('plug-b'));",
  })),
  'a missing package': ['plug-a', 'missing'].map((name) =>
    script(`try { require('${name}'); } catch { require('plug-b'); }\nrequire('last');`),
  ),
  'a caught error half-way': ["throw new Error('half-way');", ''].map((code) => ({
    ...script("try { require('./inner.js'); } catch {}\nrequire('last');"),
    'inner.js': `require('first');\nrequire('./half.js');\nrequire('plug-a');\n`,
    'half.js': `${code}\nrequire('plug-b');`,
  })),
  'computed names': ['a', 'b', 'ba', ''].map((names) => ({
    ...script(`require('first');\nfor (const name of '${names}') require('./' + name + '.js');\nrequire('last');`),
    'a.js': "require('plug-a');",
    'b.js': "require('plug-b');",
  })),
  'a condition for an own module': ['a', 'b'].map((name) => ({
    ...script(
      `${which(name)}require(which === 'a' ? './a.js' : './b.js');\nif (which === 'b') require('./a.js');\nrequire('last');`,
    ),
    'a.js': "require('plug-a');",
    'b.js': "require('plug-b');",
  })),
};

test('a module that TypeScript imports only as a type is imported if another module needs it', async () => {
  const directory = temporaryDirectory({
    'package.json': '{"type": "module"}',
    'x.ini': INI.replace('app.js', 'app.ts'),
  });
  const app = (version: number) => `import { Mode, mode } from 'plug-a';
import { Text } from './types.ts';
import './own.ts';
import { text } from './text.ts';
export const makeApp = () => (req: unknown, res: any) => res.end(text + ' ${version}' satisfies Text);
`;
  writeFiles(directory, {
    ...packages('module'),
    'node_modules/plug-a/index.js': "export class Mode {}\nexport const mode = process.env.CONDITION ?? 'none';\n",
    'app.ts': app(0),
    'types.ts': "import 'first';\nexport type Text = string;\n",
    'own.ts': "process.env.CONDITION = 'own';\n",
    'text.ts': "import { mode, Mode } from 'plug-a';\nexport const text: string = mode + typeof Mode;\n",
  });
  const program = await serve(['x.ini', '--reload', '-v'], { cwd: directory });
  for (let version = 1; version <= 2; version++) {
    await spareIsReady(program);
    await reload(program, () => writeFileSync(join(directory, 'app.ts'), app(version)));
    await eventually(async () => (await (await fetch(program.url)).text()) === `ownfunction ${version}`);
  }
});

describe.each([
  ['module', MODULES],
  ['commonjs', SCRIPTS],
] as const)('type: %s', (type, kinds) => {
  test('a reload has the same result as a cold start', { timeout: 300_000 }, async () => {
    const directory = temporaryDirectory({ 'package.json': JSON.stringify({ type }), 'x.ini': INI, 'data.json': '{}' });
    const [usual = {}] = Object.values(kinds).flat();
    writeFiles(directory, { ...packages(type), ...usual, 'version.cjs': 'exports.version = 0;' });
    const program = await serve(['x.ini', '--reload', '-v'], { cwd: directory });
    let version = 0;
    for (const [what, versions] of Object.entries(kinds)) {
      for (const files of [...versions, ...versions.slice(0, 1)]) {
        const body = await save(program, directory, files, ++version);
        expect(body, what).toBe(await coldResponse(directory));
      }
    }
    expect(program.output).not.toContain('cannot be imported by itself');
  });
});
