/**
 * `npm:paster#lint` (`egg:Paste#lint`): checks the request and every call of the response, and reports where the server or the
 * application breaks HTTP or Node's rules for `(req, res)`. For development.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { defineSettings, type OptionsOf, type SettingsOf, withDefaults } from '../../config/settings/setting.ts';
import { oneOf } from '../../config/settings/setting-types.ts';
import { placeInStack } from '../../deploy/modules/error-place.ts';
import { formatLocation, RunError } from '../../errors.ts';
import { catchErrors } from '../../http/error-response.ts';
import { TOKEN } from '../../http/request-headers.ts';
import { headersGiven } from '../../http/response/header-lists.ts';
import {
  chunkSize,
  type HeadMethod,
  interceptResponse,
  type ResponseHooks,
} from '../../http/response/response-interceptor.ts';
import { hasBody } from '../../http/response/response-outcome.ts';
import { printableLine } from '../../printable.ts';
import type { Filter, Settings } from '../../protocol/types.ts';
import { withoutSecretParameters } from '../../secrets.ts';
import { toStandardError, type WriteLine } from '../logging/line-output.ts';

export const lintSettings = defineSettings(
  {
    on_mistake: {
      type: oneOf('warn', 'throw'),
      default: 'warn',
      help: 'Write a line about it, or throw an error where it is made.',
    },
  },
  { meaning: 'says where application or server do not keep the protocol' },
);

/** Makes the filter of a `[filter:*]` section. */
export function makeLint(_globalConf: Settings, settings: SettingsOf<typeof lintSettings>): Filter {
  return lint(settings);
}
makeLint.settings = lintSettings;

/** A filter that reports errors in the use of HTTP. @param write gets a line about each. Default: standard error. */
export function lint(options: OptionsOf<typeof lintSettings> = {}, write: WriteLine = toStandardError): Filter {
  const { on_mistake } = withDefaults(lintSettings, options);
  return (app) => (req, res) => {
    const reported = new Set<string>();
    const report: Report = (problem) => {
      const error = new RunError('PASTER_LINT', `${req.method} ${withoutSecretParameters(req.url ?? '')}: ${problem}`);
      error.location = placeInStack(error);
      if (on_mistake === 'throw') throw error;
      if (reported.has(problem)) return;
      reported.add(problem);
      const place = error.location ? `${formatLocation(error.location)}: ` : '';
      write(`lint: ${place}${printableLine(error.message)}`);
    };
    checkRequest(req, report);
    interceptResponse(res, new ResponseCheck(res, report));
    return catchErrors(app, req, res, (error) => {
      if (res.headersSent && !isLint(error)) {
        write(
          `lint: ${printableLine(`${req.method} ${withoutSecretParameters(req.url ?? '')}: the application throws after the head was sent`)}`,
        );
      }
      throw error;
    });
  };
}

type Report = (problem: string) => void;

function isLint(error: unknown): boolean {
  return error instanceof RunError && error.code === 'PASTER_LINT';
}

