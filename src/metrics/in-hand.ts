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

/** One request, in the list of those that are being answered. */
export class InHand {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** Of `performance.now()`. */
  readonly start: number;
  /** As it was: applications rewrite them. */
  readonly method: string | undefined;
  readonly url: string | undefined;
  tally: Tally;
  isOver = false;
  before: InHand | undefined = undefined;
  after: InHand | undefined = undefined;

  constructor(req: IncomingMessage, res: ServerResponse, tally: Tally) {
    this.req = req;
    this.res = res;
    this.start = performance.now();
    this.method = req.method;
    this.url = req.url;
    this.tally = tally;
  }
}
