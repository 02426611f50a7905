/** How slowly a client may send a body: a script that waits for one takes one of `max_processes`. */

/** Slower than any network that a person would use; as in Apache's mod_reqtimeout. */
const LEAST_BYTES_PER_SECOND = 500;
/** As long as a timer of Node's can wait. */
const LONGEST_MS = 2 ** 31 - 1;

/** A client may be waited for as long as its grace lasts, and longer the more it has sent. */
export class ClientPace {
  /** What the client has sent. */
  bytes = 0;
  readonly #graceMs: number;
  readonly #tooSlow: () => void;
  #waitedMs = 0;
  /** Undefined: it is not waited for. */
  #since: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param seconds 0: as long as it likes. */
  constructor(seconds: number, tooSlow: () => void) {
    this.#graceMs = seconds * 1000 || Number.POSITIVE_INFINITY;
    this.#tooSlow = tooSlow;
  }

  /** From here on the client is waited for. */
  wait(): void {
    if (this.#since !== undefined) return;
    this.#since = performance.now();
    this.#check();
  }

  /** The client is not waited for any more. */
  proceed(): void {
    if (this.#since === undefined) return;
    this.#waitedMs += performance.now() - this.#since;
    this.#since = undefined;
    clearTimeout(this.#timer);
  }

  #check(): void {
    const waitedMs = this.#waitedMs + performance.now() - (this.#since ?? 0);
    const leftMs = this.#graceMs + (this.bytes * 1000) / LEAST_BYTES_PER_SECOND - waitedMs;
    if (leftMs > 0) this.#timer = setTimeout(() => this.#check(), Math.min(leftMs, LONGEST_MS));
    else this.#tooSlow();
  }
}
