/** What changes how modules are loaded: hooks that are registered, and modules that are exchanged in the cache of `require`. */
import diagnostics from 'node:diagnostics_channel';
import Module, { syncBuiltinESMExports } from 'node:module';
import { isOwnFile } from '../../../own-files.ts';
import { isPackageFile } from '../package-files.ts';
import { type Functions, NotedFunctions } from './noted-functions.ts';

/** Parts of Node's module that its types do not have, or not in each version. */
const parts = Module as unknown as Functions;
const { _cache: cache } = Module as unknown as { readonly _cache: Readonly<Record<string, unknown>> };

const REGISTER = ['register', 'registerHooks'] as const;

/** A package may be looked for by `require.resolve` before it is loaded; later calls load nothing. */
const MOST_CALLS = 3;

export class ModuleHooks {
  /** What a call has changed that registers hooks, for a sentence. */
  registered: string | undefined;
  /** The modules in the cache of `require` before the application was loaded. */
  #cached: readonly unknown[] | undefined;
  readonly #functions = new NotedFunctions();

  start(): void {
    for (const name of REGISTER) {
      this.#functions.replace(parts, name, () => {
        this.registered ??= `how modules are loaded (module.${name})`;
      });
    }
    this.#functions.replace(diagnostics.Channel.prototype as unknown as Functions, 'subscribe', (_args, channel) => {
      const { name } = channel as diagnostics.Channel;
      if (/^tracing:module\./.test(String(name))) this.registered ??= `who is told of modules (${String(name)})`;
    });
    syncBuiltinESMExports();
  }

  /**
   * From now on, the application is loaded.
   * @param onRequire called before one of its CommonJS modules gets a package, which a cold start evaluates then
   */
  noteRequires(onRequire: () => void): void {
    const cached = new Set(Object.keys(cache));
    this.#cached = Object.values(cache);
    const calls = new Map<string, number>();
    const noteCall = (name: string) => {
      const count = calls.get(name) ?? 0;
      calls.set(name, count + 1);
      if (count < MOST_CALLS) onRequire();
    };
    // Not `_load`: packages that look at the stack would find a function of paster in it.
    this.#functions.replace(parts, '_resolveFilename', ([specifier, parent]) => {
      if (typeof specifier !== 'string' || /^[./]/.test(specifier) || Module.isBuiltin(specifier)) return;
      const { filename } = (parent ?? {}) as { readonly filename?: unknown };
      if (typeof filename === 'string' && !isPackageFile(filename) && !isOwnFile(filename)) noteCall(specifier);
    });
    // Node does not call it for a module that it has resolved for the same directory, but reports that one.
    this.#functions.replace(process as unknown as Functions, 'send', ([message]) => {
      const { 'watch:require': files } = (message ?? {}) as { readonly 'watch:require'?: unknown };
      for (const file of [files].flat()) if (typeof file === 'string' && cached.has(file)) noteCall(file);
    });
  }

  /** To be followed by `syncBuiltinESMExports`. */
  stop(): void {
    this.#functions.restore();
  }

  /** Whether the application has exchanged or removed a module that was loaded before, or replaced one of Node's. */
  get isCacheChanged(): boolean {
    const before = this.#cached ?? [];
    // New ones come after them.
    const now = Object.values(cache);
    for (let at = 0; at < before.length; at++) if (now[at] !== before[at]) return true;
    const added = now.length > before.length ? Object.keys(cache).slice(before.length) : [];
    return added.some((name) => !name.startsWith('/') && Module.isBuiltin(name));
  }
}
