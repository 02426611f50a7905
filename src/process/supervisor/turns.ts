/** Runs actions on supervised processes one after the other. A newer reload interrupts those that start workers. */
import type { Logger } from '../../log.ts';

/** The error of a start that a newer reload has interrupted: the reload starts other workers. */
export class Interrupted extends Error {
  constructor() {
    super('a reload was requested');
  }
}

/** Where to log why a worker did not start. An interruption by a reload is not an error. */
export function startLog(log: Logger, reason: unknown): Logger {
  return reason instanceof Interrupted ? { ...log, error: log.info } : log;
}

export class Turns {
  /** Whether an action that starts workers is running. */
  isChanging = false;
  /** Whether the workers that it starts are out of date. */
  isInterrupted = false;
  #last: Promise<unknown> = Promise.resolve();
  readonly #isOver: () => boolean;

  /** @param isOver whether no action may run any more */
  constructor(isOver: () => boolean) {
    this.#isOver = isOver;
  }

  /** @returns what the action returns, or `over` if it may not run */
  run<T>(action: () => Promise<T>, over: T): Promise<T> {
    const result = this.#last.then(() => (this.#isOver() ? over : action()));
    this.#last = result.catch(() => {});
    return result;
  }

  /** The same for an action that starts workers. */
  change<T>(action: () => Promise<T>, over: T): Promise<T> {
    return this.run(async () => {
      this.isChanging = true;
      this.isInterrupted = false;
      return action().finally(() => {
        this.isChanging = false;
      });
    }, over);
  }
}
