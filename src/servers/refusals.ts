/** Logs the peers that a server refuses: once for each peer and reason, up to a limit. */
import type { Logger } from '../log.ts';

/** Peers and reasons remembered so that each is logged once. */
const MAX_REMEMBERED = 1000;

export class Refusals {
  readonly #protocol: string;
  readonly #log: Logger;
  readonly #remembered = new Set<string>();

  /** @param protocol for messages: `FastCGI`, `SCGI`, `HTTP`. */
  constructor(protocol: string, log: Logger) {
    this.#protocol = protocol;
    this.#log = log;
  }

  /** Logs a refusal, unless the same one has been logged before. */
  refused(peer: string, reason: string): void {
    const what = `${this.#protocol} from ${peer}: ${reason}`;
    if (this.#remembered.has(what) || this.#remembered.size >= MAX_REMEMBERED) return;
    this.#remembered.add(what);
    this.#log.warn(what);
    if (this.#remembered.size === MAX_REMEMBERED) this.#log.warn(`${this.#protocol}: further refusals are not logged`);
  }
}
