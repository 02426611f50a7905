/**
 * Notices what changes how modules are loaded: hooks that are registered, and modules that are replaced in the cache of `require`.
 */
import diagnostics from 'node:diagnostics_channel';
import Module, { syncBuiltinESMExports } from 'node:module';
import { isOwnFile } from '../../../own-files.ts';
import { isPackageFile } from '../package-files.ts';
import { type Functions, NotedFunctions } from './noted-functions.ts';

/** Parts of `node:module` that its type declarations do not have, at least not in every version. */
const parts = Module as unknown as Functions;
const { _cache: cache } = Module as unknown as { readonly _cache: Readonly<Record<string, unknown>> };

const REGISTER = ['register', 'registerHooks'] as const;

/** The first calls for a package may come from `require.resolve`, before the call that loads it. Further calls load nothing. */
const MAX_CALLS = 3;

export class ModuleHooks {
  /** What a call that registers hooks has changed, as part of a sentence. */
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
      if (/^tracing:module\./.test(String(name)))
        this.registered ??= `who observes the loading of modules (${String(name)})`;
    });
    syncBuiltinESMExports();
  }

  /**
   * From now on, the application is loaded.
   * @param onRequire called before one of its CommonJS modules requires a package: a cold start would evaluate the package then
   */
  noteRequires(onRequire: () => void): void {
    const cached = new Set(Object.keys(cache));
    this.#cached = Object.values(cache);
    const calls = new Map<string, number>();
    const noteCall = (name: string) => {
      const count = calls.get(name) ?? 0;
      calls.set(name, count + 1);
      if (count < MAX_CALLS) onRequire();
    };
    // Not `_load`: packages that look at the stack would find a function of paster in it.
    this.#functions.replace(parts, '_resolveFilename', ([specifier, parent]) => {
      if (typeof specifier !== 'string' || /^[./]/.test(specifier) || Module.isBuiltin(specifier)) return;
      const { filename } = (parent ?? {}) as { readonly filename?: unknown };
      if (typeof filename === 'string' && !isPackageFile(filename) && !isOwnFile(filename)) noteCall(specifier);
    });
    // Node does not call `_resolveFilename` again for a module that it has resolved for the same directory, but reports the module.
    this.#functions.replace(process as unknown as Functions, 'send', ([message]) => {
      const { 'watch:require': files } = (message ?? {}) as { readonly 'watch:require'?: unknown };
      for (const file of [files].flat()) if (typeof file === 'string' && cached.has(file)) noteCall(file);
    });
  }

  /** Call `syncBuiltinESMExports` afterwards. */
  stop(): void {
    this.#functions.restore();
  }

  /** Whether the application has exchanged or removed a module that was loaded before, or replaced one of Node's. */
  get isCacheChanged(): boolean {
    const before = this.#cached ?? [];
    // Modules that were loaded later come after these.
    const now = Object.values(cache);
    for (let at = 0; at < before.length; at++) if (now[at] !== before[at]) return true;
    const added = now.length > before.length ? Object.keys(cache).slice(before.length) : [];
    return added.some((name) => !name.startsWith('/') && Module.isBuiltin(name));
  }
}
