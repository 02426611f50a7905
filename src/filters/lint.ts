/**
 * `npm:paster#lint` (`egg:Paste#lint`): watches what passes between a server and an application, and says where one of
 * them does not keep to HTTP or to Node's rules for `(req, res)`. For development: it looks at every call.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { defineSettings, type OptionsOf, oneOf, type SettingsOf, withDefaults } from '../config/setting.ts';
import { placeInStack } from '../deploy/error-place.ts';
import { formatLocation, RunError } from '../errors.ts';
import { catching } from '../http/failure.ts';
import { headersGiven } from '../http/head-parameters.ts';
import { TOKEN } from '../http/token.ts';
import { printableLine } from '../printable.ts';
import type { Filter, Settings } from '../protocol/types.ts';
import { withoutSecretParameters } from '../secrets.ts';
import { toStandardError, type WriteLine } from './line-output.ts';
import { chunkSize, hasBody } from './response-size.ts';

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

/** A filter that looks for mistakes. @param write takes a line about each in place of standard error. */
export function lint(options: OptionsOf<typeof lintSettings> = {}, write: WriteLine = toStandardError): Filter {
  const { on_mistake } = withDefaults(lintSettings, options);
  return (app) => (req, res) => {
    const said = new Set<string>();
    const report: Report = (mistake) => {
      const error = new RunError('PASTER_LINT', `${req.method} ${withoutSecretParameters(req.url ?? '')}: ${mistake}`);
      error.location = placeInStack(error);
      if (on_mistake === 'throw') throw error;
      if (said.has(mistake)) return;
      said.add(mistake);
      const place = error.location ? `${formatLocation(error.location)}: ` : '';
      write(`lint: ${place}${printableLine(error.message)}`);
    };
    checkRequest(req, report);
    new Watch(res, report).install();
    return catching(app, req, res, (error) => {
      if (res.headersSent && !isLint(error)) {
        write(
          `lint: ${printableLine(`${req.method} ${withoutSecretParameters(req.url ?? '')}: the application throws after the head was sent`)}`,
        );
      }
      throw error;
    });
  };
}

type Report = (mistake: string) => void;

function isLint(error: unknown): boolean {
  return error instanceof RunError && error.code === 'PASTER_LINT';
}

// RFC 9110 section 5.5.
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** What a server owes an application. */
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

/** What stands in for the methods of a response, and what it has seen. */
class Watch {
  readonly #res: ServerResponse;
  readonly #report: Report;
  #bytes = 0;
  /** The body's, as the head says. */
  #length: number | undefined;
  #headSeen = false;
  #ended = false;
  /** Within `end`, which may call `write` (HTTP/2). */
  #ending = false;

  constructor(res: ServerResponse, report: Report) {
    this.#res = res;
    this.#report = report;
  }

  install(): void {
    this.#before('setHeader', (name, value) => this.#header('setHeader', name, value));
    this.#before('appendHeader', (name, value) => this.#header('appendHeader', name, value));
    this.#before('removeHeader', (name) => {
      if (this.#res.headersSent) this.#report(`removeHeader(${show(name)}) after the head was sent`);
    });
    this.#before('writeHead', (status, ...rest) => this.#writeHead(status, rest));
    this.#before('write', (chunk, encoding) => {
      if (!this.#ending) this.#write(chunk, encoding);
    });
    this.#aroundEnd();
  }

  /** Looks at the parameters of a method, each time before it runs. */
  #before(name: 'setHeader' | 'appendHeader' | 'removeHeader' | 'writeHead' | 'write', look: Look): void {
    const res = this.#res;
    // HTTP/2's response has no appendHeader on every Node.
    const method = res[name] as ((...parameters: unknown[]) => unknown) | undefined;
    if (method === undefined) return;
    Reflect.set(res, name, (...parameters: unknown[]) => {
      look(...parameters);
      return Reflect.apply(method, res, parameters);
    });
  }

  #aroundEnd(): void {
    const res = this.#res;
    const { end } = res;
    Reflect.set(res, 'end', (...parameters: unknown[]) => {
      this.#end(parameters[0], parameters[1]);
      this.#ending = true;
      try {
        return Reflect.apply(end, res, parameters);
      } finally {
        this.#ending = false;
      }
    });
  }

  #header(method: string, name: unknown, value: unknown): void {
    if (this.#res.headersSent) this.#report(`${method}(${show(name)}) after the head was sent`);
    this.#nameAndValue(name, value);
  }

  #nameAndValue(name: unknown, value: unknown): void {
    if (typeof name !== 'string' || !TOKEN.test(name)) this.#report(`${show(name)} is no name of a header`);
    else if (name.toLowerCase() === 'status') this.#report('a header named Status: set statusCode instead');
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each === undefined || each === null) this.#report(`the header ${show(name)} has the value ${each}`);
      else if (!VALUE.test(String(each)))
        this.#report(`the header ${show(name)} has characters that no header may have`);
    }
  }

  #writeHead(status: unknown, rest: readonly unknown[]): void {
    if (this.#res.headersSent) this.#report('writeHead after the head was sent');
    if (!Number.isInteger(status) || Number(status) < 200 || Number(status) > 599) {
      this.#report(`the status ${show(status)} is none from 200 to 599`);
    }
    const pairs = headersGiven(rest);
    for (const [name, value] of pairs) this.#nameAndValue(name, value);
    this.#head(Number(status), new Map(pairs.map(([name, value]) => [String(name).toLowerCase(), value])));
  }

  /** Once, when all is known that the head will say. */
  #head(status: number, given: ReadonlyMap<string, unknown> = new Map()): void {
    if (this.#headSeen) return;
    this.#headSeen = true;
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
      this.#report(`the Content-Length ${show(length)} is no number`);
    if (length !== undefined && header('transfer-encoding') !== undefined) {
      this.#report('both Content-Length and Transfer-Encoding');
    }
    if (status === 204 && length !== undefined) this.#report('status 204 with Content-Length');
  }

  #write(chunk: unknown, encoding: unknown): void {
    if (this.#ended) this.#report('write after end');
    this.#head(this.#res.statusCode);
    this.#body(chunkSize(chunk, encoding));
  }

  #end(chunk: unknown, encoding: unknown): void {
    if (this.#ended) {
      this.#report('end a second time');
      return;
    }
    this.#ended = true;
    this.#head(this.#res.statusCode);
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

type Look = (...parameters: unknown[]) => void;

function show(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}
