/**
 * Makes the line that `translogger` writes about a request, in a format with Paste's fields or as JSON. Also counts the bytes of
 * the response.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { remoteUser } from '../../http/remote-user.ts';
import { requestHost, requestId } from '../../http/request-headers.ts';
import { chunkSize, type ResponseHooks } from '../../http/response/response-interceptor.ts';
import { hasBody, isUnbroken } from '../../http/response/response-outcome.ts';
import { memoizeLast } from '../../logging/memoize-last.ts';
import { strftime } from '../../logging/python/strftime.ts';

/** Apache's combined log format. */
export const COMBINED =
  '%(REMOTE_ADDR)s - %(REMOTE_USER)s [%(time)s] ' +
  '"%(REQUEST_METHOD)s %(REQUEST_URI)s %(HTTP_VERSION)s" ' +
  '%(status)s %(bytes)s "%(HTTP_REFERER)s" "%(HTTP_USER_AGENT)s"';

/** nginx's status for a client that left before the response began. */
const CLIENT_LEFT = 499;

/** A request and its response. What the application may change, or what is lost with the connection, is copied. */
export interface Transaction {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly size: ResponseSize;
  readonly time: number;
  /** From `performance.now()`; 0 if the line does not have the duration. */
  readonly start: number;
  readonly address: string | undefined;
  readonly method: string | undefined;
  readonly url: string | undefined;
  /** Whether 'finish' has been emitted. A response that has lost its connection has no property that shows this. */
  hasFinished: boolean;
}

/** Makes the line of a request, without its end. */
export type LineFormatter = (transaction: Transaction) => string;

/** Undefined if it is not known. */
type Value = string | undefined;

type WriteField = (value: Value) => string;

type Field = (transaction: Transaction) => Value;

const FIELDS: Readonly<Record<string, Field>> = {
  REMOTE_ADDR: ({ address }) => address,
  REMOTE_USER: ({ req }) => remoteUser(req),
  time: ({ time }) => timeOfSecond(Math.floor(time / 1000)),
  REQUEST_METHOD: ({ method }) => method,
  REQUEST_URI: ({ url }) => url,
  HTTP_VERSION: ({ req }) => `HTTP/${req.httpVersion}`,
  status: ({ res }) => String(statusOf(res)),
  bytes: ({ size }) => String(size.bytes || '-'),
  HTTP_REFERER: ({ req }) => req.headers.referer,
  HTTP_USER_AGENT: ({ req }) => req.headers['user-agent'],
  HTTP_HOST: ({ req }) => requestHost(req),
  duration_ms: ({ start }) => milliseconds(start),
  REQUEST_ID: ({ req }) => requestId(req),
};

/** Made once a second, since the local time zone costs as much as the rest of a line. */
const timeOfSecond = memoizeLast(apacheTime);

/** A field as Python formats it: `-` aligns the text to the left, then come its least width and its greatest length. */
const PIECE = /%\((\w+)\)(-?)(\d*)(?:\.(\d+))?[sd]|%%/g;

/** Fields that do not come from the client, and need no escaping. */
const SAFE: ReadonlySet<string> = new Set(['time', 'status', 'bytes', 'duration_ms', 'REQUEST_ID']);

/** Compiles a format with Paste's fields. */
export function lineFormatter(format: string): LineFormatter {
  return format === COMBINED ? combinedLine() : compile(format);
}

/**
 * Does what `compile` does with the default format, in less time. Two requests in a row often differ in nothing but the URL, so the
 * text before and after it is kept: comparing costs less than escaping. `join` makes it one piece of memory: V8 keeps
 * concatenated strings as trees, and would flatten them again for each line.
 */
function combinedLine(): LineFormatter {
  const encoding = encodingOf('REMOTE_USER');
  const head = memoizeLast((address: Value, user: Value, second: number, method: Value) =>
    [
      fieldText(address),
      ' - ',
      fieldText(user, encoding),
      ' [',
      timeOfSecond(second),
      '] "',
      fieldText(method),
      ' ',
    ].join(''),
  );
  const target = memoizeLast((url: Value) => fieldText(url));
  const tail = memoizeLast((version: string, status: number, bytes: number, referer: Value, agent: Value) =>
    [
      ' HTTP/',
      fieldText(version),
      '" ',
      status,
      ' ',
      bytes || '-',
      ' "',
      fieldText(referer),
      '" "',
      fieldText(agent),
      '"',
    ].join(''),
  );
  return ({ req, res, size, time, address, method, url }) => {
    const { referer, 'user-agent': userAgent } = req.headers;
    return (
      head(address, remoteUser(req), Math.floor(time / 1000), method) +
      target(url) +
      tail(req.httpVersion, statusOf(res), size.bytes, referer, userAgent)
    );
  };
}

