/**
 * Makes a filter of a function that decides whether a request reaches the application. The filter calls it for ordinary requests
 * and for upgrades, so a WebSocket never passes where an ordinary request would not.
 */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { sendPlainText } from '../../http/error-response.ts';
import { declineUpgrade } from '../../protocol/default-handlers.ts';
import type { App, Filter } from '../../protocol/types.ts';

/** Responds instead of the application. */
export type Refusal = (req: IncomingMessage, res: ServerResponse) => unknown;

/**
 * Returns undefined to let the request through.
 * @param res for headers that the response must have; undefined for an upgrade.
 */
export type AccessDecision = (
  req: IncomingMessage,
  res: ServerResponse | undefined,
) => Refusal | undefined | Promise<Refusal | undefined>;

/** A filter that passes on only the requests that `decide` does not refuse. */
export function accessFilter(decide: AccessDecision): Filter {
  return (app) => {
    const filtered: App = (req, res) => whenKnown(decide(req, res), (refusal) => (refusal ?? app)(req, res));
    const { upgrade } = app;
    if (upgrade) {
      filtered.upgrade = (req, socket, head) =>
        whenKnown(decide(req, undefined), (refusal) =>
          refusal ? declineUpgrade(refusal, req, socket) : upgrade.call(app, req, socket, head),
        );
    }
    return filtered;
  };
}

/** Calls `then` at once unless `value` is a promise. */
function whenKnown<T>(value: T | Promise<T>, then: (value: T) => unknown): unknown {
  return value instanceof Promise ? value.then(then) : then(value);
}

/**
 * A refusal of one line of plain text that must not be cached.
 * @param message Default: the meaning of the status.
 */
export function plainRefusal(status: number, headers: OutgoingHttpHeaders = {}, message?: string): Refusal {
  return (_req, res) => sendPlainText(res, status, { 'cache-control': 'no-store', ...headers }, message);
}
