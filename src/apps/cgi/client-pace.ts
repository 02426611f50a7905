/** Limits how slowly a client may send a body, since a script that waits for it takes one of `max_processes`. */
import { timerMs } from '../../timer.ts';

/** Slower than any usable network; as in Apache's mod_reqtimeout. */
const MIN_BYTES_PER_SECOND = 500;

/** Measures the time spent waiting for a client. The allowed time is a grace period plus time for the bytes it has sent. */
export class ClientPace {
  /** How much the client has sent. */
  bytes = 0;
  readonly #grace: number;
  readonly #onTooSlow: () => void;
  /** Seconds of waiting before `#since`. */
  #waited = 0;
  /** When the current wait began, in seconds; undefined: not waiting. */
  #since: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param grace in seconds; 0: no limit. */
  constructor(grace: number, onTooSlow: () => void) {
    this.#grace = grace || Number.POSITIVE_INFINITY;
    this.#onTooSlow = onTooSlow;
  }

  /** Starts waiting for the client. */
  wait(): void {
    if (this.#since !== undefined) return;
    this.#since = nowSeconds();
    this.#check();
  }

  /** Stops waiting for the client. */
  stop(): void {
    if (this.#since === undefined) return;
    this.#waited += nowSeconds() - this.#since;
    this.#since = undefined;
    clearTimeout(this.#timer);
  }

  #check(): void {
    const waited = this.#waited + nowSeconds() - (this.#since ?? 0);
    const left = this.#grace + this.bytes / MIN_BYTES_PER_SECOND - waited;
    if (left > 0) this.#timer = setTimeout(() => this.#check(), timerMs(left));
    else this.#onTooSlow();
  }
}

function nowSeconds(): number {
  return performance.now() / 1000;
}
