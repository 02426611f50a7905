/**
 * The version of the application that the workers serve: starts the first one, replaces it with a newer one on request or when a
 * file changes, and in development serves the error of one that does not load.
 */
import { isDeepStrictEqual } from 'node:util';
import { asError, describeError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { ServerEvents } from '../../metrics/server-events.ts';
import { closeSockets } from '../../net/held-socket.ts';
import { isModuleFile } from '../preload/loaded-module.ts';
import type { PreloadPlan } from '../preload/preload-plan.ts';
import { describeChanges } from '../reload/path-changes.ts';
import { Reload } from '../reload/reload.ts';
import { isWithdrawal } from './canary.ts';
import { workersText } from './memory-budget.ts';
import type { Pool } from './pool.ts';
import type { WorkerCount } from './scaling/worker-count.ts';
import { type SupervisorOptions, type SupervisorSettings, workerSettings } from './supervisor-options.ts';
import { Interrupted, type Turns } from './turns.ts';
import { type Failure, STOPPED, SUPERSEDED } from './worker-changes.ts';

/** How a reload went. */
export type ReloadResult = { readonly ok: true } | Failure;

/** After this time, files are watched although no worker is ready yet. */
const SLOW_START_MS = 500;

/** What changing versions needs of the supervisor. */
export interface VersionOwner<Boot> {
  readonly options: SupervisorOptions<Boot>;
  readonly pool: Pool<Boot>;
  readonly count: WorkerCount<Boot>;
  readonly preload: PreloadPlan;
  readonly events: ServerEvents;
  readonly turns: Turns;
  readonly isStopping: () => boolean;
  /** Called when the workers serve a new version. */
  readonly onReplaced: () => void;
}

export class CurrentVersion<Boot> {
  readonly #owner: VersionOwner<Boot>;
  readonly #options: SupervisorOptions<Boot>;
  readonly #log: Logger;
  readonly #pool: Pool<Boot>;
  readonly #turns: Turns;
  /** Undefined: no files are watched. */
  readonly #watcher: Reload | undefined;
  /** Files that configure the application. */
  readonly #configuration: Set<string>;
  /** Whether the workers have loaded the configuration as it was when a file of it changed last. */
  #isConfigurationLoaded = false;
  #current: SupervisorSettings<Boot>;
  /** The number of the newest reload: of several that wait, only that one is done. */
  #lastReload = 0;
  /** Whether the first workers are not ready yet. */
  isStarting = false;

  constructor(owner: VersionOwner<Boot>) {
    const { options, pool, turns } = owner;
    this.#owner = owner;
    this.#options = options;
    this.#log = options.log;
    this.#pool = pool;
    this.#turns = turns;
    this.#current = options;
    this.#configuration = new Set(options.reload?.files);
    if (options.reload) {
      this.#watcher = new Reload(
        options.reload,
        options.log,
        (changed) => this.#reloadChanges(changed),
        () => this.#interrupt(),
      );
      if (options.isIgnored) this.#watcher.isIgnored = options.isIgnored;
    }
    this.#configurePreload(options);
  }

  /** The configuration that the workers have. */
  get settings(): SupervisorSettings<Boot> {
    return this.#current;
  }

  /**
   * Resolves when the workers are ready. With `reload`, they serve the error of a version that does not start until the next good
   * save.
   * @param giveUp called if none of them can start
   * @throws a worker's own error then
   */
  async start(giveUp: () => Promise<void>): Promise<void> {
    // An application that never becomes ready needs a save.
    const slow = setTimeout(() => void this.watchFiles(), SLOW_START_MS);
    this.isStarting = true;
    try {
      await this.#turns.run(() => this.#startFirst(giveUp), undefined);
    } finally {
      clearTimeout(slow);
      this.isStarting = false;
    }
  }

  /** Watches files from now on. What was saved since the workers began to load counts. */
  async watchFiles(): Promise<void> {
    await this.#watcher?.start();
  }

  async unwatchFiles(): Promise<void> {
    await this.#watcher?.close();
  }

  /** A worker has loaded these files. @param loaded when it began to load */
  noteFiles(files: readonly string[], loaded: number): void {
    this.#watcher?.watch(files, loaded);
  }

  /** The same for files that configure the application. */
  noteConfiguration(files: readonly string[], loaded: number): void {
    for (const file of files) this.#configuration.add(file);
    this.#watcher?.watchNamed(files, loaded);
  }

  notePatterns(patterns: readonly string[], loaded: number): void {
    this.#watcher?.watchPatterns(patterns, loaded);
  }

  /** A worker serves the application, or an error instead of it. */
  noteServes(failure: Error | undefined): void {
    this.#watcher?.serves(failure);
  }

  /**
   * Replaces all workers, or none: if one does not start, the old ones keep serving. A newer reload takes precedence: what
   * starts is out of date then, and may never become ready.
   * @param confirm called when the new workers are ready; if it rejects, the old ones keep serving too
   */
  reload(reason: string, confirm?: () => Promise<void>): Promise<ReloadResult> {
    const { events, preload, isStopping } = this.#owner;
    const number = ++this.#lastReload;
    this.interruptChange();
    return this.#turns.change(async (): Promise<ReloadResult> => {
      if (number !== this.#lastReload) return SUPERSEDED;
      const { onReload } = this.#options.reload ?? {};
      if (!onReload) this.#log.info(`reloading (${reason})`);
      this.#pool.spares.drop();
      // The packages may be those of another release.
      preload.forget();
      const begun = performance.now();
      try {
        const replaced = await this.#replaceAllFor(await this.#revised(false), { oneByOne: true, confirm });
        events.reloaded(reason, begun, replaced);
        if (onReload) onReload([], performance.now() - begun);
        else this.#log.info('reloaded');
        return { ok: true };
      } catch (cause) {
        if (isStopping()) return STOPPED;
        const error = this.#options.explainFailure?.(cause) ?? cause;
        const hasEnded = this.#pool.isVacated;
        if (hasEnded) this.#pool.reviveVacated();
        if (this.#turns.isInterrupted) {
          this.#log.info('starting over: a newer reload was requested');
          return SUPERSEDED;
        }
        events.reloadFailed(reason, describeError(error));
        if (hasEnded)
          this.#log.error(`the new version does not start, and the old one has ended: ${describeError(error)}`);
        else if (isWithdrawal(error)) this.#log.error(describeError(error));
        else this.#log.error(`the new version does not start, the old one keeps running: ${describeError(error)}`);
        return { ok: false, error, hasEnded };
      } finally {
        this.#pool.spares.warm();
      }
    }, STOPPED);
  }

  /** Gives up a change that is in progress: a newer reload makes the workers that it starts out of date. */
  interruptChange(): void {
    if (this.#turns.isChanging) this.#interrupt();
  }

  async #startFirst(giveUp: () => Promise<void>): Promise<void> {
    const { count, isStopping } = this.#owner;
    for (;;) {
      this.#turns.isInterrupted = false;
      try {
        await count.fill(this.#current);
        this.#isConfigurationLoaded = true;
        return;
      } catch (error) {
        if (this.#turns.isInterrupted && !isStopping()) continue;
        if (this.#watcher && !isStopping() && (await this.#serveFailure(error))) return;
        await giveUp();
        throw error;
      }
    }
  }

  /** Reloads after a change of files: all workers at once, so that one version serves at a time, or its error if it does not load. */
  #reloadChanges(changed: readonly string[]): Promise<ReloadResult> {
    const { events, isStopping } = this.#owner;
    if (this.isStarting) this.#interrupt();
    return this.#turns.change(async () => {
      this.#pool.spares.changed(changed, (file) => this.#configuration.has(file));
      const begun = performance.now();
      try {
        const onlyCode = changed.every((file) => isModuleFile(file) && !this.#configuration.has(file));
        const replaced = await this.#replaceAllFor(await this.#revised(onlyCode), { oneByOne: false });
        events.reloaded(describeChanges(changed), begun, replaced);
        return { ok: true };
      } catch (error) {
        if (!isStopping() && !this.#turns.isInterrupted) {
          events.reloadFailed(describeChanges(changed), describeError(error));
          await this.#serveFailure(error);
        }
        return { ok: false, error };
      } finally {
        this.#pool.spares.warmAfterReload();
      }
    }, STOPPED);
  }

  #revised(onlyCode: boolean): Promise<SupervisorSettings<Boot>> {
    this.#isConfigurationLoaded &&= onlyCode;
    return this.#options.revise?.(this.#current, this.#isConfigurationLoaded) ?? Promise.resolve(this.#current);
  }

  /** @returns the number of workers that it has replaced. @throws The first error; then nothing has changed. */
  async #replaceAllFor(
    next: SupervisorSettings<Boot>,
    { oneByOne, confirm }: { oneByOne: boolean; confirm?: (() => Promise<void>) | undefined },
  ): Promise<number> {
    const before = this.#current;
    const settings = this.#pool.settings;
    const { count, maximum, reason } = this.#owner.count.next(before, next);
    const replaced = this.#pool.workers.length;
    if (this.#watcher && next.isIgnored) this.#watcher.isIgnored = next.isIgnored;
    const changed = next.sockets !== before.sockets || !isDeepStrictEqual(next.env, before.env);
    if (changed) this.#pool.spares.drop();
    this.#pool.settings = workerSettings(next, this.#options.reload);
    this.#configurePreload(next);
    try {
      if (this.#turns.isInterrupted) throw new Interrupted();
      if (next.exclusive) await this.#pool.vacate();
      const canary = oneByOne && !this.#watcher && !next.exclusive ? next.canary : undefined;
      const ready = await this.#pool.bootAll(count, { oneByOne, canary, confirm });
      this.#current = next;
      this.#isConfigurationLoaded = true;
      await this.#pool.swap(ready);
      this.#owner.count.scale(next, maximum);
    } catch (error) {
      this.#pool.settings = settings;
      this.#configurePreload(before);
      if (changed) this.#pool.spares.drop();
      await closeSockets(next.sockets, before.sockets);
      throw error;
    }
    this.#options.onReplaced?.(next);
    await closeSockets(before.sockets, next.sockets);
    this.#owner.count.measure();
    this.#owner.onReplaced();
    if (reason !== undefined) this.#log.info(`${workersText(count)}${reason && `: ${reason}`}`);
    return replaced;
  }

  #configurePreload({ preload, env = process.env }: SupervisorSettings<Boot>): void {
    const { execArgv = [] } = this.#options;
    this.#owner.preload.configure(preload, [env['NODE_OPTIONS'] ?? '', ...execArgv].join(' '));
  }

  async #serveFailure(reason: unknown): Promise<boolean> {
    if (this.#options.onFailure) this.#options.onFailure(reason);
    else this.#log.error(describeError(reason));
    try {
      const count = this.#pool.size || this.#current.workers;
      await this.#pool.swap(await this.#pool.bootAll(count, { failure: asError(reason), oneByOne: false }));
      return true;
    } catch (error) {
      if (!this.#owner.isStopping()) this.#log.debug(`its error page cannot be served either: ${describeError(error)}`);
      return false;
    }
  }

  /** Gives up the workers that are starting: there is a newer version, and the old one may never become ready. */
  #interrupt(): void {
    this.#turns.isInterrupted = true;
    this.#pool.interrupt();
  }
}
