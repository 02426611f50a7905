/** What a server says of those that it turns away: once for each peer and reason, and no more than a log can bear. */
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

  /** Logs what was refused, once for each peer and reason. */
  refused(peer: string, reason: string): void {
    const what = `${this.#protocol} from ${peer}: ${reason}`;
    if (this.#remembered.has(what) || this.#remembered.size >= MAX_REMEMBERED) return;
    this.#remembered.add(what);
    this.#log.warn(what);
    if (this.#remembered.size === MAX_REMEMBERED) this.#log.warn(`${this.#protocol}: further refusals are not logged`);
  }
}
