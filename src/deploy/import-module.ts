/** Imports a module of the user's, TypeScript included, and explains a failure by the user's own file and line. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ConfigError, errorMessage, type Location, PasterError, RunError } from '../errors.ts';
import { isOwnFile, requireOwn } from '../own-files.ts';

const TYPESCRIPT = /\.[cm]?tsx?$/;

/** What Node cannot load by leaving types out, since more than types would have to go. */
const JSX = /\.tsx$/;

interface Tsx {
  import(url: string, parent: string): Promise<Readonly<Record<string, unknown>>>;
}

interface TsxEsmApi {
  register(options: { namespace: string }): Tsx;
}

interface TsxCjsApi {
  register(options: { namespace: string }): unknown;
}

/**
 * The namespace of the module at `file`.
 *
 * @param directory where the reference to it stands; a TypeScript loader may be installed there
 * @throws RunError when the module itself fails, with the place where it does; ConfigError when it is TypeScript that
 *   nothing here can load.
 */
export async function importModule(file: string, directory: string): Promise<Readonly<Record<string, unknown>>> {
  const url = pathToFileURL(file).href;
  try {
    if (TYPESCRIPT.test(file) && (JSX.test(file) || !stripsTypes())) {
      return await (await tsx(file, directory)).import(url, import.meta.url);
    }
    // Required, a part of paster's is never half loaded: the application may ask the public API for the same file.
    if (isOwnFile(file)) return requireOwn(file);
    return (await import(url)) as Record<string, unknown>;
  } catch (error) {
    if (error instanceof PasterError) throw error;
    const { message, location } = compileError(error) ?? {};
    if (message) throw new RunError('PASTER_MODULE_FAILED', message, { cause: error, location });
    const { placeOfError } = await import('./error-place.ts');
    throw new RunError('PASTER_MODULE_FAILED', `${errorName(error)}${errorMessage(error)}`, {
      cause: error,
      location: await placeOfError(error, file),
    });
  }
}

/** esbuild, behind tsx, says the place in the message; columns count from 0. */
const COMPILE_ERROR = /^(\/.*?):(\d+):(\d+): ERROR: (.*)$/m;

function compileError(error: unknown): { message: string; location: Location } | undefined {
  const [, file, line, column, text] = COMPILE_ERROR.exec(errorMessage(error)) ?? [];
  if (file === undefined) return undefined;
  return { message: `SyntaxError: ${text}`, location: { file, line: Number(line), column: Number(column) + 1 } };
}

function errorName(error: unknown): string {
  return error instanceof Error ? `${error.name}: ` : 'the module threw ';
}

/** Node 22.18 and later load TypeScript by leaving the types out. */
function stripsTypes(): boolean {
  return 'typescript' in process.features && Boolean(process.features.typescript);
}

/** By URL: each installed tsx is set up once, so that modules that share a third one share it here too. */
const loaders = new Map<string, Promise<Tsx>>();

/** The user's own tsx, an optional peer dependency: next to the module, or the INI file, or paster. */
async function tsx(file: string, directory: string): Promise<Tsx> {
  // Resolved as import does it: what tsx has for require cannot find the rest of tsx.
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

/** In a namespace of its own, so that nothing but what is imported through it is touched. */
async function setUp(esmApi: string, cjsApi: string): Promise<Tsx> {
  const namespace = 'paster';
  const cjs = (await import(cjsApi)) as TsxCjsApi;
  const esm = (await import(esmApi)) as TsxEsmApi;
  // What a package without "type": "module" holds is CommonJS, and is required even where it is imported.
  cjs.register({ namespace });
  return esm.register({ namespace });
}
