/** What a spare worker does if it must load the application while it still imports packages, and which changes it then detects. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { spawnSync } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import dns from 'node:dns';
import events from 'node:events';
import fs, { promises } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import Module, { createRequire } from 'node:module';
import net from 'node:net';
import os, { getPriority, setPriority } from 'node:os';
import { join, resolve } from 'node:path';
import stream from 'node:stream';
import { inspect } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import type { Unit } from '../../../src/process/preload/loaded-module.ts';
import { Preloader } from '../../../src/process/preload/preloader.ts';
import { eventually } from '../../helpers/programs/program.ts';

const unit = (name: string): Unit => ({
  file: `/srv/project/node_modules/${name}/index.js`,
  kind: 'import',
  byTsx: false,
  from: '/srv/project/app.js',
  requests: [],
  isFirst: true,
  isLate: false,
  isKnown: true,
  isConditional: false,
  deferredBy: undefined,
});

afterEach(() => {
  delete process.env['PRELOADER_TEST'];
});

/** Without the privilege to raise it again, a preloader does not lower the priority. */
const MAY_RAISE_PRIORITY = mayRaisePriority();

function mayRaisePriority(): boolean {
  const priority = getPriority();
  try {
    setPriority(priority - 1);
    setPriority(priority);
    return true;
  } catch {
    return false;
  }
}

/** A preloader in the middle of its first unit, and the function that ends that import. */
async function importing(effect: () => void = () => {}) {
  const imported: string[] = [];
  let finish = () => {};
  const preloader = new Preloader({
    units: [unit('slow'), unit('next')],
    writtenVariables: [],
    observed: 0,
    onImport: () => {},
    onImported: () => {},
  });
  void preloader.run(async ({ file }) => {
    imported.push(file);
    await new Promise<void>((resolve) => {
      finish = resolve;
    });
    effect();
  });
  await eventually(() => imported.length === 1);
  return { preloader, imported, finish: () => finish() };
}

test('it checks what packages leave running, from the first package that has not been checked before', async () => {
  const found: string[] = [];
  const preloader = new Preloader({
    units: [unit('known'), unit('new')],
    writtenVariables: [],
    observed: 1,
    onImport: () => {},
    onImported: (index, effects) => found.push(...effects.map(({ reason }) => `${index} ${reason}`)),
  });
  const timers: NodeJS.Timeout[] = [];
  await preloader.run(async () => void timers.push(setInterval(() => {}, 1000)));
  for (const timer of timers) clearInterval(timer);
  preloader.output.drop();
  expect(found).toEqual(['1 leaves something running (Timeout)']);
});

test('it finishes the package that it is importing, at the priority of a server', async () => {
  const before = getPriority();
  const { preloader, imported, finish } = await importing();
  if (MAY_RAISE_PRIORITY) expect(getPriority()).toBeGreaterThan(before);
  const stopped = preloader.stop();
  expect(getPriority()).toBe(before);
  finish();
  await stopped;
  expect(imported).toEqual([unit('slow').file]);
  expect(getPriority()).toBe(before);
});

test('a package that sets a variable is reported to a configuration that is read after it', async () => {
  const { preloader, finish } = await importing(() => {
    process.env['PRELOADER_TEST'] = 'set';
  });
  expect(preloader.variableSetter).toBeUndefined();
  const stopped = preloader.stop();
  finish();
  await stopped;
  expect(preloader.variableSetter?.name).toBe(unit('slow').file);
});

test('a package that may be imported ahead anyway does not make the spare worker useless', async () => {
  const { preloader, finish } = await importing(() => {
    process.env['PRELOADER_TEST'] = 'set';
  });
  const stopped = preloader.stop();
  finish();
  await stopped;
  expect(preloader.lateConflict).toBeUndefined();
});

test('a package that may not be imported ahead makes the spare worker useless', async () => {
  const { preloader, finish } = await importing(() => {
    const timer = setTimeout(() => {}, 60_000);
    timer.unref();
  });
  const stopped = preloader.stop();
  finish();
  await stopped;
  expect(preloader.lateConflict?.name).toBe(unit('slow').file);
});

