/** The tasks of an INI file: a schedule for each `[task:*]` section, in the supervisor. */
import { join } from 'node:path';
import { LoadSession } from '../../deploy/session.ts';
import { prefixedLogger } from '../../log.ts';
import type { TaskRun, TaskStatus } from '../../metrics/server-status.ts';
import { OWN_CODE } from '../../own-files.ts';
import { ScheduledTask, type TaskDefinition } from '../../process/tasks/scheduled-task.ts';
import { servedName } from '../announce.ts';
import { failureDetails } from '../death-details.ts';
import type { Service } from '../service.ts';
import { type ProcessPlan, taskDefinition } from './process-plan.ts';

type TaskDefinitions = ReadonlyMap<string, TaskDefinition<ProcessPlan>>;

export class ScheduledTasks {
  readonly #service: Service;
  readonly #tasks = new Map<string, ScheduledTask<ProcessPlan>>();
  #checked: Promise<void> = Promise.resolve();
  /** The newest check: an older one ends before its next task. */
  #lastCheck = 0;
  #isStopping = false;
  #isPaused = false;

  constructor(service: Service) {
    this.#service = service;
  }

  /** Reads these sections. @throws ConfigError or ErrorList for an error in one of them */
  async read(names: readonly string[]): Promise<TaskDefinitions> {
    const { plan, log } = this.#service;
    const session = new LoadSession(plan.globalConf);
    const definitions = new Map<string, TaskDefinition<ProcessPlan>>();
    for (const name of names) definitions.set(name, await taskDefinition(this.#service, name, session));
    session.logWarnings(log);
    return definitions;
  }

  /** Begins or changes the schedules of sections that have been read, and ends all others. */
  set(definitions: TaskDefinitions): void {
    const { plan, logFile, log } = this.#service;
    if (this.#isStopping) return;
    for (const [name, task] of this.#tasks) {
      if (definitions.has(name)) continue;
      this.#tasks.delete(name);
      void task.stop({ graceful: true });
    }
    for (const [name, definition] of definitions) {
      const task = this.#tasks.get(name);
      if (task) task.revise(definition);
      else {
        const options = {
          name,
          entry: join(OWN_CODE, 'worker.js'),
          served: servedName(plan),
          output: () => logFile?.fd ?? ('inherit' as const),
          log: prefixedLogger(log, `[task:${name}] `),
          describeFailure: failureDetails,
          isPaused: this.#isPaused,
        };
        this.#tasks.set(name, new ScheduledTask(definition, options));
      }
    }
  }

  /**
   * Finds errors in the code of all tasks, one after the other, and logs them. Importing the code takes time and memory: call it when
   * the server has started.
   */
  check(): void {
    const number = ++this.#lastCheck;
    this.#checked = this.#checked.then(async () => {
      for (const task of this.#tasks.values()) {
        if (number !== this.#lastCheck || this.#isStopping) return;
        await task.check();
      }
    });
  }

  /**
   * For an upgrade: another process has the schedules until `resume`. What is due until this time is begun before.
   * @param onRun gets the last run of each task, and those that end later
   */
  pause(until: Date, onRun: (task: string, run: TaskRun) => void = () => {}): void {
    this.#isPaused = true;
    for (const [name, task] of this.#tasks) task.pause(until, (run) => onRun(name, run));
  }

  /** Takes over the last run of a task in the process before this one. */
  inherit(name: string, run: TaskRun): void {
    this.#tasks.get(name)?.inherit(run);
  }

  /** @param since what is due after that is begun */
  resume(since: Date): void {
    this.#isPaused = false;
    for (const task of this.#tasks.values()) task.resume(since);
  }

  status(): TaskStatus[] {
    return [...this.#tasks.values()].map(({ status }) => status);
  }

  reopenLogs(): void {
    for (const task of this.#tasks.values()) task.reopenLogs();
  }

  async stop(options: { readonly graceful: boolean }): Promise<void> {
    this.#isStopping = true;
    await Promise.all([...this.#tasks.values()].map((task) => task.stop(options)));
  }
}
