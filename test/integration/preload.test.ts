/** `paster serve --reload` imports packages before a file changes: what the application sees is what a cold start shows. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../helpers/directory.ts';
import { eventually, type Program, serve } from '../helpers/program.ts';

type Files = Readonly<Record<string, string>>;

/** `log` is a module that each of the packages adds its name to, in the order of evaluation. */
const note = (name: string) => `import { log } from 'log';\nlog.push('${name}');\n`;

const PACKAGES: Record<string, string> = {
  log: 'export const log = [];\n',
  plain: note('plain'),
  other: `import process from 'node:process';\n${note('other')}clearTimeout(setTimeout(() => {}, 9));\n`,
  'reads-env': `${note('reads-env')}export const mode = process.env.PRELOAD_MODE ?? 'none';\n`,
  'lists-env': `${note('lists-env')}export const listed = Object.keys(process.env).includes('PRELOAD_MODE');\n`,
  'reads-global': `${note('reads-global')}export const seen = globalThis.ownValue ?? 'none';\n`,
  'sets-env': `${note('sets-env')}process.env.PRELOAD_MODE = 'package';\n`,
  'adds-global': `${note('adds-global')}globalThis.ownValue = 'package';\n`,
  'patches-http': `import http from 'node:http';\n${note('patches-http')}http.patched = true;\n`,
  'extends-array': `${note('extends-array')}Object.defineProperty(Array.prototype, 'last_', { value: 1, configurable: true });\n`,
  listens: `${note('listens')}process.on('SIGWINCH', () => {});\n`,
  ticks: `${note('ticks')}setInterval(() => {}, 1000).unref();\n`,
  'reads-file': `import { readFileSync } from 'node:fs';\n${note('reads-file')}export const text = readFileSync('settings.json', 'utf8');\n`,
  'needs-setup': `${note('needs-setup')}if (!globalThis.ownValue) throw new Error('call setup first');\n`,
  exits: `${note('exits')}if (!process.env.PRELOAD_MODE) process.exit(3);\n`,
  waits: `import { writeSync } from 'node:fs';\n${note('waits')}writeSync(2, 'waits begins\\n');\nawait new Promise((resolve) => process.env.PRELOAD_MODE && resolve());\n`,
  prints: `${note('prints')}console.log('prints');\nconsole.error('prints');\nprocess.emitWarning('prints old');\n`,
  'keeps-env': `${note('keeps-env')}const { env } = process;\nexport const keep = (home) => [(env.HOME = home), process.env.HOME];\n`,
  'reads-cwd': `${note('reads-cwd')}export const cwd = process.cwd();\n`,
};

const SETUP: Record<string, string> = {
  'setup.js': "process.env.PRELOAD_MODE = 'own';\n",
  'global.js': "globalThis.ownValue = 'own';\n",
  'pull.js': "import 'other';\n",
  'look.js': "export const looked = [globalThis.ownValue ?? 'none', process.env.PRELOAD_MODE ?? 'none'];\n",
};

/** What packages put off when they are imported. An own module sees that they are not ready. */
const DEFERRED: Files = {
  immediate: 'setImmediate(ready)',
  tick: 'process.nextTick(ready)',
  microtask: 'queueMicrotask(ready)',
  resolved: 'Promise.resolve().then(ready)',
  awaited: '(async () => { await null; ready(); })()',
  timer: 'setTimeout(ready, 0)',
  promise: 'readFile(new URL(import.meta.url)).then(ready)',
  callback: 'stat(import.meta.dirname, ready)',
};
for (const [name, call] of Object.entries(DEFERRED)) {
  PACKAGES[`by-${name}`] =
    `import { stat } from 'node:fs';\nimport { readFile } from 'node:fs/promises';\nexport const state = { ready: false };
const ready = () => { state.ready = true; };\n${call};\n`;
  SETUP[`${name}.js`] = `import { state } from 'by-${name}';\nexport const { ready } = state;\n`;
}

