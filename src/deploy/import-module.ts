/** Imports a module of the user's, TypeScript included, and explains a failure by the user's own file and line. */
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { ConfigError, errorMessage, PasterError, RunError } from '../errors.ts';
import { placeOfError } from './error-place.ts';

const TYPESCRIPT = /\.[cm]?tsx?$/;

interface TsxApi {
  tsImport(specifier: string, parent: string): Promise<Record<string, unknown>>;
}

/**
 * The namespace of the module at `file`.
 * @throws RunError when the module itself fails, with the place where it does.
 */
export async function importModule(file: string): Promise<Readonly<Record<string, unknown>>> {
  const url = pathToFileURL(file).href;
  try {
    if (TYPESCRIPT.test(file) && !stripsTypes()) return await (await tsx(file)).tsImport(url, import.meta.url);
    return (await import(url)) as Record<string, unknown>;
  } catch (error) {
    if (error instanceof PasterError) throw error;
    throw new RunError('PASTER_MODULE_FAILED', `${errorName(error)}${errorMessage(error)}`, {
      cause: error,
      location: await placeOfError(error, file),
    });
  }
}

function errorName(error: unknown): string {
  return error instanceof Error ? `${error.name}: ` : 'the module threw ';
}

/** Node 22.18 and later load TypeScript by leaving the types out. */
function stripsTypes(): boolean {
  return 'typescript' in process.features && Boolean(process.features.typescript);
}

/** The user's own tsx, an optional peer dependency: next to the module, else next to paster. */
async function tsx(file: string): Promise<TsxApi> {
  for (const base of [file, import.meta.url]) {
    let resolved: string;
    try {
      resolved = createRequire(base).resolve('tsx/esm/api');
    } catch {
      continue;
    }
    return (await import(pathToFileURL(resolved).href)) as TsxApi;
  }
  throw new ConfigError('PASTER_TYPESCRIPT', `${file} is TypeScript, which Node ${process.version} does not load`, {
    hint: 'use Node 22.18 or later, or install tsx: npm install --save-dev tsx',
  });
}
