/**
 * The spare workers of a pool: started, with nothing of the application's own code loaded. With a plan, they import its packages
 * ahead. If the application now needs other packages, or needs them in another order, the worker is rejected: it ends, and another one loads
 * the application. There are three checks:
 *
 * 1. `take`: do the settings, and what its imports have done, allow to use it?
 * 2. `checkFiles`, while it loads the application: do the files on disk still ask for these packages? If that is certain, it opens its
 *    listeners as soon as it can.
 * 3. `mayServe`, when it has loaded the application and asks to open its listeners: has it loaded what was expected?
 */
import type { Logger } from '../../log.ts';
import { isOwnFile } from '../../own-files.ts';
import type { PreloadReport } from '../ipc/messages.ts';
import { isModuleFile, loadedModule } from '../preload/loaded-module.ts';
import { isPackageFile, packageOf } from '../preload/package-files.ts';
import type { PreloadPlan, Prepared } from '../preload/preload-plan.ts';
import type { WorkerHandle } from './worker-handle.ts';

export interface SparesOptions<Boot> {
  readonly spawn: () => WorkerHandle<Boot>;
  /** How many there should be. */
  readonly count: () => number;
  /** What the next worker loads. */
  readonly boot: () => Boot;
  /** Whether a worker is loading the application. */
  readonly isStarting: () => boolean;
  /** Undefined: no packages are imported ahead. */
  readonly plan: PreloadPlan | undefined;
  readonly log: Logger;
}

/** How long after a spare worker has ended by itself the next one starts. */
const WARM_AGAIN_MS = 100;
/** How long after workers have become ready the next spare one starts: their first requests take precedence. */
const NEXT_SPARE_MS = 100;

export class Spares<Boot> {
  readonly #options: SparesOptions<Boot>;
  readonly #workers: WorkerHandle<Boot>[] = [];
  /** What each worker was told to import ahead. */
  readonly #prepared = new WeakMap<WorkerHandle<Boot>, Prepared>();
  /** Workers whose imported packages turned out not to fit the application. The reason has been logged. */
  readonly #rejected = new WeakSet<WorkerHandle<Boot>>();
  /** Called once, when a spare worker has imported all its packages, or has none to import. */
  readonly #readyListeners = new Set<(prepared: Prepared | undefined) => void>();

  #isPageOpen = false;

  constructor(options: SparesOptions<Boot>) {
    this.#options = options;
  }

