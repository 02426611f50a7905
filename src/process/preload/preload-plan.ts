/**
 * In the supervisor: which packages the next spare worker imports ahead, which ones are left out and why, and whether a
 * spare worker that has done so still fits what is on disk.
 */
import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { isExistingFile } from '../../files/existing-path.ts';
import type { Logger } from '../../log.ts';
import { isOwnFile } from '../../own-files.ts';
import { DeferredImport, type WorkerModules } from './deferred-import.ts';
import type { Evaluation, EvaluationOrder } from './evaluation-order.ts';
import { isModuleFile, type LoadedModule, type LoadOrder, loadedModules, type Unit } from './loaded-module.ts';
import { knownSensitivity, type Sensitivity } from './order-sensitive.ts';
import {
  type FileState,
  FileStates,
  fileState,
  isPackageFile,
  isTypeScriptLoader,
  packageOf,
  projectOf,
} from './package-files.ts';
import type { Conflict, SideEffect } from './preloader.ts';

export interface PreloadSettings {
  /** Packages that are never imported ahead, by name. */
  readonly leaveOut: readonly string[];
  /** What packages see of the configuration, such as variables. A spare worker that has imported some with another one is not used. */
  readonly environment: unknown;
  /** Files are watched: spare workers read the configuration before they import packages, which may set variables then. */
  readonly isReload: boolean;
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
  /** The last unit that `unfit` has judged. */
  judged: number;
  /** Which packages the application evaluates is known when it has loaded. */
  isConditional: boolean;
  /** It has imported all. */
  isComplete: boolean;
  /** It cannot be used any more. */
  isSpoiled: boolean;
  /** No file of the configuration has changed since. */
  isConfigurationSame: boolean;
  /** Directories of packages that it has loaded, without those of late imports. */
  readonly directories: Set<string>;
}

interface Exception {
  readonly extent: Sensitivity;
  readonly reason: string;
}

/** Options of Node that load or change modules before anything else. */
const HOOKS = /(?:^|\s)(?:--import|--require|-r|--loader|--experimental-loader)(?:[\s=]|$)/;

const LOCK_FILES = ['package.json', 'package-lock.json', 'npm-shrinkwrap.json', 'pnpm-lock.yaml', 'yarn.lock'];
const MANIFESTS: ReadonlySet<string> = new Set(LOCK_FILES);
const INSTALLED = ['.package-lock.json', '.modules.yaml', '.yarn-state.yml', '.yarn-integrity'];

const NOTHING: LoadOrder = { modules: [], evaluated: 0 };

export class PreloadPlan {
  /** Undefined: nothing is imported ahead. */
  #settings: PreloadSettings | undefined;
  readonly #log: Logger;
  /** Its library is loaded when a spare worker needs it. */
  #order: EvaluationOrder | undefined;
  /** The modules of the version that was loaded last, without packages imported ahead by way of its own modules. */
  #loads: LoadOrder = NOTHING;
  /** Files of packages that were loaded before a version was ready. */
  readonly #packages = new Map<string, LoadedModule>();
  /** Their state, and that of what changes when packages are installed, at the last look. */
  #states: FileStates | undefined;
  readonly #deferred = new DeferredImport();
  /** What turned out when packages were imported ahead, by file. */
  readonly #found = new Map<string, Exception>();
  /** The first units that were imported ahead and have left nothing running, by file. */
  #observed: string[] = [];
  readonly #writtenVariables = new Set<string>();
  /** What the application changes while it is loaded: only packages that come before its code are imported ahead. */
  #changedGlobal: string | undefined;
  /** A global that has changed while packages were loaded that had not been imported ahead: one of them may have changed it. */
  #suspectedGlobal: string | undefined;
  /** The own modules whose text mentions a variable or a global that the application changes, by its name. */
  readonly #mentions = new Map<string, readonly string[]>();
  /** The configuration has changed since a version was ready. */
  #isConfigurationNew = false;
  readonly #logged = new Set<string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** To be awaited before `prepare`. */
  async load(): Promise<void> {
    const { EvaluationOrder } = await import('./evaluation-order.ts');
    this.#order ??= new EvaluationOrder();
  }

