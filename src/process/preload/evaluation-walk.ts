/**
 * Follows the imports in the text of the application's own modules in the order in which Node evaluates them, and notes the
 * packages among them. For example:
 *
 *     // app.js
 *     import a from 'a';              // 1. a
 *     import './own.js';              // 2. what own.js imports, then the code of own.js
 *     const b = require('b');         // 3. b
 *     await import('c');              // 4. c
 *     if (x) await import('d');       // only if Node has reported that d was loaded
 *
 * The rules:
 *
 * - Static imports come first, each followed by what it imports. A module is evaluated once.
 * - Calls of `require` come in the order of the text. In an ES module, other modules may be evaluated before them if this module,
 *   or one before it, has a top-level await: they then count as calls under a condition.
 * - Calls of `import` come after all that the root imports statically, because Node runs those of inner modules side by side. A
 *   root is a module that no other one imports statically, such as app.js.
 * - A call under a condition counts if Node has reported the file in an earlier run. The package is marked as conditional.
 * - A call with a computed name is taken for the modules that Node has reported and that no text names.
 * - No package counts after an import that paster cannot resolve, such as an alias: its place in the order is unknown.
 */
import { isBuiltin } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isExistingFile, realPath } from '../../files/existing-path.ts';
import { isOwnFile } from '../../own-files.ts';
import type { LoadedModule, LoadOrder, ModuleRequest, Unit } from './loaded-module.ts';
import type { ImportCall, ModuleImports } from './module-imports.ts';
import { isPackageFile } from './package-files.ts';

const TYPESCRIPT = /\.[cm]?tsx?$/;
const EXTENSIONS = ['', '.js', '.ts', '.mjs', '.cjs', '.tsx', '.json', '/index.js', '/index.ts'];

/** How a module asks for another one. */
type RequestKind = LoadedModule['kind'];

export interface WalkOptions {
  readonly loads: LoadOrder;
  /** Files of packages that were loaded before the application was ready. */
  readonly packages: ReadonlyMap<string, LoadedModule>;
  /** Whether an own module is loaded. */
  readonly isLoaded: (file: string) => boolean;
  readonly importsOf: (file: string) => ModuleImports;
  /** The files that a specifier of a package leads to, that for `import` before that for `require`. */
  readonly entriesOf: (specifier: string, from: string) => readonly string[];
}

/** A call in the code of a module. */
interface CallIn extends ImportCall {
  /** The file of the module. */
  readonly from: string;
}

interface ReportedModule extends Pick<LoadedModule, 'file' | 'kind'> {
  /** Its place in Node's reports. */
  readonly index: number;
}

export class EvaluationWalk {
  readonly units: Unit[] = [];
  /** Own modules that others name, and that were not loaded: the compiler has removed the import, or they are new. */
  readonly notLoaded = new Set<string>();
  /** The text alone does not tell which packages are evaluated. */
  isConditional = false;
  readonly #options: WalkOptions;
  /** The modules that have been followed, and the packages that have been added. */
  readonly #visited = new Set<string>();
  /** By the file of a package: which modules ask for it, and how. */
  readonly #requests = new Map<string, ModuleRequest[]>();
  /** Modules that were loaded before the application's functions were called, with their places in Node's reports. */
  readonly #early = new Map<string, number>();
  /** The application's own modules among them. */
  readonly #earlyOwn: ReportedModule[] = [];
  /** Modules that tsx has compiled to CommonJS. */
  readonly #compiled: ReadonlySet<string>;
  /** tsx loads the application. */
  readonly #isByTsx: boolean;
  /** Packages that the application imports under a condition, and the first module that does. */
  readonly #conditional = new Map<string, string>();
  /** Own modules whose errors the application catches: what they import may not be evaluated. */
  readonly #guarded = new Set<string>();
  /** There is a call with a computed name whose error is caught: any module that no text names may be what it imports. */
  #areComputedGuarded = false;
  /** The walk is inside a module whose errors are caught. */
  #isGuarded = false;
  /** paster could not resolve an import, so it does not know the order after it. */
  #isOrderUnknown = false;
  #hasOwnCodeRun = false;
  #firstOwn: string | undefined;
  /** As `Unit.deferredBy`, of the packages that are added now. */
  #deferredBy: string | undefined;
  /** Calls of `import` in the modules below the current root, which come after its static imports. */
  #importCalls: CallIn[] = [];
  /** A module below the current root has a top-level await. */
  #isAwaited = false;

