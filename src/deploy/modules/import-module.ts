/** Imports a module of the user's project, JavaScript or TypeScript. An error has the file and line in the user's own code. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ConfigError, errorMessage, type Location, PasterError, RunError } from '../../errors.ts';
import { isOwnFile, requireOwn } from '../../own-files.ts';
import { compilerHint, TYPESCRIPT } from './typescript-syntax.ts';

/** Node strips types only; JSX needs a compiler. */
const JSX = /\.tsx$/;

interface Tsx {
  readonly commonJs: TsxCommonJs;
  import(url: string, parent: string): Promise<Readonly<Record<string, unknown>>>;
}

interface TsxEsmApi {
  register(options: { namespace: string }): Pick<Tsx, 'import'>;
}

interface TsxCommonJs {
  require(id: string, parent: string): unknown;
}

interface TsxCjsApi {
  register(options: { namespace: string }): TsxCommonJs;
}

let onEvaluated = (): void => {};

/** Sets what is called when a module of the application, and all that it imports, has been evaluated. */
export function observeEvaluation(callback: () => void): void {
  onEvaluated = callback;
}

/**
 * The namespace of the module at `file`.
 *
 * @param directory the directory of the file that refers to it; a TypeScript loader may be installed there
 * @param run loads the module instead of `import`
 * @throws RunError if the module fails, with the place of the failure; ConfigError for TypeScript if no loader is
 *   installed.
 */
export async function importModule(
  file: string,
  directory: string,
  run?: () => unknown,
): Promise<Readonly<Record<string, unknown>>> {
  const module = await load(file, directory, run);
  if (!isOwnFile(file)) onEvaluated();
  return module;
}

async function load(file: string, directory: string, run?: () => unknown): Promise<Readonly<Record<string, unknown>>> {
  const url = pathToFileURL(file).href;
  try {
    if (run) return { default: await run() };
    if (isTypeScriptForLoader(file)) {
      return await (await tsx(file, directory)).import(url, import.meta.url);
    }
    // Required, since a built-in part must never be half loaded: the application may use the same file by the public API.
    if (isOwnFile(file)) return requireOwn(file);
    return (await import(url)) as Record<string, unknown>;
  } catch (error) {
    if (error instanceof PasterError) throw error;
    const { message, location } = compileError(error) ?? {};
    if (message) throw new RunError('PASTER_MODULE_FAILED', message, { cause: error, location });
    const { placeOfError } = await import('./error-place.ts');
    const { missingPackageHint } = await import('./packages.ts');
    const place = await placeOfError(error, file);
    throw new RunError('PASTER_MODULE_FAILED', `${errorName(error)}${errorMessage(error)}`, {
      cause: error,
      location: place,
      hint: (await missingPackageHint(error, file)) ?? (await compilerHint(error, place)),
    });
  }
}

/** tsx's esbuild puts the place into the message; columns count from 0. */
const COMPILE_ERROR = /^(\/.*?):(\d+):(\d+): ERROR: (.*)$/m;

function compileError(error: unknown): { message: string; location: Location } | undefined {
  const [, file, line, column, text] = COMPILE_ERROR.exec(errorMessage(error)) ?? [];
  if (file === undefined) return undefined;
  return { message: `SyntaxError: ${text}`, location: { file, line: Number(line), column: Number(column) + 1 } };
}

/** Loads the TypeScript loader that a module at `from` is read with, which starts a thread. */
export async function prepareTsx(from: string): Promise<void> {
  await tsx(from, dirname(from));
}

export interface PackageModule {
  readonly file: string;
  readonly kind: 'import' | 'require';
  /** Whether tsx loads it: tsx has a module cache of its own. */
  readonly byTsx: boolean;
  /** The module of the application that loads it first. */
  readonly from: string;
  /** How modules of the application ask for it. */
  readonly requests: readonly { readonly from: string; readonly specifier: string }[];
}

/** Loads a file of a package as one of the application's modules would. */
export async function importPackage({ file, kind, byTsx, from, requests }: PackageModule): Promise<void> {
  const url = pathToFileURL(file).href;
  if (byTsx) {
    const loader = await tsx(from, dirname(from));
    await (kind === 'import' ? loader.import(url, import.meta.url) : loader.commonJs.require(file, from));
    return;
  }
  if (kind === 'import') await import(url);
  else requirePackage(file, from, requests);
  if (hasConditions()) return;
  // Node caches what a specifier resolves to, separately for each importing module.
  for (const { from, specifier } of requests) await importFrom(from, kind, specifier).catch(() => {});
}

/** By the name that the application uses: Node then reports that the application requires it, although it is loaded already. */
function requirePackage(file: string, from: string, requests: PackageModule['requests']): void {
  const request = requests.find((each) => each.from === from);
  const require = createRequire(from);
  require(request && require.resolve(request.specifier) === file ? request.specifier : file);
}

async function importFrom(from: string, kind: 'import' | 'require', specifier: string): Promise<void> {
  if (kind === 'require') createRequire(from)(specifier);
  else await (await import('./experimental-node.ts')).importAt(from, specifier);
}

/** Whether a specifier may lead to another file than it does by default. */
function hasConditions(): boolean {
  return [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].some((text) =>
    /(?:^|\s)(?:-C|--conditions)/.test(text),
  );
}

function errorName(error: unknown): string {
  return error instanceof Error ? `${error.name}: ` : 'the module threw ';
}

/** Node 22.18 and later load TypeScript by stripping types. */
function stripsTypes(): boolean {
  return 'typescript' in process.features && Boolean(process.features.typescript);
}

/** Whether a file is TypeScript that Node cannot load without a loader. */
export function isTypeScriptForLoader(file: string): boolean {
  return TYPESCRIPT.test(file) && (JSX.test(file) || !stripsTypes());
}

/** Loads such a file as CommonJS. */
export async function requireTypeScript(file: string, directory: string): Promise<unknown> {
  return (await tsx(file, directory)).commonJs.require(file, file);
}

/** By URL. Each installed tsx is registered once, so that modules share the modules that they import. */
const loaders = new Map<string, Promise<Tsx>>();

/** The user's own tsx, an optional peer dependency, as installed for the module, the INI file or paster. */
async function tsx(file: string, directory: string): Promise<Tsx> {
  // Resolved as `import` does: the files that tsx exports for `require` cannot find the rest of tsx.
  const { resolve } = await import('import-meta-resolve');
  for (const base of [pathToFileURL(file).href, pathToFileURL(join(directory, 'x.js')).href, import.meta.url]) {
    let urls: readonly [string, string];
    try {
      urls = [resolve('tsx/esm/api', base), resolve('tsx/cjs/api', base)];
    } catch {
      continue;
    }
    const loader = loaders.get(urls[0]) ?? setUp(...urls);
    loaders.set(urls[0], loader);
    return loader;
  }
  throw new ConfigError('PASTER_TYPESCRIPT', `${file} is TypeScript, which Node ${process.version} does not load`, {
    hint: `${JSX.test(file) ? '' : 'use Node 22.18 or later, or '}install tsx: npm install --save-dev tsx`,
  });
}

/** In a namespace of its own, so that tsx affects only what is imported through it. */
async function setUp(esmApi: string, cjsApi: string): Promise<Tsx> {
  const namespace = 'paster';
  const cjs = (await import(cjsApi)) as TsxCjsApi;
  const esm = (await import(esmApi)) as TsxEsmApi;
  // Files of a package without "type": "module" are CommonJS, and are required even if they are imported.
  const commonJs = cjs.register({ namespace });
  const { import: load } = esm.register({ namespace });
  return { commonJs, import: load };
}
