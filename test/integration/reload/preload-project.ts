/** A project whose packages reveal how they were imported, and how to edit it while it is served. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, type Program } from '../../helpers/programs/program.ts';

type Files = Readonly<Record<string, string>>;

/** `log` is a module to which each package adds its name, in the order of evaluation. */
export const note = (name: string) => `import { log } from 'log';\nlog.push('${name}');\n`;

const PACKAGES: Record<string, string> = {
  log: 'export const log = [];\n',
  plain: note('plain'),
  other: `import process from 'node:process';\n${note('other')}clearTimeout(setTimeout(() => {}, 9));\n`,
  'reads-env': `${note('reads-env')}export const mode = process.env.PRELOAD_MODE ?? 'none';\n`,
  'lists-env': `${note('lists-env')}export const listed = Object.keys(process.env).includes('PRELOAD_MODE');\n`,
  'reads-global': `${note('reads-global')}export const seen = [globalThis.ownValue ?? 'none', typeof globalThis[Symbol.for('undici.globalDispatcher.1')]];\n`,
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
  'awaits-import': `${note('awaits-import')}await import('reads-cwd');\nlog.push('awaits-import is ready');\n`,
  'awaits-file': `import { readFile } from 'node:fs/promises';\n${note('awaits-file')}await readFile(new URL(import.meta.url));\nlog.push('awaits-file is ready');\n`,
  'awaits-timer': `import { setTimeout } from 'node:timers/promises';\n${note('awaits-timer')}await setTimeout(5);\nlog.push('awaits-timer is ready');\n`,
  'reads-data': `import { readFileSync } from 'node:fs';\n${note('reads-data')}export const text = readFileSync(new URL('data.txt', import.meta.url), 'utf8');\n`,
  'keeps-env': `${note('keeps-env')}const { env } = process;\nexport const keep = (home) => [(env.HOME = home), process.env.HOME];\n`,
  'reads-cwd': `${note('reads-cwd')}export const cwd = process.cwd();\n`,
};

const SETUP: Record<string, string> = {
  'setup.js': "process.env.PRELOAD_MODE = 'own';\n",
  'global.js': "globalThis.ownValue = 'own';\n",
  'pull.js': "import 'other';\n",
  'look.js': "export const looked = [globalThis.ownValue ?? 'none', process.env.PRELOAD_MODE ?? 'none'];\n",
};

/** How a package defers a call of `ready` when it is imported: a module of the application that imports it sees `ready: false`. */
export const DEFERRED: Files = {
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

/** An application that shows everything that packages could have changed. */
export function app(version: number, imports: readonly string[], values: readonly string[] = []): string {
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

export const INI = `[app:main]
use = module:./app.js

[server:main]
use = npm:paster#http
port = 0
`;

export function write(directory: string, files: Files): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
}

export function project(packages: Files = PACKAGES): string {
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

const SPARE_IS_READY = /worker (\d+) has (?:imported \d+ packages?|no packages to import) ahead/;

/**
 * Waits until the present spare worker has finished its imports. It has started after the last worker that became ready, so the line
 * about that one must have been read: wait for the reload first.
 * @returns its PID
 */
export async function spareIsReady(program: Program): Promise<string> {
  // A worker whose packages turn out to be unsuitable is replaced by another one.
  return await eventually(() => SPARE_IS_READY.exec(program.stderr.slice(program.stderr.lastIndexOf('is ready')))?.[1]);
}

/** Changes files, and waits until the reload is reported. */
export async function reload(program: Program, change: () => void): Promise<void> {
  const { length } = program.stderr;
  change();
  await eventually(() => program.stderr.slice(length).includes('reloaded in'));
}

/** Saves a version of the application, and waits for its response and for the report of the reload. */
export async function save(program: Program & { url: string }, directory: string, text: string): Promise<string> {
  await reload(program, () => writeFileSync(join(directory, 'app.js'), text));
  return await responseOf(program, Number(/version: (\d+)/.exec(text)?.[1]));
}

/** Waits for the response of a version. */
export async function responseOf(program: Program & { url: string }, version: number): Promise<string> {
  return await eventually(async () => {
    const body = await (await fetch(program.url, { headers: { connection: 'close' } })).text();
    return body.includes(`"version":${version},`) && body;
  });
}
