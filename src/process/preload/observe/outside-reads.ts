/** What the import of a package reads from outside, and what it leaves running. */
import { AsyncLocalStorage, createHook, executionAsyncId } from 'node:async_hooks';
import childProcess from 'node:child_process';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { homedir, tmpdir } from 'node:os';
import { basename, dirname, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isOwnFile } from '../../../own-files.ts';
import { isPackageFile, isTypeScriptLoader, projectOf } from '../package-files.ts';
import { type Functions, NotedFunctions } from './noted-functions.ts';

/** Functions of node:fs whose first argument is a file that they read, or look at. */
const READERS = 'readFile open createReadStream exists stat lstat access readlink'.split(' ');
/** Those whose first argument is a directory that they list. */
const LISTERS = ['readdir', 'opendir', 'glob'];
/** Functions of node:child_process that wait for a program. */
const RUNNERS = ['execSync', 'execFileSync', 'spawnSync'];

/** What they read, or set for what runs after them, may be different when the application is loaded. */
const CONTEXT = [
  [process, 'umask', 'process.umask'],
  [AsyncLocalStorage.prototype, 'enterWith', 'AsyncLocalStorage.enterWith'],
] as const;

/**
 * What is read that may change between an import and a start: files of the project, of the directories above it and of the
 * user, without packages and manifests, what programs print, and the asynchronous context.
 */
export class OutsideReads {
  /** For a sentence, such as "reads /project/settings.json". */
  first: string | undefined;
  readonly #functions = new NotedFunctions();

  /** @param projects directories whose files may change */
  start(projects: readonly string[]): void {
    const places = new Places(projects);
    const read = ([path]: readonly unknown[]) => this.#noteFile(path, (file) => places.hasFile(file));
    const list = ([path]: readonly unknown[]) => this.#noteFile(path, (file) => places.hasList(file));
    for (const target of [fs, fs.promises] as unknown as Functions[]) {
      for (const name of READERS) for (const each of [name, `${name}Sync`]) this.#functions.replace(target, each, read);
      for (const name of LISTERS) for (const each of [name, `${name}Sync`]) this.#functions.replace(target, each, list);
    }
    this.#functions.replace(process as unknown as Functions, 'loadEnvFile', ([path = '.env']) => read([path]));
    for (const [target, name, call] of CONTEXT) {
      this.#functions.replace(target as unknown as Functions, name, () => {
        this.first ??= `calls ${call}`;
      });
    }
    for (const name of RUNNERS) {
      this.#functions.replace(childProcess as unknown as Functions, name, ([command]) => {
        this.first ??= `runs ${String(command)}`;
      });
    }
    syncBuiltinESMExports();
  }

  /** To be followed by `syncBuiltinESMExports`. */
  stop(): void {
    this.#functions.restore();
  }

  #noteFile(path: unknown, mayChange: (file: string) => boolean): void {
    if (this.first !== undefined) return;
    const file = filePath(path);
    if (file !== undefined && mayChange(file)) this.first = `reads ${file}`;
  }
}

/** Where files may change between an import and a start. */
class Places {
  readonly #projects: readonly string[];
  /** The directories above the projects, in which packages look for files of the user. */
  readonly #above = new Set<string>();
  readonly #home = homedir();
  /** Node's own files may be in the home directory. */
  readonly #node = dirname(dirname(process.execPath));

  constructor(projects: readonly string[]) {
    this.#projects = projects;
    for (const project of projects) {
      for (let at = dirname(project); at !== dirname(at); at = dirname(at)) this.#above.add(at);
    }
    this.#above.delete(tmpdir());
  }

