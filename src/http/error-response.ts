/** Responses that paster sends when an application does not: for an error, a refusal, or a body that is too large. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { reportFailure } from '../diagnostics/failure-reporter.ts';
import { errorCode, errorMessage, errorStack } from '../errors.ts';
import type { Logger } from '../log.ts';
import { printable, printableLine } from '../printable.ts';
import { withoutSecretParameters } from '../secrets.ts';
import { escapeHtml, htmlPage } from './html.ts';
import { preferredType } from './request-headers.ts';

/**
 * `Not Found` for 404; the number itself for a status without a text. Node's table is loaded when it is needed: importing node:http
 * takes as long as the rest of paster, and not every program that imports this is a server.
 */
export function statusText(status: number): string {
  return process.getBuiltinModule('node:http').STATUS_CODES[status] ?? String(status);
}

/** Sends one line of plain text. @param message Default: the text of the status. */
export function sendPlainText(
  res: ServerResponse,
  status: number,
  headers: OutgoingHttpHeaders = {},
  message: string = statusText(status),
): void {
  const body = `${message}\n`;
  res.writeHead(status, {
    ...headers,
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
  });
  res.end(body);
}

// --- as a page, as JSON or as text

export interface ErrorResponse {
  readonly status: number;
  /** What has happened, in a few words. */
  readonly title: string;
  /** A sentence below the title. */
  readonly message?: string | undefined;
  /** The id of the error in the log. */
  readonly id?: string | undefined;
  readonly headers?: OutgoingHttpHeaders | undefined;
  /** Further properties for JSON, further lines for text, and another page. */
  readonly more?: { readonly json: object; readonly text: string; readonly page: () => Promise<string> | string };
}

const TYPES = ['text/html', 'application/json', 'text/plain'] as const;

/** Sends what the request accepts: a page, JSON or text. The head must not have been sent. */
export async function respondWithError(
  req: IncomingMessage,
  res: ServerResponse,
  response: ErrorResponse,
): Promise<void> {
  const type = preferredType(req.headers.accept, TYPES);
  const body = await RENDERINGS[type](response);
  // The client may have left, or another response may have begun, while the page was rendered.
  if (res.headersSent || res.destroyed) return;
  res.writeHead(response.status, {
    ...response.headers,
    'content-type': `${type}; charset=utf-8`,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    vary: 'Accept',
  });
  res.end(body);
}

const RENDERINGS = {
  'text/html': ({ title, message, id, more }: ErrorResponse) =>
    more?.page() ??
    htmlPage(
      title,
      `<h1>${escapeHtml(title)}</h1>
${message ? `<p>${escapeHtml(message)}</p>` : ''}
${id ? `<p class="soft">If you report this, please add: <code>${escapeHtml(id)}</code></p>` : ''}`,
    ),
  'application/json': ({ status, title, message, id, more }: ErrorResponse) =>
    `${JSON.stringify({ status, error: title, message, id, ...more?.json })}\n`,
  // For terminals, which a message that quotes a request must not control.
  'text/plain': ({ title, message, id, more }: ErrorResponse) =>
    [title, message, id && `id: ${id}`, more?.text]
      .flatMap((line) => (line ? printable(line.replaceAll('\t', '  ')) : []))
      .join('\n')
      .concat('\n'),
};

// --- instead of a body that is too large

/** How much more of a body is read, and for how long, so that the client can read the response. */
const LINGER_BYTES = 2 ** 22;
const LINGER_MS = 2000;

/**
 * Responds with 413 at once, and closes the connection later: if it were closed while the client sends, the client could lose the
 * response (RFC 9112 section 9.6).
 */
export function refuseBody(req: IncomingMessage, res: ServerResponse): void {
  writeHead413(res);
  res.write(CONTENT_TOO_LARGE);
  const { end } = res;
  const finish = (): void => {
    clearTimeout(timer);
    Reflect.apply(end, res, []);
  };
  const timer = setTimeout(finish, LINGER_MS);
  res.once('close', () => clearTimeout(timer));
  // Over HTTP/2 only the stream ends, and the connection is kept.
  if (req.complete || req.httpVersionMajor === 2) finish();
  let discarded = 0;
  const discard = (chunk: Buffer | null): boolean => {
    discarded += chunk?.length ?? 0;
    if (chunk === null || discarded > LINGER_BYTES) finish();
    return true;
  };
  req.push = discard;
  req.resume();
}

export const CONTENT_TOO_LARGE = 'Content Too Large\n';

export function writeHead413(res: ServerResponse): void {
  res.shouldKeepAlive = false;
  res.writeHead(413, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': CONTENT_TOO_LARGE.length,
  });
}

// --- for an application that throws

type Handler = (req: IncomingMessage, res: ServerResponse) => unknown;

/** Gets one line for the error log of the web server in front. */
type Report = (line: string) => void;

/**
 * Calls an application so that none of its errors escapes. What it throws or rejects with is logged, and the response is a plain 500,
 * or is cut off if it has begun.
 * @param report tells the web server in front which request failed, but not the message: its logs have other readers.
 */
export function callApp(
  handler: Handler,
  req: IncomingMessage,
  res: ServerResponse,
  log: Logger,
  report?: Report,
): void {
  catchErrors(handler, req, res, (error) => fail(error, req, res, log, report));
}

/** Calls `handler`. If it throws or rejects, the result is that of `failed`. */
export function catchErrors(
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
  const title = `${req.method} ${withoutSecretParameters(req.url ?? '')} failed`;
  if (!reportFailure(title, error)) log.error(`${title}: ${errorStack(error)}`);
  const path = req.url?.replace(/[?#].*/s, '').slice(0, 200);
  report?.(printableLine(`${req.method} ${path} failed: ${kindOf(error)}; the application's log says more`));
  try {
    // The client does not get the error's text, which may contain secrets.
    if (clearResponse(res)) sendPlainText(res, 500);
  } catch (failure) {
    // One request must not end the process, even if the application has broken its response.
    log.error(`no response to ${req.method} ${withoutSecretParameters(req.url ?? '')}: ${errorMessage(failure)}`);
    res.destroy();
  }
}

const WORD = /^[\w.$-]{1,80}$/;

/** The class of an error and its code, but not its message, which may contain a password. */
function kindOf(error: unknown): string {
  if (!(error instanceof Error)) return `a ${typeof error} was thrown`;
  const name = WORD.test(error.name) ? error.name : 'Error';
  const code = errorCode(error);
  return code !== undefined && WORD.test(code) ? `${name} (${code})` : name;
}

/**
 * Removes the status and the headers that the application has set, for the response to an error. Returns false if the application's
 * response has begun. An incomplete one is then cut off, so that the client does not take it for complete.
 */
export function clearResponse(res: ServerResponse): boolean {
  if (res.headersSent) {
    if (!res.writableEnded) res.destroy();
    return false;
  }
  // The error may be an invalid header or status message.
  res.statusMessage = '';
  for (const name of res.getHeaderNames()) res.removeHeader(name);
  return !res.destroyed;
}
