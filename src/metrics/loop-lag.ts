/** How late timers of this process fire, which is how long a request waits while other code runs. */

/** Seconds, over the last minute. */
export interface Lag {
  readonly mean: number;
  readonly most: number;
  /** The most of the last ten to twenty seconds. */
  readonly recent: number;
}

const PERIOD_MS = 100;
/** The last minute, in slots of ten seconds. */
const SLOTS = 6;
const SLOT_MS = 10_000;

interface Slot {
  sum: number;
  count: number;
  most: number;
}

export class LoopLag {
  /** `performance.now()` when the timer last fired. */
  now = performance.now();
  #slots: Slot[] = [];
  #slotBegan = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Measures ten times a second from now on, without keeping the process alive. */
  begin(): void {
    if (this.#timer) return;
    let last = performance.now();
    this.now = last;
    this.#slotBegan = last;
    this.#slots = [{ sum: 0, count: 0, most: 0 }];
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.now = now;
      this.#note(now, Math.max(0, now - last - PERIOD_MS));
      last = now;
    }, PERIOD_MS);
    this.#timer.unref();
  }

  /** Milliseconds that the timer is overdue. */
  overdue(now: number): number {
    return Math.max(0, now - this.now - PERIOD_MS);
  }

  read(): Lag {
    const count = this.#slots.reduce((sum, slot) => sum + slot.count, 0);
    const sum = this.#slots.reduce((all, slot) => all + slot.sum, 0);
    return {
      mean: count === 0 ? 0 : sum / count / 1000,
      most: Math.max(0, ...this.#slots.map(({ most }) => most)) / 1000,
      recent: Math.max(0, ...this.#slots.slice(0, 2).map(({ most }) => most)) / 1000,
    };
  }

  #note(now: number, late: number): void {
    if (now - this.#slotBegan >= SLOT_MS) {
      this.#slotBegan = now;
      this.#slots = [{ sum: 0, count: 0, most: 0 }, ...this.#slots.slice(0, SLOTS - 1)];
    }
    const [slot] = this.#slots;
    if (!slot) return;
    slot.sum += late;
    slot.count++;
    if (late > slot.most) slot.most = late;
  }
}
