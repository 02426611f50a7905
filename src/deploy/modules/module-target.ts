/** Finds modules and their exports: by a path relative to the INI file, or by a package name from its directory. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, extname, isAbsolute, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { nearest } from '../../config/nearest.ts';
import { ConfigError, errorCode, errorMessage, type Location, PasterError } from '../../errors.ts';
import { isOwnFile } from '../../own-files.ts';
import { describeValue } from '../../protocol/shapes/describe.ts';
import type { Settings } from '../../protocol/types.ts';
import { workingDirectory } from '../../working-directory.ts';
import type { Target } from '../context.ts';
import { importModule } from './import-module.ts';

/** `module:export`, the form in `paste.*` keys, `call:` and entry points. */
const MODULE_EXPORT = /^(.+):([^:/\\]+)$/s;

/** The module in `module:export`. */
export function moduleOf(expression: string): string {
  return MODULE_EXPORT.exec(expression)?.[1] ?? expression;
}

/**
 * The export that `expression` (`./app.js:makeApp`, `package/sub:a.b`) names, not imported yet.
 * @throws ConfigError if it has another form.
 */
export function moduleTarget(expression: string, directory: string, from: Location | undefined): Target {
  const match = MODULE_EXPORT.exec(expression);
  if (!match?.[1] || !match[2]) {
    throw new ConfigError('PASTER_NOT_MODULE_EXPORT', `"${expression}" is not of the form module:name`, {
      location: from,
      hint: `for instance ${/\.[cm]?[jt]s$/.test(expression) ? expression : './app.js'}:makeApp`,
    });
  }
  return namedExport(match[1], match[2], directory, from, expression);
}

/** The export `name` of the module `specifier`, not imported yet. Dots in `name` lead to properties. */
export function namedExport(
  specifier: string,
  name: string,
  directory: string,
  from: Location | undefined,
  description: string,
): Target {
  const find = () => located(from, () => findModule(specifier, directory));
  return {
    description,
    file: pathOf(specifier, directory),
    find,
    load: async () => {
      const file = await find();
      return located(from, async () => pickExport(await importModule(file, directory), name, file));
    },
  };
}

async function located<T>(from: Location | undefined, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof PasterError) error.location ??= from;
    throw error;
  }
}

function pathOf(specifier: string, directory: string): string | undefined {
  return /^\.{0,2}\//.test(specifier) || isAbsolute(specifier) ? resolve(directory, specifier) : undefined;
}

/** The file of a module, by a path or by the name of a package. @throws ConfigError if there is none */
export async function findModule(specifier: string, directory: string): Promise<string> {
  const file = pathOf(specifier, directory) ?? (await resolvePackage(specifier, directory));
  // Loaded parts of paster stay usable after their release directory is removed.
  if (!isOwnFile(file)) checkModule(specifier, file);
  return file;
}

/**
 * Loads a function that a setting names.
 *
 * @param setting for messages
 * @param expression `call:module:name`, the module relative to the INI file
 * @throws ConfigError if there is no such function.
 */
export async function loadFunction(
  setting: string,
  expression: string,
  { here = workingDirectory() }: Settings,
  from?: Location,
): Promise<(...args: unknown[]) => unknown> {
  const found = await moduleTarget(expression.replace(/^call:/, ''), here, from).load();
  if (typeof found === 'function') return found as (...args: unknown[]) => unknown;
  throw new ConfigError(
    'PASTER_NOT_A_FUNCTION',
    `${setting}: ${expression} is not a function but ${describeValue(found)}`,
    {
      setting,
      location: from,
      hint: 'what is named here is called',
    },
  );
}

async function resolvePackage(specifier: string, directory: string): Promise<string> {
  const { resolve: resolveModule } = await import('import-meta-resolve');
  try {
    return fileURLToPath(resolveModule(specifier, pathToFileURL(`${directory}/noop.js`).href));
  } catch (error) {
    const local = resolve(directory, specifier);
    throw new ConfigError(
      'PASTER_MODULE_MISSING',
      `there is no package "${specifier}" that can be found from ${directory}`,
      {
        cause: error,
        hint: existsSync(local)
          ? `did you mean "./${specifier}"?`
          : errorCode(error) === 'ERR_MODULE_NOT_FOUND'
            ? 'a path begins with ./ or ../; a package has to be installed'
            : errorMessage(error),
      },
    );
  }
}