  constructor(options: WalkOptions) {
    this.#options = options;
    const { modules, evaluated } = options.loads;
    const compiled = modules.filter(({ kind, byTsx }) => byTsx && kind === 'require');
    this.#compiled = new Set(compiled.map(({ file }) => file));
    this.#isByTsx = modules.some(({ byTsx }) => byTsx);
    for (const [index, { file, kind }] of modules.slice(0, evaluated).entries()) {
      if (this.#early.has(file)) continue;
      this.#early.set(file, index);
      if (!isPackageFile(file) && !isOwnFile(file)) this.#earlyOwn.push({ file, kind, index });
    }
  }

  /** Whether the walk has come to an own module of the application. */
  get hasOwn(): boolean {
    return this.#firstOwn !== undefined;
  }

  /** Whether a module was loaded before the application's functions were called. */
  isEarly(file: string): boolean {
    return this.#visited.has(file) || this.#early.has(file);
  }

  /** An own module that no other one imports statically, with all that it imports. */
  visitRoot(file: string): void {
    if (this.#visited.has(file)) return;
    // Node has reported it, but nothing that was followed imports it.
    if (this.hasOwn) this.isConditional = true;
    this.#firstOwn ??= file;
    const outer = { importCalls: this.#importCalls, isAwaited: this.#isAwaited, isGuarded: this.#isGuarded };
    this.#importCalls = [];
    this.#isAwaited = false;
    this.#isGuarded ||= this.#guarded.has(file) || this.#areComputedGuarded;
    this.#visitOwn(file);
    for (const [index, call] of this.#importCalls.entries()) {
      // What a computed name stands for was reported before what the next call names.
      if (call.specifier === undefined) this.#visitReported(this.#firstNamed(this.#importCalls.slice(index + 1)));
      // Those of inner modules run side by side, so their order may change.
      this.#visitCall({ ...call, isConditional: call.isConditional || call.from !== file });
    }
    this.#importCalls = outer.importCalls;
    this.#isAwaited = outer.isAwaited;
    this.#isGuarded = outer.isGuarded;
  }

  /** A package that was loaded when code of the application ran, if the application may have imported it. */
  visitConditional(file: string): void {
    const from = this.#conditional.get(file);
    const loaded = from !== undefined && this.#loadedModule(file);
    if (loaded) this.#add(loaded, from, { isConditional: true });
  }

  /**
   * Adds what a module imports that is evaluated after all others.
   * @param secondModule the file that Node has reported after it. If none of its imports is that, another import runs beside them,
   * and they are left out
   */
  addDeferred({ file, kind }: LoadedModule, secondModule: string | undefined): void {
    if (this.#visited.has(file)) return;
    this.#visited.add(file);
    this.#hasOwnCodeRun = true;
    this.#deferredBy = file;
    const { length } = this.units;
    for (const specifier of this.#options.importsOf(file).head) this.#visit(specifier, file, 'import');
    const isAlone = kind === 'require' || secondModule === undefined;
    if (!isAlone && !this.units.slice(length).some((unit) => unit.file === secondModule)) this.units.length = length;
  }

  /** @param specifier what `from` calls it, if that leads to this file */
  addPackage(loaded: LoadedModule, from: string, specifier?: string): void {
    if (this.#isGuarded) {
      this.#visitConditionalPackage(loaded.file, from);
      return;
    }
    const requests = this.#requests.get(loaded.file) ?? [];
    if (specifier !== undefined) requests.push({ from, specifier });
    this.#requests.set(loaded.file, requests);
    this.#add(loaded, from, { requests });
  }

  #add(loaded: LoadedModule, from: string, known: Partial<Unit>): void {
    if (this.#isOrderUnknown || this.#visited.has(loaded.file)) return;
    this.#visited.add(loaded.file);
    const deferredBy = this.#deferredBy;
    this.units.push({
      ...loaded,
      // The TypeScript loader is that of the application, not that of a package.
      from: deferredBy === undefined ? from : (this.#firstOwn ?? from),
      requests: [],
      isFirst: !this.#hasOwnCodeRun,
      isLate: deferredBy !== undefined || !this.#early.has(from),
      isKnown: true,
      isConditional: false,
      deferredBy,
      ...known,
    });
  }

  /** What an own module imports statically, then its code. */
  #visitOwn(file: string): void {
    if (this.#visited.has(file)) return;
    if (!this.#options.isLoaded(file)) {
      this.notLoaded.add(file);
      this.isConditional = true;
      return;
    }
    this.#visited.add(file);
    const { head, body, isModule, awaits } = this.#options.importsOf(file);
    for (const specifier of head) this.#visit(specifier, file, isModule ? 'import' : 'require');
    this.#hasOwnCodeRun = true;
    for (const call of body) {
      const isLate = isModule && (this.#isAwaited || call.isAfterAwait);
      if (call.form === 'import') this.#importCalls.push({ ...call, from: file });
      else this.#visitCall({ ...call, from: file, ...(isLate && { isConditional: true, isGuarded: true }) });
    }
    this.#isAwaited ||= isModule && awaits;
  }

  #visitCall(call: CallIn): void {
    const { specifier, from, isConditional, isGuarded, form } = call;
    if (specifier === undefined) {
      this.isConditional = true;
      this.#areComputedGuarded ||= isGuarded;
    } else if (isConditional) this.#visitConditionalCall(call, specifier);
    else this.#visit(specifier, from, form);
  }

  #visitConditionalCall({ from, form, isGuarded }: CallIn, specifier: string): void {
    const file = this.#fileOf(specifier, from, form);
    if (file === undefined) return;
    this.isConditional = true;
    if (isData(file)) return;
    if (isPackageFile(file)) this.#visitConditionalPackage(file, from);
    else {
      if (isGuarded) this.#guarded.add(file);
      if (this.#early.has(file)) this.visitRoot(file);
    }
  }

  #visitConditionalPackage(file: string, from: string): void {
    this.isConditional = true;
    if (!this.#conditional.has(file)) this.#conditional.set(file, from);
    if (this.#early.has(file)) this.visitConditional(file);
  }

  /** What is certainly imported here. */
  #visit(specifier: string, from: string, form: RequestKind): void {
    if (isBuiltin(specifier)) return;
    if (isPath(specifier)) {
      const file = fileOfPath(specifier, from);
      if (file !== undefined) this.#visitFile(file, from, form);
      return;
    }
    const kind = this.#kindOf(from, form);
    const candidates = this.#candidates(specifier, from, kind);
    const known = this.#loadedAmong(candidates, kind, (each) => this.#options.packages.get(each));
    const [file] = candidates;
    if (known !== undefined) {
      // The other entry may be a file that the application does not load.
      const [entry] = this.#candidates(specifier, from, this.#options.packages.get(known)?.kind ?? kind);
      this.#visitFile(known, from, form, known === entry ? specifier : undefined);
    } else if (file === undefined) {
      this.#isOrderUnknown = true;
    } else if (!this.#visited.has(file)) {
      this.#add({ file, kind: 'import', byTsx: false }, from, { isFirst: false, isKnown: false });
      // It may change what packages after it find, as code of the application may.
      this.#hasOwnCodeRun = true;
    }
  }

  /** Own modules that were required before a call of `require`, by computed names, come before its file. */
  #visitFile(file: string, from: string, form: RequestKind, specifier?: string): void {
    if (isData(file)) return;
    if (form === 'require') this.#visitReported(this.#early.get(file) ?? 0, 'require');
    const loaded = this.#options.packages.get(file);
    if (loaded) this.addPackage(loaded, from, specifier);
    else if (!isPackageFile(file)) this.#visitOwn(file);
  }

  /** Own modules that the application has loaded although no text names them. @param before a place in Node's reports */
  #visitReported(before: number, kind?: RequestKind): void {
    for (const own of this.#earlyOwn) {
      if (own.index >= before) return;
      if (kind === undefined || own.kind === kind) this.visitRoot(own.file);
    }
  }

  /** The place in Node's reports of the first own module that some calls name. */
  #firstNamed(calls: readonly CallIn[]): number {
    const files = calls.flatMap(
      ({ specifier, from, form }) => (specifier && this.#fileOf(specifier, from, form)) || [],
    );
    return Math.min(...files.flatMap((file) => (isPackageFile(file) ? [] : (this.#early.get(file) ?? []))));
  }

  #fileOf(specifier: string, from: string, form: RequestKind): string | undefined {
    if (isBuiltin(specifier)) return undefined;
    if (isPath(specifier)) return fileOfPath(specifier, from);
    const kind = this.#kindOf(from, form);
    const candidates = this.#candidates(specifier, from, kind);
    return this.#loadedAmong(candidates, kind, (each) => this.#loadedModule(each)) ?? candidates[0];
  }

  /** How Node loads what a module names: tsx may have compiled its imports to calls of `require`. */
  #kindOf(from: string, form: RequestKind): RequestKind {
    return this.#compiled.has(from) ? 'require' : form;
  }

  /** The files that a specifier of a package may lead to, the one for this kind of request first: a package may have one for each. */
  #candidates(specifier: string, from: string, kind: RequestKind): readonly string[] {
    const files = this.#options.entriesOf(specifier, from);
    return kind === 'require' ? files.toReversed() : files;
  }

  /**
   * Which of these candidates a module gets, if the application has loaded it. Node may know a condition for `import` that paster
   * does not know: then it has reported the other file.
   */
  #loadedAmong(
    candidates: readonly string[],
    kind: RequestKind,
    loadedModule: (file: string) => LoadedModule | undefined,
  ): string | undefined {
    return candidates.find((file, index) => {
      const loaded = loadedModule(file);
      // tsx may compile the module to CommonJS.
      return !isPackageFile(file) || (loaded && (index === 0 || loaded.kind === kind || this.#isByTsx));
    });
  }

  #loadedModule(file: string): LoadedModule | undefined {
    return this.#options.packages.get(file) ?? this.#options.loads.modules.find((each) => each.file === file);
  }
}

/** JSON runs no code, and each kind of request gets an object of its own. */
function isData(file: string): boolean {
  return file.endsWith('.json');
}

function isPath(specifier: string): boolean {
  return /^[./]|^file:/.test(specifier);
}

/** The file that a path leads to, if it exists. An import may leave out the extension, or name a directory. */
function fileOfPath(specifier: string, from: string): string | undefined {
  const path = specifier.startsWith('file:') ? fileURLToPath(specifier) : join(dirname(from), specifier);
  const absolute = specifier.startsWith('/') ? specifier : path.replace(/[?#].*$/s, '');
  const names = EXTENSIONS.map((extension) => absolute + extension);
  // An import in TypeScript may name the JavaScript file that the module is compiled to.
  if (TYPESCRIPT.test(from)) names.push(absolute.replace(/\.([cm]?)js(x?)$/, '.$1ts$2'));
  const found = names.find(isExistingFile);
  return found === undefined ? undefined : realPath(found);
}
