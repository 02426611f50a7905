/**
 * `npm:paster#httpexceptions` (`egg:Paste#httpexceptions`): an error that says its status, as those of `http-errors` do,
 * becomes the answer of that status. Any other goes on to whoever stands outside.
 */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { defineSettings } from '../config/setting.ts';
import { errorStack } from '../errors.ts';
import { answerError } from '../http/error-answer.ts';
import { catching } from '../http/failure.ts';
import { statusText } from '../http/status-text.ts';
import { printableMessage } from '../printable.ts';
import type { Filter } from '../protocol/types.ts';
import { withoutSecretParameters } from '../secrets.ts';
import { toStandardError, type WriteLine } from './line-output.ts';

export const httpexceptionsSettings = defineSettings(
  {},
  {
    meaning: 'errors with a status, such as http-errors, become that answer',
    obsolete: { warning_level: 'errors from 500 on are logged' },
  },
);

/** What `http-errors` gives its errors, and Koa, Express, Fastify and Boom's `output` theirs. */
interface HttpError extends Error {
  readonly status?: number;
  readonly statusCode?: number;
  /** The message is for the client. Default: below 500. */
  readonly expose?: boolean;
  readonly headers?: OutgoingHttpHeaders;
}

/** Makes the filter of a `[filter:*]` section. */
export function makeHttpexceptions(): Filter {
  return httpExceptions();
}
makeHttpexceptions.settings = httpexceptionsSettings;

/**
 * A filter that answers errors whose `status` or `statusCode` is one of 300 to 599. The client is told the message where
 * the error's `expose` says so, or where that says nothing, below 500; `headers` of the error are the answer's. Headers
 * that the application has set stay, but for those that describe its body.
 * @param write takes a record of each answer from 500 on in place of standard error.
 */
export function httpExceptions(write: WriteLine = toStandardError): Filter {
  return (app) => (req, res) =>
    catching(app, req, res, (error) => {
      const status = statusOf(error);
      if (status === undefined || res.headersSent) throw error;
      return answer(error as HttpError, status, req, res, write);
    });
}

function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  const { status, statusCode } = error as HttpError;
  return [status, statusCode].find((each) => Number.isInteger(each) && Number(each) >= 300 && Number(each) < 600);
}

const ABOUT_BODY = /^(?:content-|transfer-encoding$|etag$|last-modified$|cache-control$|expires$|accept-ranges$)/;

function answer(
  error: HttpError,
  status: number,
  req: IncomingMessage,
  res: ServerResponse,
  write: WriteLine,
): unknown {
  if (status >= 500)
    write(printableMessage(`${req.method} ${withoutSecretParameters(req.url ?? '')}: ${status}: ${errorStack(error)}`));
  for (const name of res.getHeaderNames()) if (ABOUT_BODY.test(name)) res.removeHeader(name);
  res.statusMessage = '';
  return answerError(req, res, {
    status,
    title: statusText(status),
    message: (error.expose ?? status < 500) ? error.message || undefined : undefined,
    headers: error.headers,
  });
}
