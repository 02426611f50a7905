/** The globals and the modules of Node: what packages and the application change in them. */
import dns from 'node:dns';
import events from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { isBuiltin } from 'node:module';
import net from 'node:net';
import stream from 'node:stream';
import { inspect } from 'node:util';
import { requireOwn } from '../../../own-files.ts';

/** Watched from the beginning, since programs change them most. Other modules of Node are watched once they are loaded. */
const ALWAYS_LOADED = [
  'child_process',
  'crypto',
  'dns',
  'fs',
  'http',
  'https',
  'net',
  'stream',
  'timers',
  'tls',
  'util',
];

/** Loading these prints a warning, or they are parts of other modules. */
const NOT_LOADED = /^(?:_|punycode$|sys$|wasi$)/;

/** Properties that Node or paster's gateway sets, and `process.env`, which another module observes. */
const CHANGES_BY_ITSELF = new Set([
  'process.exitCode',
  'process._exiting',
  'process._eventsCount',
  'process._events',
  'process.env',
  'process.mainModule',
  'http.IncomingMessage.prototype.environ',
  'http.globalAgent._eventsCount',
  'http.globalAgent.totalSocketCount',
  'https.globalAgent._eventsCount',
  'https.globalAgent.totalSocketCount',
]);

/** Objects that grow by themselves, listeners, which are counted, and namespaces of constants. */
const NOT_WATCHED = /^module\._(?:cache|pathCache)$|^process\._events$|\.(?:constants|codes)$/;

/** Lists of the process whose elements programs change. */
const LISTS = ['argv', 'execArgv'] as const;

/** What programs set by a call, or by an accessor, with the function that reads it. */
const SETTINGS: Readonly<Record<string, () => unknown>> = {
  'events.defaultMaxListeners': () => events.defaultMaxListeners,
  'the classes of fetch': () => replacedFetchClasses,
  'http.globalAgent': () => http.globalAgent,
  'https.globalAgent': () => https.globalAgent,
  'the order of addresses (dns.setDefaultResultOrder)': () => dns.getDefaultResultOrder(),
  'the DNS servers (dns.setServers)': () => dns.getServers().join(),
  'net.setDefaultAutoSelectFamily': () => net.getDefaultAutoSelectFamily(),
  'net.setDefaultAutoSelectFamilyAttemptTimeout': () => net.getDefaultAutoSelectFamilyAttemptTimeout(),
  'stream.setDefaultHighWaterMark': () => [false, true].map(stream.getDefaultHighWaterMark).join(),
};

/** Reading one of them loads what fetch is made of, and sets the dispatcher of requests that the package undici looks for. */
const FETCH_CLASSES = 'CloseEvent EventSource FormData Headers MessageEvent Request Response WebSocket'.split(' ');
const FETCH_MODULE = 'NativeModule internal/deps/undici/undici';
let isFetchLoaded = false;
/** Those that something has replaced before they were loaded. */
let replacedFetchClasses = '';

