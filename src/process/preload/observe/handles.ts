/** What the import of a package leaves running, or puts off until after the import. */
import { createHook, executionAsyncId } from 'node:async_hooks';
import { fileURLToPath } from 'node:url';
import { isOwnFile } from '../../../own-files.ts';
import { isPackageFile, isTypeScriptLoader, projectOf } from '../package-files.ts';

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
  /**
   * Begun by packages during an import, even if the import has waited for it, as with a top-level `await`: in a cold start
   * the modules beside it run in the meantime.
   */
  readonly #begun = new Map<number, { readonly type: string; readonly resource: object }>();
  #deferred: string | undefined;
  #projects: readonly string[] = [];
  readonly #hook = createHook({
    init: (id, type, trigger, resource) => {
      if (!this.#isCounting) return;
      if (LASTING.test(type)) this.#open.set(id, type);
      // A promise that waits for another one has that one as its trigger.
      const isReaction = type === 'PROMISE' && trigger !== executionAsyncId();
      if (!isReaction && !DEFERRED.test(type)) return;
      if (!this.uncounted(() => isBegunByPackage(isReaction, this.#projects))) return;
      this.#begun.set(id, { type, resource });
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
    this.#begun.clear();
    if (type !== undefined) return `leaves something running (${type})`;
    return this.#deferred && `is not ready at once (${CALLS[this.#deferred] ?? 'a file'})`;
  }
}

const STACK_LENGTH = 15;
/** In a stack, the module of Node that calls the hook. */
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
