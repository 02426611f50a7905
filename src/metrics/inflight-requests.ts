/** The requests in flight: a list of them, and what the meter keeps of each. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { SectionCounter } from './section-counter.ts';

/** The property of a request for what the meter keeps of it. All copies of paster in a process use the same, as they share the meter. */
export const INFLIGHT: unique symbol = Symbol.for('paster.inflight');

/** A request that the meter counts. An object that filters put in front of it inherits the property as its prototype's. */
export interface MeteredRequest extends IncomingMessage {
  [INFLIGHT]?: InflightRequest;
}

/** Its response. A response of HTTP/2 has lost its request by the time it closes, so it has the property too. */
export interface MeteredResponse extends ServerResponse {
  [INFLIGHT]?: InflightRequest;
}

/** What is kept of a request as it arrived, since applications rewrite its URL. */
export class InflightRequest {
  /** Of `performance.now()`. */
  readonly start = performance.now();
  readonly method: string | undefined;
  readonly url: string | undefined;
  counter: SectionCounter;
  isOver = false;

  constructor({ method, url }: IncomingMessage, counter: SectionCounter) {
    this.method = method;
    this.url = url;
    this.counter = counter;
  }
}

/** A shorter list is not swept when a request is added. */
const FEW = 16;
/** How many responses `reaches` may look at for each call. */
const LOOKS = 256;

/**
 * Keeps the requests in flight at next to no cost: there is no listener for the end of a response. Responses that have ended
 * are removed whenever the list has doubled, so the cost of a request does not grow with the list.
 */
export class InflightList {
  readonly #responses: ServerResponse[] = [];
  /** Of `performance.now()`. */
  readonly #starts: number[] = [];
  readonly #onForgotten: ((res: ServerResponse) => void) | undefined;
  #sweepAt = FEW;
  #added = 0;
  #looks = 0;
  #failed = 0;

  /** @param onForgotten is called with each response that has not ended and never will */
  constructor(onForgotten?: (res: ServerResponse) => void) {
    this.#onForgotten = onForgotten;
  }

  /** @param now of `performance.now()` */
  add(res: ServerResponse, now: number): void {
    if (this.#responses.length >= this.#sweepAt) this.#sweep();
    this.#added++;
    this.#responses.push(res);
    this.#starts.push(now);
  }

  /** How many requests are in flight. */
  get length(): number {
    this.#sweep();
    return this.#responses.length;
  }

  /**
   * Whether at least `limit` requests are in flight. Its cost does not grow with the limit: above some hundred requests, the end of
   * one may be noticed a few calls later.
   */
  reaches(limit: number): boolean {
    if (this.#responses.length < limit) return false;
    this.#looks += LOOKS;
    if (this.#looks < this.#responses.length) return true;
    this.#looks = 0;
    return this.length >= limit;
  }

  /** How many requests have ended, with or without a response. */
  get over(): number {
    return this.#added - this.length;
  }

  /** How many of those that are over had a status from 500 on. */
  get failed(): number {
    this.#sweep();
    return this.#failed;
  }

  /** The oldest `most` requests, the oldest first. */
  entries(most: number): { readonly res: ServerResponse; readonly start: number }[] {
    this.#sweep();
    return this.#responses.slice(0, most).map((res, index) => ({ res, start: this.#starts[index] ?? 0 }));
  }

  /** Removes the responses that have ended, in place. Looks at each response only once or twice before it is removed. */
  #sweep(): void {
    const responses = this.#responses;
    const starts = this.#starts;
    let kept = 0;
    for (let index = 0; index < responses.length; index++) {
      const res = responses[index];
      if (res === undefined) continue;
      if (isOver(res)) {
        if (res.statusCode >= 500) this.#failed++;
        continue;
      }
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

function isOver(res: MeteredResponse): boolean {
  return res.destroyed || res.writableFinished || res[INFLIGHT]?.isOver === true;
}

/** With HTTP pipelining, Node emits no event for a response that waits for another one when their connection closes. */
function isForgotten(res: ServerResponse): boolean {
  return res.socket === null && res.req.socket?.destroyed === true;
}
