/** How late timers of this process are: what a request waits for that comes while others compute. */

/** Seconds, over the last minute. */
export interface Lag {
  readonly mean: number;
  readonly most: number;
}

const PERIOD_MS = 100;
/** The last minute is as many slots of ten seconds. */
const SLOTS = 6;
const SLOT_MS = 10_000;

interface Slot {
  sum: number;
  count: number;
  most: number;
}

export class LoopLag {
  /** Of `performance.now()`, at the last turn of the timer. */
  now = performance.now();
  #slots: Slot[] = [];
  #slotBegan = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Measures from now on, ten times a second; keeps no process alive. */
  begin(): void {
    if (this.#timer) return;
    let last = performance.now();
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

  read(): Lag {
    const count = this.#slots.reduce((sum, slot) => sum + slot.count, 0);
    const sum = this.#slots.reduce((all, slot) => all + slot.sum, 0);
    return {
      mean: count === 0 ? 0 : sum / count / 1000,
      most: Math.max(0, ...this.#slots.map(({ most }) => most)) / 1000,
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
