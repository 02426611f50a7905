/** Runs a program in this process as `node FILE` would. */
import { existsSync, readFileSync } from 'node:fs';
import { Module } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { readManifest } from '../programs/manifest.ts';
import { importModule, isTypeScriptForLoader, requireTypeScript } from './import-module.ts';

/** Runs a file as `node FILE` does: `require.main === module` and `import.meta.main` hold. */
export async function runMain(file: string, directory: string): Promise<void> {
  if (isTypeScriptForLoader(file)) {
    if (extname(file) === '.mts' || !REQUIRES_MAIN.test(readFileSync(file, 'utf8'))) {
      await importModule(file, directory);
      return;
    }
    markRequiredAsMain(file);
    await importModule(file, directory, () => requireTypeScript(file, directory));
    return;
  }
  if (isEsModule(file)) {
    markAsMain(file);
    await importModule(file, directory);
    return;
  }
  await importModule(file, directory, () => Reflect.apply(loadAsMain, Module, [file, null, true]));
}

/** Stands for a CommonJS program until it runs: packages that are imported ahead find its file in `require.main`. */
export function announceMain(file: string): void {
  if (isTypeScriptForLoader(file) || isEsModule(file)) return;
  const main = Object.assign(new Module(file), { id: '.', filename: file, paths: modulePaths(dirname(file)) });
  process.mainModule = main;
}

const modulePaths = Reflect.get(Module, '_nodeModulePaths') as (directory: string) => string[];

/** In CommonJS alone. Other files are imported, as an ES module may have to be. */
const REQUIRES_MAIN = /\brequire\.main\b/;

/** What `node FILE` itself calls, and what other launchers of programs do; it has no public name. */
const loadAsMain = Reflect.get(Module, '_load') as (file: string, parent: null, isMain: true) => unknown;

const IMPORT_OR_EXPORT = /^(?:import|export)\b(?!\()/m;

function isEsModule(file: string): boolean {
  const extension = extname(file);
  if (!/^\.[jt]sx?$/.test(extension)) return /^\.m[jt]s$/.test(extension);
  for (let directory = dirname(file); ; directory = dirname(directory)) {
    const isProject = existsSync(join(directory, 'package.json'));
    const type = isProject ? readManifest(directory).type : undefined;
    if (type !== undefined) return type === 'module';
    if (isProject || directory === dirname(directory)) break;
  }
  return IMPORT_OR_EXPORT.test(readFileSync(file, 'utf8'));
}

interface LoadResult {
  readonly format: string | null | undefined;
  readonly source?: string | ArrayBuffer | NodeJS.TypedArray | undefined;
}
type RegisterHooks = (hooks: {
  load(url: string, context: unknown, next: (url: string, context: unknown) => LoadResult): LoadResult;
}) => { deregister(): void };

/** Node's own, from before calls are noted: a call by paster is no change by the application. */
const registerHooks = Reflect.get(Module, 'registerHooks') as RegisterHooks | undefined;

type Compile = (this: NodeJS.Module, content: string, file: string, ...rest: unknown[]) => unknown;

/** Lets `require.main === module` hold in a program's own file that a loader of TypeScript requires. */
function markRequiredAsMain(file: string): void {
  const prototype = Module.prototype as unknown as { _compile: Compile };
  const { _compile: compile } = prototype;
  prototype._compile = function (content, compiled, ...rest) {
    if (compiled.split('?')[0] === file) {
      prototype._compile = compile;
      process.mainModule = this;
      this.id = '.';
    }
    return Reflect.apply(compile, this, [content, compiled, ...rest]);
  };
}

/** Sets `import.meta.main` in the program's own file, where Node lets a hook do it (22.15 and later). */
function markAsMain(file: string): void {
  const main = pathToFileURL(file).href;
  const hooks = registerHooks?.({
    load(url, context, next) {
      const result = next(url, context);
      if (url !== main || !result.format?.startsWith('module') || result.source === undefined) return result;
      hooks?.deregister();
      const source =
        typeof result.source === 'string' ? result.source : Buffer.from(result.source as Uint8Array).toString();
      // On the program's first line, so that the numbers of its lines stay.
      return { ...result, source: source.startsWith('#!') ? source : `import.meta.main = true; ${source}` };
    },
  });
}
