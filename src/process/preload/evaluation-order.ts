/**
 * The packages that an application imports, in the order in which Node evaluates them. Node reports which modules it
 * loads, but not which module asked for them, so the project's own modules are read for their imports.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { resolve as resolveImport } from 'import-meta-resolve';
import { isOwnFile } from '../../own-files.ts';
import type { LoadedModule, ModuleRequest, Unit } from './loaded-module.ts';
import { type ModuleImports, moduleImports } from './module-imports.ts';
import { isPackageFile, isTypeScriptLoader, realPath } from './package-files.ts';

const SCRIPT = /\.[cm]?[jt]sx?$/;
const TYPESCRIPT = /\.[cm]?tsx?$/;
const EXTENSIONS = ['', '.js', '.ts', '.mjs', '.cjs', '.tsx', '.json', '/index.js', '/index.ts'];

export class EvaluationOrder {
  /** The imports of the project's own modules, and the state of the file that they were read from. */
  readonly #imports = new Map<string, { readonly state: string; readonly imports: ModuleImports }>();
  /** The files that specifiers resolve to, by the directory of the importing module. */
  readonly #entries = new Map<string, readonly string[]>();
  /** For each list of loads. */
  readonly #reached = new WeakMap<readonly LoadedModule[], Reached>();

  /**
   * @param loads all modules, in the order of their reports
   * @param packages files of packages that were loaded before the application was ready
   * @param deferred a module of a package that is evaluated after the application's own modules
   */
  units(
    loads: readonly LoadedModule[],
    packages: ReadonlyMap<string, LoadedModule>,
    deferred?: LoadedModule | undefined,
  ): Unit[] {
    const walk = new Walk(
      packages,
      (file) => this.#importsOf(file),
      (specifier, from) => this.#entriesOf(specifier, from),
    );
    const reached = this.#reached.get(loads) ?? { files: new Set(), count: 0 };
    this.#reached.set(loads, reached);
    for (const [index, each] of loads.entries()) {
      const { file } = each;
      if (isOwnFile(file)) continue;
      if (!isPackageFile(file)) {
        if (index >= reached.count && walk.hasVisited(file)) reached.files.add(file);
        // It is no longer loaded if no module imports it any more.
        if (!reached.files.has(file)) walk.visitOwn(file);
      }
      // After that, packages come by way of the application's own modules.
      else if (!walk.hasOwn && !isTypeScriptLoader(file)) walk.addPackage(each, file);
    }
    reached.count = loads.length;
    if (deferred) walk.addDeferred(deferred.file);
    return walk.units;
  }

  /** To be called when packages may have been installed or removed. */
  forget(): void {
    this.#entries.clear();
  }

  #entriesOf(specifier: string, from: string): readonly string[] {
    const key = `${dirname(from)}\n${specifier}`;
    const known = this.#entries.get(key);
    if (known) return known;
    const entries = packageEntries(specifier, from);
    // A package that is missing may be installed at any time.
    if (entries.length > 0) this.#entries.set(key, entries);
    return entries;
  }

  #importsOf(file: string): ModuleImports {
    const found = statSync(file, { throwIfNoEntry: false });
    const state = found ? `${found.ino} ${found.size} ${found.mtimeMs}` : '';
    const known = this.#imports.get(file);
    if (known?.state === state) return known.imports;
    const imports = found?.isFile() && SCRIPT.test(file) ? moduleImports(readFileSync(file, 'utf8')) : NOTHING;
    this.#imports.set(file, { state, imports });
    return imports;
  }
}

/** Own modules that others imported when they were loaded, and how many modules have been looked at for that. */
interface Reached {
  readonly files: Set<string>;
  count: number;
}

const NOTHING: ModuleImports = { head: [], body: [] };

class Walk {
  readonly units: Unit[] = [];
  hasOwn = false;
  readonly #seen = new Set<string>();
  readonly #requests = new Map<string, ModuleRequest[]>();
  readonly #packages: ReadonlyMap<string, LoadedModule>;
  readonly #importsOf: (file: string) => ModuleImports;
  readonly #entriesOf: (specifier: string, from: string) => readonly string[];
  /** Whether no code of the application has been evaluated yet. */
  #isFirst = true;
  /** The first of the application's own modules. */
  #own: string | undefined;
  /** The module is imported by code that may run at any time. */
  #isDynamic = false;
  /** A known package is. */
  #hasDynamic = false;
  #deferredBy: string | undefined;