/** An application that shows all that packages could have changed. */
function app(version: number, imports: readonly string[], values: readonly string[] = []): string {
  return `${imports.map((each) => (each.includes(' from ') ? `import ${each};` : `import '${each}';`)).join('\n')}
import { log } from 'log';
import http from 'node:http';
export default (req, res) => res.end(JSON.stringify({
  version: ${version},
  log,
  values: [${values}],
  env: process.env.PRELOAD_MODE ?? 'none',
  globals: [globalThis.ownValue ?? 'none', http.patched ?? false, 'last_' in Array.prototype],
  listeners: process.listenerCount('SIGWINCH'),
}));
`;
}

const INI = `[app:main]
use = module:./app.js

[server:main]
use = npm:paster#http
port = 0
`;

function write(directory: string, files: Files): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
}

function project(packages: Files = PACKAGES): string {
  const directory = temporaryDirectory({
    'package.json': '{"type": "module"}',
    'develop.ini': INI,
    'settings.json': '1',
  });
  write(directory, SETUP);
  for (const [name, text] of Object.entries(packages)) {
    write(join(directory, 'node_modules', name), {
      'package.json': JSON.stringify({ name, type: 'module', exports: './index.js' }),
      'index.js': text,
    });
  }
  return directory;
}

const COLD =
  'import(process.argv[1]).then(({ default: app }) => app({}, { end: (text) => { process.stdout.write(text); process.exit(); } }))';

/** What a process answers that has loaded nothing before. */
function coldResponse(directory: string, file = 'app.js'): string {
  return execFileSync(process.execPath, ['-e', COLD, join(directory, file)], { cwd: directory, encoding: 'utf8' });
}

const SPARE_IS_READY = /has imported \d+ packages? ahead|has no packages to import ahead/g;

/** Waits until the spare worker of the version that serves has done its part. */
async function spareIsReady(program: Program, version: number): Promise<void> {
  // A worker whose packages turn out to be unfit is followed by another one.
  await eventually(() => {
    const output = program.output.slice(program.output.lastIndexOf('is ready'));
    return version >= 0 && [...output.matchAll(SPARE_IS_READY)].length > 0;
  });
}

async function save(program: Program & { url: string }, directory: string, text: string): Promise<string> {
  writeFileSync(join(directory, 'app.js'), text);
  const version = /version: (\d+)/.exec(text)?.[1];
  return await eventually(async () => {
    const body = await (await fetch(program.url, { headers: { connection: 'close' } })).text();
    return body.includes(`"version":${version},`) && body;
  });
}

interface Case {
  readonly name: string;
  readonly versions: readonly (readonly [imports: readonly string[], values?: readonly string[]])[];
}

const CASES: readonly Case[] = [
  {
    name: 'an own module sets a variable before a package reads it',
    versions: [
      [['plain', './setup.js', '{ mode } from "reads-env"', 'other'], ['mode']],
      [['plain', '{ mode } from "reads-env"', './setup.js'], ['mode']],
      [['./setup.js', '{ mode } from "reads-env"'], ['mode']],
      [['./setup.js', '{ listed } from "lists-env"'], ['listed']],
    ],
  },
  {
    name: 'an own module sets a global before a package reads it',
    versions: [
      [['plain', './global.js', '{ seen } from "reads-global"', 'other'], ['seen']],
      [['{ seen } from "reads-global"', './global.js'], ['seen']],
    ],
  },
  {
    name: 'packages change the process before and after own modules',
    versions: [
      [
        ['adds-global', 'sets-env', 'patches-http', 'extends-array', '{ looked } from "./look.js"', 'plain'],
        ['looked'],
      ],
      [
        ['{ looked } from "./look.js"', 'adds-global', 'sets-env', '{ seen } from "reads-global"'],
        ['looked', 'seen'],
      ],
      [
        ['sets-env', '{ looked } from "./look.js"', '{ mode } from "reads-env"'],
        ['looked', 'mode'],
      ],
      [
        ['{ looked } from "./look.js"', '{ mode } from "reads-env"', 'plain'],
        ['looked', 'mode'],
      ],
    ],
  },
  {
    name: 'an own module that imports a package is no longer imported',
    versions: [
      [['{ looked } from "./look.js"', 'log', 'plain', './pull.js'], ['looked']],
      [['{ looked } from "./look.js"', 'log', 'plain'], ['looked']],
    ],
  },
  {
    name: 'a package keeps the environment variables and sets one later',
    versions: [[['plain', './look.js', '{ keep } from "keeps-env"'], ['keep("/home")']]],
  },
  {
    name: 'packages leave listeners and timers',
    versions: [[['listens', 'ticks', 'plain']], [['plain', 'ticks']]],
  },
  {
    name: 'packages are not ready when they are imported',
    versions: Object.keys(DEFERRED).map((name) => [['plain', `{ ready } from "./${name}.js"`], ['ready']]),
  },
  {
    name: 'packages cannot be imported by themselves',
    versions: [
      [['./global.js', 'needs-setup', 'plain']],
      [['./setup.js', 'exits', 'plain']],
      [['./setup.js', 'plain', './global.js', 'needs-setup']],
    ],
  },
];

