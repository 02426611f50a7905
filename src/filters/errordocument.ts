/**
 * `npm:paster#errordocument` (`egg:Paste#errordocument`): the page of an error is another path's answer, with the status
 * of the error.
 */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { defineSettings, otherSettings, type SettingsOf } from '../config/setting.ts';
import { ConfigError, errorMessage } from '../errors.ts';
import { statusText } from '../http/status-text.ts';
import { printableMessage } from '../printable.ts';
import type { Filter, Settings } from '../protocol/types.ts';
import { include, isInternal, placeOf } from './internal-request.ts';
import { toStandardError, type WriteLine } from './line-output.ts';
import { type Release, takeAnswer } from './taken-answer.ts';

const STATUS = /^[3-5]\d\d$/;

export const errordocumentSettings = defineSettings(
  {},
  {
    meaning: 'the page of an error is another path’s answer',
    others: { accepts: (key) => STATUS.test(key), help: 'a status from 300 to 599, and the path of its page' },
  },
);

/** A request for the page of an error. */
export interface ErrorDocumentRequest extends IncomingMessage {
  /** What the page is for: the status, and the URL that the client asked for. */
  errorDocument?: { readonly status: number; readonly url: string } | undefined;
}

/** Makes the filter of a `[filter:*]` section. */
export function makeErrordocument(_globalConf: Settings, settings: SettingsOf<typeof errordocumentSettings>): Filter {
  return errorDocuments(Object.fromEntries(otherSettings(errordocumentSettings, settings)));
}
makeErrordocument.settings = errordocumentSettings;

/** Headers of the error that its page has to have too: without them a client cannot do what the status asks for. */
const KEPT: readonly string[] = [
  'set-cookie',
  'www-authenticate',
  'proxy-authenticate',
  'retry-after',
  'allow',
  'location',
];

/**
 * A filter that gives errors pages of the application itself: `{ 404: '/errors/not-found' }`. The status stays; so do
 * cookies, what a client needs to go on (`WWW-Authenticate`, `Retry-After`, `Allow`, `Location`), and what filters
 * outside have set. A page is asked for with GET; the request has `errorDocument`. A page that fails itself, or that is
 * not found, is never asked for again: the answer is plain text then.
 * @param write takes a line about such a page, in place of standard error.
 * @throws ConfigError for what is no status, and for a path that does not begin with a slash.
 */
export function errorDocuments(paths: Readonly<Record<string, string>>, write: WriteLine = toStandardError): Filter {
  for (const [status, path] of Object.entries(paths)) checkPage(status, path);
  return (app) => (req, res) => {
    if (isInternal(req)) return app(req, res);
    const place = placeOf((internal, answer) => {
      (internal as ErrorDocumentRequest).errorDocument = cause;
      return app(internal, answer);
    }, req);
    const url = req.url ?? '/';
    let cause: ErrorDocumentRequest['errorDocument'];
    const outer = res.getHeaderNames();
    const isTaken = (status: number): boolean => Object.hasOwn(paths, String(status));
    async function answer(status: number, release: Release): Promise<void> {
      cause = { status, url };
      dropHeaders(res, new Set([...outer, ...KEPT]));
      const page = await pageOf(status, () => include(place, req, paths[status] ?? '/'), write);
      const cookies = [res.getHeader('set-cookie'), page.headers['set-cookie']].flat().filter(isText);
      if (cookies.length > 0) page.headers['set-cookie'] = cookies;
      release.send(status, page.headers, page.body);
    }
    takeAnswer(res, isTaken, (status, release) => {
      answer(status, release).catch((error: unknown) => {
        write(printableMessage(`the page for status ${status} cannot be sent: ${errorMessage(error)}`));
        res.destroy();
      });
    });
    return app(req, res);
  };
}

function checkPage(status: string, path: string): void {
  const options = { setting: status };
  if (!STATUS.test(status))
    throw new ConfigError('PASTER_ERROR_DOCUMENT', `${status} is no status of an error`, options);
  if (!path.startsWith('/')) {
    throw new ConfigError('PASTER_ERROR_DOCUMENT', `${status}: "${path}" is not a path within the application`, {
      ...options,
      hint: 'it begins with a slash, such as /errors/404',
    });
  }
}

interface Page {
  readonly headers: OutgoingHttpHeaders;
  readonly body: Buffer;
}

const OF_CONNECTION = new Set(['connection', 'keep-alive', 'transfer-encoding', 'date']);

async function pageOf(status: number, ask: () => ReturnType<typeof include>, write: WriteLine): Promise<Page> {
  let problem: string;
  try {
    const { status: own, headers, body } = await ask();
    // A page may say that it is an error page.
    if (own < 300 || own === status) {
      const kept = Object.entries(headers).filter(([name]) => !OF_CONNECTION.has(name));
      return { headers: { ...Object.fromEntries(kept), 'content-length': body.length }, body };
    }
    problem = `it answers ${own}`;
  } catch (error) {
    problem = errorMessage(error);
  }
  write(printableMessage(`the page for status ${status} fails: ${problem}`));
  const body = Buffer.from(`${statusText(status)}\n`);
  return { headers: { 'content-type': 'text/plain; charset=utf-8', 'content-length': body.length }, body };
}

function dropHeaders(res: ServerResponse, kept: ReadonlySet<string>): void {
  for (const name of res.getHeaderNames()) if (!kept.has(name)) res.removeHeader(name);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}
