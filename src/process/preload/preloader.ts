/**
 * In a spare worker: imports the application's packages one after the other until the worker is told to load the
 * application, and observes what each import does to the process.
 */
import { syncBuiltinESMExports } from 'node:module';
import { getPriority, setPriority } from 'node:os';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { errorMessage } from '../../errors.ts';
import { HeldOutput } from './held-output.ts';
import type { Unit } from './loaded-module.ts';
import { EnvironmentAccess } from './observe/environment-access.ts';
import { GlobalNames } from './observe/global-names.ts';
import { GlobalState, isPrivate, loadLazyGlobals } from './observe/global-state.ts';
import { Handles } from './observe/handles.ts';
import { ModuleHooks } from './observe/module-hooks.ts';
import { OutsideReads } from './observe/outside-reads.ts';
import { type FileState, projectOf } from './package-files.ts';

/** Loads a module exactly as the application would. */
export type UnitImporter = (unit: Unit) => Promise<unknown>;

export interface SideEffect {
  /** Of the unit. */
  readonly index: number;
  /** What the import does, for a sentence that starts with the package's name. */
  readonly reason: string;
  /** It may still be imported ahead, as long as the application still imports it in this place. */
  readonly isTolerable: boolean;
  /** And as long as these files, which the import has read, stay as they were. */
  readonly files?: readonly (readonly [path: string, state: FileState])[];
}

/** What keeps a prepared worker from serving: packages that were imported ahead may depend on it. */
export type Conflict =
  | { readonly kind: 'variable' | 'global'; readonly name: string }
  /** `reason`: as in a side effect. */
  | { readonly kind: 'package'; readonly name: string; readonly reason: string };

export interface PreloadOptions {
  readonly units: readonly Unit[];
  /** Variables that the application sets while it is loaded. */
  readonly writtenVariables: readonly string[];
  /** How many of the first units are known to leave nothing running: to find out doubles the time of an import. */
  readonly observed: number;
  readonly onImport: (index: number) => void;
  readonly onImported: (index: number, effects: readonly SideEffect[]) => void;
}

const BACKGROUND_PRIORITY = 10;
/** For the import at `stop`. Twice, since the first time may be over when a module lets the event loop turn again. */
const LAST_IMPORT_MS = 500;
/** An import that is idle for so long waits for something other than modules. */
const IDLE_MS = 3000;
/** The part of that time for which the event loop may be busy nevertheless. */
const IDLE_UTILIZATION = 0.02;
/** No package depends on these when it is imported: JSON.stringify fails for a BigInt until a program adds this method. */
const NOT_READ: ReadonlySet<string> = new Set(['BigInt.prototype.toJSON']);
const WAITS = 'waits for something when it is imported';

export class Preloader {
  /** Set if an import has shown too late that this worker must not be used: the supervisor may have decided to use it already. */
  lateConflict: Conflict | undefined;
  /** The first package that has set an environment variable. A configuration that is read after it may refer to that. */
  variableSetter: Conflict | undefined;
  /** What packages have printed. */
  readonly output = new HeldOutput();
  readonly #options: PreloadOptions;
  /** What packages read that are evaluated after code of the application. */
  readonly #environment = new EnvironmentAccess();
  readonly #names = new GlobalNames();
  readonly #outside = new OutsideReads();
  readonly #hooks = new ModuleHooks();
  readonly #handles = new Handles();
  #stopped = false;
  #restorePriority = () => {};
  #running: Promise<void> | undefined;
  /** The package that is being imported. */
  #current: string | undefined;
  #after: GlobalState | undefined;
  /** Whether packages were imported that come after code of the application. */
  #followsCode = false;
  /** Whether packages were imported that come after functions of the application were called. */
  #followsCalls = false;
  /** Whether a module that the configuration names has been evaluated. */
  #isEvaluated = false;
  #conflict: Conflict | undefined;
  /** The first global, or part of Node, that the application has changed. */
  #changed: string | undefined;

  constructor(options: PreloadOptions) {
    this.#options = options;
  }