describe('the application sees what a cold start shows', () => {
  test.each(CASES)('$name', { timeout: 180_000 }, async ({ versions }) => {
    const directory = project();
    let version = 0;
    const [[imports, values] = [[]]] = versions;
    write(directory, { 'app.js': app(version, imports, values) });
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
    expect(await eventually(async () => (await fetch(program.url, { headers: { connection: 'close' } })).text())).toBe(
      coldResponse(directory),
    );
    for (const [imports, values] of versions) {
      for (let edit = 0; edit < 3; edit++) {
        await spareIsReady(program, version);
        const body = await save(program, directory, app(++version, imports, values));
        expect(body).toBe(coldResponse(directory));
      }
    }
  });

  test('the import of a package waits for what the application does', { timeout: 60_000 }, async () => {
    const directory = project();
    const text = (version: number) => app(version, ['plain', './setup.js', 'waits']);
    write(directory, { 'app.js': text(0) });
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
    // In the worker, and in the spare worker, where nobody sets the variable.
    await eventually(() => program.output.match(/waits begins/g)?.length === 2);
    expect(await save(program, directory, text(1))).toBe(coldResponse(directory));
    const reason = 'it waits for something when it is imported';
    await program.says(new RegExp(`waits is not imported ahead, nor is what comes after it: ${reason}`));
    await spareIsReady(program, 1);
    expect(await save(program, directory, text(2))).toBe(coldResponse(directory));
    // A worker that paster itself ends has not died.
    expect(program.output).not.toMatch(/SIGKILL|a worker ended/);
  });

  test('a package reads a file of the project, which then changes', { timeout: 60_000 }, async () => {
    const directory = project();
    const text = (version: number) => app(version, ['{ text } from "reads-file"', 'plain'], ['text']);
    write(directory, { 'app.js': text(0) });
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
    for (let version = 1; version <= 3; version++) {
      await spareIsReady(program, version);
      write(directory, { 'settings.json': String(version) });
      expect(await save(program, directory, text(version))).toBe(coldResponse(directory));
    }
    expect(program.output).toMatch(
      /reads-file is not imported ahead, nor is what comes after it: it reads .*settings\.json/,
    );
  });
});

