/** One time limit for many things at once: a single timer, however many of them wait. */
import { timerMs } from '../../timer.ts';

export class Deadlines<T> {
  readonly #milliseconds: number;
  readonly #expired: (item: T) => void;
  /** When the time of each is over, the earliest first, since all have the same time. */
  readonly #due = new Map<T, number>();
  #timer: NodeJS.Timeout | undefined;

  /** @param seconds 0: no limit. */
  constructor(seconds: number, expired: (item: T) => void) {
    this.#milliseconds = timerMs(seconds);
    this.#expired = expired;
  }

  /** Starts the time of `item`, again if it has already started. */
  start(item: T): void {
    if (this.#milliseconds === 0) return;
    this.#due.delete(item);
    this.#due.set(item, performance.now() + this.#milliseconds);
    this.#timer ??= this.#ringIn(this.#milliseconds);
  }

  stop(item: T): void {
    this.#due.delete(item);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#due.clear();
  }

  #ringIn(milliseconds: number): NodeJS.Timeout {
    return setTimeout(() => this.#ring(), milliseconds).unref();
  }

  #ring(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (const [item, due] of this.#due) {
      // Timers may ring a fraction of a millisecond early.
      if (due > now + 1) {
        this.#timer ??= this.#ringIn(due - now);
        return;
      }
      this.#due.delete(item);
      this.#expired(item);
    }
  }
}