  constructor(
    packages: ReadonlyMap<string, LoadedModule>,
    importsOf: (file: string) => ModuleImports,
    entriesOf: (specifier: string, from: string) => readonly string[],
  ) {
    this.#packages = packages;
    this.#importsOf = importsOf;
    this.#entriesOf = entriesOf;
  }

  hasVisited(file: string): boolean {
    return this.#seen.has(file);
  }

  visitOwn(file: string): void {
    this.hasOwn = true;
    if (this.#seen.has(file)) return;
    this.#seen.add(file);
    this.#own ??= file;
    const { head, body } = this.#importsOf(file);
    for (const specifier of head) this.#visit(specifier, file);
    this.#isFirst = false;
    const isDynamic = this.#isDynamic;
    this.#isDynamic = true;
    for (const specifier of body) this.#visit(specifier, file);
    this.#isDynamic = isDynamic;
  }

  /** Adds what a module imports that is evaluated after all others. */
  addDeferred(file: string): void {
    if (this.#seen.has(file) || this.#hasDynamic) return;
    this.#seen.add(file);
    this.#isFirst = false;
    this.#deferredBy = file;
    for (const specifier of this.#importsOf(file).head) this.#visit(specifier, file);
  }

  addPackage(loaded: LoadedModule, from: string, specifier?: string): void {
    const requests = this.#requests.get(loaded.file) ?? [];
    if (specifier !== undefined) requests.push({ from, specifier });
    if (this.#seen.has(loaded.file)) return;
    this.#seen.add(loaded.file);
    this.#requests.set(loaded.file, requests);
    this.#hasDynamic ||= this.#isDynamic;
    const deferredBy = this.#deferredBy;
    // The TypeScript loader is that of the application.
    const first = deferredBy === undefined ? from : (this.#own ?? from);
    this.units.push({ ...loaded, from: first, requests, isFirst: this.#isFirst, isKnown: true, deferredBy });
  }

  #visit(specifier: string, from: string): void {
    if (isBuiltin(specifier)) return;
    if (/^[./]|^file:/.test(specifier)) {
      const file = ownFile(specifier, from);
      if (file !== undefined) this.#visitFile(file, from);
      return;
    }
    const candidates = this.#entriesOf(specifier, from);
    const known = candidates.find((file) => this.#packages.has(file) || !isPackageFile(file));
    const [file] = candidates;
    if (known !== undefined) {
      // The other entry may be a file that the application does not load.
      const entry = this.#packages.get(known)?.kind === 'require' ? candidates.at(-1) : file;
      this.#visitFile(known, from, known === entry ? specifier : undefined);
    } else if (file !== undefined && !this.#seen.has(file)) {
      this.#seen.add(file);
      const unknown = { kind: 'import', byTsx: false, requests: [], isFirst: false, isKnown: false } as const;
      this.units.push({ ...unknown, file, from, deferredBy: this.#deferredBy });
      // It may change what packages after it find, as code of the application may.
      this.#isFirst = false;
    }
  }

  #visitFile(file: string, from: string, specifier?: string): void {
    const loaded = this.#packages.get(file);
    if (loaded) this.addPackage(loaded, from, specifier);
    else if (!isPackageFile(file)) this.visitOwn(file);
  }
}

function ownFile(specifier: string, from: string): string | undefined {
  const path = specifier.startsWith('file:') ? fileURLToPath(specifier) : join(dirname(from), specifier);
  const absolute = specifier.startsWith('/') ? specifier : path.replace(/[?#].*$/s, '');
  const names = EXTENSIONS.map((extension) => absolute + extension);
  // An import in TypeScript may name the JavaScript file that the module is compiled to.
  if (TYPESCRIPT.test(from)) names.push(absolute.replace(/\.([cm]?)js(x?)$/, '.$1ts$2'));
  const found = names.find((name) => existsSync(name) && statSync(name).isFile());
  return found === undefined ? undefined : realPath(found);
}

/** The files that a specifier resolves to when it is imported, and when it is required. */
function packageEntries(specifier: string, from: string): string[] {
  const found: string[] = [];
  try {
    const url = resolveImport(specifier, pathToFileURL(from).href);
    if (url.startsWith('file:')) found.push(realPath(fileURLToPath(url)));
  } catch {
    // It may be there for `require` only, or not at all.
  }
  try {
    found.push(createRequire(from).resolve(specifier));
  } catch {
    // As above.
  }
  return found;
}