describe('the configuration that was read ahead', () => {
  const FACTORY = `import { log } from 'log';
import 'sets-env';
import { version } from './version.js';
export const makeApp = (globals, { greeting, mode }) =>
  (req, res) => res.end(JSON.stringify({ version, greeting, mode, log }));
`;
  const ini = (greeting: string) =>
    `[app:main]\nuse = call:./app.js:makeApp\ngreeting = ${greeting}\nmode = %(ENV_PRELOAD_MODE)s\n[server:main]\nuse = npm:paster#http\nport = 0\n`;
  const own = (version: number) => `export const version = ${version};\n`;

  test('is that of a cold start, whatever changes', { timeout: 120_000 }, async () => {
    const directory = project();
    const save = (version: number, greeting?: string) => {
      if (greeting !== undefined) write(directory, { 'more.ini': ini(greeting) });
      write(directory, { 'version.js': own(version) });
    };
    write(directory, {
      'app.js': FACTORY,
      'develop.ini': '[app:main]\nuse = config:more.ini\n[server:main]\nuse = config:more.ini\n',
    });
    save(0, 'one');
    const env = { ...process.env, PRELOAD_MODE: 'shell' };
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory, env });
    const shows = (version: number, greeting: string) => {
      // A package that is imported ahead sets this variable, which the INI file is read before.
      const expected = { version, greeting, mode: 'shell', log: ['sets-env'] };
      return eventually(async () => (await (await fetch(program.url)).text()) === JSON.stringify(expected));
    };
    await shows(0, 'one');
    await spareIsReady(program, 0);
    save(1);
    await shows(1, 'one');
    await spareIsReady(program, 1);
    save(2, 'two');
    await shows(2, 'two');
    // The spare worker that is there now has read the second one.
    await spareIsReady(program, 2);
    write(directory, { 'more.ini': ini('three') });
    await shows(2, 'three');
    await spareIsReady(program, 2);
    write(directory, { 'more.ini': ini('%(nothing)s') });
    await program.says(/undefined|nothing/);
    save(3);
    save(4, 'four');
    await shows(4, 'four');
    await spareIsReady(program, 4);
    save(5);
    await shows(5, 'four');
  });
});

