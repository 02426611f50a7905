/** How slowly a client may send a body: a script that waits for one takes one of `max_processes`. */
import { timerMs } from '../../timer.ts';

/** Slower than any network that a person would use; as in Apache's mod_reqtimeout. */
const LEAST_BYTES_PER_SECOND = 500;

/** A client may be waited for as long as its grace lasts, and longer the more it has sent. */
export class ClientPace {
  /** What the client has sent. */
  bytes = 0;
  readonly #grace: number;
  readonly #tooSlow: () => void;
  /** Seconds, as all here. */
  #waited = 0;
  /** Undefined: it is not waited for. */
  #since: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param seconds 0: as long as it likes. */
  constructor(seconds: number, tooSlow: () => void) {
    this.#grace = seconds || Number.POSITIVE_INFINITY;
    this.#tooSlow = tooSlow;
  }

  /** From here on the client is waited for. */
  wait(): void {
    if (this.#since !== undefined) return;
    this.#since = now();
    this.#check();
  }

  /** The client is not waited for any more. */
  proceed(): void {
    if (this.#since === undefined) return;
    this.#waited += now() - this.#since;
    this.#since = undefined;
    clearTimeout(this.#timer);
  }

  #check(): void {
    const waited = this.#waited + now() - (this.#since ?? 0);
    const left = this.#grace + this.bytes / LEAST_BYTES_PER_SECOND - waited;
    if (left > 0) this.#timer = setTimeout(() => this.#check(), timerMs(left));
    else this.#tooSlow();
  }
}

function now(): number {
  return performance.now() / 1000;
}
