/** A package that another package imports when the application calls it: the imports of that package are imported ahead too. */
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory, writeFiles } from '../../helpers/directory.ts';
import { eventually, type Program, serve } from '../../helpers/programs/program.ts';
import { coldResponse } from './cold-response.ts';

type Files = Readonly<Record<string, string>>;

const asModule = (name: string, text = '') => `import { log } from 'log';\n${text}\nlog.push('${name}');\n`;
const asCommonJs = (name: string, text = '') => `const { log } = require('log');\n${text}\nlog.push('${name}');\n`;

/** The entry of `later` adds its name to `log` after the part that it imports. */
const AS_MODULES: Files = {
  'calls/index.js': asModule('calls', "export const call = () => import('later');"),
  'later/index.js': asModule('later', "import './part.js';"),
  'later/part.js': asModule('later/part'),
  'other/index.js': asModule('other'),
};
const AS_COMMON_JS: Files = {
  'calls/index.js': asCommonJs(
    'calls',
    "exports.call = () => require('later');\nexports.find = () => require.resolve('later');",
  ),
  'later/index.js': asCommonJs('later', "const part = require('./part.js');"),
  'later/part.js': asCommonJs('later/part'),
  'other/index.js': asCommonJs('other'),
};
const KINDS = [
  ['ES modules', AS_MODULES, 'module'],
  ['CommonJS', AS_COMMON_JS, 'commonjs'],
] as const;

const INI = `[app:main]
use = call:./app.js:makeApp

[server:main]
use = npm:paster#http
port = 0
`;

/** @param calls in the factory */
function app(version: number, calls: string, own = ''): string {
  return `import { log } from 'log';
import * as calls from 'calls';
${own}
export const makeApp = async () => {
  ${calls};
  return (req, res) => res.end(JSON.stringify({ version: ${version}, log, env: process.env.DEFERRED_TEST ?? 'none' }));
};
export default async (req, res) => (await makeApp())(req, res);
`;
}

function project(packages: Files, type: string): string {
  const directory = temporaryDirectory({ 'package.json': '{"type": "module"}', 'develop.ini': INI });
  const files: Files = { 'log/index.js': 'exports.log = [];\n', ...packages };
  for (const [path, text] of Object.entries(files)) {
    const name = dirname(path);
    const manifest = JSON.stringify({ name, type: name === 'log' ? 'commonjs' : type, exports: './index.js' });
    writeFiles(join(directory, 'node_modules'), { [path]: text, [`${name}/package.json`]: manifest });
  }
  return directory;
}

/** @returns the number of packages that the spare worker has imported, and its PID */
async function spareWorker(program: Program): Promise<{ readonly count: number; readonly pid: string }> {
  return await eventually(() => {
    const output = program.output.slice(program.output.lastIndexOf('is ready'));
    const [, pid, count] =
      /worker (\d+) has (?:imported (\d+) packages?|no packages to import) ahead/.exec(output) ?? [];
    return pid !== undefined && { count: Number(count ?? 0), pid };
  });
}

async function save(program: Program & { url: string }, directory: string, text: string): Promise<string> {
  const { length } = program.output;
  writeFileSync(join(directory, 'app.js'), text);
  await eventually(() => program.output.slice(length).includes('reloaded in'));
  return await (await fetch(program.url, { headers: { connection: 'close' } })).text();
}

async function started(packages: Files, type: string, text: string, ini = INI) {
  const directory = project(packages, type);
  writeFiles(directory, { 'app.js': text, 'develop.ini': ini });
  return { directory, program: await serve(['develop.ini', '--reload', '-v'], { cwd: directory }) };
}

const isServing = (program: Program, pid: string) => program.output.includes(`worker ${pid} is ready`);