describe('packages that were imported ahead', () => {
  test('serve the next version, also those that come after code of the application', { timeout: 60_000 }, async () => {
    const directory = project();
    const text = (version: number) => app(version, ['plain', './look.js', 'other']);
    write(directory, { 'app.js': text(0) });
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
    const [, prepared] = await program.says(/worker (\d+) has imported 3 packages ahead/);
    expect(await save(program, directory, text(1))).toBe(coldResponse(directory));
    await program.says(new RegExp(`worker ${prepared} is ready`));
    expect(program.output).not.toContain('Warning');
  });

  test('print once for each version, before the application does', { timeout: 60_000 }, async () => {
    const directory = project();
    write(directory, { 'app.js': text(0) });
    function text(version: number): string {
      return `${app(version, ['prints', './look.js', 'plain'])}console.log('own ${version}');\n`;
    }
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
    for (let version = 1; version <= 2; version++) {
      const [, prepared] = await program.says(/worker (\d+) has imported 3 packages ahead/);
      await spareIsReady(program, version);
      await save(program, directory, text(version));
      expect(program.output).toContain(`worker ${prepared} is ready`);
    }
    await spareIsReady(program, 2);
    const printed = (output: string) => output.match(/own \d|prints( old)?(?=$)/gm);
    expect(printed(program.stdout)).toEqual(['prints', 'own 0', 'prints', 'own 1', 'prints', 'own 2']);
    expect(printed(program.stderr)).toEqual(['prints', 'prints old', 'prints', 'prints old', 'prints', 'prints old']);
  });

  test.each(['module', 'commonjs'])('serve TypeScript of type %s', { timeout: 60_000 }, async (type) => {
    const directory = temporaryDirectory({
      'package.json': JSON.stringify({ type }),
      'develop.ini': INI.replace('app.js', 'app.ts'),
      'app.ts': "import { text } from './own.ts';\nexport default (req: unknown, res: any) => res.end(text);\n",
    });
    const own = (word: string) => `import { word } from 'words';\nexport const text: string = word + '${word}';\n`;
    write(directory, {
      'own.ts': own('one'),
      'node_modules/words/package.json': '{"name": "words"}',
      'node_modules/words/index.js': "exports.word = 'word ';\n",
    });
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
    await program.says(/has imported \d+ packages? ahead/);
    write(directory, { 'own.ts': own('two') });
    await eventually(async () => (await (await fetch(program.url)).text()) === 'word two');
    expect(program.output).not.toContain('is not imported ahead');
  });

  test('serve another configuration if it loads the same modules', { timeout: 60_000 }, async () => {
    const directory = project();
    write(directory, { 'app.js': app(0, ['plain', 'other']), 'next.js': app(1, ['other', 'plain']) });
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
    const [, first] = await program.says(/worker (\d+) has imported 3 packages ahead/);
    write(directory, { 'develop.ini': `# comment\n${INI}` });
    await program.says(/reloaded in .*develop\.ini/);
    await program.says(new RegExp(`worker ${first} is ready`));

    const { length } = program.output;
    await eventually(() => /has imported 3 packages ahead/.test(program.output.slice(length)));
    write(directory, { 'develop.ini': INI.replace('app.js', 'next.js') });
    await program.says(/is not used: the application no longer imports plain in the same order/);
    await eventually(async () => (await (await fetch(program.url)).text()) === coldResponse(directory, 'next.js'));
  });

  test('are dropped when a package is changed, removed or added', { timeout: 120_000 }, async () => {
    const directory = project();
    const text = (version: number) => app(version, ['plain', '{ mode } from "reads-env"'], ['mode']);
    write(directory, { 'app.js': text(0) });
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
    await spareIsReady(program, 0);
    write(directory, { 'node_modules/reads-env/index.js': `${note('changed')}export const mode = 'changed';\n` });
    expect(await save(program, directory, text(1))).toBe(coldResponse(directory));
    await program.says(/reads-env\/index\.js has changed/);

    await spareIsReady(program, 1);
    write(directory, {
      'node_modules/reads-env/package.json': '{"name": "reads-env", "type": "module", "exports": "./new.js"}',
      'node_modules/reads-env/new.js': `${note('new')}export const mode = 'new';\n`,
    });
    expect(await save(program, directory, text(2))).toBe(coldResponse(directory));

    await spareIsReady(program, 2);
    rmSync(join(directory, 'node_modules/reads-env'), { recursive: true });
    writeFileSync(join(directory, 'app.js'), text(3));
    await program.says(/Cannot find package 'reads-env'/);
    expect(await save(program, directory, app(4, ['plain']))).toBe(coldResponse(directory));
  });

  test.each(['js', 'cjs'])(
    'are dropped when one is created nearer to a .%s module',
    { timeout: 60_000 },
    async (type) => {
      const directory = project();
      const own = type === 'js' ? 'export { where } from "which";\n' : 'exports.where = require("which").where;\n';
      const packages = (where: string, at = '') => ({
        [`${at}node_modules/which/package.json`]: '{"name": "which"}',
        [`${at}node_modules/which/index.js`]: `exports.where = '${where}';\n`,
      });
      const text = (version: number) => app(version, ['plain', `{ where } from "./inner/own.${type}"`], ['where']);
      write(directory, { ...packages('outer'), [`inner/own.${type}`]: own, 'app.js': text(0) });
      const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
      await spareIsReady(program, 0);
      expect(await save(program, directory, text(1))).toContain('outer');
      await spareIsReady(program, 1);
      write(directory, packages('inner', 'inner/'));
      const body = await save(program, directory, text(2));
      expect(body).toContain('inner');
      expect(body).toBe(coldResponse(directory));
    },
  );

  test('do not show in an error, and serve its repair', { timeout: 60_000 }, async () => {
    const directory = project();
    write(directory, { 'app.js': app(0, ['plain', 'other']) });
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
    await spareIsReady(program, 0);
    writeFileSync(join(directory, 'app.js'), 'export default (;\n');
    await program.says(/SyntaxError/);
    expect(program.output.match(/SyntaxError/g)).toHaveLength(1);
    expect(await save(program, directory, app(1, ['other', 'plain']))).toBe(coldResponse(directory));
  });

  test('are none with reload_preload = off, and without those of reload_preload_except', {
    timeout: 60_000,
  }, async () => {
    const directory = project();
    write(directory, {
      'app.js': app(0, ['plain', 'other']),
      'develop.ini': `${INI}reload_preload_except = plain\n`,
    });
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
    await program.says(/plain is not imported ahead: it is in reload_preload_except/);
    await program.says(/has imported 2 packages ahead/);
    write(directory, { 'develop.ini': `${INI}reload_preload = off\n` });
    await program.says(/reloaded in/);
    const { length } = program.output;
    expect(await save(program, directory, app(1, ['plain', 'other']))).toBe(coldResponse(directory));
    expect(program.output.slice(length)).not.toContain('packages ahead');
  });
});
