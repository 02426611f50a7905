/** The background processes of an INI file: a supervisor for each `[process:*]` section, beside that of the web workers; and its tasks. */
import { LoadSession } from '../../deploy/session.ts';
import { describeError, RunError } from '../../errors.ts';
import { processTree } from '../../machine/capacity.ts';
import { noRestarts, type ServerStatus, type TaskRun } from '../../metrics/server-status.ts';
import type { ReloadResult } from '../../process/supervisor/current-version.ts';
import type { OtherProcesses } from '../../process/supervisor/memory-budget.ts';
import type { Supervisor } from '../../process/supervisor/supervisor.ts';
import { Turns } from '../../process/supervisor/turns.ts';
import { type Failure, STOPPED, SUPERSEDED, type Succession } from '../../process/supervisor/worker-changes.ts';
import type { WorkerHandle } from '../../process/supervisor/worker-handle.ts';
import type { WorkerPlan } from '../plan.ts';
import type { Service } from '../service.ts';
import type { Suspended } from '../upgrade/upgrade.ts';
import { type ProcessPlan, supervisorSettings, taskDefinition } from './process-plan.ts';
import { ProcessSection, reloadingSupervisor } from './process-section.ts';
import { type Reloading, reloadTogether } from './reload-together.ts';
import { ScheduledTasks } from './scheduled-tasks.ts';
import { noSuchProcess, type ServedParts, servedParts } from './served-parts.ts';

export class BackgroundProcesses {
  readonly finished: Promise<void>;
  readonly #service: Service;
  readonly #tasks: ScheduledTasks;
  readonly #sections = new Map<string, ProcessSection>();
  /** Whether the reload in progress is given up for a newer one. */
  #isGivenUp = false;
  readonly #turns = new Turns(() => this.#isStopping);
  #hasStarted = false;
  #isStopping = false;
  #setFinished = () => {};

  constructor(service: Service) {
    this.#service = service;
    this.#tasks = new ScheduledTasks(service);
    this.finished = new Promise((resolve) => {
      this.#setFinished = resolve;
    });
  }