/** Names that packages choose so that only they themselves find them. */
const PRIVATE_NAME = /^(?:Symbol\(|__)/;

/** Whether only those who know the name of a global read it. */
export function isPrivate(name: string): boolean {
  return PRIVATE_NAME.test(name);
}

/** The objects whose properties programs replace, with their names. They stay the same in a process, except for modules that are loaded. */
const watched = new Map<object, string>();
/** Those that are compared often. */
const GLOBAL_OBJECTS = new Set(['globalThis', 'console', 'process', 'Date', 'Math', 'fs', 'http', 'https']);
/** How many entries of Node's list of loaded modules have been looked at. */
let seenModules = 0;

function watch(name: string, object: unknown): void {
  if (!isObject(object) || watched.has(object) || Object.isFrozen(object)) return;
  if (NOT_WATCHED.test(name) || CHANGES_BY_ITSELF.has(name)) return;
  watched.set(object, name);
  if (typeof object === 'function') watch(`${name}.prototype`, object.prototype);
}

function watchGlobals(): void {
  watch('globalThis', globalThis);
  for (const name of Object.getOwnPropertyNames(globalThis))
    if (!isStorage(name) && !isLazyFetchClass(name)) watch(name, Reflect.get(globalThis, name));
  for (const [name, value] of dataProperties(Intl)) watch(`Intl.${name}`, value);
  watch('util.inspect.defaultOptions', inspect.defaultOptions);
  for (const [name, { globalAgent }] of Object.entries({ http, https })) {
    watch(`${name}.globalAgent`, globalAgent);
    watch(`${name}.globalAgent.options`, Reflect.get(globalAgent, 'options'));
  }
}

function watchModules(): void {
  // Not documented: a list of names such as "NativeModule fs".
  const { moduleLoadList: loaded = [] } = process as { readonly moduleLoadList?: readonly string[] };
  if (seenModules === loaded.length) return;
  for (const entry of loaded.slice(seenModules)) {
    isFetchLoaded ||= entry === FETCH_MODULE;
    const name = entry.replace(/^NativeModule /, '');
    if (name !== entry && !NOT_LOADED.test(name) && isBuiltin(name)) watchModule(name, requireOwn(`node:${name}`));
  }
  seenModules = loaded.length;
}

function watchFetchClasses(): void {
  const present = FETCH_CLASSES.filter((name) => name in globalThis);
  if (isFetchLoaded) for (const name of present) watch(name, Reflect.get(globalThis, name));
  else replacedFetchClasses = present.filter((name) => !isLazyFetchClass(name)).join();
}

function watchModule(name: string, module: object): void {
  watch(name, module);
  for (const [key, value] of dataProperties(module)) {
    const isClass = typeof value === 'function' && /^[A-Z]/.test(key);
    if (isClass || isPlain(value)) watch(`${name}.${key}`, value);
  }
}

/** The state of the globals and of Node's modules. */
export class GlobalState {
  /** The names and values of the properties of each object. */
  readonly #properties = new Map<object, Properties>();
  readonly #lists: readonly string[];
  readonly #listeners = new Map<string | symbol, number>();
  readonly #directory = process.cwd();
  readonly #settings = new Map<string, unknown>();

  /** @param isPartial only of what programs change for a short time */
  constructor({ isPartial = false } = {}) {
    if (watched.size === 0) {
      for (const name of ALWAYS_LOADED) requireOwn(`node:${name}`);
      watchGlobals();
    }
    if (!isPartial) {
      watchModules();
      watchFetchClasses();
    }
    for (const [object, name] of watched) {
      if (!isPartial || GLOBAL_OBJECTS.has(name)) this.#properties.set(object, propertiesOf(object));
    }
    if (!isPartial) for (const [name, read] of Object.entries(SETTINGS)) this.#settings.set(name, read());
    this.#lists = LISTS.map((name) => [process[name]].flat().join('\0'));
    for (const name of process.eventNames()) this.#listeners.set(name, process.listenerCount(name));
  }

  /** What is different from an earlier state. `added`: the names of new globals. */
  since(
    earlier: GlobalState,
    ignored?: ReadonlySet<string>,
  ): { readonly changed: string | undefined; readonly added: readonly string[] } {
    let changed: string | undefined;
    const added: string[] = [];
    for (const [object, now] of this.#properties) {
      const before = earlier.#properties.get(object);
      if (!before || isEqual(before, now)) continue;
      const owner = watched.get(object) ?? '';
      for (const key of differences(before, now)) {
        const name = `${owner}.${String(key)}`;
        if (CHANGES_BY_ITSELF.has(name) || ignored?.has(name)) continue;
        if (object === globalThis && !before.keys.includes(key)) added.push(String(key));
        else changed ??= name;
      }
    }
    const list = LISTS.find((_name, at) => this.#lists[at] !== earlier.#lists[at]);
    if (list) changed ??= `process.${list}`;
    for (const [name, value] of this.#settings) {
      if (!Object.is(value, earlier.#settings.get(name))) changed ??= name;
    }
    if (this.#directory !== earlier.#directory) changed ??= 'the working directory (process.chdir)';
    return { changed, added };
  }

  /** An event of the process with other listeners than before. */
  listenersSince(earlier: GlobalState): string | undefined {
    const names = new Set([...this.#listeners.keys(), ...earlier.#listeners.keys()]);
    const name = [...names].find((each) => this.#listeners.get(each) !== earlier.#listeners.get(each));
    return name === undefined ? undefined : String(name);
  }
}

interface Properties {
  readonly keys: readonly (string | symbol)[];
  readonly values: readonly unknown[];
}

// Loops, since this runs for thousands of properties before V8 has compiled it.
function propertiesOf(object: object): Properties {
  const keys = Reflect.ownKeys(object);
  const values: unknown[] = [];
  for (const key of keys) {
    const found = Reflect.getOwnPropertyDescriptor(object, key);
    values.push(found && ('value' in found ? found.value : new Accessor(found.get)));
  }
  return { keys, values };
}

function isEqual(before: Properties, now: Properties): boolean {
  const { length } = now.keys;
  if (before.keys.length !== length) return false;
  for (let at = 0; at < length; at++) {
    if (before.keys[at] !== now.keys[at]) return false;
    if (now.values[at] !== before.values[at] && !isSame(before.values[at], now.values[at])) return false;
  }
  return true;
}

function differences(before: Properties, now: Properties): (string | symbol)[] {
  const values = new Map(before.keys.map((key, at) => [key, before.values[at]]));
  const names = new Set(now.keys);
  return [
    ...now.keys.filter((key, at) => !values.has(key) || !isSame(values.get(key), now.values[at])),
    ...before.keys.filter((key) => !names.has(key)),
  ];
}

/** Stands for an accessor, which is not called. */
class Accessor {
  readonly get: unknown;

  constructor(get: unknown) {
    this.get = get;
  }
}

/** Node replaces an accessor with its value when it is read first. */
function isSame(before: unknown, now: unknown): boolean {
  if (before instanceof Accessor) return now instanceof Accessor ? before.get === now.get : true;
  return Object.is(before, now);
}

function isObject(value: unknown): value is object {
  return typeof value === 'function' || (typeof value === 'object' && value !== null);
}

function isPlain(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

/** The properties that have a value and a name. Accessors are left out, because they may have side effects. */
function dataProperties(object: object): [name: string, value: unknown][] {
  return Object.entries(Object.getOwnPropertyDescriptors(object)).flatMap(([name, { value }]) =>
    value === undefined ? [] : [[name, value] as [string, unknown]],
  );
}

function isLazyFetchClass(name: string): boolean {
  return FETCH_CLASSES.includes(name) && Object.getOwnPropertyDescriptor(globalThis, name)?.get !== undefined;
}

/** Node warns about storage without a file. */
function isStorage(name: string): boolean {
  return name.endsWith('Storage');
}

/** Reads the globals that Node loads when they are first read, so that this is not taken for a change. */
export function loadLazyGlobals(): void {
  for (const [name, { get }] of Object.entries(Object.getOwnPropertyDescriptors(globalThis))) {
    if (get && !isStorage(name) && !isLazyFetchClass(name)) Reflect.get(globalThis, name);
  }
  // They are opened when they are first read.
  void process.stdout;
  void process.stderr;
}