  /** Resolves when all units are imported, or after the one that was being imported at `stop`. */
  run(importUnit: UnitImporter): Promise<void> {
    this.#running ??= this.#importAll(importUnit);
    return this.#running;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    // A reload waits for the package that is being imported.
    this.#restorePriority();
    this.output.end();
    const ended = this.#running?.then(() => true) ?? true;
    for (let times = 0; times < 2; times++) {
      const limit = this.#handles.uncounted(() => sleep(LAST_IMPORT_MS, false, { ref: false }));
      if (await Promise.race([ended, limit])) return;
    }
    // It may wait for what the application does, and so for ever.
    if (this.#current !== undefined) this.lateConflict = { kind: 'package', name: this.#current, reason: WAITS };
  }

  /**
   * What the application has changed that a package may have read before. To be asked when it is loaded: then the observation
   * ends.
   */
  conflict(): Conflict | undefined {
    if (!this.#after || !this.#followsCode) return undefined;
    if (!this.#isEvaluated || this.#followsCalls) this.#conflict ??= this.#conflictSince(this.#after);
    this.#environment.stop();
    this.#names.stop();
    this.#hooks.stop();
    syncBuiltinESMExports();
    return this.#conflict;
  }

  /**
   * To be called when a module that the configuration names has been evaluated, with all that it imports. What its functions
   * change then comes after the packages in a cold start, too.
   */
  evaluated(): void {
    if (!this.#after || !this.#followsCode || this.#followsCalls) return;
    this.#isEvaluated = true;
    this.#conflict ??= this.#conflictSince(this.#after);
  }

  #conflictSince(after: GlobalState): Conflict | undefined {
    const variable = this.#environment.changed();
    if (variable !== undefined) return { kind: 'variable', name: variable };
    const global = this.#changedGlobal(after);
    return global === undefined ? undefined : { kind: 'global', name: global };
  }

  #changedGlobal(after: GlobalState): string | undefined {
    if (this.#environment.isReplaced) return 'process.env';
    if (this.#hooks.registered !== undefined) return this.#hooks.registered;
    if (this.#hooks.isCacheChanged) return 'require.cache';
    this.#noteChanges(new GlobalState(), after);
    const added = this.#names.added;
    return this.#changed ?? (added === undefined ? undefined : `globalThis.${added}`);
  }

  /** Takes what the application has changed so far. It may change it back. */
  #noteChanges(now: GlobalState, after: GlobalState): void {
    const { changed, added } = now.since(after, NOT_READ);
    const sought = added.find((name) => this.#names.isSought(name));
    this.#changed ??= changed ?? (sought === undefined ? undefined : `globalThis.${sought}`);
  }

  async #importAll(importUnit: UnitImporter): Promise<void> {
    loadLazyGlobals();
    this.output.start();
    this.#restorePriority = lowerPriority();
    this.#hooks.start();
    const projects = [...new Set(this.#options.units.map(({ file }) => projectOf(file)))];
    this.#outside.start([...new Set([process.cwd(), ...projects])]);
    try {
      let before = new GlobalState();
      for (const [index, unit] of this.#options.units.entries()) {
        await nextTurn();
        if (this.#stopped) break;
        if (index === this.#options.observed) this.#handles.start(projects);
        if (!unit.isKnown) {
          this.#options.onImported(index, []);
          continue;
        }
        if (!unit.isFirst && !this.#followsCode) {
          this.#followsCode = true;
          this.#environment.start();
          this.#names.start();
        }
        this.#followsCalls ||= unit.isLate;
        const after = await this.#importOne(index, unit, importUnit, before);
        // Other modules may depend on what this one still waits for.
        if (!after) break;
        before = after;
      }
    } finally {
      this.#handles.stop();
      this.#outside.stop();
      this.#restorePriority();
      this.#observeApplication();
      syncBuiltinESMExports();
    }
  }

  /** Until `conflict` is asked. */
  #observeApplication(): void {
    if (!this.#followsCode) {
      this.#hooks.stop();
      return;
    }
    this.#environment.noteWrites();
    this.#names.noteAdditions();
    this.#hooks.noteRequires(() => this.#noteChanges(new GlobalState({ isPartial: true }), after));
    const after = new GlobalState();
    this.#after = after;
  }

  async #importOne(
    index: number,
    unit: Unit,
    importUnit: UnitImporter,
    before: GlobalState,
  ): Promise<GlobalState | undefined> {
    const effects: SideEffect[] = [];
    const add = (reason: string, isTolerable = false) => effects.push({ index, reason, isTolerable });
    this.#options.onImport(index);
    this.#current = unit.file;
    const env = { ...this.#environment.variables };
    this.#outside.first = undefined;
    this.#outside.files.clear();
    try {
      if (await this.#isWaiting(importUnit(unit))) {
        add(WAITS);
        this.lateConflict = { kind: 'package', name: unit.file, reason: WAITS };
        this.#options.onImported(this.#options.units.length - 1, effects);
        return undefined;
      }
    } catch (error) {
      add(`cannot be imported by itself: ${errorMessage(error)}`);
    }
    this.#handles.endImport();
    // Node reports the end of timers and sockets a turn later.
    await nextTurn();
    const after = new GlobalState();
    const { changed, added } = after.since(before);
    const { isFirst } = unit;
    const handle = this.#handles.take();
    if (handle !== undefined) add(handle);
    const event = after.listenersSince(before);
    if (event !== undefined) add(`listens to "${event}" of the process`);
    const files = [...this.#outside.files];
    const [file] = files;
    if (this.#outside.first !== undefined) add(this.#outside.first);
    // Code of the application could write to it before a later package reads it.
    if (file) effects.push({ index, reason: `reads ${file[0]}`, isTolerable: isFirst, files });
    const data = this.#outside.takeData();
    if (data.length > 0) effects.push({ index, reason: 'reads files of packages', isTolerable: true, files: data });
    if (this.#hooks.registered !== undefined) add(`changes ${this.#hooks.registered}`);
    if (this.#environment.isReplaced) add('replaces process.env');
    const variable = differentVariable(env, this.#environment.variables);
    if (variable !== undefined) {
      const reason = `sets the environment variable ${variable}`;
      this.variableSetter ??= { kind: 'package', name: unit.file, reason };
      add(reason, isFirst);
    }
    const global = added.find((name) => !isPrivate(name));
    if (changed !== undefined) add(`changes ${changed}`, isFirst);
    else if (global !== undefined) add(`changes globalThis.${global}`, isFirst);
    else if (added.length > 0) add('adds a global of its own', true);
    const recent = this.#environment.takeRecent();
    const read = isFirst ? undefined : this.#options.writtenVariables.find((name) => recent.has(name));
    if (read !== undefined) add(`reads ${read}, which the application sets`);
    const [effect] = effects.filter(({ isTolerable }) => !isTolerable);
    if (this.#stopped && effect) this.lateConflict = { kind: 'package', name: unit.file, reason: effect.reason };
    this.#options.onImported(index, effects);
    return after;
  }

  /** Resolves when an import has ended, or is idle. @returns whether it is idle */
  async #isWaiting(importing: Promise<unknown>): Promise<boolean> {
    const ended = importing.then(() => true);
    for (;;) {
      const before = performance.eventLoopUtilization();
      const timeout = new AbortController();
      const { signal } = timeout;
      const idle = this.#handles.uncounted(() => sleep(IDLE_MS, false, { ref: false, signal }));
      try {
        if (await Promise.race([ended, idle])) return false;
      } finally {
        timeout.abort();
        idle.catch(() => {});
      }
      if (performance.eventLoopUtilization(before).utilization < IDLE_UTILIZATION) return true;
    }
  }
}

function differentVariable(before: NodeJS.ProcessEnv, now: NodeJS.ProcessEnv): string | undefined {
  return [...new Set([...Object.keys(before), ...Object.keys(now)])].find((name) => before[name] !== now[name]);
}

/** Lowers the priority of this process if it may raise it again, which takes privileges. @returns a function that restores it */
function lowerPriority(): () => void {
  try {
    const priority = getPriority();
    setPriority(priority - 1);
    setPriority(BACKGROUND_PRIORITY);
    return () => setPriority(priority);
  } catch {
    return () => {};
  }
}
