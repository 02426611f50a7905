/** What the import of a package reads from outside: files that are not part of packages, programs, the asynchronous context. */
import { AsyncLocalStorage } from 'node:async_hooks';
import childProcess from 'node:child_process';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { homedir, tmpdir } from 'node:os';
import { basename, dirname, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { isExistingFile } from '../../../files/existing-path.ts';
import { isOwnFile } from '../../../own-files.ts';
import { isModuleFile } from '../loaded-module.ts';
import { type FileState, fileState, isPackageFile, MISSING_FILE } from '../package-files.ts';
import { type Functions, NotedFunctions } from './noted-functions.ts';

/** Functions of node:fs whose first argument is a file that they read, or look at. */
const READERS = 'readFile exists stat lstat access readlink'.split(' ');
/** Those that may write to it as well. */
const OPENERS = ['open', 'createReadStream'];
/** Those whose first argument is a directory that they list. */
const LISTERS = ['readdir', 'opendir', 'glob'];
/** Functions of node:child_process that wait for a program. */
const RUNNERS = ['execSync', 'execFileSync', 'spawnSync'];

/** What they read, or set for what runs after them, may be different when the application is loaded. */
const CONTEXT = [
  [process, 'umask', 'process.umask'],
  [AsyncLocalStorage.prototype, 'enterWith', 'AsyncLocalStorage.enterWith'],
] as const;

/**
 * What is read that may change between an import and a start: files of the project, of the directories above it and of the
 * user, without packages and manifests, what programs print, and the asynchronous context.
 */
export class OutsideReads {
  /** For a sentence, such as "runs git". */
  first: string | undefined;
  /** Files that were read, as they were then. */
  readonly files = new Map<string, FileState>();
  /** Files of packages that are not modules, such as data. Node reports only modules. */
  readonly #data = new Map<string, FileState>();
  readonly #functions = new NotedFunctions();

  /** @param projects directories whose files may change */
  start(projects: readonly string[]): void {
    const places = new Places(projects);
    const read = ([path]: readonly unknown[]) => {
      this.#noteData(path);
      const file = filePath(path);
      if (file === undefined || this.files.has(file) || !places.hasFile(file)) return;
      // To ask for its state is to read it, too.
      this.files.set(file, MISSING_FILE);
      this.files.set(file, fileState(file));
    };
    const open = ([path]: readonly unknown[]) => {
      this.#noteData(path);
      this.#noteFirst(path, (file) => places.hasFile(file));
    };
    const list = ([path]: readonly unknown[]) => this.#noteFirst(path, (file) => places.hasList(file));
    for (const target of [fs, fs.promises] as unknown as Functions[]) {
      for (const [names, note] of [[READERS, read] as const, [OPENERS, open] as const, [LISTERS, list] as const]) {
        for (const name of names) for (const each of [name, `${name}Sync`]) this.#functions.replace(target, each, note);
      }
    }
    this.#functions.replace(process as unknown as Functions, 'loadEnvFile', ([path = '.env']) => read([path]));
    for (const [target, name, call] of CONTEXT) {
      this.#functions.replace(target as unknown as Functions, name, () => {
        this.first ??= `calls ${call}`;
      });
    }
    for (const name of RUNNERS) {
      this.#functions.replace(childProcess as unknown as Functions, name, ([command]) => {
        this.first ??= `runs ${String(command)}`;
      });
    }
    syncBuiltinESMExports();
  }

  /** To be followed by `syncBuiltinESMExports`. */
  stop(): void {
    this.#functions.restore();
  }

  /** Files of packages that were read since this was last asked, without those that the packages have written as well. */
  takeData(): (readonly [path: string, state: FileState])[] {
    const data = [...this.#data].filter(([file, state]) => isDeepStrictEqual(fileState(file), state));
    this.#data.clear();
    return data;
  }

  #noteData(path: unknown): void {
    const file = absolutePath(path);
    if (file === undefined || !isPackageFile(file) || isModuleFile(file) || this.#data.has(file)) return;
    // To ask whether it exists is to read it, too.
    this.#data.set(file, MISSING_FILE);
    if (isExistingFile(file)) this.#data.set(file, fileState(file));
    else this.#data.delete(file);
  }

  #noteFirst(path: unknown, mayChange: (file: string) => boolean): void {
    if (this.first !== undefined) return;
    const file = filePath(path);
    if (file !== undefined && mayChange(file)) this.first = `reads ${file}`;
  }
}

/** Where files may change between an import and a start. */
class Places {
  readonly #projects: readonly string[];
  /** The directories above the projects, in which packages look for files of the user. */
  readonly #above = new Set<string>();
  readonly #home = homedir();
  /** Node's own files may be in the home directory. */
  readonly #node = dirname(dirname(process.execPath));

  constructor(projects: readonly string[]) {
    this.#projects = projects;
    for (const project of projects) {
      for (let at = dirname(project); at !== dirname(at); at = dirname(at)) this.#above.add(at);
    }
    this.#above.delete(tmpdir());
  }

  hasFile(file: string): boolean {
    // That a project is there does not change.
    if (this.#projects.includes(file) || this.#above.has(file) || basename(file) === 'package.json') return false;
    return this.hasList(dirname(file)) && basename(file) !== 'node_modules';
  }

  hasList(directory: string): boolean {
    if (isPackageFile(directory + sep) || isOwnFile(directory)) return false;
    if (this.#projects.some((project) => isIn(directory, project)) || this.#above.has(directory)) return true;
    return this.#home !== sep && isIn(directory, this.#home) && !isIn(directory, this.#node);
  }
}

function isIn(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory + sep);
}

/** Without the files of packages: Node reads each module of them. */
function filePath(path: unknown): string | undefined {
  return typeof path === 'string' && isPackageFile(path) ? undefined : absolutePath(path);
}

function absolutePath(path: unknown): string | undefined {
  if (typeof path === 'string') return resolve(path);
  return path instanceof URL && path.protocol === 'file:' ? fileURLToPath(path) : undefined;
}