  /** Starts spare workers until there are as many as there should be. */
  warm(): void {
    while (this.#workers.length < this.#options.count()) {
      const worker = this.#options.spawn();
      this.#workers.push(worker);
      worker.warm(this.#options.boot(), { rehearses: true });
      void worker.loaded.then(() => this.#prepare(worker));
      void worker.exited.then(() => this.#handleExit(worker));
    }
  }

  /**
   * Starts them later. Default: when the first requests have come and no worker is starting, since a spare worker would take
   * processor time from both.
   */
  warmLater(milliseconds: number = NEXT_SPARE_MS): void {
    setTimeout(() => (this.#options.isStarting() ? this.warmLater() : this.warm()), milliseconds).unref();
  }

  /** Starts them after a reload: at once, unless browsers load their pages again, on the same processors. */
  warmAfterReload(): void {
    this.warmLater(this.#isPageOpen ? NEXT_SPARE_MS : 0);
  }

  /** A browser has opened a page that it loads again after a reload. */
  notePage(): void {
    this.#isPageOpen = true;
  }

  /** Whether one of them has started. */
  get isReady(): boolean {
    return this.#workers.some(({ state }) => state === 'standby');
  }

  /** Kills them: they may have old code or old sockets. */
  drop(): void {
    for (const worker of this.#workers.splice(0)) worker.kill();
  }

  /** Resolves when the next one has imported all that it can, with what that is; undefined if there is nothing. */
  nextReady(): Promise<Prepared | undefined> {
    return new Promise((resolve) => this.#readyListeners.add(resolve));
  }

  /** Takes a spare worker that can be used; undefined: there is none. @param isCold only one that has imported nothing ahead */
  take(isCold: boolean): WorkerHandle<Boot> | undefined {
    for (const worker of [...this.#workers]) {
      if (isCold && this.hasBegunToImport(worker)) continue;
      this.#remove(worker);
      if (worker.state === 'exited') continue;
      const prepared = this.#begun(worker);
      const reason = prepared && this.#options.plan?.rejectionBySettings(prepared);
      if (reason === undefined) return worker;
      this.#reject(worker, reason);
    }
    return undefined;
  }

  /**
   * Rejects a worker whose imported packages are not those of the version on disk. Otherwise, if loading the application cannot
   * change that, lets the worker serve without asking.
   */
  checkFiles(worker: WorkerHandle<Boot>): void {
    const { plan } = this.#options;
    const prepared = this.#begun(worker);
    if (!plan || !prepared) return;
    const reason = plan.rejectionByFiles(prepared);
    if (reason !== undefined) this.#reject(worker, reason);
    else if (plan.isDecidedByFiles(prepared)) worker.open();
  }

  /** Whether a worker that has imported packages ahead, and loaded the application, may serve it. */
  mayServe(worker: WorkerHandle<Boot>): boolean {
    const { plan } = this.#options;
    const prepared = this.#begun(worker);
    if (!plan || !prepared) return true;
    // Its first import may have begun just when it was told to load the application.
    const early =
      prepared.checked < 0 ? (plan.rejectionBySettings(prepared) ?? plan.rejectionByFiles(prepared)) : undefined;
    const reason = early ?? plan.rejectionByReports(prepared, worker);
    if (reason !== undefined) this.#logRejection(worker, reason);
    return reason === undefined;
  }

  /** Whether a worker was told to import packages ahead. It may have begun. */
  isToldToImport(worker: WorkerHandle<Boot>): boolean {
    return this.#prepared.has(worker);
  }

  /** Whether a worker has begun to import packages ahead. */
  hasBegunToImport(worker: WorkerHandle<Boot>): boolean {
    return this.#begun(worker) !== undefined;
  }

  /** Whether a worker ends because of the packages that it has imported ahead. */
  isRejected(worker: WorkerHandle<Boot>): boolean {
    return this.#rejected.has(worker);
  }

  /** Whether no file of the configuration has changed since a worker was told to import packages ahead. */
  hasSameConfiguration(worker: WorkerHandle<Boot>): boolean {
    return this.#prepared.get(worker)?.isConfigurationSame ?? false;
  }

  /** To be called when a worker has loaded the application. */
  served(worker: WorkerHandle<Boot>): void {
    this.#options.plan?.loaded(worker, this.#begun(worker));
  }

  /** To be called when files have changed. */
  changed(files: readonly string[], isConfiguration: (file: string) => boolean): void {
    const arePackagesOther = this.#options.plan?.changed(files, isConfiguration) ?? false;
    const isOnlyCode = files.every((file) => isModuleFile(file) && !isConfiguration(file));
    for (const worker of this.#workers) {
      const prepared = this.#prepared.get(worker);
      if (!prepared) continue;
      prepared.mustBeRejected ||= arePackagesOther;
      prepared.isConfigurationSame &&= isOnlyCode;
    }
  }

  report(worker: WorkerHandle<Boot>, report: PreloadReport): void {
    const { plan } = this.#options;
    const prepared = this.#prepared.get(worker);
    if (!plan || !prepared) return;
    if (report.paster === 'conflict') {
      this.#rejected.add(worker);
      plan.learnConflict(prepared, report.conflict, worker);
    } else if (report.paster === 'preloading') prepared.current = report.index;
    else {
      plan.learn(prepared, report.index, report.effects);
      // Not before all are imported: that shows what else has to be left out.
      if (report.index < prepared.units.length - 1) return;
      const count = prepared.units.filter(({ isKnown }) => isKnown).length;
      if (prepared.mustBeRejected) this.#renew(worker);
      else {
        prepared.isComplete = true;
        const packages = count === 1 ? '1 package' : `${count} packages`;
        this.#options.log.debug(`worker ${worker.pid} has imported ${packages} ahead`);
        this.#notifyReady(prepared);
      }
    }
  }

  /** A worker reports modules while it is a spare. */
  noteModules(worker: WorkerHandle<Boot>, modules: readonly string[]): void {
    const prepared = this.#prepared.get(worker);
    if (!prepared || prepared.mustBeRejected) return;
    const loads = modules.flatMap((module) => loadedModule(module, 'import') ?? []);
    const isDeferred = prepared.units[prepared.current]?.deferredBy !== undefined;
    for (const { file } of loads)
      if (isPackageFile(file) && !isDeferred) prepared.directories.add(packageOf(file).directory);
    const isImporter = (file: string) => prepared.units.some(({ deferredBy }) => deferredBy === file);
    // The application would not load it again.
    const unexpected = loads.find(({ file }) => (isPackageFile(file) ? isImporter(file) : !isOwnFile(file)));
    if (unexpected) this.#options.plan?.blame(prepared, `loads ${unexpected.file}`);
  }

  /** What a worker has begun to import ahead; undefined: nothing. */
  #begun(worker: WorkerHandle<Boot>): Prepared | undefined {
    const prepared = this.#prepared.get(worker);
    return prepared && prepared.current >= 0 ? prepared : undefined;
  }

  #reject(worker: WorkerHandle<Boot>, reason: string): void {
    this.#logRejection(worker, reason);
    worker.kill();
  }

  #logRejection(worker: WorkerHandle<Boot>, reason: string): void {
    this.#rejected.add(worker);
    this.#options.log.debug(`spare worker ${worker.pid} is not used: ${reason}`);
  }

  async #prepare(worker: WorkerHandle<Boot>): Promise<void> {
    await this.#options.plan?.load();
    if (!this.#workers.includes(worker) || worker.state !== 'standby') return;
    const boot = this.#options.boot();
    const prepared = this.#options.plan?.prepare();
    if (!prepared) {
      if (this.#options.plan) this.#options.log.debug(`worker ${worker.pid} has no packages to import ahead`);
      this.#notifyReady(undefined);
      return;
    }
    this.#prepared.set(worker, prepared);
    const { units, writtenVariables, observed } = prepared;
    worker.preload({ paster: 'preload', boot, units, writtenVariables, observed });
  }

  #handleExit(worker: WorkerHandle<Boot>): void {
    if (!this.#workers.includes(worker)) return;
    this.#remove(worker);
    const prepared = this.#begun(worker);
    const isStopping = this.#options.count() === 0;
    if (isStopping) return;
    // When all packages are imported, none of them is the reason.
    if (prepared && !prepared.isComplete) this.#options.plan?.blame(prepared, 'ends the process');
    setTimeout(() => this.warm(), WARM_AGAIN_MS).unref();
  }

  #renew(worker: WorkerHandle<Boot>): void {
    if (!this.#workers.includes(worker)) return;
    this.#remove(worker);
    worker.kill();
    this.warm();
  }

  #notifyReady(prepared: Prepared | undefined): void {
    for (const listener of this.#readyListeners) listener(prepared);
    this.#readyListeners.clear();
  }

  #remove(worker: WorkerHandle<Boot>): void {
    const index = this.#workers.indexOf(worker);
    if (index >= 0) this.#workers.splice(index, 1);
  }
}
