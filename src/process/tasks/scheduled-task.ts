/**
 * A task that runs at certain times, each time in a process of its own. The supervisor keeps the times and handles each once: it
 * computes the next one from the one before, even if the configuration is reloaded in between.
 */
import { describeError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { TASK_RESULTS, type TaskResult, type TaskRun, type TaskStatus } from '../../metrics/server-status.ts';
import { TASK_DUE } from '../ipc/messages.ts';
import { startTaskRun, type TaskProcess } from './task-run.ts';

/** What the configuration says; a reload may change it. */
export interface TaskDefinition<Boot> {
  /** Sent to the process of each run. */
  readonly boot: Boot;
  /** Sent to a process that imports the code of a run without running it; undefined: there is no code to import. */
  readonly check: Boot | undefined;
  readonly env: NodeJS.ProcessEnv;
  /** The schedule as it is shown to users. */
  readonly schedule: string;
  readonly nextRun: (after: Date) => Date | undefined;
  /** The most seconds by which a run is delayed at random. */
  readonly jitter: number;
  readonly overlap: 'skip' | 'queue' | 'kill';
  readonly missed: 'skip' | 'once';
  /** Seconds; 0: no limit. */
  readonly timeout: number;
  readonly gracefulTimeout: number;
}

export interface TaskOptions {
  readonly name: string;
  /** The worker's script. */
  readonly entry: string;
  /** What the server serves, for the titles of processes. */
  readonly served: string;
  readonly output: () => number | 'inherit';
  readonly log: Logger;
  /** For the log: why a run failed, with the place in the user's code. */
  readonly describeFailure: (error: Error) => string;
  /** Whether it waits for `resume`. */
  readonly isPaused: boolean;
}

/** If a timer fires this late, the machine or this process was suspended. */
const SUSPENDED_MS = 60_000;
/** Node's timers do not notice if the machine's clock is set, so the clock is read again after this time. */
const MAX_WAIT_MS = 60_000;
const LONGEST_QUEUE = 1000;
/** An import that takes longer is given up: the next run reports what is wrong. */
const MAX_CHECK_MS = 60_000;

export class ScheduledTask<Boot> {
  readonly #options: TaskOptions;
  readonly #log: Logger;
  readonly #runs = Object.fromEntries(TASK_RESULTS.map((each) => [each, 0])) as Record<TaskResult, number>;
  /** For each run that is delayed by its jitter: when it was due. */
  readonly #delayed = new Map<NodeJS.Timeout, Date>();
  #definition: TaskDefinition<Boot>;
  /** The last due time that has been handled. */
  #handled = new Date();
  #next: Date | undefined;
  #timer: NodeJS.Timeout | undefined;
  #running: TaskProcess | undefined;
  #checking: TaskProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  /** When the waiting runs were due. */
  #queue: Date[] = [];
  #last: TaskRun | undefined;
  #onRun: (run: TaskRun) => void = () => {};
  #isStopping = false;
  #isPaused: boolean;

  constructor(definition: TaskDefinition<Boot>, options: TaskOptions) {
    this.#definition = definition;
    this.#options = options;
    this.#log = options.log;
    this.#isPaused = options.isPaused;
    this.#arm();
  }

  /** Takes a new definition. A run in progress goes on as it is. */
  revise(definition: TaskDefinition<Boot>): void {
    // With another schedule, times before now were never due.
    if (definition.schedule !== this.#definition.schedule && this.#handled.getTime() < Date.now()) {
      this.#handled = new Date();
    }
    this.#definition = definition;
    this.#arm();
  }

  /**
   * Begins no run until `resume`. Runs that are due until `until`, and runs that are delayed by their jitter, begin first.
   * @param onRun gets the last run, and those that end while no run begins
   */
  pause(until: Date, onRun: (run: TaskRun) => void = () => {}): void {
    if (this.#isPaused || this.#isStopping) return;
    this.#onRun = onRun;
    if (this.#last) onRun(this.#last);
    const now = until.getTime();
    while (this.#next && this.#next.getTime() <= now) this.#runIfDue(now);
    this.#isPaused = true;
    clearTimeout(this.#timer);
    for (const [timer, due] of this.#delayed) {
      clearTimeout(timer);
      this.#begin(due);
    }
    this.#delayed.clear();
  }

  /** @param since runs that were due after this time begin */
  resume(since: Date): void {
    this.#isPaused = false;
    this.#onRun = () => {};
    this.#handled = since;
    this.#arm();
  }

  /** Takes over the last run of the predecessor, for the status, unless this process has had a later one. */
  inherit(run: TaskRun): void {
    if (!this.#last || this.#last.at < run.at) this.#last = run;
  }

  get status(): TaskStatus {
    return {
      name: this.#options.name,
      schedule: this.#definition.schedule,
      next: this.#next?.getTime(),
      running: this.#running?.pid,
      last: this.#last,
      runs: { ...this.#runs },
    };
  }

  /** Imports the code in a process of its own, and logs what a run would fail with. */
  async check(): Promise<void> {
    const { check: boot, env } = this.#definition;
    if (boot === undefined || this.#isStopping) return;
    const checking = startTaskRun({ ...this.#options, name: `${this.#options.name} (check)`, boot, env });
    this.#checking = checking;
    const limit = setTimeout(() => void checking.stop('timeout', 0), MAX_CHECK_MS);
    const { result, error } = await checking.ended;
    clearTimeout(limit);
    this.#checking = undefined;
    if (result === 'failed' && !this.#isStopping) this.#log.warn(`a run would fail: ${describeError(error)}`);
  }

  reopenLogs(): void {
    this.#running?.reopenLogs();
  }

  /** Ends the run in progress, and begins no other. After an upgrade, a run that was due before the upgrade may finish first. */
  async stop({ graceful }: { readonly graceful: boolean }): Promise<void> {
    while (graceful && this.#isPaused && this.#running) await this.#ended;
    this.#isStopping = true;
    clearTimeout(this.#timer);
    for (const timer of this.#delayed.keys()) clearTimeout(timer);
    this.#queue = [];
    await Promise.all([this.#checking?.stop('stopped', 0), this.#end('stopped', graceful)]);
  }

  #arm(): void {
    clearTimeout(this.#timer);
    if (this.#isStopping) return;
    this.#next = this.#definition.nextRun(this.#handled);
    if (!this.#next || this.#isPaused) return;
    const wait = Math.min(MAX_WAIT_MS, Math.max(0, this.#next.getTime() - Date.now()));
    this.#timer = setTimeout(() => this.#runIfDue(), wait);
  }

  #runIfDue(now = Date.now()): void {
    const due = this.#isPaused ? undefined : this.#next;
    if (due && due.getTime() <= now) {
      this.#handled = due;
      if (now - due.getTime() < SUSPENDED_MS) this.#beginAfterJitter(due);
      else this.#catchUp(new Date(now));
    }
    this.#arm();
  }

  /** After a suspension: many runs may have been due. */
  #catchUp(now: Date): void {
    this.#handled = now;
    if (this.#definition.missed === 'once') this.#beginAfterJitter(now);
    else {
      this.#runs.missed++;
      this.#log.warn('a run was due while this machine was suspended, and is skipped: missed = skip');
    }
  }

  /** Begins a run, after a random delay if the section has a jitter. */
  #beginAfterJitter(due: Date): void {
    const { jitter } = this.#definition;
    if (jitter === 0) {
      this.#begin(due);
      return;
    }
    const timer = setTimeout(
      () => {
        this.#delayed.delete(timer);
        this.#begin(due);
      },
      Math.random() * jitter * 1000,
    );
    this.#delayed.set(timer, due);
  }

  #begin(due: Date): void {
    if (!this.#running) {
      this.#ended = this.#run(due);
      return;
    }
    switch (this.#definition.overlap) {
      case 'skip':
        this.#runs.skipped++;
        this.#log.warn(`process ${this.#running.pid} is still running: this run is skipped`);
        return;
      case 'queue':
        if (this.#queue.length < LONGEST_QUEUE) this.#queue.push(due);
        else this.#runs.skipped++;
        return;
      case 'kill':
        this.#queue = [due];
        void this.#end('stopped', true);
    }
  }

  /** Ends the run in progress with a result. */
  async #end(result: TaskResult, graceful: boolean): Promise<void> {
    const { gracefulTimeout } = this.#definition;
    await Promise.all([this.#running?.stop(result, graceful ? gracefulTimeout : 0), this.#ended]);
  }

  async #run(due: Date): Promise<void> {
    const { boot, env, timeout } = this.#definition;
    const at = Date.now();
    const begun = performance.now();
    const running = startTaskRun({ ...this.#options, boot, env: { ...env, [TASK_DUE]: due.toISOString() } });
    this.#running = running;
    const limit = timeout > 0 ? setTimeout(() => void this.#end('timeout', true), timeout * 1000) : undefined;
    const { result, error, isKilled } = await running.ended;
    clearTimeout(limit);
    const seconds = (performance.now() - begun) / 1000;
    const late = result === 'timeout' ? `it ran longer than its timeout of ${timeout} s` : undefined;
    const text = error === undefined ? late : describeError(error);
    this.#last = { at, seconds, result, text };
    this.#onRun(this.#last);
    this.#runs[result]++;
    this.#report(this.#last, error, isKilled);
    this.#running = undefined;
    const next = this.#isStopping ? undefined : this.#queue.shift();
    if (next) this.#begin(next);
  }

  #report({ seconds, result, text }: TaskRun, error: Error | undefined, isKilled: boolean): void {
    const took = `after ${seconds.toFixed(1)} s`;
    if (result === 'ok') this.#log.debug(`done ${took}`);
    else if (result === 'timeout') this.#log.error(`${isKilled ? 'killed' : 'stopped'} ${took}: ${text}`);
    else if (result === 'failed')
      this.#log.error(`failed ${took}${error ? `: ${this.#options.describeFailure(error)}` : ''}`);
    else this.#log.info(`${isKilled ? 'killed' : 'stopped'} ${took}`);
  }
}