/** An unknown field is left as it is written; `%%` is a percent sign. */
function compile(format: string): LineFormatter {
  const fields: Field[] = [];
  // The text before each field, and after the last one.
  const texts: string[] = [''];
  const addText = (more: string): void => {
    texts[texts.length - 1] += more;
  };
  let end = 0;
  for (const match of format.matchAll(PIECE)) {
    const [piece, name, minus, width, most] = match;
    addText(format.slice(end, match.index));
    end = match.index + piece.length;
    const field = name !== undefined && Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined;
    if (field === undefined || name === undefined) addText(piece === '%%' ? '%' : piece);
    else {
      const safe: Field = SAFE.has(name) ? field : (transaction) => escapeField(field(transaction), encodingOf(name));
      fields.push(width || most ? fitted(safe, minus === '-', Number(width), most) : safe);
      texts.push('');
    }
  }
  addText(format.slice(end));
  return (transaction) => {
    let line = texts[0] ?? '';
    for (let index = 0; index < fields.length; index++) {
      line += (fields[index]?.(transaction) ?? '-') + texts[index + 1];
    }
    return line;
  };
}

function fitted(field: Field, isLeft: boolean, width: number, most: string | undefined): Field {
  return (transaction) => {
    const text = (field(transaction) ?? '-').slice(0, most === undefined ? undefined : Number(most));
    return isLeft ? text.padEnd(width) : text.padStart(width);
  };
}

/** Makes a JSON object with the same names in each line; what is not known is null. */
export function jsonFormatter(logger: string, level: string): LineFormatter {
  const field = (name: string): WriteField =>
    memoizeLast((value) => `,"${name}":${value === undefined ? 'null' : asciiJson(value)}`);
  const constants = `,"level":${asciiJson(level)},"logger":${asciiJson(logger)}`;
  const begin = memoizeLast((time: number) => `{"time":"${new Date(time).toISOString()}"${constants}`);
  const [client, user, verb] = [field('remote_addr'), field('remote_user'), field('method')];
  const [target, version] = [field('url'), field('http_version')];
  const [from, agent] = [field('referer'), field('user_agent')];
  return ({ req, res, size, time, start, address, method, url, hasFinished }) => {
    const { referer, 'user-agent': userAgent } = req.headers;
    return (
      begin(time) +
      client(address) +
      user(remoteUser(req)) +
      verb(method) +
      target(url) +
      version(req.httpVersion) +
      `,"status":${statusOf(res)},"bytes":${size.bytes}` +
      `,"duration_ms":${milliseconds(start)},"aborted":${!(hasFinished && isUnbroken(res))}` +
      from(referer) +
      agent(userAgent) +
      // A request id has no characters to escape.
      `,"request_id":"${requestId(req)}"}`
    );
  };
}

function statusOf(res: ServerResponse): number {
  return res.headersSent ? res.statusCode : CLIENT_LEFT;
}

function milliseconds(start: number): string {
  return (performance.now() - start).toFixed(1);
}

const UNSAFE = /["\\]|[^\x20-\x7e]/;

/** User names are UTF-8. In all other fields, each character is a byte, as Node decodes headers. */
function encodingOf(field: string): BufferEncoding {
  return field === 'REMOTE_USER' ? 'utf8' : 'latin1';
}

/** Escapes as Apache does, so that no client can forge a line or a field (CVE-2003-0020). */
function escapeField(value: string | undefined, encoding: BufferEncoding = 'latin1'): string | undefined {
  if (value === undefined || !UNSAFE.test(value)) return value;
  return value.replace(/["\\]|[^\x20-\x7e]/gu, (character) =>
    character === '"' || character === '\\'
      ? `\\${character}`
      : [...Buffer.from(character, character > '\xff' ? 'utf8' : encoding)]
          .map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`)
          .join(''),
  );
}

/** A field, or a minus sign if it is not known. */
function fieldText(value: Value, encoding?: BufferEncoding): string {
  return escapeField(value, encoding) ?? '-';
}

/** JSON with ASCII characters only: JSON.stringify does not escape everything that changes a terminal's direction or colours. */
function asciiJson(value: string): string {
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** `10/Oct/2000:13:55:36 -0700` */
function apacheTime(second: number): string {
  return strftime('%d/%b/%Y:%H:%M:%S %z', new Date(second * 1000));
}

/** Counts the bytes of a response's body, as the application hands them over. */
export class ResponseSize implements ResponseHooks {
  readonly #res: ServerResponse;
  #written = 0;
  /** The bytes that `end` was given. They count once it has succeeded. */
  #last = 0;

  constructor(res: ServerResponse) {
    this.#res = res;
  }

  /** The bytes so far, before other filters and the server encode them. */
  get bytes(): number {
    const bytes = this.#res.writableEnded ? this.#written + this.#last : this.#written;
    return bytes > 0 && hasBody(this.#res) ? bytes : 0;
  }

  onWrite(chunk: unknown, encoding: unknown): void {
    if (!this.#res.writableEnded && !this.#res.destroyed) this.#written += chunkSize(chunk, encoding);
  }

  onEnd(chunk: unknown, encoding: unknown): void {
    if (chunk && !this.#res.writableEnded && !this.#res.destroyed) this.#last = chunkSize(chunk, encoding);
  }
}