/** Lets a package read something, and then lets the application change something. */
async function conflictOf(look: () => unknown, change: (preloader: Preloader) => Undo, of: Partial<Unit> = {}) {
  const preloader = new Preloader({
    units: [{ ...unit('later'), isFirst: false, ...of }],
    writtenVariables: [],
    observed: 0,
    onImport: () => {},
    onImported: () => {},
  });
  await preloader.run(async () => look());
  await preloader.stop();
  const undo = change(preloader);
  const conflict = preloader.conflict();
  preloader.output.drop();
  undo?.();
  return conflict;
}

// biome-ignore lint/suspicious/noConfusingVoidType: most changes are undone at once.
type Undo = (() => unknown) | void;

const globals: Record<string | symbol, unknown> = globalThis as never;
const require = createRequire('/srv/project/app.js');
const SHARED = Symbol.for('paster.test');

const nothing = () => {};
const push = (list: string[]) => () => {
  list.push('--more');
  return () => list.pop();
};
const addTo = (object: object) => () => {
  Object.assign(object, { added: 1 });
  return () => Reflect.deleteProperty(object, 'added');
};
/** Sets it temporarily. */
const set = (object: Record<string | symbol, unknown>, name: string | symbol, value: unknown) => () => {
  const before = object[name];
  object[name] = value;
  if (before === undefined) delete object[name];
  else object[name] = before;
};

/** Sets it until `undo` is called. */
const setBy =
  <T>(read: () => T, write: (value: T) => unknown, value: T) =>
  () => {
    const before = read();
    write(value);
    return () => write(before);
  };

/** `process.env` is replaced by another object later. */
const setVariable = (name: string, value: string | undefined) => () => {
  const { env }: { env: Record<string, unknown> } = process;
  set(env, name, value)();
};

test.each<readonly [name: string, look: () => unknown, change: () => Undo]>([
  ['process.argv', nothing, push(process.argv)],
  ['process.execArgv', nothing, push(process.execArgv)],
  ['os.added', nothing, addTo(os)],
  ['fs/promises.added', nothing, addTo(promises)],
  ['RegExp.added', nothing, addTo(RegExp)],
  ['URL.prototype.added', nothing, addTo(URL.prototype)],
  ['Intl.NumberFormat.added', nothing, addTo(Intl.NumberFormat)],
  [
    'events.defaultMaxListeners',
    nothing,
    setBy(
      () => events.defaultMaxListeners,
      (value) => {
        events.defaultMaxListeners = value;
      },
      50,
    ),
  ],
  [
    'util.inspect.defaultOptions.depth',
    nothing,
    setBy(
      () => inspect.defaultOptions.depth,
      (value) => {
        inspect.defaultOptions.depth = value;
      },
      50,
    ),
  ],
  ['http.globalAgent.added', nothing, addTo(http.globalAgent)],
  ['https.globalAgent.options.added', nothing, addTo(https.globalAgent.options)],
  [
    'http.globalAgent',
    nothing,
    setBy(
      () => http.globalAgent,
      (value) => {
        http.globalAgent = value;
      },
      new http.Agent(),
    ),
  ],
  [
    'the order of addresses (dns.setDefaultResultOrder)',
    nothing,
    setBy(dns.getDefaultResultOrder, dns.setDefaultResultOrder, 'ipv4first'),
  ],
  [
    'net.setDefaultAutoSelectFamily',
    nothing,
    setBy(net.getDefaultAutoSelectFamily, net.setDefaultAutoSelectFamily, false),
  ],
  [
    'stream.setDefaultHighWaterMark',
    nothing,
    setBy(
      () => stream.getDefaultHighWaterMark(false),
      (value) => stream.setDefaultHighWaterMark(false, value),
      1024,
    ),
  ],
  [
    'who observes the loading of modules (tracing:module.import:start)',
    nothing,
    () => {
      subscribe('tracing:module.import:start', nothing);
      return () => unsubscribe('tracing:module.import:start', nothing);
    },
  ],
  ['globalThis.added', () => globals['added'], addTo(globalThis)],
  ['globalThis.added', () => 'added' in globals, set(globals, 'added', 1)],
  ['globalThis.__added', () => '__added' in globals, set(globals, '__added', 1)],
  ['globalThis.Symbol(paster.test)', () => globals[SHARED], set(globals, SHARED, 1)],
  [
    'require.cache',
    nothing,
    () => {
      require.cache['fs'] = new Module('fs');
      return () => delete require.cache['fs'];
    },
  ],
  [
    'process.env',
    nothing,
    () => {
      const { env } = process;
      process.env = { ...env };
      return () => {
        process.env = env;
      };
    },
  ],
  ['PRELOADER_TEST', () => process.env['PRELOADER_TEST'], setVariable('PRELOADER_TEST', 'set')],
  ['the list of variables', () => Object.keys(process.env), setVariable('PRELOADER_TEST', 'set')],
  ['TZ', nothing, setVariable('TZ', 'Asia/Tokyo')],
])('it detects that the application changes %s', async (name, look, change) => {
  expect((await conflictOf(look, change))?.name).toBe(name);
});

