/**
 * In the supervisor: which packages the next spare worker imports ahead, which ones are left out and why, and whether a
 * spare worker that has done so still fits what is on disk.
 */
import { basename } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { isExistingFile } from '../../files/existing-path.ts';
import type { Logger } from '../../log.ts';
import { isOwnFile } from '../../own-files.ts';
import { DeferredImport, type WorkerModules } from './deferred-import.ts';
import type { Evaluation, EvaluationOrder } from './evaluation-order.ts';
import { LeftOutPackages, type LeftOutSettings, nameOf } from './left-out-packages.ts';
import { isModuleFile, type LoadedModule, type LoadOrder, loadedModules, type Unit } from './loaded-module.ts';
import {
  type FileState,
  FileStates,
  fileState,
  isPackageFile,
  isTypeScriptLoader,
  MANIFESTS,
  manifestsOf,
} from './package-files.ts';
import type { Conflict, SideEffect } from './preloader.ts';

export interface PreloadSettings extends LeftOutSettings {
  /**
   * What packages see of the configuration, such as variables. A spare worker that has imported packages with another environment is
   * not used.
   */
  readonly environment: unknown;
}

/** What a spare worker was told to import ahead, and what has become of it. */
export interface Prepared {
  readonly environment: unknown;
  readonly units: readonly Unit[];
  readonly writtenVariables: readonly string[];
  /** How many of the first units have left nothing running in an earlier spare worker. */
  readonly observed: number;
  readonly states: FileStates;
  /** Files of the project that packages have read. */
  readonly reads: Map<string, FileState>;
  /** As in the walk that the units come from. */
  readonly notLoaded: ReadonlySet<string>;
  /** The unit whose import has begun last. */
  current: number;
  /** The last unit that `rejectionByFiles` has checked. */
  checked: number;
  /** It is not known which packages the application evaluates until it has loaded. */
  isConditional: boolean;
  /** It has imported all. */
  isComplete: boolean;
  /** An import has shown that it cannot be used: `rejectionBySettings` says so when it is taken. */
  mustBeRejected: boolean;
  /** No file of the configuration has changed since. */
  isConfigurationSame: boolean;
  /** Directories of packages that it has loaded, without those of deferred imports. */
  readonly directories: Set<string>;
}

/** Options of Node that load or change modules before anything else. */
const HOOKS = /(?:^|\s)(?:--import|--require|-r|--loader|--experimental-loader)(?:[\s=]|$)/;

const NOTHING: LoadOrder = { modules: [], evaluated: 0 };

export class PreloadPlan {
  /** Undefined: nothing is imported ahead. */
  #settings: PreloadSettings | undefined;
  readonly #log: Logger;
  /** Its library is loaded when a spare worker needs it. */
  #order: EvaluationOrder | undefined;
  /**
   * The modules of the version that was loaded last. Packages that its own modules import are missing if they were imported
   * ahead.
   */
  #loads: LoadOrder = NOTHING;
  /** Files of packages that were loaded before a version was ready. */
  readonly #packages = new Map<string, LoadedModule>();
  /** Their state, and that of what changes when packages are installed, at the last check. */
  #states: FileStates | undefined;
  readonly #deferred = new DeferredImport();
  readonly #leftOut: LeftOutPackages;
  /** The first units that were imported ahead and have left nothing running, by file. */
  #observed: string[] = [];
  /** The configuration has changed since the last version was ready. */
  #isConfigurationNew = false;

  constructor(log: Logger) {
    this.#log = log;
    this.#leftOut = new LeftOutPackages(log);
  }

  /** To be awaited before `prepare`. */
  async load(): Promise<void> {
    const { EvaluationOrder } = await import('./evaluation-order.ts');
    this.#order ??= new EvaluationOrder();
  }

