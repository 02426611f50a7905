/**
 * What filters have in common that decide whether a request gets to the application at all. They decide upgrades the same
 * way, so that a WebSocket never passes where a request would not.
 */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { answerPlain } from '../http/plain-answer.ts';
import { declineUpgrade } from '../protocol/decline-upgrade.ts';
import type { App, Filter } from '../protocol/types.ts';

/** Answers in place of the application. */
export type Refusal = (req: IncomingMessage, res: ServerResponse) => unknown;

/**
 * Undefined lets the request through.
 * @param res is there for headers that the answer is to have; an upgrade has none.
 */
export type Judge = (
  req: IncomingMessage,
  res: ServerResponse | undefined,
) => Refusal | undefined | Promise<Refusal | undefined>;

/** A filter that asks `judge` first. */
export function gate(judge: Judge): Filter {
  return (app) => {
    const gated: App = (req, res) => after(judge(req, res), (refusal) => (refusal ?? app)(req, res));
    const { upgrade } = app;
    if (upgrade) {
      gated.upgrade = (req, socket, head) =>
        after(judge(req, undefined), (refusal) =>
          refusal ? declineUpgrade(refusal, req, socket) : upgrade.call(app, req, socket, head),
        );
    }
    return gated;
  };
}

/** At once where there is nothing to wait for. */
function after<T>(value: T | Promise<T>, then: (value: T) => unknown): unknown {
  return value instanceof Promise ? value.then(then) : then(value);
}

/**
 * A refusal of one line of plain text, which no cache keeps.
 * @param message Default: what the status means.
 */
export function refuse(status: number, headers: OutgoingHttpHeaders = {}, message?: string): Refusal {
  return (_req, res) => answerPlain(res, status, { 'cache-control': 'no-store', ...headers }, message);
}
