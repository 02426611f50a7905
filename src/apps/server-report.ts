/** What `metrics` and `status` share: who may ask how the server is, and how that is answered. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { answerPlain } from '../http/plain-answer.ts';
import { meter } from '../metrics/meter.ts';
import type { ServerStatus } from '../metrics/server-status.ts';
import type { App } from '../protocol/types.ts';

/** An application that says how the server is. With it, connections and bytes are counted too. */
export function serverReport(
  isAllowed: (req: IncomingMessage) => boolean,
  report: (req: IncomingMessage, res: ServerResponse, status: ServerStatus) => void | Promise<void>,
): App {
  const current = meter();
  current.isCounting = true;
  return async (req, res) => {
    if (!isAllowed(req)) return answerPlain(res, 403, { 'cache-control': 'no-store' });
    if (req.method !== 'GET' && req.method !== 'HEAD') return answerPlain(res, 405, { allow: 'GET, HEAD' });
    let status: ServerStatus;
    try {
      status = await current.ask();
    } catch {
      // Numbers of this worker alone would be a step back, which is nothing that a counter may do.
      return answerPlain(res, 503, { 'cache-control': 'no-store' }, 'The supervisor does not answer');
    }
    await report(req, res, status);
  };
}

export function answerReport(res: ServerResponse, type: string, body: string, headers: OutgoingHttpHeaders = {}): void {
  res.writeHead(200, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  });
  res.end(body);
}