  /** @param nodeOptions the options of Node that workers are started with */
  configure(settings: PreloadSettings | undefined, nodeOptions: string): void {
    const hook = HOOKS.exec(nodeOptions)?.[0].trim();
    if (settings && hook) this.#leftOut.explain(`no packages are imported ahead: Node is started with ${hook}`);
    if (!isDeepStrictEqual(settings?.environment, this.#settings?.environment)) this.#observed = [];
    this.#settings = hook ? undefined : settings;
  }

  /**
   * To be called when a version is ready.
   * @param reports what its worker has loaded
   * @param prepared undefined: it has imported nothing ahead
   */
  loaded(reports: WorkerModules, prepared: Prepared | undefined): void {
    this.#isConfigurationNew = false;
    if (prepared) this.#leftOut.clearSuspicion();
    else {
      if (this.#states?.changed() !== undefined) this.forget();
      this.#packages.clear();
    }
    this.#loads = prepared ? this.#withEarlier(reports) : loadOrder(reports);
    for (const each of this.#loads.modules) {
      if (isPackageFile(each.file) && !this.#packages.has(each.file)) this.#packages.set(each.file, each);
    }
    this.#deferred.loaded(reports, prepared?.directories);
  }

  /** What has been left out so far, and why. */
  get explanations(): readonly string[] {
    return this.#leftOut.explanations;
  }

  /** What to import ahead for the next version; undefined if there is nothing. */
  prepare(): Prepared | undefined {
    if (!this.#settings || this.#packages.size === 0) return undefined;
    // Some were left out because they read what the application has changed.
    if (this.#leftOut.recover(() => this.#ownModules())) this.#observed = [];
    const loaded = new Set(this.#loads.modules.map(({ file }) => file));
    const evaluation = this.#evaluation(this.#loads, (file) => loaded.has(file));
    const units = this.#leftOut.keptOf(evaluation.units, this.#settings);
    const states = new FileStates(this.#packages.keys(), manifestsOf(this.#packages.keys(), this.#loads.modules));
    this.#states = states;
    if (!units.some(({ isKnown }) => isKnown)) return undefined;
    const { writtenVariables } = this.#leftOut;
    const other = this.#observed.findIndex((file, at) => file !== units[at]?.file);
    if (other >= 0) this.#observed.length = other;
    const observed = this.#observed.length;
    const { environment } = this.#settings;
    const { notLoaded, isConditional } = evaluation;
    const state = {
      current: -1,
      checked: -1,
      isConditional,
      isComplete: false,
      mustBeRejected: false,
      isConfigurationSame: true,
    };
    const collected = { reads: new Map<string, FileState>(), directories: new Set<string>() };
    return { environment, units, writtenVariables, observed, states, notLoaded, ...collected, ...state };
  }

  /** Why a spare worker that has begun to import cannot load this configuration; undefined if it can. Looks at no file. */
  rejectionBySettings(prepared: Prepared): string | undefined {
    if (!this.#settings) return 'importing ahead has been turned off';
    if (prepared.mustBeRejected) return IMPORTED_TOO_MUCH;
    const isSame = isDeepStrictEqual(prepared.environment, this.#settings.environment);
    return isSame ? undefined : 'the configuration has changed';
  }

  /** Why the packages of a spare worker are not those of the version on disk; undefined if they are. */
  rejectionByFiles(prepared: Prepared): string | undefined {
    const changed = prepared.states.changed();
    if (changed !== undefined) {
      this.forget();
      return `${changed} has changed`;
    }
    const read = [...prepared.reads].find(([file, state]) => !isDeepStrictEqual(fileState(file), state));
    if (read) return `${read[0]} has changed`;
    prepared.checked = prepared.current;
    // A module that others name and that was not loaded may be one that is new.
    const evaluation = this.#evaluation(this.#loads, (file) => !prepared.notLoaded.has(file));
    prepared.isConditional = evaluation.isConditional;
    return this.#moved(prepared, evaluation);
  }

  /** Whether what `rejectionByFiles` says stays true until the application is loaded. */
  isDecidedByFiles(prepared: Prepared): boolean {
    return prepared.isComplete && !this.#isConfigurationNew && !prepared.isConditional && !importedDeferred(prepared);
  }

  /**
   * As `rejectionByFiles`, when the worker has loaded the application. A change of the configuration may have led to another one.
   * @param reports the modules that it has loaded
   */
  rejectionByReports(prepared: Prepared, reports: WorkerModules): string | undefined {
    if (prepared.mustBeRejected) return IMPORTED_TOO_MUCH;
    const deferred = importedDeferred(prepared);
    if (deferred && !this.#deferred.isConfirmed(deferred, reports)) return outOfOrder(deferred);
    // It may have begun with another package when it was told to load the application.
    const isUndecided = prepared.isConditional || prepared.current > prepared.checked;
    if (!isUndecided && !this.#isConfigurationNew) return undefined;
    const loads = this.#isConfigurationNew ? loadOrder(reports) : this.#withEarlier(reports);
    const loaded = new Set(loads.modules.map(({ file }) => file));
    return this.#moved(
      prepared,
      this.#evaluation(loads, (file) => loaded.has(file)),
    );
  }

  #ownModules(): string[] {
    return this.#loads.modules.map(({ file }) => file).filter((file) => !isPackageFile(file) && !isOwnFile(file));
  }

  /** What a worker has loaded, behind the packages that come before the own modules: it may have imported those ahead. */
  #withEarlier(reports: WorkerModules): LoadOrder {
    const { modules } = this.#loads;
    const own = modules.findIndex(({ file }) => !isPackageFile(file) && !isOwnFile(file));
    const earlier = modules.slice(0, own < 0 ? undefined : own);
    const { modules: later, evaluated } = loadOrder(reports);
    return { modules: [...earlier, ...later], evaluated: earlier.length + evaluated };
  }

  #evaluation(loads: LoadOrder, isLoaded: (file: string) => boolean): Evaluation {
    const given = { loads, packages: this.#packages, isLoaded };
    return this.#order?.units(given, this.#deferred) ?? NO_EVALUATION;
  }

  /** Why the packages do not fit: the application does not evaluate one of them, or evaluates it after other code. */
  #moved({ units, current }: Prepared, evaluation: Evaluation): string | undefined {
    const now = this.#leftOut.keptOf(evaluation.units, this.#settings);
    const moved = units.slice(0, current + 1).find(({ file, isFirst, isLate }, index) => {
      const unit = now[index];
      return unit?.file !== file || (isFirst && !unit.isFirst) || (!isLate && unit.isLate);
    });
    return moved && outOfOrder(moved);
  }

  /** Takes what a spare worker has observed when it imported a unit. */
  learn(prepared: Prepared, at: number, effects: readonly SideEffect[]): void {
    for (const { index, reason, isTolerable, files = [] } of effects) {
      for (const [file, state] of files) if (!prepared.reads.has(file)) prepared.reads.set(file, state);
      const unit = prepared.units[index];
      if (!unit || isTolerable) continue;
      this.#leftOut.leaveOut(unit, reason);
      prepared.mustBeRejected = true;
    }
    const unit = prepared.units[at];
    if (unit && !prepared.mustBeRejected && at === this.#observed.length) this.#observed.push(unit.file);
  }

  /** A spare worker has ended, or has loaded modules of the project, while it imported a package. */
  blame(prepared: Prepared, reason: string): void {
    const unit = prepared.units[prepared.current];
    if (unit) this.#leftOut.leaveOut(unit, reason);
    prepared.mustBeRejected = true;
  }

  /**
   * The application did not fit what was imported before it.
   * @param reports the modules that the worker has loaded since then
   */
  learnConflict(prepared: Prepared, conflict: Conflict, reports: WorkerModules): void {
    const { kind, name } = conflict;
    if (kind === 'package') {
      const unit = prepared.units.find(({ file }) => file === name);
      // After a change of the configuration this was the exception.
      if (unit && prepared.isConfigurationSame) this.#leftOut.leaveOut(unit, conflict.reason);
      return;
    }
    this.#log.debug(`the application is loaded without packages imported ahead: it changes ${name}`);
    this.#leftOut.noteChange(kind, name, loadsPackages(reports));
  }

  /** Files have changed. @returns whether the packages may be others, so that spare workers are of no use */
  changed(files: readonly string[], isConfiguration: (file: string) => boolean): boolean {
    if (files.some((file) => isPackageFile(file) || MANIFESTS.has(basename(file)))) {
      this.forget();
      return true;
    }
    // A module is no configuration, even if it was at fault in an error.
    this.#isConfigurationNew ||= files.some((file) => isConfiguration(file) && !isModuleFile(file));
    return false;
  }

  /** The packages may be others: the next version is loaded without any that were imported ahead. */
  forget(): void {
    this.#packages.clear();
    this.#loads = NOTHING;
    this.#leftOut.forget();
    this.#observed = [];
    this.#deferred.forget();
    this.#order?.forget();
  }
}

const IMPORTED_TOO_MUCH = 'it imported a package that must not be imported ahead';

const NO_EVALUATION: Evaluation = { units: [], notLoaded: new Set(), isConditional: false };

function loadOrder({ modules, evaluated }: WorkerModules): LoadOrder {
  const early = loadedModules(modules.slice(0, evaluated));
  return { modules: [...early, ...loadedModules(modules.slice(evaluated))], evaluated: early.length };
}

/** Whether packages are among the modules, without those that read TypeScript. */
function loadsPackages({ modules }: WorkerModules): boolean {
  return loadedModules(modules).some(
    ({ file }) => isPackageFile(file) && !isTypeScriptLoader(file) && !isOwnFile(file) && isExistingFile(file),
  );
}

/** A unit that a worker has begun to import, and that the application imports only if it imports another one. */
function importedDeferred({ units, current }: Prepared): Unit | undefined {
  return units.slice(0, current + 1).find(({ isKnown, deferredBy }) => isKnown && deferredBy !== undefined);
}

function outOfOrder(unit: Unit): string {
  return `the application no longer imports ${nameOf(unit)} in the same order`;
}
