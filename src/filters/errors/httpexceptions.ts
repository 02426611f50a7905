/**
 * `npm:paster#httpexceptions` (`egg:Paste#httpexceptions`): turns a thrown error that has a status, such as those of `http-errors`,
 * into the response of that status. Other errors are thrown on.
 */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { defineSettings } from '../../config/settings/setting.ts';
import { errorStack } from '../../errors.ts';
import { catchErrors, respondWithError, statusText } from '../../http/error-response.ts';
import { printableMessage } from '../../printable.ts';
import type { Filter } from '../../protocol/types.ts';
import { withoutSecretParameters } from '../../secrets.ts';
import { toStandardError, type WriteLine } from '../logging/line-output.ts';

export const httpexceptionsSettings = defineSettings(
  {},
  {
    meaning: 'errors with a status (http-errors) become responses with that status',
    obsolete: { warning_level: 'errors from 500 on are logged' },
  },
);

/** The properties of errors of `http-errors`, Koa, Express, Fastify, and of Boom's `output`. */
interface HttpError extends Error {
  readonly status?: number;
  readonly statusCode?: number;
  /** Whether the client gets the message. Default: below 500. */
  readonly expose?: boolean;
  readonly headers?: OutgoingHttpHeaders;
}

/** Makes the filter of a `[filter:*]` section. */
export function makeHttpexceptions(): Filter {
  return httpExceptions();
}
makeHttpexceptions.settings = httpexceptionsSettings;

/**
 * A filter that responds to errors whose `status` or `statusCode` is from 300 to 599. The client gets the message if the error's
 * `expose` is true, or below 500 if there is no `expose`. The error's `headers` are added to those that the application has set,
 * without those about its body.
 * @param write gets a record of each error from 500 on. Default: standard error.
 */
export function httpExceptions(write: WriteLine = toStandardError): Filter {
  return (app) => (req, res) =>
    catchErrors(app, req, res, (error) => {
      const status = errorStatus(error);
      if (status === undefined || res.headersSent) throw error;
      return respond(error as HttpError, status, req, res, write);
    });
}

function errorStatus(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  const { status, statusCode } = error as HttpError;
  return [status, statusCode].find((each) => Number.isInteger(each) && Number(each) >= 300 && Number(each) < 600);
}

const BODY_HEADERS = /^(?:content-|transfer-encoding$|etag$|last-modified$|cache-control$|expires$|accept-ranges$)/;

function respond(
  error: HttpError,
  status: number,
  req: IncomingMessage,
  res: ServerResponse,
  write: WriteLine,
): unknown {
  if (status >= 500)
    write(printableMessage(`${req.method} ${withoutSecretParameters(req.url ?? '')}: ${status}: ${errorStack(error)}`));
  for (const name of res.getHeaderNames()) if (BODY_HEADERS.test(name)) res.removeHeader(name);
  res.statusMessage = '';
  return respondWithError(req, res, {
    status,
    title: statusText(status),
    message: (error.expose ?? status < 500) ? error.message || undefined : undefined,
    headers: error.headers,
  });
}