  /** Starts all sections that the command line has chosen. @throws The first error; the caller stops the others. */
  async start(): Promise<void> {
    const { processes, tasks } = this.#service.parts;
    const { predecessor } = this.#service;
    if (predecessor) this.#tasks.pause(new Date());
    predecessor?.onTaskRun((task, run) => this.#tasks.inherit(task, run));
    // First, so that an error in the section of a task ends the start before any process has started.
    const definitions = await this.#tasks.read(tasks);
    await Promise.all(processes.map((name) => this.#add(name)));
    this.#hasStarted = true;
    this.#tasks.set(definitions);
    // Until then the predecessor has the schedules.
    void predecessor?.handedOver.then((since) => this.#tasks.resume(since));
  }

  /**
   * Reads the sections as a reload does, and changes nothing. An error in the rest of the file is reported by the reload itself.
   * @throws ConfigError or ErrorList for a section of a process or a task
   */
  async check(): Promise<void> {
    const chosen = await this.#chosen().catch(() => undefined);
    if (!chosen) return;
    const session = new LoadSession(this.#service.plan.globalConf);
    for (const name of chosen.processes) await supervisorSettings(this.#service, name, session);
    for (const name of chosen.tasks) await taskDefinition(this.#service, name, session);
  }

  /**
   * Reads the file again and replaces the web workers and the processes: all of them, or none. Exclusive processes follow, because
   * their old process ends before its successor starts, and cannot come back.
   * @param onReplaced called before the exclusive ones follow
   */
  async reload(
    reason: string,
    web: Supervisor<WorkerPlan> | undefined,
    onReplaced: () => Promise<void>,
  ): Promise<ReloadResult> {
    return this.#turns.run<ReloadResult>(() => {
      this.#isGivenUp = false;
      this.#endStarting();
      return this.#reloadAll(reason, web, onReplaced);
    }, STOPPED);
  }

  /** Gives up a reload that is in progress. The files have changed since it read them, and what it starts may never become ready. */
  giveUpReload(web: Supervisor<WorkerPlan> | undefined): void {
    this.#isGivenUp = true;
    web?.interruptChange();
    for (const supervisor of this.#supervisors) supervisor.interruptChange();
    this.#endStarting();
  }

  /** Sections that have not started yet are started by the next reload. */
  #endStarting(): void {
    const starting = [...this.#sections].flatMap(([name, { isStarting }]) => (isStarting ? name : []));
    void this.#remove(starting, { graceful: false });
  }

  /** Runs an action while no reload is in progress. Undefined: the processes are stopping. */
  alone<T>(action: () => Promise<T>): Promise<T | undefined> {
    return this.#turns.run<T | undefined>(action, undefined);
  }

  async #reloadAll(
    reason: string,
    web: Supervisor<WorkerPlan> | undefined,
    onReplaced: () => Promise<void>,
  ): Promise<ReloadResult> {
    const chosen = await this.#chosen().catch((error: unknown): Failure => ({ ok: false, error }));
    if ('error' in chosen) {
      // A file that cannot be read ends the reload of the web workers too, which log it.
      if (web) return web.reload(reason);
      this.#service.log.error(`not reloaded, the old version keeps running: ${describeError(chosen.error)}`);
      return chosen;
    }
    const { processes: names, tasks } = chosen;
    const known = [...this.#sections.values()].flatMap((section) =>
      names.includes(section.name) ? (section.reloading() ?? []) : [],
    );
    const exclusive = known.filter(({ isExclusive }) => isExclusive);
    const application = web ? [reloadingSupervisor('the application', web)] : [];
    const result = await reloadTogether(
      [
        ...application.filter(({ isExclusive }) => !isExclusive),
        ...known.filter((each) => !exclusive.includes(each)),
        ...this.#missing(names).map((name) => this.#adding(name)),
        ...application.filter(({ isExclusive }) => isExclusive),
      ],
      reason,
      () => this.#isGivenUp,
    );
    if (!result.ok && !result.hasEnded) return result;
    await this.#setTasks(tasks);
    await Promise.all([onReplaced(), this.#removeExcept(names)]);
    const results = await Promise.all(exclusive.map((each) => each.reload(reason)));
    return [result, ...results].find((each) => !each.ok) ?? result;
  }

  /** With `--reload`, after a change of the file: starts those of new sections, and ends those of removed ones. */
  async update(): Promise<void> {
    // A file with errors is reported by the reload itself.
    const chosen = await this.#chosen().catch(() => undefined);
    if (!chosen || this.#isStopping) return;
    const { processes: names, tasks } = chosen;
    await this.#setTasks(tasks);
    for (const name of this.#missing(names)) void this.#tryToAdd(name);
    await this.#removeExcept(names);
  }

  /** To be called when the server has started: finds errors in the code of tasks, and logs them. */
  checkTasks(): void {
    this.#tasks.check();
  }

  reopenLogs(): void {
    for (const supervisor of this.#supervisors) supervisor.reopenLogs();
    this.#tasks.reopenLogs();
  }

  /**
   * Ends the exclusive processes and the schedules of tasks before a successor takes over.
   * @param onTaskRun gets the last run of each task, and later those that are in progress
   */
  async suspend(onTaskRun: (task: string, run: TaskRun) => void): Promise<Suspended> {
    const names = [...this.#sections].flatMap(([name, each]) => (each.supervisor?.isExclusive ? name : []));
    await Promise.all(names.map((name) => this.stopSection(name)));
    const tasksBegunUntil = new Date();
    this.#tasks.pause(tasksBegunUntil, onTaskRun);
    return {
      tasksBegunUntil,
      restore: async () => {
        // The other process may have begun what was due before it failed.
        this.#tasks.resume(new Date());
        await Promise.all(names.map((name) => this.startSection(name)));
      },
    };
  }

  async stop({ graceful }: { readonly graceful: boolean }): Promise<void> {
    this.#isStopping = true;
    await Promise.all([this.#tasks.stop({ graceful }), ...this.#supervisors.map((each) => each.stop({ graceful }))]);
    this.#setFinished();
  }

  /** For the status of the server. A property is absent if the file has no such sections. */
  async status(): Promise<Pick<ServerStatus, 'processes' | 'tasks'>> {
    const processes = await Promise.all(
      [...this.#sections].map(async ([name, { supervisor, isStopped }]) => {
        const status = await supervisor?.status();
        const { workers = [], restarts = noRestarts(), events = [] } = status ?? {};
        return { name, isStopped, workers, restarts, events };
      }),
    );
    const tasks = this.#tasks.status();
    return { ...(processes.length > 0 ? { processes } : {}), ...(tasks.length > 0 ? { tasks } : {}) };
  }

  /** All processes of all sections. */
  get workers(): readonly WorkerHandle<ProcessPlan>[] {
    return this.#supervisors.flatMap(({ workers }) => workers);
  }

  /** For the memory of a container: the processes with all that they have started, and the runs of tasks. */
  others(): OtherProcesses {
    const started = this.workers.filter(({ state }) => state === 'ready');
    const running = [...started.map(({ pid }) => pid), ...this.#tasks.status().map((task) => task.running)];
    const sections = this.#service.parts.processes.map((name) => this.#sections.get(name));
    const toCome = sections.filter((each) => !each?.isStopped && !each?.supervisor?.workers.length).length;
    return {
      pids: running.flatMap((pid) => (pid === undefined ? [] : processTree(pid))),
      toStart: toCome + this.workers.length - started.length,
    };
  }

  /** As `WorkerChanges.replace`. */
  async replaceWorker(pid: number, reason: string): Promise<Succession | undefined> {
    const owner = this.#supervisors.find(({ workers }) => workers.some((each) => each.pid === pid));
    return owner?.changes.replace(pid, reason);
  }

  /** Ends the processes of a section until `startSection`. @throws RunError for an unknown name */
  async stopSection(name: string): Promise<void> {
    const section = await this.#named(name);
    const { supervisor } = section;
    section.isStopped = true;
    section.supervisor = undefined;
    await supervisor?.stop({ graceful: true });
  }

  /** @throws The reason if they do not start */
  async startSection(name: string): Promise<void> {
    const section = await this.#named(name);
    if (!section.isStopped) throw new RunError('PASTER_PROCESS', `[process:${name}] is already running`);
    section.isStopped = false;
    try {
      await this.#start(section);
    } catch (error) {
      if (this.#sections.get(name) === section || this.#isStopping) {
        section.isStopped = true;
        section.supervisor = undefined;
        throw error;
      }
      // A reload has ended it, and starts it again.
      await this.alone(async () => {});
      if (!this.#sections.get(name)?.supervisor) throw SUPERSEDED.error;
    }
  }

  get #supervisors(): Supervisor<ProcessPlan>[] {
    return [...this.#sections.values()].flatMap(({ supervisor }) => supervisor ?? []);
  }

  async #named(name: string): Promise<ProcessSection> {
    const section = this.#sections.get(name);
    if (section) return section;
    throw await noSuchProcess(this.#service.plan, name, [...this.#sections.keys()]);
  }

  #chosen(): Promise<ServedParts> {
    const { plan } = this.#service;
    return servedParts(plan, new LoadSession(plan.globalConf));
  }

  async #setTasks(names: readonly string[]): Promise<void> {
    try {
      this.#tasks.set(await this.#tasks.read(names));
    } catch (error) {
      this.#service.log.error(describeError(error));
      return;
    }
    this.#tasks.check();
  }

  #missing(names: readonly string[]): string[] {
    return names.filter((name) => !this.#sections.has(name));
  }

  #removeExcept(names: readonly string[]): Promise<void> {
    return this.#remove([...this.#sections.keys()].filter((name) => !names.includes(name)));
  }

  async #remove(names: readonly string[], how = { graceful: true }): Promise<void> {
    const removed = names.map((name) => this.#sections.get(name)?.supervisor);
    for (const name of names) this.#sections.delete(name);
    await Promise.all(removed.map((supervisor) => supervisor?.stop(how)));
  }

  /** Starts the processes of a new section with a reload, and ends them if the others keep their old version. */
  #adding(name: string): Reloading {
    return { name: `[process:${name}]`, reload: (_reason, confirm) => this.#tryToAdd(name, confirm) };
  }

  async #tryToAdd(name: string, confirm?: () => Promise<void>): Promise<ReloadResult> {
    try {
      await this.#add(name);
    } catch (error) {
      if (this.#sections.get(name)?.isStopped) return this.#confirmed(name, confirm);
      // Otherwise a newer reload has removed it.
      const isWanted = this.#sections.delete(name);
      if (isWanted && !this.#isStopping)
        this.#service.log.error(`[process:${name}] does not start: ${describeError(error)}`);
      return { ok: false, error };
    }
    return this.#confirmed(name, confirm);
  }

  async #confirmed(name: string, confirm: (() => Promise<void>) | undefined): Promise<ReloadResult> {
    try {
      await confirm?.();
      return { ok: true };
    } catch (error) {
      await this.#remove([name]);
      return { ok: false, error };
    }
  }

  async #add(name: string): Promise<void> {
    const section = new ProcessSection(name, {
      service: this.#service,
      isStopping: () => this.#isStopping,
      has: (each) => this.#sections.get(name) === each,
      update: () => this.update(),
    });
    this.#sections.set(name, section);
    await this.#start(section);
  }

  async #start(section: ProcessSection): Promise<void> {
    section.isStarting = this.#hasStarted;
    await section.start().finally(() => {
      section.isStarting = false;
    });
  }
}
