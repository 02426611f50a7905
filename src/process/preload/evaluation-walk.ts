/** Follows the imports in the text of the application's own modules as Node evaluates them, and notes the packages. */
import { existsSync, statSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { realPath } from '../../files/existing-path.ts';
import { isOwnFile } from '../../own-files.ts';
import type { LoadedModule, LoadOrder, ModuleRequest, Unit } from './loaded-module.ts';
import type { ImportCall, ModuleImports } from './module-imports.ts';
import { isPackageFile } from './package-files.ts';

const TYPESCRIPT = /\.[cm]?tsx?$/;
const EXTENSIONS = ['', '.js', '.ts', '.mjs', '.cjs', '.tsx', '.json', '/index.js', '/index.ts'];

export interface WalkOptions {
  readonly loads: LoadOrder;
  /** Files of packages that were loaded before the application was ready. */
  readonly packages: ReadonlyMap<string, LoadedModule>;
  /** Whether an own module is loaded. */
  readonly isLoaded: (file: string) => boolean;
  readonly importsOf: (file: string) => ModuleImports;
  /** The files that a specifier of a package resolves to. */
  readonly entriesOf: (specifier: string, from: string) => readonly string[];
}

interface LaterImport extends ImportCall {
  readonly from: string;
}

export class EvaluationWalk {
  readonly units: Unit[] = [];
  /** Own modules that others name, and that were not loaded: the compiler has removed the import, or they are new. */
  readonly notLoaded = new Set<string>();
  /** The text alone does not tell which packages are evaluated. */
  isConditional = false;
  hasOwn = false;
  readonly #options: WalkOptions;
  readonly #seen = new Set<string>();
  readonly #requests = new Map<string, ModuleRequest[]>();
  /** The place of each module in the loads that is loaded before the application's functions are called. */
  readonly #early = new Map<string, number>();
  /** The application's own modules among them. */
  readonly #earlyOwn: { readonly file: string; readonly kind: LoadedModule['kind']; readonly index: number }[] = [];
  /** Packages that the application imports under a condition, and the modules that do. */
  readonly #conditional = new Map<string, string>();
  /** Own modules whose errors the application catches: what they import may not be evaluated. */
  readonly #guarded = new Set<string>();
  /** The names of some modules are computed, and their errors caught. */
  #guardsComputed = false;
  /** paster cannot resolve an import of the application, such as an alias, so it does not know the order after it. */
  #isUnknown = false;
  /** Inside a module whose errors are caught. */
  #isGuarded = false;
  /** Whether no code of the application has been evaluated yet. */
  #isFirst = true;
  /** The first of the application's own modules. */
  #own: string | undefined;
  #deferredBy: string | undefined;
  /** Calls of `import` in the modules that are being visited: they are evaluated after all that is imported statically. */
  #later: LaterImport[] = [];

  constructor(options: WalkOptions) {
    this.#options = options;
    const { modules, evaluated } = options.loads;
    for (const [index, { file, kind }] of modules.slice(0, evaluated).entries()) {
      if (this.#early.has(file)) continue;
      this.#early.set(file, index);
      if (!isPackageFile(file) && !isOwnFile(file)) this.#earlyOwn.push({ file, kind, index });
    }
  }

  /** Whether a module was loaded before the application's functions were called. */
  isEarly(file: string): boolean {
    return this.#seen.has(file) || this.#early.has(file);
  }

  /** An own module that no other one imports statically, with all that it imports. */
  visitRoot(file: string): void {
    if (this.#seen.has(file)) return;
    // Node has reported it, but nothing that was followed imports it.
    if (this.hasOwn) this.isConditional = true;
    this.hasOwn = true;
    this.#own ??= file;
    const outer = { later: this.#later, isGuarded: this.#isGuarded };
    this.#later = [];
    this.#isGuarded ||= this.#guarded.has(file) || this.#guardsComputed;
    this.#visitOwn(file);
    // Those of inner modules run side by side.
    for (const [index, call] of this.#later.entries()) {
      if (call.specifier === undefined) this.#visitReportedBefore(this.#firstOwn(this.#later.slice(index + 1)));
      this.#visitCall({ ...call, isConditional: call.isConditional || call.from !== file });
    }
    this.#later = outer.later;
    this.#isGuarded = outer.isGuarded;
  }

  /** A package that was loaded when code of the application ran, if the application may have imported it. */
  visitConditional(file: string): void {
    const from = this.#conditional.get(file);
    const loaded = from !== undefined && this.#loaded(file);
    if (loaded) this.#add(loaded, from, { isConditional: true });
  }

  /**
   * Adds what a module imports that is evaluated after all others.
   * @param follower what Node has reported next. If it is something else, another import runs beside it
   */
  addDeferred({ file, kind }: LoadedModule, follower: string | undefined): void {
    if (this.#seen.has(file)) return;
    this.#seen.add(file);
    this.#isFirst = false;
    this.#deferredBy = file;
    const { length } = this.units;
    for (const specifier of this.#options.importsOf(file).head) this.#visit(specifier, file);
    const isAlone = kind === 'require' || follower === undefined;
    if (!isAlone && !this.units.slice(length).some((unit) => unit.file === follower)) this.units.length = length;
  }

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

  #add(loaded: LoadedModule, from: string, has: Partial<Unit>): void {
    if (this.#isUnknown || this.#seen.has(loaded.file)) return;
    this.#seen.add(loaded.file);
    const deferredBy = this.#deferredBy;
    // The TypeScript loader is that of the application.
    const first = deferredBy === undefined ? from : (this.#own ?? from);
    const isFirst = this.#isFirst;
    this.units.push({
      ...loaded,
      from: first,
      requests: [],
      isFirst,
      isLate: deferredBy !== undefined || !this.#early.has(from),
      isKnown: true,
      isConditional: false,
      deferredBy,
      ...has,
    });
  }

  #visitOwn(file: string): void {
    if (this.#seen.has(file)) return;
    if (!this.#options.isLoaded(file)) {
      this.notLoaded.add(file);
      this.isConditional = true;
      return;
    }
    this.#seen.add(file);
    const { head, body, isModule } = this.#options.importsOf(file);
    for (const specifier of head) this.#visit(specifier, file, !isModule);
    this.#isFirst = false;
    for (const call of body) {
      if (call.form === 'import') this.#later.push({ ...call, from: file });
      else this.#visitCall({ ...call, from: file });
    }
  }

  #visitCall(call: LaterImport): void {
    const { specifier, from, isConditional, isGuarded } = call;
    if (specifier === undefined) {
      this.isConditional = true;
      this.#guardsComputed ||= isGuarded;
      return;
    }
    if (!isConditional) {
      this.#visit(specifier, from, call.form === 'require');
      return;
    }
    const file = this.#fileOf(specifier, from);
    if (file === undefined) return;
    this.isConditional = true;
    if (file.endsWith('.json')) return;
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

  /** @param isRequired Node has reported it after what was evaluated before it */
  #visit(specifier: string, from: string, isRequired = false): void {
    if (isBuiltin(specifier)) return;
    if (isPath(specifier)) {
      const file = ownFile(specifier, from);
      if (file !== undefined) this.#visitFile(file, from, isRequired);
      return;
    }
    const candidates = this.#options.entriesOf(specifier, from);
    const known = candidates.find((file) => this.#options.packages.has(file) || !isPackageFile(file));
    const [file] = candidates;
    if (known !== undefined) {
      // The other entry may be a file that the application does not load.
      const entry = this.#options.packages.get(known)?.kind === 'require' ? candidates.at(-1) : file;
      this.#visitFile(known, from, isRequired, known === entry ? specifier : undefined);
    } else if (file !== undefined && !this.#seen.has(file)) {
      this.#add({ file, kind: 'import', byTsx: false }, from, { isFirst: false, isKnown: false });
      // It may change what packages after it find, as code of the application may.
      this.#isFirst = false;
    } else if (file === undefined) this.#isUnknown = true;
  }

  #visitFile(file: string, from: string, isRequired: boolean, specifier?: string): void {
    // It runs no code, and each kind of request gets an object of its own.
    if (file.endsWith('.json')) return;
    if (isRequired) this.#visitReportedBefore(this.#early.get(file) ?? 0, 'require');
    const loaded = this.#options.packages.get(file);
    if (loaded) this.addPackage(loaded, from, specifier);
    else if (!isPackageFile(file)) this.#visitOwn(file);
  }

  /** Own modules that the application has loaded before others, although no text names them. */
  #visitReportedBefore(end: number, kind?: LoadedModule['kind']): void {
    for (const own of this.#earlyOwn) {
      if (own.index >= end) return;
      if (kind === undefined || own.kind === kind) this.visitRoot(own.file);
    }
  }

  /** The place in the loads of the first own module that some calls name. */
  #firstOwn(calls: readonly LaterImport[]): number {
    const files = calls.flatMap(({ specifier, from }) => (specifier && this.#fileOf(specifier, from)) || []);
    return Math.min(...files.flatMap((file) => (isPackageFile(file) ? [] : (this.#early.get(file) ?? []))));
  }

  #fileOf(specifier: string, from: string): string | undefined {
    if (isBuiltin(specifier)) return undefined;
    if (isPath(specifier)) return ownFile(specifier, from);
    const candidates = this.#options.entriesOf(specifier, from);
    return candidates.find((file) => this.#loaded(file) ?? !isPackageFile(file)) ?? candidates[0];
  }

  #loaded(file: string): LoadedModule | undefined {
    return this.#options.packages.get(file) ?? this.#options.loads.modules.find((each) => each.file === file);
  }
}

function isPath(specifier: string): boolean {
  return /^[./]|^file:/.test(specifier);
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
