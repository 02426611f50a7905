/**
 * The packages that an application imports, in the order in which Node evaluates them. Node reports which modules it
 * loads, but not which module asked for them, so the project's own modules are read for their imports.
 */
import { readFileSync, statSync } from 'node:fs';
import { isExistingFile } from '../../files/existing-path.ts';
import { isOwnFile } from '../../own-files.ts';
import type { DeferredImport } from './deferred-import.ts';
import { EvaluationWalk, type WalkOptions } from './evaluation-walk.ts';
import { type ModuleImports, moduleImports } from './module-imports.ts';
import { PackageEntries } from './package-entries.ts';
import { isPackageFile, isTypeScriptLoader } from './package-files.ts';

const SCRIPT = /\.[cm]?[jt]sx?$/;
/** JSX may use a name that is not in the text. */
const TYPESCRIPT = /\.[cm]?ts$/;

export class EvaluationOrder {
  /** The imports of the project's own modules, and the state of the file that they were read from. */
  readonly #imports = new Map<string, { readonly state: string; readonly imports: ModuleImports }>();
  readonly #entries = new PackageEntries();

  /**
   * Follows Node's reports of the last version. Each own module in them is the root of a walk through its imports; a package counts
   * if such a walk comes to it, or if it was loaded before all own modules.
   * @param given the options of a walk, except those that this class provides
   * @param deferred the importer of a package that comes last: see deferred-import.ts
   */
  units(
    given: Pick<WalkOptions, 'loads' | 'packages' | 'isLoaded'>,
    { importer, secondModule }: Partial<Pick<DeferredImport, 'importer' | 'secondModule'>> = {},
  ): Evaluation {
    const { modules, evaluated } = given.loads;
    // Node itself removes types only if they are marked.
    const elides = modules.some(({ file, byTsx }) => byTsx && !isPackageFile(file));
    const walk = new EvaluationWalk({
      ...given,
      importsOf: (file) => this.#importsOf(file, elides && TYPESCRIPT.test(file)),
      entriesOf: (specifier, from) => this.#entries.of(specifier, from),
    });
    let isFirstLate = true;
    for (const [index, each] of modules.entries()) {
      const { file } = each;
      if (isOwnFile(file)) continue;
      if (file === importer?.file) break;
      const isLate = index >= evaluated && !walk.isEarly(file);
      if (!isPackageFile(file)) walk.visitRoot(file);
      else if (isTypeScriptLoader(file)) continue;
      // Before all own modules, such as the package that `use` names.
      else if (!walk.hasOwn) walk.addPackage(each, file);
      else {
        walk.visitConditional(file);
        // The package may have changed what the own modules after it find.
        if (isLate && isFirstLate && isExistingFile(file)) break;
      }
      if (isLate) isFirstLate = false;
    }
    if (importer) walk.addDeferred(importer, secondModule);
    return walk;
  }

  /** To be called when packages may have been installed or removed. */
  forget(): void {
    this.#entries.forget();
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

const NOTHING: ModuleImports = { head: [], body: [], isModule: false, awaits: false };
