/** What the application changes before it loads a package, even temporarily: packages imported ahead must not hide the change. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory, writeFiles } from '../../helpers/directory.ts';
import { eventually, type Program, serve } from '../../helpers/programs/program.ts';

/** Each of these packages records what it sees. */
const PACKAGES: Readonly<Record<string, string>> = {
  log: 'module.exports = [];\n',
  zone: "require('log').push(new Date(0).getHours());\n",
  variable: "require('log').push(process.env.PRELOAD_STATE ?? 'none');\n",
  window: "require('log').push(typeof window);\n",
  fetches: "require('log').push(fetch.name);\n",
  dotenv:
    "const fs = require('node:fs');\nif (fs.existsSync('.env')) process.env.PRELOAD_STATE = fs.readFileSync('.env', 'utf8');\n",
  inner: "exports.name = 'inner';\n",
  outer: "require('log').push(require('inner').name);\n",
  settings: "require('log').push(require('node:fs').existsSync('settings.json'));\n",
  above:
    "require('log').push(require('node:fs').statSync('../preload-state.json', { throwIfNoEntry: false }) ? 1 : 0);\n",
  program: "require('log').push(String(require('node:child_process').execFileSync('cat', ['text'])));\n",
};

/** Replaces the text of a package. */
const HOOKS = `export async function load(url, context, next) {
  const loaded = await next(url, context);
  return url.includes('/inner/') ? { format: 'commonjs', shortCircuit: true, source: "exports.name = 'hooked';" } : loaded;
}
`;

const INI = '[app:main]\nuse = call:./app.mjs:makeApp\n[server:main]\nuse = npm:paster#http\nport = 0\n';
const APP = `import { version } from './own.cjs';
import log from 'log';
export const makeApp = () => (req, res) => res.end(JSON.stringify({ version, log }));
`;
const COLD =
  "import('./app.mjs').then(({ makeApp }) => makeApp()({}, { end: (text) => { process.stdout.write(text); process.exit(); } }))";

/** The response of a process that has loaded nothing before. */
function coldResponse(directory: string): string {
  return execFileSync(process.execPath, ['-e', COLD], { cwd: directory, encoding: 'utf8' });
}

interface Site {
  readonly directory: string;
  readonly program: Program & { readonly url: string };
  /** Saves the text of the application's own module, and other files, when a spare worker has imported the packages ahead. */
  save(own: string, others?: Readonly<Record<string, string>>): Promise<string>;
}

async function started(own: string): Promise<Site> {
  const directory = join(temporaryDirectory(), 'project');
  let version = 0;
  const write = (text: string) => writeFiles(directory, { 'own.cjs': `${text}\nexports.version = ${version};\n` });
  writeFiles(directory, { 'develop.ini': INI, 'app.mjs': APP, 'hooks.mjs': HOOKS, text: 'one' });
  for (const [name, text] of Object.entries(PACKAGES)) {
    writeFiles(directory, {
      [`node_modules/${name}/package.json`]: JSON.stringify({ name }),
      [`node_modules/${name}/index.js`]: text,
    });
  }
  write(own);
  const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
  const save = async (text: string, others: Readonly<Record<string, string>> = {}) => {
    await eventually(() =>
      /has imported \d+ packages? ahead|has no packages to/.test(
        program.output.slice(program.output.lastIndexOf('is ready')),
      ),
    );
    version++;
    const { length } = program.output;
    writeFiles(directory, others);
    write(text);
    await eventually(() => program.output.slice(length).includes('reloaded in'));
    return await (await fetch(program.url, { headers: { connection: 'close' } })).text();
  };
  return { directory, program, save };
}

test('packages see changed variables, even those that V8 reads itself', async () => {
  const usual = "require('log'); 1; require('zone'); require('variable');\n";
  const { directory, program, save } = await started(usual);
  const set = "process.env.PRELOAD_STATE = 'own';";
  const unset = 'delete process.env.PRELOAD_STATE;';
  for (const text of [
    usual.replace('1', set) + unset,
    usual.replace('1', set) + unset,
    usual,
    usual.replace('1', "process.env.TZ = 'Asia/Tokyo'"),
    usual,
  ]) {
    expect(await save(text)).toBe(coldResponse(directory));
  }
  expect(program.output).toContain('without packages imported ahead: it changes PRELOAD_STATE');
  expect(program.output).toContain('without packages imported ahead: it changes TZ');
});

