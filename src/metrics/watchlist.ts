/**
 * The requests that are being answered, known at next to no cost: nobody is told when an answer ends. What is over is
 * taken out whenever the list has doubled, so that a request costs the same however many are in hand.
 */
import type { ServerResponse } from 'node:http';

/** So few are not worth looking through. */
const FEW = 16;

export class Watchlist {
  readonly #responses: ServerResponse[] = [];
  /** Of `performance.now()`. */
  readonly #starts: number[] = [];
  readonly #onForgotten: ((res: ServerResponse) => void) | undefined;
  #sweepAt = FEW;
  #came = 0;

  /** @param onForgotten is told of each answer that has not ended and never will */
  constructor(onForgotten?: (res: ServerResponse) => void) {
    this.#onForgotten = onForgotten;
  }

  /** @param now of `performance.now()` */
  add(res: ServerResponse, now: number): void {
    if (this.#responses.length >= this.#sweepAt) this.#sweep();
    this.#came++;
    this.#responses.push(res);
    this.#starts.push(now);
  }

  /** How many there are. */
  get length(): number {
    this.#sweep();
    return this.#responses.length;
  }

  /** How many have been answered, or left. */
  get over(): number {
    return this.#came - this.length;
  }

  /** The oldest first. */
  entries(most: number): { readonly res: ServerResponse; readonly start: number }[] {
    this.#sweep();
    return this.#responses.slice(0, most).map((res, index) => ({ res, start: this.#starts[index] ?? 0 }));
  }

  /** Every request passes here once or twice, so nothing is made on the way. */
  #sweep(): void {
    const responses = this.#responses;
    const starts = this.#starts;
    let kept = 0;
    for (let index = 0; index < responses.length; index++) {
      const res = responses[index];
      if (res === undefined || isOver(res)) continue;
      if (isForgotten(res)) {
        this.#onForgotten?.(res);
        continue;
      }
      responses[kept] = res;
      starts[kept] = starts[index] ?? 0;
      kept++;
    }
    responses.length = kept;
    starts.length = kept;
    this.#sweepAt = Math.max(FEW, 2 * kept);
  }
}

/** Whether a response has ended, one way or the other. */
function isOver(res: ServerResponse): boolean {
  return res.destroyed || res.writableFinished;
}

/** Node tells nobody of an answer that waited for another one on a connection which has gone (HTTP pipelining). */
function isForgotten(res: ServerResponse): boolean {
  return res.socket === null && res.req.socket?.destroyed === true;
}
