/** Files of installed packages: whether a file is one, of which package it is, and whether any of them has changed. */
import { readFileSync, statSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { isExistingFile } from '../../files/existing-path.ts';
import { isOwnFile } from '../../own-files.ts';
import type { LoadedModule } from './loaded-module.ts';

const MODULES = `${sep}node_modules${sep}`;

/** Whether a file, by its real path, is part of an installed package. A linked workspace package is not. */
export function isPackageFile(file: string): boolean {
  return file.includes(MODULES);
}

/** The directory that a package is installed in, outside `node_modules`. */
export function projectOf(file: string): string {
  return file.slice(0, file.indexOf(MODULES));
}

/** The directory of the package that a file belongs to, and the name by which it is installed. */
export function packageOf(file: string): { readonly directory: string; readonly name: string } {
  const start = file.lastIndexOf(MODULES) + MODULES.length;
  const parts = file.slice(start).split(sep);
  const name = parts.slice(0, parts[0]?.startsWith('@') ? 2 : 1);
  return { directory: join(file.slice(0, start), ...name), name: name.join('/') };
}

/** Packages that paster itself loads to read TypeScript, before the application. */
const TYPESCRIPT_LOADER = /^(?:tsx|esbuild|@esbuild\/.*|get-tsconfig|resolve-pkg-maps)$/;

/** Whether a file of a package is part of what reads TypeScript. */
export function isTypeScriptLoader(file: string): boolean {
  return TYPESCRIPT_LOADER.test(packageOf(file).name);
}

/** What a `tsconfig.json` extends: a path or a list of them. */
const EXTENDS = /"extends"\s*:\s*("[^"]*"|\[[^\]]*\])/;

/** The files of settings in directories that tsx reads, and those files of the project that they extend. They need not exist. */
function typeScriptSettings(directories: Iterable<string>): string[] {
  const files = new Set([...directories].map((directory) => join(directory, 'tsconfig.json')));
  // This loop also comes to what is added in it.
  for (const file of files) for (const extended of extendedBy(file)) files.add(extended);
  return [...files];
}

function extendedBy(file: string): string[] {
  if (!isExistingFile(file)) return [];
  const [, value = ''] = EXTENDS.exec(readFileSync(file, 'utf8')) ?? [];
  return [...value.matchAll(/"(\.[^"]*)"/g)].map(([, path = '']) =>
    join(dirname(file), path.endsWith('.json') ? path : `${path}.json`),
  );
}

/** Tells whether files, and the set of installed packages, are still the same. */
export class FileStates {
  readonly #paths: readonly string[];
  /** Numbers: a reload compares thousands of them while it uses all processors. */
  readonly #states: Float64Array;

  /** Notes how the files are now, with their manifests and the directories that packages are installed in. */
  constructor(files: Iterable<string>, others: Iterable<string> = []) {
    const paths = new Set<string>(others);
    for (const file of files) {
      paths.add(file);
      if (!isPackageFile(file)) continue;
      const { directory } = packageOf(file);
      for (const each of [directory, join(directory, 'package.json'), dirname(directory)]) paths.add(each);
    }
    this.#paths = [...paths];
    this.#states = Float64Array.from(this.#paths.flatMap(fileState));
  }

  /** The first path that has changed. */
  changed(): string | undefined {
    return this.#paths.find((path, index) => {
      const at = index * PARTS_OF_STATE;
      return fileState(path).some((part, offset) => this.#states[at + offset] !== part);
    });
  }
}

/** Numbers that change when the file does. */
export type FileState = readonly number[];

export const MISSING_FILE: FileState = [0, 0, 0, 0];
const PARTS_OF_STATE = MISSING_FILE.length;

export function fileState(path: string): FileState {
  const found = statSync(path, { throwIfNoEntry: false });
  return found ? [found.ino, found.size, found.mtimeMs, found.ctimeMs] : MISSING_FILE;
}

const LOCK_FILES = ['package.json', 'package-lock.json', 'npm-shrinkwrap.json', 'pnpm-lock.yaml', 'yarn.lock'];
export const MANIFESTS: ReadonlySet<string> = new Set(LOCK_FILES);
const INSTALLED = ['.package-lock.json', '.modules.yaml', '.yarn-state.yml', '.yarn-integrity'];

/**
 * What changes when packages are installed, or when tsx compiles modules in another way.
 * @param packages files of packages
 * @param modules what the application has loaded
 */
export function manifestsOf(
  packages: Iterable<string>,
  modules: readonly Pick<LoadedModule, 'file' | 'byTsx'>[],
): string[] {
  const roots = new Set([...packages].map(projectOf));
  const searched = new Set<string>();
  for (const { file } of modules) {
    if (isPackageFile(file) || isOwnFile(file)) continue;
    roots.add(dirname(file));
    for (let at = dirname(file); !searched.has(at); at = dirname(at)) searched.add(at);
  }
  const isByTsx = modules.some(({ byTsx }) => byTsx);
  return [
    ...(isByTsx ? typeScriptSettings(searched) : []),
    ...[...roots].flatMap((root) => [
      ...LOCK_FILES.map((name) => join(root, name)),
      ...INSTALLED.map((name) => join(root, 'node_modules', name)),
    ]),
    // Node keeps what the specifiers of a module lead to. A package that is installed nearer would take precedence.
    ...[...searched].flatMap((directory) => [join(directory, 'package.json'), join(directory, 'node_modules')]),
  ];
}
