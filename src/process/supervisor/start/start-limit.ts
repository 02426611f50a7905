/** How long a worker may take until it serves. */
import { RunError } from '../../../errors.ts';
import type { Logger } from '../../../log.ts';
import { after } from '../../../timer.ts';

/** When a warning says that a worker still loads. */
const SLOW_START_S = 10;

/** How long a worker that is given up may take to say what it waits for: its event loop may be blocked. */
const LAST_WORDS_S = 1;

interface LimitedWorker {
  readonly pid: number | undefined;
  giveUp(seconds: number): void;
  kill(): void;
}

export class StartLimit {
  /** Why the worker was given up; undefined as long as it is in time. */
  error: RunError | undefined;
  #kill: NodeJS.Timeout | undefined;
  readonly #slow: NodeJS.Timeout | undefined;
  readonly #limit: NodeJS.Timeout | undefined;

  /**
   * @param seconds 0: no limit
   * @param loaded what it loads: `the application`
   */
  constructor(seconds: number, worker: LimitedWorker, loaded: string, log: Logger) {
    this.#slow = after(SLOW_START_S, () => {
      log.warn(`worker ${worker.pid} has been loading ${loaded} for ${SLOW_START_S} s`);
    });
    this.#limit = after(seconds, () => {
      this.error = new RunError('PASTER_START_TIMEOUT', `${loaded} was not ready within ${seconds} s`, {
        hint: 'is there an endless loop, or a promise that never settles? start_timeout gives it more time',
      });
      worker.giveUp(seconds);
      this.#kill = after(LAST_WORDS_S, () => worker.kill());
    });
  }

  clear(): void {
    clearTimeout(this.#slow);
    clearTimeout(this.#limit);
    clearTimeout(this.#kill);
  }
}
