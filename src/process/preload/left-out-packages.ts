/**
 * Which packages are not imported ahead, and why: because they are known to depend on the order, because the settings name
 * them, or because an import has shown it.
 */
import { readFileSync } from 'node:fs';
import { isExistingFile } from '../../files/existing-path.ts';
import type { Logger } from '../../log.ts';
import type { Unit } from './loaded-module.ts';
import { packageOf } from './package-files.ts';
import type { Conflict } from './preloader.ts';

/**
 * How far an exclusion reaches. `alone`: only the package itself is left to the application; `after`: so are all packages that
 * are evaluated after it.
 */
type Extent = 'alone' | 'after';

const AFTER = [
  // They wrap other modules while these are loaded.
  /^@opentelemetry\/(?!api$|semantic-conventions$)/,
  /^(?:dd-trace|newrelic|elastic-apm-node|applicationinsights|appdynamics|@splunk\/otel|@instana\/collector)$/,
  /^(?:require-in-the-middle|import-in-the-middle|pirates|proxyquire|mockery|rewire|esmock)$/,
  /^@sentry\/(?:node|nestjs|profiling-node|bun|node-core)$/,
  // They change how modules are found or compiled.
  /^(?:module-alias|app-module-path|tsconfig-paths|ts-node|tsx|esm|source-map-support|@swc-node\/register|esbuild-register)$/,
  /^@babel\/register$/,
];

/** They read the environment and files of the project when they are imported, and set variables. */
const READS_SETTINGS =
  /^(?:dotenv|dotenv-expand|dotenv-flow|dotenv-safe|dotenv-vault|@dotenvx\/dotenvx|env-cmd|config|rc|node-config-ts)$/;

const ALONE = [
  READS_SETTINGS,
  // They look at the module that requires them.
  /^(?:app-root-path|require-main-filename|parent-module|caller|callsites)$/,
];

/** @param isFirst no code of the application runs before it, and the configuration has been read */
function knownExtent(packageName: string, isFirst: boolean): Extent | undefined {
  if (isFirst && READS_SETTINGS.test(packageName)) return undefined;
  if (AFTER.some((pattern) => pattern.test(packageName))) return 'after';
  if (ALONE.some((pattern) => pattern.test(packageName))) return 'alone';
  return undefined;
}

export interface LeftOutSettings {
  /** Packages that are never imported ahead, by name. */
  readonly leaveOut: readonly string[];
  /** Files are watched: spare workers read the configuration first, so a package such as dotenv may set variables when it is imported. */
  readonly isReload: boolean;
}

interface Exclusion {
  readonly extent: Extent;
  readonly reason: string;
}

