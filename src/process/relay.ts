/**
 * What becomes of the connections that a worker hands over when it goes: each is passed on to the worker that holds the
 * fewest, at once, and waits in the supervisor where none serves, as new ones wait in the kernel's queue. The supervisor
 * never reads from one.
 */
import type { PassedConnection } from '../net/passed-connection.ts';

/** A worker that may get connections. */
export interface Recipient {
  /** How many it holds, those under way to it among them. */
  readonly connections: number;
  pass(connection: PassedConnection): void;
}

export class Relay {
  readonly #recipients: () => readonly Recipient[];
  readonly #waiting: PassedConnection[] = [];
  #turn = 0;
  #isClosed = false;

  /** @param recipients the workers that serve, and go on to */
  constructor(recipients: () => readonly Recipient[]) {
    this.#recipients = recipients;
  }

  /** Finds a worker for a connection, now or later. */
  pass(connection: PassedConnection): void {
    const recipient = this.#isClosed ? undefined : this.#leastBusy();
    if (recipient) recipient.pass(connection);
    else if (this.#isClosed) connection.close();
    else this.#waiting.push(connection);
  }

  /** To be called when another worker serves. */
  flush(): void {
    for (const connection of this.#waiting.splice(0)) this.pass(connection);
  }

  /** Nobody will serve any more: closes what waits, and what still comes. */
  close(): void {
    this.#isClosed = true;
    this.flush();
  }

  /** Of several that hold the same number, each in turn. */
  #leastBusy(): Recipient | undefined {
    const recipients = this.#recipients();
    let best: Recipient | undefined;
    let fewest = Number.POSITIVE_INFINITY;
    for (let index = 0; index < recipients.length; index++) {
      const each = recipients[(index + this.#turn) % recipients.length];
      const connections = each?.connections ?? fewest;
      if (connections >= fewest) continue;
      best = each;
      fewest = connections;
    }
    this.#turn++;
    return best;
  }
}
