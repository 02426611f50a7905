/**
 * The time that the head of a request may take, for one connection: from the first byte of a record that begins
 * something to the last of the variables. One timer, and none at all where heads come in one piece, as they mostly do.
 */

/** A request whose head may be on its way. */
export interface PendingHead {
  readonly headPending: boolean;
}

export class HeadClock<Request extends PendingHead> {
  readonly #milliseconds: number;
  readonly #late: (request: Request | undefined) => void;
  #timer: NodeJS.Timeout | undefined;
  /** Whose time it is; undefined: that of a record that belongs to no request yet. */
  #awaited: Request | undefined;

  /**
   * @param milliseconds 0: no limit.
   * @param late is called with the request whose time is over, or with none for half a record.
   */
  constructor(milliseconds: number, late: (request: Request | undefined) => void) {
    this.#milliseconds = milliseconds;
    this.#late = late;
  }

  /**
   * To be called after each arrival of bytes while something is incomplete.
   * @param pending the request that has waited longest for its head, if any.
   */
  run(pending: Request | undefined): void {
    if (this.#milliseconds === 0) return;
    if (this.#timer === undefined) {
      this.#timer = setTimeout(() => this.#ring(), this.#milliseconds);
      this.#timer.unref();
    } else if (this.#awaited === pending && pending !== undefined) {
      return;
    } else {
      // Half a record has grown, or one head is there and another is not: the time begins anew.
      this.#timer.refresh();
    }
    this.#awaited = pending;
  }

  stop(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#awaited = undefined;
  }

  #ring(): void {
    const awaited = this.#awaited;
    this.stop();
    this.#late(awaited);
  }
}
