/**
 * A package that another package imports only when the application calls a function, such as the driver of a database:
 *
 *     const db = orm();            // app.js; this call imports adapter.js
 *     import driver from 'driver'  // adapter.js, a module of a package
 *
 * adapter.js is the importer. It is the first module that Node reports after the application's own modules, and `driver` is the second.
 * A spare worker imports `driver` ahead, but not the importer. Node reports a module when it is imported for the first time, so if
 * the importer is reported while the application loads, the application still needs `driver`. If it is not, the worker is rejected.
 */
import { isExistingFile } from '../../files/existing-path.ts';
import { isOwnFile } from '../../own-files.ts';
import { type LoadedModule, loadedModules, type Unit } from './loaded-module.ts';
import { isPackageFile, isTypeScriptLoader, packageOf } from './package-files.ts';

/** What a worker has loaded until it was ready. */
export interface WorkerModules {
  /** As Node reports them, in order. */
  readonly modules: readonly string[];
  /** How many of them were loaded before the application's own modules were evaluated and its functions were called. */
  readonly evaluated: number;
}

export class DeferredImport {
  /** The module whose imports are imported ahead; undefined: there is none. */
  importer: LoadedModule | undefined;
  /** The file that Node reports after the importer in a cold start; undefined: there is none. */
  secondModule: string | undefined;
  /** The importer that the last worker did not import first, although its imports had been imported ahead. */
  #missed: string | undefined;
  /** Importers that a cold start imported first again, after such a worker: their imports are no longer imported ahead. */
  readonly #uncertain = new Set<string>();

  /**
   * To be called when a version is ready.
   * @param reports the modules that its worker has loaded
   * @param directories of packages that the worker has imported ahead; undefined: it has started cold
   */
  loaded(reports: WorkerModules, directories: ReadonlySet<string> | undefined): void {
    const early = new Set(directories);
    for (const { file } of loadedModules(reports.modules.slice(0, reports.evaluated))) {
      if (isPackageFile(file)) early.add(packageOf(file).directory);
    }
    const late = lateModules(reports);
    const [first] = late;
    // A worker that has imported packages ahead does not report them again.
    if (!directories || first?.file !== this.importer?.file) {
      this.secondModule = late.find(({ file }) => file !== first?.file)?.file;
    }
    if (!directories) {
      if (first && first.file === this.#missed) this.#uncertain.add(first.file);
      this.#missed = undefined;
    }
    // A package's own modules may depend on what has been called in it.
    const isOther = first !== undefined && !early.has(packageOf(first.file).directory);
    this.importer = isOther && !this.#uncertain.has(first.file) ? first : undefined;
  }

  /** Whether a worker that had imported a unit ahead has then imported the unit's importer, before other packages. */
  isConfirmed({ deferredBy }: Unit, reports: WorkerModules): boolean {
    const isFirst = lateModules(reports)[0]?.file === deferredBy;
    if (!isFirst) this.#missed = deferredBy;
    return isFirst;
  }

  /** To be called when packages may be others. */
  forget(): void {
    this.importer = undefined;
    this.#uncertain.clear();
  }
}

/**
 * The modules of packages that were imported after the application's own modules were evaluated. None if own modules are among
 * them: these may import packages, in an order that is not known.
 */
function lateModules({ modules, evaluated }: WorkerModules): readonly LoadedModule[] {
  // Node reports the names that a missing module could have, too.
  const late = loadedModules(modules.slice(evaluated)).filter(
    ({ file }) => !isOwnFile(file) && !(isPackageFile(file) && isTypeScriptLoader(file)) && isExistingFile(file),
  );
  return late.every(({ file }) => isPackageFile(file)) ? late : [];
}