  hasFile(file: string): boolean {
    // That a project is there does not change.
    if (this.#projects.includes(file) || this.#above.has(file) || basename(file) === 'package.json') return false;
    return this.hasList(dirname(file)) && basename(file) !== 'node_modules';
  }

  hasList(directory: string): boolean {
    if (isPackageFile(directory + sep) || isOwnFile(directory)) return false;
    if (this.#projects.some((project) => isIn(directory, project)) || this.#above.has(directory)) return true;
    return this.#home !== sep && isIn(directory, this.#home) && !isIn(directory, this.#node);
  }
}

function isIn(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory + sep);
}

function filePath(path: unknown): string | undefined {
  // Node reads each module of a package.
  if (typeof path === 'string') return isPackageFile(path) ? undefined : resolve(path);
  return path instanceof URL && path.protocol === 'file:' ? fileURLToPath(path) : undefined;
}

/** The types of resources (node:async_hooks) that are open until they are closed. */
const LASTING =
  /^(?:Timeout|TCPWRAP|TCPSERVERWRAP|PIPEWRAP|PIPESERVERWRAP|UDPWRAP|PROCESSWRAP|FSEVENTWRAP|STATWATCHER|SIGNALWRAP|WORKER|TLSWRAP|GETADDRINFOREQWRAP)$/;

/** Those that run once, and soon. A package that begins one may be complete a moment after its import, and not at its end. */
const DEFERRED = /^(?:Timeout|Immediate|TickObject|Microtask|FSREQCALLBACK|FSREQPROMISE)$/;

/** How a package has begun it, by type. */
const CALLS: Readonly<Record<string, string>> = {
  PROMISE: 'a promise',
  Timeout: 'a timer',
  Immediate: 'setImmediate',
  TickObject: 'process.nextTick',
  Microtask: 'queueMicrotask',
};

/** Timers, sockets, child processes and threads that were begun and have not ended, and what was begun and put off. */
export class Handles {
  readonly #open = new Map<number, string>();
  /** Begun by packages in this turn of the event loop. */
  readonly #begun = new Map<number, { readonly type: string; readonly resource: object }>();
  #deferred: string | undefined;
  #projects: readonly string[] = [];
  readonly #hook = createHook({
    init: (id, type, trigger, resource) => {
      if (!this.#isCounting) return;
      if (LASTING.test(type)) this.#open.set(id, type);
      // A promise that waits for another one has its number.
      const isReaction = type === 'PROMISE' && trigger !== executionAsyncId();
      if (!isReaction && !DEFERRED.test(type)) return;
      if (!this.uncounted(() => isBegunByPackage(isReaction, this.#projects))) return;
      this.#begun.set(id, { type, resource });
      // The import has waited for it, if it has not ended by then.
      this.uncounted(() => setImmediate(() => this.#begun.delete(id)).unref());
    },
    destroy: (id) => void this.#open.delete(id),
  });
  #isCounting = true;

  /** @param projects directories that the packages are installed in */
  start(projects: readonly string[]): void {
    this.#projects = projects;
    this.#hook.enable();
  }

  stop(): void {
    this.#hook.disable();
  }

  /** To be called as soon as an import has ended. */
  endImport(): void {
    const [deferred] = [...this.#begun.values()].filter(({ resource }) => !isCleared(resource));
    this.#deferred = deferred?.type;
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

  /** What was begun since this was last asked, as a reason. */
  take(): string | undefined {
    const [type] = this.#open.values();
    this.#open.clear();
    if (type !== undefined) return `leaves something running (${type})`;
    return this.#deferred && `goes on after its import (${CALLS[this.#deferred] ?? 'a file'})`;
  }
}

const STACK_LENGTH = 15;
/** The hook that paster is called by. */
const HOOK = 'node:internal/async_hooks';

/** @param isDirect not by way of functions of Node, which wait for promises of their own */
function isBegunByPackage(isDirect: boolean, projects: readonly string[]): boolean {
  const calls = callStack();
  // Closing a file changes nothing that a module could find.
  if (calls.some(({ file, name }) => name === 'close' && file.startsWith('node:fs'))) return false;
  // Node itself puts off what it does for listeners, warnings and streams.
  const tick = calls.findIndex(({ file, name }) => name === 'nextTick' && file.startsWith('node:'));
  const callers = tick < 0 ? calls : calls.slice(tick + 1, tick + 2);
  return (isDirect ? directCaller(calls) : callers).some(({ file }) => {
    if (!isPackageFile(file)) return false;
    const path = file.startsWith('file:') ? fileURLToPath(file) : file;
    return projects.includes(projectOf(path)) && !isOwnFile(path) && !isTypeScriptLoader(path);
  });
}

/** The code that calls `then`, or waits, without the built-in function. */
function directCaller(calls: readonly Call[]): Call[] {
  const outside = calls.slice(calls.findLastIndex(({ file }) => file === HOOK) + 1);
  return outside.filter(({ file }) => file !== '').slice(0, 1);
}

interface Call {
  /** A path or a URL; empty for a built-in function. */
  readonly file: string;
  readonly name: string | null;
}

/** Without the text of a stack: to find the lines takes V8 twice as long as all else. */
function callStack(): Call[] {
  const { stackTraceLimit, prepareStackTrace } = Error;
  Error.stackTraceLimit = STACK_LENGTH;
  Error.prepareStackTrace = (_error, calls) =>
    calls.map((call) => ({ file: call.getFileName() ?? '', name: call.getFunctionName() }));
  try {
    return new Error().stack as unknown as Call[];
  } finally {
    Error.prepareStackTrace = prepareStackTrace;
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** Whether it is a timer that was stopped. */
function isCleared(resource: object): boolean {
  return '_onTimeout' in resource && resource._onTimeout === null;
}