/** @throws ConfigError unless there is a regular file: Node would wait for ever for a FIFO. */
function checkModule(specifier: string, file: string): void {
  if (existsSync(file)) checkRegular(specifier, file);
  else {
    const hint = hintForMissing(specifier, file);
    throw new ConfigError('PASTER_MODULE_MISSING', `there is no module ${file}`, { hint });
  }
}

/** The same for a program. */
export function checkProgram(specifier: string, file: string, location: Location | undefined): void {
  if (existsSync(file)) checkRegular(specifier, file, location);
  else {
    const hint = hintForMissing(specifier, file);
    throw new ConfigError('PASTER_PROGRAM_MISSING', `there is no program ${file}`, { location, hint });
  }
}

function checkRegular(specifier: string, file: string, location?: Location): void {
  const stats = statSync(file);
  if (stats.isFile()) return;
  if (!stats.isDirectory()) {
    throw new ConfigError('PASTER_NOT_A_FILE', `${file} is not a regular file`, { location });
  }
  const index = readdirSync(file).find((each) => /^index\.[cm]?[jt]s$/.test(each));
  throw new ConfigError('PASTER_NOT_A_FILE', `${file} is a directory`, {
    location,
    hint: index === undefined ? undefined : `did you mean "${specifier.replace(/\/$/, '')}/${index}"?`,
  });
}

function hintForMissing(specifier: string, file: string): string | undefined {
  const directory = dirname(file);
  if (!existsSync(directory)) return `the directory ${directory} does not exist`;
  const siblings = readdirSync(directory);
  const stem = basename(file, extname(file));
  const meant = siblings.find((each) => basename(each, extname(each)) === stem) ?? nearest(basename(file), siblings);
  return meant && `did you mean "${specifier.slice(0, specifier.lastIndexOf('/') + 1)}${meant}"?`;
}

/** The value of `name` in a module's namespace, or in its default export, since that is what a CommonJS module exports. */
function pickExport(namespace: Readonly<Record<string, unknown>>, name: string, file: string): unknown {
  const [first = '', ...rest] = name.split('.');
  const root = findExport(namespace, first);
  if (root === undefined) throw missingExport(namespace, first, file);
  let value = root.value;
  let path = first;
  for (const part of rest) {
    if (!isObjectLike(value) || !(part in value)) {
      throw new ConfigError('PASTER_EXPORT_MISSING', `"${path}" in ${file} has no "${part}"`, {
        hint: isObjectLike(value) ? suggest(part, Object.keys(value)) : undefined,
      });
    }
    value = (value as Record<string, unknown>)[part];
    path += `.${part}`;
  }
  return value;
}

function findExport(namespace: Readonly<Record<string, unknown>>, name: string): { value: unknown } | undefined {
  const exported = namespace['default'];
  if (name === 'default') {
    // A transpiled ES module is a CommonJS module whose real default export is `exports.default`.
    if (isObjectLike(exported) && '__esModule' in exported && 'default' in exported) return { value: exported.default };
    if ('default' in namespace) return { value: exported };
    // Builds for Node export their application by name: Nitro's `listener`, `handler` of SvelteKit and Astro.
    return typeof (namespace['listener'] ?? namespace['handler']) === 'function' ? { value: namespace } : undefined;
  }
  if (Object.hasOwn(namespace, name)) return { value: namespace[name] };
  if (isObjectLike(exported) && Object.hasOwn(exported, name)) {
    return { value: (exported as Record<string, unknown>)[name] };
  }
  return undefined;
}

function isObjectLike(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

function missingExport(namespace: Readonly<Record<string, unknown>>, name: string, file: string): ConfigError {
  const names = Object.keys(namespace).filter((each) => each !== 'module.exports' && each !== '__esModule');
  return new ConfigError(
    'PASTER_EXPORT_MISSING',
    name === 'default' ? `${file} has no default export` : `${file} exports no "${name}"`,
    { hint: names.length === 0 ? 'it exports nothing' : suggest(name, names) },
  );
}

function suggest(name: string, names: readonly string[]): string {
  const meant = nearest(name, names);
  return meant === undefined ? `there are: ${names.join(', ')}` : `did you mean "${meant}"?`;
}
