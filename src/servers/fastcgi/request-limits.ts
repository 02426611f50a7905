/** How many requests a FastCGI server takes at a time, over all its connections. */

/** Requests at a time by default, before FCGI_OVERLOADED. */
const MAX_INFLIGHT = 4096;

/**
 * Limits the requests over all connections of a server, counted from their first record on, with FCGI_OVERLOADED. The limit is
 * above `max_requests_in_flight`: requests beyond that get 503, as over every protocol, when their variables have come.
 */
export class RequestLimits {
  /** For FCGI_MAX_REQS. */
  readonly announced: number;
  readonly maxInflight: number;
  /** Whether a connection may have several requests in flight. */
  readonly multiplexed: boolean;
  #inflight = 0;

  /** @param limit `max_requests_in_flight`, if it is set */
  constructor(limit: number | undefined, multiplexed: boolean) {
    this.announced = limit ?? MAX_INFLIGHT;
    this.maxInflight = Math.max(MAX_INFLIGHT, 2 * (limit ?? 0));
    this.multiplexed = multiplexed;
  }

  /** Counts a request. False: there are too many already. */
  admit(): boolean {
    if (this.#inflight >= this.maxInflight) return false;
    this.#inflight++;
    return true;
  }

  release(): void {
    this.#inflight--;
  }
}
