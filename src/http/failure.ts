/** Calls an application so that nothing it throws, now or later, escapes: a plain 500, or a broken answer. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorMessage } from '../errors.ts';
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

function fail(error: unknown, req: IncomingMessage, res: ServerResponse, log: Logger): void {
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  log.error(`${req.method} ${req.url} failed: ${what}`);
  try {
    answer500(res);
  } catch (unanswerable) {
    // One request must not end the process, whatever the application has made of its response.
    log.error(`no answer to ${req.method} ${req.url}: ${errorMessage(unanswerable)}`);
    res.destroy();
  }
}

/** Says nothing of the error to the client: its text may hold what is not the client's business. */
function answer500(res: ServerResponse): void {
  if (res.headersSent) {
    if (!res.writableEnded) res.destroy();
    return;
  }
  // What the application has set may be what was wrong.
  res.statusMessage = '';
  for (const name of res.getHeaderNames()) res.removeHeader(name);
  const body = 'Internal Server Error\n';
  res.writeHead(500, { 'content-type': 'text/plain; charset=utf-8', 'content-length': body.length });
  res.end(body);
}
