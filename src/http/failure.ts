/** Calls an application so that nothing it throws, now or later, escapes: a plain 500, or a broken answer. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorCode, errorMessage, errorStack } from '../errors.ts';
import type { Logger } from '../log.ts';
import { printableLine } from '../printable.ts';
import { withoutSecretParameters } from '../secrets.ts';

type Handler = (req: IncomingMessage, res: ServerResponse) => unknown;

/** Takes one line for somebody else's error log. */
type Report = (line: string) => void;

/**
 * Runs `handler`; what it throws or rejects with is logged and answered.
 * @param report tells the web server in front that something failed, and no more than that: its logs have other readers.
 */
export function callApp(
  handler: Handler,
  req: IncomingMessage,
  res: ServerResponse,
  log: Logger,
  report?: Report,
): void {
  catching(handler, req, res, (error) => fail(error, req, res, log, report));
}

/** Runs `handler`; what it throws or rejects with is handed to `failed`, whose result stands for the handler's then. */
export function catching(
  handler: Handler,
  req: IncomingMessage,
  res: ServerResponse,
  failed: (error: unknown) => unknown,
): unknown {
  try {
    const result = handler(req, res);
    return isThenable(result) ? result.then(undefined, failed) : result;
  } catch (error) {
    return failed(error);
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

function fail(error: unknown, req: IncomingMessage, res: ServerResponse, log: Logger, report?: Report): void {
  log.error(`${req.method} ${withoutSecretParameters(req.url ?? '')} failed: ${errorStack(error)}`);
  const path = req.url?.replace(/[?#].*/s, '').slice(0, 200);
  report?.(printableLine(`${req.method} ${path} failed: ${kindOf(error)}; the application's log says more`));
  try {
    answer500(res);
  } catch (unanswerable) {
    // One request must not end the process, whatever the application has made of its response.
    log.error(`no answer to ${req.method} ${withoutSecretParameters(req.url ?? '')}: ${errorMessage(unanswerable)}`);
    res.destroy();
  }
}

const WORD = /^[\w.$-]{1,80}$/;

/** The class of an error and its code. Not its message, which may hold a password as well as anything. */
function kindOf(error: unknown): string {
  if (!(error instanceof Error)) return `a ${typeof error} was thrown`;
  const name = WORD.test(error.name) ? error.name : 'Error';
  const code = errorCode(error);
  return code !== undefined && WORD.test(code) ? `${name} (${code})` : name;
}

/** Says nothing of the error to the client: its text may hold what is not the client's business. */
function answer500(res: ServerResponse): void {
  if (!clearAnswer(res)) return;
  const body = 'Internal Server Error\n';
  res.writeHead(500, { 'content-type': 'text/plain; charset=utf-8', 'content-length': body.length });
  res.end(body);
}

/**
 * Makes room for the answer of an error. False: there is none, since one has begun; unless that is complete, its
 * connection is broken, so that nobody takes it for a whole one.
 */
export function clearAnswer(res: ServerResponse): boolean {
  if (res.headersSent) {
    if (!res.writableEnded) res.destroy();
    return false;
  }
  // What the application has set may be what was wrong.
  res.statusMessage = '';
  for (const name of res.getHeaderNames()) res.removeHeader(name);
  return !res.destroyed;
}
