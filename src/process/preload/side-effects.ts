/**
 * What importing a package does to the process: which environment variables it reads and sets, which globals and parts
 * of Node it changes, what it listens to, which files of the project it reads, and what it leaves running.
 */
import { createHook } from 'node:async_hooks';
import childProcess from 'node:child_process';
import crypto from 'node:crypto';
import dns from 'node:dns';
import events from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import Module, { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import { resolve, sep } from 'node:path';
import stream from 'node:stream';
import timers from 'node:timers';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import util from 'node:util';
import { isPackageFile } from './package-files.ts';

/** Objects whose properties programs replace. */
const WATCHED: Readonly<Record<string, object>> = {
  Object,
  'Object.prototype': Object.prototype,
  Function: Function.prototype,
  Array,
  'Array.prototype': Array.prototype,
  Promise,
  'Promise.prototype': Promise.prototype,
  'String.prototype': String.prototype,
  'Number.prototype': Number.prototype,
  'RegExp.prototype': RegExp.prototype,
  'Date.prototype': Date.prototype,
  Date,
  Error,
  'Error.prototype': Error.prototype,
  Symbol,
  Reflect,
  JSON,
  Math,
  'Map.prototype': Map.prototype,
  'Set.prototype': Set.prototype,
  Buffer,
  'Buffer.prototype': Buffer.prototype,
  console,
  process,
  child_process: childProcess,
  crypto,
  dns,
  events,
  'EventEmitter.prototype': events.prototype,
  fs,
  'fs.promises': fs.promises,
  http,
  'http.Server.prototype': http.Server.prototype,
  'http.IncomingMessage.prototype': http.IncomingMessage.prototype,
  'http.ServerResponse.prototype': http.ServerResponse.prototype,
  'http.OutgoingMessage.prototype': http.OutgoingMessage.prototype,
  'http.ClientRequest.prototype': http.ClientRequest.prototype,
  'http.Agent.prototype': http.Agent.prototype,
  https,
  Module,
  'Module.prototype': Module.prototype,
  'Module._extensions': (Module as unknown as { readonly _extensions: object })._extensions,
  net,
  'net.Server.prototype': net.Server.prototype,
  'net.Socket.prototype': net.Socket.prototype,
  stream,
  'Readable.prototype': stream.Readable.prototype,
  'Writable.prototype': stream.Writable.prototype,
  timers,
  tls,
  util,
};

/** Properties that change without a package: Node and paster's gateway set them. */
const CHANGES_BY_ITSELF = new Set([
  'process.exitCode',
  'process._exiting',
  'process._eventsCount',
  'process._events',
  'process.env',
  'http.IncomingMessage.prototype.environ',
]);

/** Names that packages choose so that only they themselves find them. */
const PRIVATE_NAME = /^(?:Symbol\(|__)/;

/** The state of the globals and of Node's modules. */
export class GlobalState {
  readonly #values = new Map<string, unknown>();
  readonly #listeners = new Map<string | symbol, number>();
  readonly #directory = process.cwd();

  constructor() {
    const record = (name: string, object: object) => {
      for (const key of Reflect.ownKeys(object)) {
        const path = `${name}.${String(key)}`;
        if (CHANGES_BY_ITSELF.has(path)) continue;
        const found = Reflect.getOwnPropertyDescriptor(object, key);
        this.#values.set(path, found && ('value' in found ? found.value : new Accessor(found.get)));
      }
    };
    record('globalThis', globalThis);
    for (const [name, object] of Object.entries(WATCHED)) record(name, object);
    for (const name of process.eventNames()) this.#listeners.set(name, process.listenerCount(name));
  }

  /** What is different from an earlier state. `added`: there are new globals with private names. */
  since(earlier: GlobalState): { readonly changed: string | undefined; readonly added: boolean } {
    let changed: string | undefined;
    let added = false;
    for (const [name, value] of this.#values) {
      if (earlier.#values.has(name)) {
        if (!isSame(earlier.#values.get(name), value)) changed ??= name;
      } else if (name.startsWith('globalThis.') && PRIVATE_NAME.test(name.slice('globalThis.'.length))) added = true;
      else changed ??= name;
    }
    for (const name of earlier.#values.keys()) if (!this.#values.has(name)) changed ??= name;
    if (this.#directory !== earlier.#directory) changed ??= 'the working directory';
    return { changed, added };
  }

  /** An event of the process with other listeners than before. */
  listenersSince(earlier: GlobalState): string | undefined {
    const names = new Set([...this.#listeners.keys(), ...earlier.#listeners.keys()]);
    const name = [...names].find((each) => this.#listeners.get(each) !== earlier.#listeners.get(each));
    return name === undefined ? undefined : String(name);
  }
}

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

/** Reads the globals that Node loads when they are first read, so that this is not taken for a change. */
export function loadLazyGlobals(): void {
  for (const [name, { get }] of Object.entries(Object.getOwnPropertyDescriptors(globalThis))) {
    // Node warns about storage without a file.
    if (get && !name.endsWith('Storage')) Reflect.get(globalThis, name);
  }
  // They are opened when they are first read.
  void process.stdout;
  void process.stderr;
}

/** The package `debug` lists all variables to find its own; the others do not matter to it. */
const READS_OWN_VARIABLES = `${sep}node_modules${sep}debug${sep}src${sep}`;

/** Recorded instead of a name if a package lists the variables. */
const LIST = 'the list of variables';

/** Which variables are read. */
export class EnvironmentReads {
  /** By name, with the value at the first read. */
  readonly values = new Map<string, string | undefined>();
  /** All names, if they were listed. */
  names: string | undefined;
  readonly #env = process.env;
  readonly #recent = new Set<string>();

  /** The variables, without noting that they are read. */
  get variables(): NodeJS.ProcessEnv {
    return this.#env;
  }

  /** The names that were read since this was last asked. */
  takeRecent(): ReadonlySet<string> {
    const recent = new Set(this.#recent);
    this.#recent.clear();
    return recent;
  }

  /** From now on, reads are noted. */
  start(): void {
    const note = (name: string | symbol) => {
      if (typeof name !== 'string') return;
      this.#recent.add(name);
      if (!this.values.has(name)) this.values.set(name, this.#env[name]);
    };
    process.env = new Proxy(this.#env, {
      get: (env, name) => {
        note(name);
        return Reflect.get(env, name);
      },
      // A package may keep this object and write to it later, which `process.env` allows and a property of it does not.
      set: (env, name, value) => Reflect.set(env, name, value),
      has: (env, name) => {
        note(name);
        return Reflect.has(env, name);
      },
      getOwnPropertyDescriptor: (env, name) => {
        note(name);
        return Reflect.getOwnPropertyDescriptor(env, name);
      },
      ownKeys: (env) => {
        if (!new Error().stack?.includes(READS_OWN_VARIABLES)) {
          this.#recent.add(LIST);
          this.names ??= namesOf(env);
        }
        return Reflect.ownKeys(env);
      },
    });
    syncBuiltinESMExports();
  }

  /** The application gets Node's own object. */
  stop(): void {
    process.env = this.#env;
    syncBuiltinESMExports();
  }

  /** A variable that has changed since it was read. */
  changed(): string | undefined {
    for (const [name, value] of this.values) if (this.#env[name] !== value) return name;
    return this.names !== undefined && this.names !== namesOf(this.#env) ? LIST : undefined;
  }
}

function namesOf(env: NodeJS.ProcessEnv): string {
  return Object.keys(env).sort().join('\n');
}

const READERS = ['readFileSync', 'openSync', 'readFile', 'open', 'createReadStream', 'readdirSync', 'readdir'] as const;

/** Which files of the project are read, other than its packages and manifests. */
export class FileReads {
  first: string | undefined;
  readonly #undo: (() => void)[] = [];

  /** @param projects directories whose files may change between an import and a start */
  start(projects: readonly string[]): void {
    for (const target of [fs, fs.promises] as Record<string, unknown>[]) {
      for (const name of READERS) {
        const original = target[name];
        if (typeof original !== 'function') continue;
        const note = (path: unknown) => {
          const file = filePath(path);
          if (file === undefined || isPackageFile(file) || file.endsWith('package.json')) return;
          if (!projects.some((project) => file.startsWith(project + sep))) return;
          this.first ??= file;
        };
        const noting = function (this: unknown, ...args: unknown[]): unknown {
          note(args[0]);
          return Reflect.apply(original, this, args);
        };
        Object.defineProperty(noting, 'name', { value: name });
        Object.assign(noting, original);
        target[name] = noting;
        this.#undo.push(() => {
          target[name] = original;
        });
      }
    }
    syncBuiltinESMExports();
  }

  stop(): void {
    for (const undo of this.#undo.splice(0)) undo();
    syncBuiltinESMExports();
  }
}

function filePath(path: unknown): string | undefined {
  if (typeof path === 'string') return resolve(path);
  return path instanceof URL && path.protocol === 'file:' ? fileURLToPath(path) : undefined;
}

/** The types of resources (node:async_hooks) that are open until they are closed. */
const LASTING =
  /^(?:Timeout|TCPWRAP|TCPSERVERWRAP|PIPEWRAP|PIPESERVERWRAP|UDPWRAP|PROCESSWRAP|FSEVENTWRAP|STATWATCHER|SIGNALWRAP|WORKER|TLSWRAP|GETADDRINFOREQWRAP)$/;

/** Timers, sockets, child processes and threads that were begun and have not ended. */
export class Handles {
  readonly #open = new Map<number, string>();
  readonly #hook = createHook({
    init: (id, type) => {
      if (this.#isCounting && LASTING.test(type)) this.#open.set(id, type);
    },
    destroy: (id) => void this.#open.delete(id),
  });
  #isCounting = true;

  start(): void {
    this.#hook.enable();
  }

  stop(): void {
    this.#hook.disable();
  }

  /** Calls a function whose timers are paster's own. */
  uncounted<T>(begin: () => T): T {
    this.#isCounting = false;
    try {
      return begin();
    } finally {
      this.#isCounting = true;
    }
  }

  /** What was begun since this was last asked. */
  take(): string | undefined {
    const [type] = this.#open.values();
    this.#open.clear();
    return type;
  }
}