const GLOBALS: readonly (readonly [what: string, usual: string, changing: string, change: string])[] = [
  [
    'a global that is removed again',
    "1; require('window');",
    "global.window = {}; require('window'); delete global.window;",
    'globalThis.window',
  ],
  [
    'a global that is set back',
    "1; require('fetches');",
    "const { fetch } = global; global.fetch = function mock() {}; require('fetches'); global.fetch = fetch;",
    'globalThis.fetch',
  ],
  [
    'a module in the cache of require',
    "1; require('inner'); require('outer');",
    "require.cache[require.resolve('inner')] = { exports: { name: 'mock' } }; require('inner'); require('outer');",
    'require.cache',
  ],
  [
    'hooks of modules',
    "1; require('inner'); require('outer');",
    "require('node:module').register('./hooks.mjs', require('node:url').pathToFileURL(__filename)); require('inner'); require('outer');",
    'how modules are loaded (module.register)',
  ],
];

describe('the application changes', () => {
  test.each(GLOBALS)('%s', async (_what, usual, changing, change) => {
    const { directory, program, save } = await started(usual);
    expect(await save(usual)).toBe(coldResponse(directory));
    expect(await save(changing)).toBe(coldResponse(directory));
    expect(program.output).toContain(`without packages imported ahead: it changes ${change}`);
  });
});

test('packages that read what may change are not imported ahead', async () => {
  const usual = "require('program'); require('settings'); require('above');\n";
  const { directory, program, save } = await started(usual);
  await program.says(/program is not imported ahead, nor is what comes after it: it runs cat/);
  writeFiles(directory, { 'settings.json': '1', '../preload-state.json': '1', text: 'two' });
  expect(await save(usual)).toBe(coldResponse(directory));
  await save("1; require('settings');");
  await program.says(/settings is not imported ahead, nor is what comes after it: it reads .*\/settings\.json/);
  await save("1; require('above');");
  await program.says(/above is not imported ahead, nor is what comes after it: it reads .*\/preload-state\.json/);
});

test('a package that comes first may read files, and is imported again when they change', async () => {
  const usual = "require('dotenv'); require('variable'); 1; require('zone');\n";
  const { directory, program, save } = await started(usual);
  for (const files of [{}, { '.env': 'one' }, { '.env': 'two' }]) {
    expect(await save(usual, files)).toBe(coldResponse(directory));
  }
  expect(program.output.match(/\.env has changed/g)).toHaveLength(2);
  expect(program.output).not.toContain('not imported ahead');
});

test('packages of a program see its arguments and its working directory', async () => {
  const directory = temporaryDirectory();
  const ini = (args: string) =>
    `[app:main]\nuse = listen:./server.js\nargs = ${args}\ncwd = inner\n[server:main]\nuse = npm:paster#http\nport = 0\n`;
  const text = (version: number) => `module.exports = ${version};\n`;
  writeFiles(directory, {
    'develop.ini': ini('--one two'),
    'text.js': text(0),
    'inner/x': '',
    'server.js': `const started = require('started');
const text = require('./text.js');
require('later');
require('node:http').createServer((req, res) => res.end(JSON.stringify([text, ...started]))).listen(0);
`,
    'node_modules/later/index.js': '',
    'node_modules/started/index.js':
      'module.exports = [...process.argv.slice(1), process.cwd(), require.main.filename];\n',
  });
  const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
  const shows = (version: number, ...args: readonly string[]) => {
    const expected = [
      version,
      join(directory, 'server.js'),
      ...args,
      join(directory, 'inner'),
      join(directory, 'server.js'),
    ];
    return eventually(async () => (await (await fetch(program.url)).text()) === JSON.stringify(expected));
  };
  const spare = () =>
    eventually(() => {
      const output = program.output.slice(program.output.lastIndexOf('is ready'));
      return /(\d+) has imported 2 packages ahead/.exec(output) ?? false;
    });
  const [, first] = await spare();
  writeFiles(directory, { 'text.js': text(1) });
  await shows(1, '--one', 'two');
  await program.says(new RegExp(`worker ${first} takes over`));
  await spare();
  writeFiles(directory, { 'develop.ini': ini('--three') });
  await shows(1, '--three');
});
