/**
 * The requests that are being answered, known at next to no cost: nobody is told when an answer ends. What is over is
 * taken out whenever the list has doubled, so that a request costs the same however many are in hand.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

/** So few are not worth looking through. */
const FEW = 16;

export class Watchlist {
  readonly #requests: IncomingMessage[] = [];
  readonly #responses: ServerResponse[] = [];
  /** Of `performance.now()`. */
  readonly #starts: number[] = [];
  #sweepAt = FEW;
  #came = 0;

  add(req: IncomingMessage, res: ServerResponse): void {
    if (this.#responses.length >= this.#sweepAt) this.#sweep();
    this.#came++;
    this.#requests.push(req);
    this.#responses.push(res);
    this.#starts.push(performance.now());
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
  entries(most: number): { readonly req: IncomingMessage; readonly start: number }[] {
    this.#sweep();
    return this.#requests.slice(0, most).map((req, index) => ({ req, start: this.#starts[index] ?? 0 }));
  }

  #sweep(): void {
    let kept = 0;
    for (const [index, res] of this.#responses.entries()) {
      const [req, start] = [this.#requests[index], this.#starts[index]];
      if (isOver(res) || req === undefined || start === undefined) continue;
      this.#requests[kept] = req;
      this.#responses[kept] = res;
      this.#starts[kept] = start;
      kept++;
    }
    for (const list of [this.#requests, this.#responses, this.#starts]) list.length = kept;
    this.#sweepAt = Math.max(FEW, 2 * kept);
  }
}

/** Whether nothing will happen to an answer any more. */
export function isOver(res: ServerResponse & { readonly stream?: { readonly destroyed?: boolean } }): boolean {
  // HTTP/2's responses have no socket of their own.
  if (res.stream !== undefined) return res.stream.destroyed === true;
  return res.destroyed || res.writableFinished || isForgotten(res);
}

/** Node tells nobody of an answer that waited for another one on a connection which has gone (HTTP pipelining). */
export function isForgotten(res: ServerResponse): boolean {
  return res.socket === null && res.req.socket?.destroyed === true;
}
