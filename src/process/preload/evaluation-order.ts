/**
 * The packages that an application imports, in the order in which Node evaluates them. Node reports which modules it
 * loads, but not which module asked for them, so the project's own modules are read for their imports.
 */
import { readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isExistingFile } from '../../files/existing-path.ts';
import { isOwnFile } from '../../own-files.ts';
import type { DeferredImport } from './deferred-import.ts';
import { EvaluationWalk, type WalkOptions } from './evaluation-walk.ts';
import { type ModuleImports, moduleImports } from './module-imports.ts';
import { entriesInNewProcess, type PackageRequest, packageEntries } from './package-entries.ts';
import { isPackageFile, isTypeScriptLoader } from './package-files.ts';

const SCRIPT = /\.[cm]?[jt]sx?$/;
/** JSX may use a name that is not in the text. */
const TYPESCRIPT = /\.[cm]?ts$/;

export class EvaluationOrder {
  /** The imports of the project's own modules, and the state of the file that they were read from. */
  readonly #imports = new Map<string, { readonly state: string; readonly imports: ModuleImports }>();
  /** The files that specifiers resolve to, by the directory of the importing module. */
  readonly #entries = new Map<string, readonly string[]>();
  /** All that was asked for. */
  readonly #requests = new Map<string, PackageRequest>();
  /** What manifests said when they were read first. Node keeps that for as long as this process runs. */
  readonly #manifests = new Map<string, string>();

  /** @param given as for a walk, without what this class finds out */
  units(
    given: Pick<WalkOptions, 'loads' | 'packages' | 'isLoaded'>,
    { entry, follower }: Pick<DeferredImport, 'entry' | 'follower'> = { entry: undefined, follower: undefined },
  ): Evaluation {
    const { modules, evaluated } = given.loads;
    // Node itself removes types only if they are marked.
    const elides = modules.some(({ file, byTsx }) => byTsx && !isPackageFile(file));
    const walk = new EvaluationWalk({
      ...given,
      importsOf: (file) => this.#importsOf(file, elides && TYPESCRIPT.test(file)),
      entriesOf: (specifier, from) => this.#entriesOf(specifier, from),
    });
    let isFirstLate = true;
    for (const [index, each] of modules.entries()) {
      const { file } = each;
      if (isOwnFile(file)) continue;
      if (file === entry?.file) break;
      const isLate = index >= evaluated && !walk.isEarly(file);
      if (!isPackageFile(file)) walk.visitRoot(file);
      else if (isTypeScriptLoader(file)) continue;
      // After that, packages come by way of the application's own modules.
      else if (!walk.hasOwn) walk.addPackage(each, file);
      else {
        walk.visitConditional(file);
        // Own modules after it find what it has changed.
        if (isLate && isFirstLate && isExistingFile(file)) break;
      }
      if (isLate) isFirstLate = false;
    }
    if (entry) walk.addDeferred(entry, follower);
    return walk;
  }

  /** To be called when packages may have been installed or removed. */
  forget(): void {
    this.#entries.clear();
  }

  #entriesOf(specifier: string, from: string): readonly string[] {
    const request: PackageRequest = [specifier, dirname(from)];
    const key = request.join('\n');
    const known = this.#entries.get(key);
    if (known) return known;
    if (!this.#isSame(request)) {
      this.#resolveAgain(key, request);
      return this.#entries.get(key) ?? [];
    }
    const entries = packageEntries(request);
    // A package that is missing may be installed at any time.
    if (entries.length > 0) this.#entries.set(key, entries);
    this.#requests.set(key, request);
    return entries;
  }

  /** Whether the manifests lead to the same files as when they were read first. */
  #isSame(request: PackageRequest): boolean {
    return manifestsOf(request).every((manifest) => {
      const now = targets(manifest);
      if (now === undefined) return true;
      const first = this.#manifests.get(manifest) ?? now;
      this.#manifests.set(manifest, first);
      return now === first;
    });
  }

  /** Resolves a request in another process, and with it all that it would be started for later. */
  #resolveAgain(key: string, request: PackageRequest): void {
    this.#requests.set(key, request);
    const changed = [...this.#requests].filter(
      ([each, parts]) => each === key || (!this.#entries.has(each) && !this.#isSame(parts)),
    );
    const found = entriesInNewProcess(changed.map(([, parts]) => parts));
    for (const [index, [each]] of changed.entries()) this.#entries.set(each, found[index] ?? []);
  }

  #importsOf(file: string, elides: boolean): ModuleImports {
    const found = statSync(file, { throwIfNoEntry: false });
    const state = found ? `${found.ino} ${found.size} ${found.mtimeMs} ${elides}` : '';
    const known = this.#imports.get(file);
    if (known?.state === state) return known.imports;
    const imports = found?.isFile() && SCRIPT.test(file) ? moduleImports(readFileSync(file, 'utf8'), elides) : NOTHING;
    this.#imports.set(file, { state, imports });
    return imports;
  }
}

/** The packages that an application imports, as far as is known before it is loaded. */
export type Evaluation = Pick<EvaluationWalk, 'units' | 'notLoaded' | 'isConditional'>;

const NOTHING: ModuleImports = { head: [], body: [], isModule: false };

/** The manifests that tell which files a specifier resolves to, if they exist: of the package, and of the directories above the importing module. */
function manifestsOf([specifier, directory]: PackageRequest): string[] {
  const name = /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier;
  const found: string[] = [];
  for (let at = directory; ; at = dirname(at)) {
    found.push(join(at, 'package.json'), join(at, 'node_modules', name, 'package.json'));
    if (at === dirname(at)) return found;
  }
}

/** What a manifest says about files, as text. */
function targets(manifest: string): string | undefined {
  try {
    const { name, main, exports, imports } = JSON.parse(readFileSync(manifest, 'utf8'));
    return JSON.stringify([name, main, exports, imports]);
  } catch {
    return undefined;
  }
}