// RFC 9110 section 5.5.
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Checks what the server has made of a request. */
function checkRequest(req: IncomingMessage, report: Report): void {
  const { method, url, headers, rawHeaders, httpVersionMajor, httpVersionMinor } = req;
  if (!TOKEN.test(method ?? '')) report(`server: the method ${JSON.stringify(method)} is not a token`);
  if (!/^(?:\/|\*$)/.test(url ?? '')) report(`server: the URL ${JSON.stringify(url)} does not begin with a slash`);
  if (!req.socket) report('server: the request has no socket');
  if (rawHeaders.length % 2 !== 0) report('server: rawHeaders has a name without a value');
  for (const name of Object.keys(headers)) {
    if (name !== name.toLowerCase()) report(`server: the header ${name} is not in lower case`);
  }
  if (httpVersionMajor === 1 && httpVersionMinor === 1 && headers.host === undefined) {
    report('server: an HTTP/1.1 request without Host');
  }
  const length = headers['content-length'];
  if (length !== undefined && !/^\d+$/.test(length)) report(`server: the Content-Length ${length} is not a number`);
  if (length !== undefined && headers['transfer-encoding'] !== undefined) {
    report('server: a request with both Content-Length and Transfer-Encoding');
  }
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Checks the calls of one response. */
class ResponseCheck implements ResponseHooks {
  readonly #res: ServerResponse;
  readonly #report: Report;
  #bytes = 0;
  /** The Content-Length, if there is one. */
  #length: number | undefined;
  #hasEnded = false;

  constructor(res: ServerResponse, report: Report) {
    this.#res = res;
    this.#report = report;
  }

  onHeadMethod(method: HeadMethod, parameters: readonly unknown[]): void {
    const [name, value] = parameters;
    const isOfHeader = method !== 'writeHead';
    if (this.#res.headersSent) this.#report(`${method}${isOfHeader ? `(${show(name)})` : ''} after the head was sent`);
    if (isOfHeader && method !== 'removeHeader') this.#nameAndValue(name, value);
  }

  #nameAndValue(name: unknown, value: unknown): void {
    if (typeof name !== 'string' || !TOKEN.test(name)) this.#report(`${show(name)} is not the name of a header`);
    else if (name.toLowerCase() === 'status') this.#report('a header named Status: set statusCode instead');
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each === undefined || each === null) this.#report(`the header ${show(name)} has the value ${each}`);
      else if (!VALUE.test(String(each)))
        this.#report(`the header ${show(name)} has characters that no header may have`);
    }
  }

  onHead(status: number, parameters: readonly unknown[]): boolean {
    if (!Number.isInteger(status) || status < 200 || status > 599) {
      this.#report(`the status ${show(status)} is not from 200 to 599`);
    }
    const pairs = headersGiven(parameters);
    for (const [name, value] of pairs) this.#nameAndValue(name, value);
    const given = new Map(pairs.map(([name, value]) => [String(name).toLowerCase(), value]));
    const header = (name: string): unknown => given.get(name) ?? this.#res.getHeader(name);
    const needs = (name: string): void => {
      if (header(name) === undefined) this.#report(`status ${status} without ${name}`);
    };
    if (REDIRECTS.has(status)) needs('location');
    if (status === 401) needs('www-authenticate');
    if (status === 405) needs('allow');
    const length = header('content-length');
    this.#length = length === undefined ? undefined : Number(length);
    if (length !== undefined && !/^\d+$/.test(String(length)))
      this.#report(`the Content-Length ${show(length)} is not a number`);
    if (length !== undefined && header('transfer-encoding') !== undefined) {
      this.#report('both Content-Length and Transfer-Encoding');
    }
    if (status === 204 && length !== undefined) this.#report('status 204 with Content-Length');
    return true;
  }

  onWrite(chunk: unknown, encoding: unknown): void {
    if (this.#hasEnded) this.#report('write after end');
    this.#body(chunkSize(chunk, encoding));
  }

  onEnd(chunk: unknown, encoding: unknown): void {
    if (this.#hasEnded) {
      this.#report('end a second time');
      return;
    }
    this.#hasEnded = true;
    this.#body(chunkSize(chunk, encoding));
    if (this.#length !== undefined && hasBody(this.#res) && this.#bytes < this.#length) {
      this.#report(`a Content-Length of ${this.#length}, and ${this.#bytes} bytes of body`);
    }
  }

  #body(size: number): void {
    if (size === 0) return;
    this.#bytes += size;
    const { req, statusCode } = this.#res;
    if (!hasBody(this.#res)) this.#report(`a body for ${req?.method === 'HEAD' ? 'HEAD' : `status ${statusCode}`}`);
    else if (this.#length !== undefined && this.#bytes > this.#length) {
      this.#report(`a Content-Length of ${this.#length}, and at least ${this.#bytes} bytes of body`);
    }
  }
}

function show(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}
