/** What `translogger` writes of a request whose answer is over: a line by a format with Paste's fields, or as JSON. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { askedHost } from '../http/asked-host.ts';
import { isUnbroken } from '../http/complete.ts';
import { remoteUser } from '../http/identity.ts';
import { requestId } from '../http/request-id.ts';
import { likeLast } from '../logging/like-last.ts';
import { strftime } from '../logging/strftime.ts';
import type { BodyCount } from './response-size.ts';

/** Apache's combined log format. */
export const COMBINED =
  '%(REMOTE_ADDR)s - %(REMOTE_USER)s [%(time)s] ' +
  '"%(REQUEST_METHOD)s %(REQUEST_URI)s %(HTTP_VERSION)s" ' +
  '%(status)s %(bytes)s "%(HTTP_REFERER)s" "%(HTTP_USER_AGENT)s"';

/** nginx's, for a client that left before there was a status. */
const CLIENT_LEFT = 499;

/** A request that is answered; what an application may rewrite, or what is gone with the connection, as it was first. */
export interface Transaction {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly body: BodyCount;
  readonly time: number;
  /** Of `performance.now()`; 0 where nobody asks for the duration. */
  readonly start: number;
  readonly address: string | undefined;
  readonly method: string | undefined;
  readonly url: string | undefined;
  /** The answer has said so; one without a connection has no property for it. */
  hasFinished: boolean;
}

/** The line of a request, without its end. */
export type Line = (transaction: Transaction) => string;

/** What is not known is undefined. */
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
  bytes: ({ body }) => (body.bytes === 0 ? undefined : String(body.bytes)),
  HTTP_REFERER: ({ req }) => req.headers.referer,
  HTTP_USER_AGENT: ({ req }) => req.headers['user-agent'],
  HTTP_HOST: ({ req }) => askedHost(req),
  duration_ms: ({ start }) => milliseconds(start),
  REQUEST_ID: ({ req }) => requestId(req),
};

/** Made once a second, since the local time zone costs as much as the rest of a line. */
const timeOfSecond = likeLast(apacheTime);

/** As in Python: a minus for the left, the least width, and the most that is taken of the text. */
const PIECE = /%\((\w+)\)(-?)(\d*)(?:\.(\d+))?[sd]|%%/g;

/** Fields that no client has a say in. */
const SAFE: ReadonlySet<string> = new Set(['time', 'status', 'bytes', 'duration_ms', 'REQUEST_ID']);

/** The line by a format. */
export function lineOf(format: string): Line {
  return format === COMBINED ? combinedLine() : compile(format);
}

/**
 * What `compile` makes of the default, at a lower price. The next request differs in its URL, and often in nothing else:
 * what stands before and after that is kept, since to see that it is the same costs less than to escape it. Kept as one
 * piece of memory, which `join` makes: texts that are added up stay trees of pieces, to be walked again for each line.
 */
function combinedLine(): Line {
  const encoding = encodingOf('REMOTE_USER');
  const head = likeLast((address: Value, user: Value, second: number, method: Value) =>
    [shown(address), ' - ', shown(user, encoding), ' [', timeOfSecond(second), '] "', shown(method), ' '].join(''),
  );
  const target = likeLast((url: Value) => shown(url));
  const tail = likeLast((version: string, status: number, bytes: number, referer: Value, agent: Value) =>
    [' HTTP/', shown(version), '" ', status, ' ', bytes || '-', ' "', shown(referer), '" "', shown(agent), '"'].join(
      '',
    ),
  );
  return ({ req, res, body, time, address, method, url }) => {
    const { referer, 'user-agent': userAgent } = req.headers;
    return (
      head(address, remoteUser(req), Math.floor(time / 1000), method) +
      target(url) +
      tail(req.httpVersion, statusOf(res), body.bytes, referer, userAgent)
    );
  };
}

/** Compiles a format to a function, once. An unknown field stays as it is written; `%%` is a percent sign. */
function compile(format: string): Line {
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

/** An object with the same names in each line, so that it can be searched; what is not known is null. */
export function jsonLine(logger: string, level: string): Line {
  const field = (name: string): WriteField =>
    likeLast((value) => `,"${name}":${value === undefined ? 'null' : asciiJson(value)}`);
  const said = `,"level":${asciiJson(level)},"logger":${asciiJson(logger)}`;
  const begin = likeLast((time: number) => `{"time":"${new Date(time).toISOString()}"${said}`);
  const [client, user, verb] = [field('remote_addr'), field('remote_user'), field('method')];
  const [target, version] = [field('url'), field('http_version')];
  const [from, agent] = [field('referer'), field('user_agent')];
  return ({ req, res, body, time, start, address, method, url, hasFinished }) => {
    const { referer, 'user-agent': userAgent } = req.headers;
    return (
      begin(time) +
      client(address) +
      user(remoteUser(req)) +
      verb(method) +
      target(url) +
      version(req.httpVersion) +
      `,"status":${statusOf(res)},"bytes":${body.bytes}` +
      `,"duration_ms":${milliseconds(start)},"aborted":${!(hasFinished && isUnbroken(res))}` +
      from(referer) +
      agent(userAgent) +
      // It has nothing in it to escape.
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

/** What a name is written in; of everything else Node makes a character of each byte. */
function encodingOf(field: string): BufferEncoding {
  return field === 'REMOTE_USER' ? 'utf8' : 'latin1';
}

/** What a client sent cannot forge a line or a field (Apache's own escapes, CVE-2003-0020). */
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

/** A field that stands there whether it is known or not. */
function shown(value: Value, encoding?: BufferEncoding): string {
  return escapeField(value, encoding) ?? '-';
}

/** JSON escapes what could end the line; this, what could turn or colour a terminal. */
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