test.each<readonly [what: string, look: () => unknown, change: () => Undo]>([
  ['a variable that no package has read', nothing, setVariable('PRELOADER_TEST', 'set')],
  ['a variable to its current value', () => process.env['PATH'], setVariable('PATH', process.env['PATH'])],
  ['a global that no package has read', nothing, addTo(globalThis)],
  [
    'a subscriber of a diagnostics channel',
    nothing,
    () => {
      subscribe('http.server.request.start', nothing);
      return () => unsubscribe('http.server.request.start', nothing);
    },
  ],
  ['a global temporarily, if packages have read only another one', () => globals['other'], set(globals, 'added', 1)],
  [
    'how JSON shows a BigInt',
    nothing,
    () => {
      Object.assign(BigInt.prototype, { toJSON: nothing });
      return () => Reflect.deleteProperty(BigInt.prototype, 'toJSON');
    },
  ],
  [
    'a listener of the process',
    () => import('node:process'),
    () => {
      process.on('unhandledRejection', nothing);
      return () => process.off('unhandledRejection', nothing);
    },
  ],
])('it ignores that the application sets %s', async (_what, look, change) => {
  const { env } = process;
  expect(await conflictOf(look, change)).toBeUndefined();
  expect(process.env).toBe(env);
  expect(Reflect.getPrototypeOf(Reflect.getPrototypeOf(globalThis) ?? {})).toBe(Object.prototype);
});

test.each([
  [false, undefined],
  [true, 'process.argv'],
])('it detects what functions of the application change, if a package comes after them: %s', async (isLate, name) => {
  const change = (preloader: Preloader) => {
    preloader.evaluated();
    return push(process.argv)();
  };
  expect((await conflictOf(nothing, change, { isLate }))?.name).toBe(name);
});

/** What is observed about the import of a package. */
async function effectsOf(look: () => unknown): Promise<readonly string[]> {
  const found: string[] = [];
  const preloader = new Preloader({
    units: [unit('first')],
    writtenVariables: [],
    observed: 0,
    onImport: () => {},
    onImported: (_index, effects) => void found.push(...effects.map(({ reason }) => reason)),
  });
  await preloader.run(async () => void (await look()));
  preloader.output.drop();
  return found;
}

test.each<readonly [reason: string, look: () => unknown]>([
  [`reads ${resolve('settings.json')}`, () => fs.existsSync('settings.json')],
  ['reads /srv/.settingsrc', () => fs.statSync('/srv/.settingsrc', { throwIfNoEntry: false })],
  [
    `reads ${join(os.homedir(), '.settingsrc')}`,
    () => promises.access(join(os.homedir(), '.settingsrc')).catch(nothing),
  ],
  [`reads ${resolve('.')}`, () => fs.opendirSync('.').closeSync()],
  ['runs true', () => spawnSync('true')],
  ['calls process.umask', () => process.umask(process.umask(0o22))],
  ['calls AsyncLocalStorage.enterWith', () => new AsyncLocalStorage().enterWith(1)],
  ['changes how modules are loaded (module.register)', () => Module.register('data:text/javascript,', import.meta.url)],
])('it detects that a package %s', async (reason, look) => {
  expect(await effectsOf(look)).toContain(reason);
});

test.each<readonly [what: string, look: () => unknown]>([
  ['a package', () => fs.existsSync('node_modules/first/settings.json')],
  ['a manifest', () => fs.readFileSync('package.json')],
  ['a system file', () => fs.existsSync('/etc/os-release')],
  ['the parent directory of the project', () => fs.statSync('..')],
])('it ignores that a package reads %s', async (_what, look) => {
  expect(await effectsOf(look)).toEqual([]);
});

test('a function of Node that a package has replaced stays replaced for the application', async () => {
  const { existsSync } = fs;
  const own = () => false;
  await effectsOf(() => Object.assign(fs, { existsSync: own }));
  expect(fs.existsSync).toBe(own);
  Object.assign(fs, { existsSync });
});
