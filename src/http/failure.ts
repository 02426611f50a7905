/** Calls an application so that nothing it throws, now or later, escapes: a plain 500, or a broken answer. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from '../log.ts';

type Handler = (req: IncomingMessage, res: ServerResponse) => unknown;

/** Runs `handler`; what it throws or rejects with is logged and answered. */
export function callApp(handler: Handler, req: IncomingMessage, res: ServerResponse, log: Logger): void {
  try {
    const result = handler(req, res);
    if (isThenable(result)) result.then(undefined, (error: unknown) => fail(error, req, res, log));
  } catch (error) {
    fail(error, req, res, log);
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

/** Says nothing of the error to the client: its text may hold what is not the client's business. */
function fail(error: unknown, req: IncomingMessage, res: ServerResponse, log: Logger): void {
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  log.error(`${req.method} ${req.url} failed: ${what}`);
  if (res.headersSent) {
    if (!res.writableEnded) res.destroy();
    return;
  }
  for (const name of res.getHeaderNames()) res.removeHeader(name);
  const body = 'Internal Server Error\n';
  res.writeHead(500, { 'content-type': 'text/plain; charset=utf-8', 'content-length': body.length });
  res.end(body);
}