  /** @param nodeOptions the options of Node that workers are started with */
  configure(settings: PreloadSettings | undefined, nodeOptions: string): void {
    const hook = HOOKS.exec(nodeOptions)?.[0].trim();
    if (settings && hook) this.#explain(`no packages are imported ahead: Node is started with ${hook}`);
    if (!isDeepStrictEqual(settings?.environment, this.#settings?.environment)) this.#observed = [];
    this.#settings = hook ? undefined : settings;
  }

  /** A version is ready whose worker has loaded these modules. @param prepared undefined: nothing was imported ahead */
  loaded(reports: WorkerModules, prepared: Prepared | undefined): void {
    this.#isConfigurationNew = false;
    if (prepared) this.#suspectedGlobal = undefined;
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
    return [...this.#logged];
  }

  /** What to import ahead for the next version; undefined if there is nothing. */
  prepare(): Prepared | undefined {
    if (!this.#settings || this.#packages.size === 0) return undefined;
    for (const name of [...this.#writtenVariables, this.#changedGlobal]) if (name !== undefined) this.#recover(name);
    const loaded = new Set(this.#loads.modules.map(({ file }) => file));
    const evaluation = this.#evaluation(this.#loads, (file) => loaded.has(file));
    const units = this.#units(evaluation);
    const states = new FileStates(this.#packages.keys(), this.#manifests());
    this.#states = states;
    if (!units.some(({ isKnown }) => isKnown)) return undefined;
    const writtenVariables = [...this.#writtenVariables];
    const other = this.#observed.findIndex((file, at) => file !== units[at]?.file);
    if (other >= 0) this.#observed.length = other;
    const observed = this.#observed.length;
    const { environment } = this.#settings;
    const { notLoaded, isConditional } = evaluation;
    const state = {
      current: -1,
      judged: -1,
      isConditional,
      isComplete: false,
      isSpoiled: false,
      isConfigurationSame: true,
    };
    const collected = { reads: new Map<string, FileState>(), directories: new Set<string>() };
    return { environment, units, writtenVariables, observed, states, notLoaded, ...collected, ...state };
  }

  /** Why a spare worker cannot load anything of this configuration; undefined if it can. */
  unusable(prepared: Prepared): string | undefined {
    if (prepared.current < 0) return undefined;
    if (!this.#settings) return 'importing ahead has been turned off';
    if (prepared.isSpoiled) return SPOILED;
    const isSame = isDeepStrictEqual(prepared.environment, this.#settings.environment);
    return isSame ? undefined : 'the configuration has changed';
  }

  /** Why the packages of a spare worker are not those of the version on disk; undefined if they are. */
  unfit(prepared: Prepared): string | undefined {
    const changed = prepared.states.changed();
    if (changed !== undefined) {
      this.forget();
      return `${changed} has changed`;
    }
    const read = [...prepared.reads].find(([file, state]) => !isDeepStrictEqual(fileState(file), state));
    if (read) return `${read[0]} has changed`;
    prepared.judged = prepared.current;
    // A module that others name and that was not loaded may be one that is new.
    const evaluation = this.#evaluation(this.#loads, (file) => !prepared.notLoaded.has(file));
    prepared.isConditional = evaluation.isConditional;
    return this.#moved(prepared, evaluation);
  }

  /** Whether what `unfit` says stays true until the application is loaded. */
  isJudged(prepared: Prepared): boolean {
    return prepared.isComplete && !this.#isConfigurationNew && !prepared.isConditional && !importedDeferred(prepared);
  }

  /**
   * The same when it has loaded the application. After a change of the configuration that may be another one.
   * @param reports the modules that it has loaded
   */
  unfitAfterLoading(prepared: Prepared, reports: WorkerModules): string | undefined {
    if (prepared.isSpoiled) return SPOILED;
    const deferred = importedDeferred(prepared);
    if (deferred && !this.#deferred.isConfirmed(deferred, reports)) return outOfOrder(deferred);
    // It may have begun with another package when it was told to load the application.
    const isOpen = prepared.isConditional || prepared.current > prepared.judged;
    if (!isOpen && !this.#isConfigurationNew) return undefined;
    const loads = this.#isConfigurationNew ? loadOrder(reports) : this.#withEarlier(reports);
    const loaded = new Set(loads.modules.map(({ file }) => file));
    return this.#moved(
      prepared,
      this.#evaluation(loads, (file) => loaded.has(file)),
    );
  }

  /** What a worker has loaded, after the packages that no own module has asked for: it may have imported those ahead. */
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

  /** Names a package that was imported ahead, and that the application does not evaluate, or after other code. */
  #moved({ units, current }: Prepared, evaluation: Evaluation): string | undefined {
    const now = this.#units(evaluation);
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
      this.#leaveOut(unit, reason);
      prepared.isSpoiled = true;
    }
    const unit = prepared.units[at];
    if (unit && !prepared.isSpoiled && at === this.#observed.length) this.#observed.push(unit.file);
  }

  /** A spare worker has ended, or has loaded modules of the project, while it imported a package. */
  blame(prepared: Prepared, reason: string): void {
    const unit = prepared.units[prepared.current];
    if (unit) this.#leaveOut(unit, reason);
    prepared.isSpoiled = true;
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
      if (unit && prepared.isConfigurationSame) this.#leaveOut(unit, conflict.reason);
      return;
    }
    this.#log.debug(`the application is loaded without packages imported ahead: it changes ${name}`);
    if (kind === 'variable') this.#writtenVariables.add(name);
    else if (loadsPackages(reports) && this.#suspectedGlobal !== name) this.#suspectedGlobal = name;
    else {
      this.#changedGlobal ??= name;
      this.#explain(
        `only packages that come before the application's code are imported ahead: the application changes ${name}`,
      );
    }
  }

  /** Tries again when no own module mentions any more what the application has changed. If it still does, that is noticed. */
  #recover(name: string): void {
    const [word = name] = /[\w$]+(?=\W*$)/.exec(name) ?? [];
    const mentions = (file: string) =>
      isExistingFile(file) &&
      readFileSync(file, 'utf8')
        .split(/[^\w$]+/)
        .includes(word);
    const known = this.#mentions.get(name) ?? [];
    const own = () =>
      this.#loads.modules.map(({ file }) => file).filter((file) => !isPackageFile(file) && !isOwnFile(file));
    const now = (known.length > 0 ? known : own()).filter(mentions);
    this.#mentions.set(name, now);
    if (known.length === 0 || now.length > 0) return;
    this.#log.debug(`packages are imported ahead again that were not, because the application changed ${name}`);
    this.#mentions.delete(name);
    this.#writtenVariables.delete(name);
    if (this.#changedGlobal === name) this.#changedGlobal = undefined;
    // Some of them were left out because they read it.
    this.#found.clear();
    this.#observed = [];
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
    this.#found.clear();
    this.#observed = [];
    // One of them may have changed it.
    this.#changedGlobal = undefined;
    this.#deferred.forget();
    this.#order?.forget();
  }

  #leaveOut(unit: Unit, reason: string): void {
    const exception = { extent: knownSensitivity(nameOf(unit), false) ?? 'after', reason };
    this.#found.set(unit.file, exception);
    this.#explainException(unit, exception);
  }

  #explainException(unit: Unit, { extent, reason }: Exception): void {
    const others = extent === 'after' ? ', nor is what comes after it' : '';
    this.#explain(`${nameOf(unit)} is not imported ahead${others}: it ${reason}`);
  }

  /** In order, without those that have to be left out. */
  #units({ units }: Evaluation): Unit[] {
    const kept: Unit[] = [];
    let isFirst = true;
    for (const unit of units) {
      if (!unit.isFirst) isFirst = false;
      if (!isFirst && this.#changedGlobal !== undefined) break;
      const exception = this.#exceptionFor(unit, isFirst);
      if (exception) {
        this.#explainException(unit, exception);
        // It may change what those after it import.
        if (exception.extent === 'after') break;
        isFirst = false;
        continue;
      }
      kept.push({ ...unit, isFirst });
      // What is evaluated there is not known, nor what it imports.
      if (!unit.isKnown) break;
    }
    return kept;
  }

  #exceptionFor(unit: Unit, isFirst: boolean): Exception | undefined {
    const name = nameOf(unit);
    if (this.#settings?.leaveOut.includes(name)) return { extent: 'alone', reason: 'is in reload_preload_except' };
    const known = knownSensitivity(name, isFirst && this.#settings?.isReload === true);
    if (known) return { extent: known, reason: 'depends on what runs before it, or changes what runs after it' };
    if (unit.isConditional) return { extent: 'after', reason: 'is imported only under a condition' };
    return this.#found.get(unit.file);
  }

  /** What changes when packages are installed. */
  #manifests(): string[] {
    const roots = new Set<string>();
    const searched = new Set<string>();
    for (const file of this.#packages.keys()) roots.add(projectOf(file));
    for (const { file } of this.#loads.modules) {
      if (isPackageFile(file)) continue;
      roots.add(dirname(file));
      for (let at = dirname(file); !searched.has(at); at = dirname(at)) searched.add(at);
    }
    return [
      ...[...roots].flatMap((root) => [
        ...LOCK_FILES.map((name) => join(root, name)),
        ...INSTALLED.map((name) => join(root, 'node_modules', name)),
      ]),
      // Node keeps what the specifiers of a module lead to. A package may come to be nearer.
      ...[...searched].flatMap((directory) => [join(directory, 'package.json'), join(directory, 'node_modules')]),
    ];
  }

  #explain(text: string): void {
    if (this.#logged.has(text)) return;
    this.#logged.add(text);
    this.#log.debug(text);
  }
}

const SPOILED = 'it has imported what it should not';

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

function nameOf({ file }: Unit): string {
  return packageOf(file).name;
}
