/** Uses experimental parts of Node without their warnings: it is paster that uses them, not the application. */
import nodeModule from 'node:module';
import { requireOwn } from '../../own-files.ts';

const LOADER_OPTION = 'USE_MAIN_CONTEXT_DEFAULT_LOADER';

/** Imports what `specifier` means to a module with the path `filename`. */
export function importAt(filename: string, specifier: string): Promise<unknown> {
  const { compileFunction, constants }: typeof import('node:vm') = requireOwn('node:vm');
  const options = { filename, importModuleDynamically: constants[LOADER_OPTION] };
  return withoutWarning(LOADER_OPTION, () =>
    compileFunction('return import(specifier)', ['specifier'], options)(specifier),
  );
}

/** The JavaScript that Node makes of TypeScript, with everything in the same place; undefined if it cannot. */
export function withoutTypes(source: string): string | undefined {
  const { stripTypeScriptTypes: strip } = nodeModule as {
    readonly stripTypeScriptTypes?: (source: string) => string;
  };
  try {
    return strip && withoutWarning('stripTypeScriptTypes', () => strip(source));
  } catch {
    return undefined;
  }
}

function withoutWarning<T>(name: string, run: () => T): T {
  const { emitWarning } = process;
  process.emitWarning = (...args: unknown[]) => {
    if (!String(args[0]).includes(name)) Reflect.apply(emitWarning, process, args);
  };
  try {
    return run();
  } finally {
    process.emitWarning = emitWarning;
  }
}
