/**
 * A package that another package imports only when the application calls it, such as the adapter of a framework:
 *
 *     const db = orm();            // app.js; `orm` now imports adapter.js, the entry
 *     import driver from 'driver'  // adapter.js
 *
 * A spare worker imports `driver` ahead, but not the entry. When the application has loaded, Node has reported the entry if it is
 * still needed. It would report nothing about a module that was imported ahead.
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
  /** Undefined: there is none whose imports may be imported ahead. */
  entry: LoadedModule | undefined;
  /** What Node has reported after the entry when nothing had been imported ahead; undefined: nothing. */
  follower: string | undefined;
  /** The entry that a worker did not import in its place, although what it imports was imported ahead. */
  #missed: string | undefined;
  /** Entries that cold starts import, and other workers do not. */
  readonly #uncertain = new Set<string>();

  /**
   * A version is ready whose worker has loaded these modules.
   * @param directories of packages that the worker has imported ahead; undefined: it has started cold
   */
  loaded(reports: WorkerModules, directories: ReadonlySet<string> | undefined): void {
    const early = new Set(directories);
    for (const { file } of loadedModules(reports.modules.slice(0, reports.evaluated))) {
      if (isPackageFile(file)) early.add(packageOf(file).directory);
    }
    const late = lateModules(reports);
    const [entry] = late;
    if (!directories || entry?.file !== this.entry?.file) {
      this.follower = late.find(({ file }) => file !== entry?.file)?.file;
    }
    if (!directories) {
      if (entry && entry.file === this.#missed) this.#uncertain.add(entry.file);
      this.#missed = undefined;
    }
    // A package's own modules may depend on what has been called in it.
    const isOther = entry !== undefined && !early.has(packageOf(entry.file).directory);
    this.entry = isOther && !this.#uncertain.has(entry.file) ? entry : undefined;
  }

  /** Whether a worker that has imported a unit of it ahead has imported the entry since, and first. */
  isConfirmed({ deferredBy }: Unit, reports: WorkerModules): boolean {
    const isFirst = lateModules(reports)[0]?.file === deferredBy;
    if (!isFirst) this.#missed = deferredBy;
    return isFirst;
  }

  /** To be called when packages may be others. */
  forget(): void {
    this.entry = undefined;
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