export class LeftOutPackages {
  readonly #log: Logger;
  /** What imports in spare workers have shown, by file of the package. */
  readonly #found = new Map<string, Exclusion>();
  readonly #writtenVariables = new Set<string>();
  /** What the application changes while it is loaded: only packages that come before its code are imported ahead. */
  #changedGlobal: string | undefined;
  /** A global that has changed while packages were loaded that had not been imported ahead: one of them may have changed it. */
  #suspectedGlobal: string | undefined;
  /** The own modules whose text mentions a variable or a global that the application changes, by its name. */
  readonly #mentions = new Map<string, readonly string[]>();
  readonly #logged = new Set<string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** What has been left out so far, and why. */
  get explanations(): readonly string[] {
    return [...this.#logged];
  }

  /** The variables that the application sets while it is loaded. */
  get writtenVariables(): readonly string[] {
    return [...this.#writtenVariables];
  }

  /** Logs a reason, once. */
  explain(text: string): void {
    if (this.#logged.has(text)) return;
    this.#logged.add(text);
    this.#log.debug(text);
  }

  /** Leaves a package out from now on. @param reason completes `it ...` */
  leaveOut(unit: Unit, reason: string): void {
    const exclusion = { extent: knownExtent(nameOf(unit), false) ?? 'after', reason };
    this.#found.set(unit.file, exclusion);
    this.#explainExclusion(unit, exclusion);
  }

  #explainExclusion(unit: Unit, { extent, reason }: Exclusion): void {
    const others = extent === 'after' ? ', nor is what comes after it' : '';
    this.explain(`${nameOf(unit)} is not imported ahead${others}: it ${reason}`);
  }

  /** The units to import ahead, in their order. */
  keptOf(units: readonly Unit[], settings: LeftOutSettings | undefined): Unit[] {
    const kept: Unit[] = [];
    let isFirst = true;
    for (const unit of units) {
      if (!unit.isFirst) isFirst = false;
      if (!isFirst && this.#changedGlobal !== undefined) break;
      const exclusion = this.#exclusionFor(unit, isFirst, settings);
      if (exclusion) {
        this.#explainExclusion(unit, exclusion);
        // It may change what those after it import.
        if (exclusion.extent === 'after') break;
        isFirst = false;
        continue;
      }
      kept.push({ ...unit, isFirst });
      // What this package evaluates and imports is not known.
      if (!unit.isKnown) break;
    }
    return kept;
  }

  #exclusionFor(unit: Unit, isFirst: boolean, settings: LeftOutSettings | undefined): Exclusion | undefined {
    const name = nameOf(unit);
    if (settings?.leaveOut.includes(name)) return { extent: 'alone', reason: 'is in reload_preload_except' };
    const known = knownExtent(name, isFirst && settings?.isReload === true);
    if (known) return { extent: known, reason: 'depends on what runs before it, or changes what runs after it' };
    if (unit.isConditional) return { extent: 'after', reason: 'is imported only under a condition' };
    return this.#found.get(unit.file);
  }

  /**
   * The application has changed something that packages may have read before.
   * @param mayBePackage whether it may have been a package that was loaded with the application
   */
  noteChange(kind: Exclude<Conflict['kind'], 'package'>, name: string, mayBePackage: boolean): void {
    if (kind === 'variable') this.#writtenVariables.add(name);
    else if (mayBePackage && this.#suspectedGlobal !== name) this.#suspectedGlobal = name;
    else {
      this.#changedGlobal ??= name;
      this.explain(
        `only packages that come before the application's code are imported ahead: the application changes ${name}`,
      );
    }
  }

  /** A version has loaded after packages that were imported ahead: none of them has changed a global. */
  clearSuspicion(): void {
    this.#suspectedGlobal = undefined;
  }

  /**
   * Forgets a change by the application when none of its modules mentions what it changed any more. If the application still
   * changes it, that is noticed again.
   * @returns whether packages are no longer left out
   */
  recover(ownModules: () => readonly string[]): boolean {
    const changed = [...this.#writtenVariables, ...(this.#changedGlobal === undefined ? [] : [this.#changedGlobal])];
    const over = changed.filter((name) => !this.#isMentioned(name, ownModules));
    for (const name of over) {
      this.#log.debug(`packages are imported ahead again: no module of the application mentions ${name} any more`);
      this.#mentions.delete(name);
      this.#writtenVariables.delete(name);
      if (this.#changedGlobal === name) this.#changedGlobal = undefined;
    }
    if (over.length === 0) return false;
    // Some of them were left out because they read it.
    this.#found.clear();
    return true;
  }

  /** Whether an own module mentions a name, or none did when it was first looked for. */
  #isMentioned(name: string, ownModules: () => readonly string[]): boolean {
    const [word = name] = /[\w$]+(?=\W*$)/.exec(name) ?? [];
    const known = this.#mentions.get(name) ?? [];
    const now = (known.length > 0 ? known : ownModules()).filter((file) => mentions(file, word));
    this.#mentions.set(name, now);
    return known.length === 0 || now.length > 0;
  }

  /** The packages may be others. */
  forget(): void {
    this.#found.clear();
    // One of them may have changed it.
    this.#changedGlobal = undefined;
  }
}

function mentions(file: string, word: string): boolean {
  return (
    isExistingFile(file) &&
    readFileSync(file, 'utf8')
      .split(/[^\w$]+/)
      .includes(word)
  );
}

export function nameOf({ file }: Unit): string {
  return packageOf(file).name;
}
