/** One time limit for many items with a single timer. */
import { timerMs } from '../../timer.ts';

export class Deadlines<T> {
  readonly #milliseconds: number;
  readonly #expired: (item: T) => void;
  /** When the time of each item is over, the earliest first, since all have the same limit. */
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
    this.#timer ??= this.#expireIn(this.#milliseconds);
  }

  stop(item: T): void {
    this.#due.delete(item);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#due.clear();
  }

  #expireIn(milliseconds: number): NodeJS.Timeout {
    return setTimeout(() => this.#expire(), milliseconds).unref();
  }

  #expire(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (const [item, due] of this.#due) {
      // Timers may fire a fraction of a millisecond early.
      if (due > now + 1) {
        this.#timer ??= this.#expireIn(due - now);
        return;
      }
      this.#due.delete(item);
      this.#expired(item);
    }
  }
}
