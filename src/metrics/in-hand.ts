/** A request that is being answered, as the meter keeps it, and how it is found again further in. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Tally } from './tally.ts';

/** Of the process, as the meter is. */
export const IN_HAND: unique symbol = Symbol.for('paster.in-hand');

/** A request that the meter knows; whoever stands in front of it on its way sees the same through its prototype. */
export interface MeteredRequest extends IncomingMessage {
  [IN_HAND]?: InHand;
}

/** Its answer; HTTP/2's has lost its request when it closes. */
export interface MeteredResponse extends ServerResponse {
  [IN_HAND]?: InHand;
}

/** What is kept of one request as it came: applications rewrite it. */
export class InHand {
  /** Of `performance.now()`. */
  readonly start = performance.now();
  readonly method: string | undefined;
  readonly url: string | undefined;
  tally: Tally;
  isOver = false;

  constructor({ method, url }: IncomingMessage, tally: Tally) {
    this.method = method;
    this.url = url;
    this.tally = tally;
  }
}
