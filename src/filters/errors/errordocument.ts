/**
 * `npm:paster#errordocument` (`egg:Paste#errordocument`): responds to an error with the page at another path, and with the status of
 * the error.
 */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { defineSettings, otherSettings, type SettingsOf } from '../../config/settings/setting.ts';
import { ConfigError, errorMessage } from '../../errors.ts';
import { statusText } from '../../http/error-response.ts';
import { type HeaderPairs, headersGiven } from '../../http/response/header-lists.ts';
import { interceptResponse } from '../../http/response/response-interceptor.ts';
import { printableMessage } from '../../printable.ts';
import type { Filter, Settings } from '../../protocol/types.ts';
import { toStandardError, type WriteLine } from '../logging/line-output.ts';
import { filterMountOf, include, isInternal } from './internal-request.ts';

const STATUS = /^[3-5]\d\d$/;

export const errordocumentSettings = defineSettings(
  {},
  {
    meaning: 'the page of an error comes from another path',
    others: { accepts: (key) => STATUS.test(key), help: 'a status from 300 to 599, and the path of its page' },
  },
);

/** The request that the application gets for the page of an error. */
export interface ErrorDocumentRequest extends IncomingMessage {
  /** The status of the error, and the URL that the client asked for. */
  errorDocument?: { readonly status: number; readonly url: string } | undefined;
}

/** Makes the filter of a `[filter:*]` section. */
export function makeErrordocument(_globalConf: Settings, settings: SettingsOf<typeof errordocumentSettings>): Filter {
  return errorDocuments(Object.fromEntries(otherSettings(errordocumentSettings, settings)));
}
makeErrordocument.settings = errordocumentSettings;

/** Headers of the error that are sent with its page: a client needs them to do what the status asks for. */
const KEPT: readonly string[] = [
  'set-cookie',
  'www-authenticate',
  'proxy-authenticate',
  'retry-after',
  'allow',
  'location',
];

/**
 * A filter that responds to errors with pages of the application: `{ 404: '/errors/not-found' }`. The response keeps the status,
 * cookies, the headers that a client needs to go on (`WWW-Authenticate`, `Retry-After`, `Allow`, `Location`), and those that outer
 * filters have set. The application gets a GET request for the page, with the property `errorDocument`. If that fails too or is not
 * found, the response is plain text.
 * @param write gets a line about each page that fails. Default: standard error.
 * @throws ConfigError for a key that is not the status of an error, and for a path that does not begin with a slash.
 */
export function errorDocuments(paths: Readonly<Record<string, string>>, write: WriteLine = toStandardError): Filter {
  for (const [status, path] of Object.entries(paths)) checkPage(status, path);
  return (app) => (req, res) => {
    if (isInternal(req)) return app(req, res);
    const url = req.url ?? '/';
    let errorDocument: ErrorDocumentRequest['errorDocument'];
    const mount = filterMountOf((internal, internalRes) => {
      (internal as ErrorDocumentRequest).errorDocument = errorDocument;
      return app(internal, internalRes);
    }, req);
    const outer = res.getHeaderNames();
    async function respond(status: number): Promise<void> {
      errorDocument = { status, url };
      dropHeaders(res, new Set([...outer, ...KEPT]));
      const page = await fetchPage(status, () => include(mount, req, paths[status] ?? '/'), write);
      const cookies = [res.getHeader('set-cookie'), page.headers['set-cookie']].flat().filter(isString);
      if (cookies.length > 0) page.headers['set-cookie'] = cookies;
      interceptor.send(status, page.headers, page.body);
    }
    let replaced: number | undefined;
    const interceptor = interceptResponse(res, {
      onHead(status, given) {
        if (res.headersSent || !Object.hasOwn(paths, String(status))) return true;
        replaced = status;
        setHeaders(res, headersGiven(given));
        return false;
      },
      onEnd() {
        if (replaced === undefined) return;
        const status = replaced;
        replaced = undefined;
        res.statusMessage = '';
        respond(status).catch((error: unknown) => {
          write(printableMessage(`the page for status ${status} cannot be sent: ${errorMessage(error)}`));
          res.destroy();
        });
      },
    });
    return app(req, res);
  };
}

function checkPage(status: string, path: string): void {
  const options = { setting: status };
  if (!STATUS.test(status)) {
    throw new ConfigError('PASTER_ERROR_DOCUMENT', `${status} is not the status of an error`, {
      ...options,
      hint: 'allowed: 300 to 599',
    });
  }
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

async function fetchPage(status: number, ask: () => ReturnType<typeof include>, write: WriteLine): Promise<Page> {
  let problem: string;
  try {
    const { status: pageStatus, headers, body } = await ask();
    // A page may have the status of its error.
    if (pageStatus < 300 || pageStatus === status) {
      const kept = Object.entries(headers).filter(([name]) => !OF_CONNECTION.has(name));
      return { headers: { ...Object.fromEntries(kept), 'content-length': body.length }, body };
    }
    problem = `it responds with ${pageStatus}`;
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

/** Sets the headers that `writeHead` was given: they replace those of the same name, and one that is given twice is kept twice. */
function setHeaders(res: ServerResponse, headers: HeaderPairs): void {
  const names = new Set<string>();
  for (const [name, value] of headers) {
    if (value === undefined) continue;
    if (names.has(name.toLowerCase())) res.appendHeader(name, Array.isArray(value) ? value : String(value));
    else res.setHeader(name, value);
    names.add(name.toLowerCase());
  }
}

function isString(value: unknown): value is string {
  return typeof value === 'string';
}