describe.each(KINDS)('%s', (_what, packages, type) => {
  test('its imports are imported ahead, as long as it is called', async () => {
    const { directory, program } = await started(packages, type, app(0, 'await calls.call()'));
    for (let version = 1; version <= 2; version++) {
      const { count, pid } = await spareWorker(program);
      // `log`, `calls` and `later/part`.
      expect(count).toBe(3);
      const body = await save(program, directory, app(version, 'await calls.call()'));
      expect(body).toContain('["calls","later/part","later"]');
      expect(body).toBe(await coldResponse(directory));
      expect(isServing(program, pid)).toBe(true);
    }
    const { pid } = await spareWorker(program);
    const body = await save(program, directory, app(3, ''));
    expect(body).toContain('["calls"]');
    expect(body).toBe(await coldResponse(directory));
    expect(isServing(program, pid)).toBe(false);
    expect(program.output).toContain(
      `spare worker ${pid} is not used: the application no longer imports later in the same order`,
    );
    expect((await spareWorker(program)).count).toBe(2);
    expect(await save(program, directory, app(4, 'await calls.call()'))).toBe(await coldResponse(directory));
    expect((await spareWorker(program)).count).toBe(3);
  });

  const usualImport = "import 'other';";
  const others: readonly (readonly [how: string, call: string, own: string])[] = [
    ['after another package', "await import('other'); await calls.call()", ''],
    ['before another package', "await calls.call(); await import('other')", ''],
    ['before another package, in a module', '', "await calls.call();\nawait import('other');"],
    ['while a module is evaluated', '', `${usualImport}\nawait calls.call();`],
    ['while the module above is evaluated', '', `await calls.call();\n${usualImport}`],
    ['later', 'setTimeout(() => calls.call(), 60_000).unref()', usualImport],
    ['after an own module', "await import('./own.js'); await calls.call()", ''],
    ['after a module whose name is computed', "await import('./' + 'bare.js'); await calls.call()", usualImport],
    ['before a module whose name is computed', "await calls.call(); await import('./' + 'bare.js')", usualImport],
    ['after an import that fails', "await import('missing').catch(() => {}); await calls.call()", usualImport],
  ];
  test('another version calls it differently', { timeout: 180_000 }, async () => {
    const usual = (version: number) => app(version, 'await calls.call()', usualImport);
    let version = 0;
    const { directory, program } = await started(packages, type, usual(version));
    writeFiles(directory, { 'own.js': usualImport, 'bare.js': '' });
    for (const [how, call, own] of others) {
      for (const text of [app(++version, call, own), usual(++version)]) {
        await spareWorker(program);
        expect(await save(program, directory, text), how).toBe(await coldResponse(directory));
      }
      expect((await spareWorker(program)).count, how).toBe(4);
    }
    expect(await save(program, directory, usual(++version))).toBe(await coldResponse(directory));
  });

  const effects: readonly (readonly [what: string, part: string, reason: string])[] = [
    ['a timer', 'setInterval(() => {}, 1000).unref();', 'leaves something running'],
    ['a variable', "process.env.DEFERRED_TEST = 'part';", 'sets the environment variable DEFERRED_TEST'],
    ['a global', "globalThis.deferredTest = 'part';", 'changes globalThis.deferredTest'],
    ['its own entry', type === 'module' ? "import './index.js';" : "require('./index.js');", 'loads .*later/index.js'],
  ];
  test.each(effects)('is left out because of its side effects: %s', async (_what, part, reason) => {
    const text = packages['later/part.js'] ?? '';
    const { directory, program } = await started(
      { ...packages, 'later/part.js': `${part}\n${text}` },
      type,
      app(0, 'await calls.call()'),
    );
    await program.says(new RegExp(`later is not imported ahead, nor is what comes after it: it ${reason}`));
    expect((await spareWorker(program)).count).toBe(2);
    expect(await save(program, directory, app(1, 'await calls.call()'))).toBe(await coldResponse(directory));
  });

  test('is left out if the factory sets a variable that it reads', async () => {
    const part = `${packages['later/part.js']}log.push(process.env.DEFERRED_TEST ?? 'none');\n`;
    const usual = 'await calls.call()';
    const { directory, program } = await started({ ...packages, 'later/part.js': part }, type, app(0, usual));
    for (const [index, call] of [`process.env.DEFERRED_TEST = 'own'; ${usual}`, usual, usual].entries()) {
      await spareWorker(program);
      expect(await save(program, directory, app(index + 1, call))).toBe(await coldResponse(directory));
    }
    await program.says(/later is not imported ahead, .* it reads DEFERRED_TEST, which the application sets/);
  });

  test('is left out if reload_preload_except names it', async () => {
    const ini = `${INI}reload_preload_except = later\n`;
    const { program } = await started(packages, type, app(0, 'await calls.call()'), ini);
    await program.says(/later is not imported ahead: it is in reload_preload_except/);
    expect((await spareWorker(program)).count).toBe(2);
  });
});

test('a package that is only resolved is not loaded', async () => {
  const { directory, program } = await started(AS_COMMON_JS, 'commonjs', app(0, 'calls.call()'));
  const { pid } = await spareWorker(program);
  expect(await save(program, directory, app(1, 'calls.find()'))).toBe(await coldResponse(directory));
  expect(isServing(program, pid)).toBe(false);
});
