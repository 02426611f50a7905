/**
 * `npm:paster#translogger` (`egg:Paste#translogger`): a line of log for each request, when its answer is over - complete,
 * or left by the client. Apache's combined format, another one of Paste's fields, or JSON.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  bool,
  defineSettings,
  list,
  type OptionsOf,
  oneOf,
  type SettingsOf,
  text,
  withDefaults,
} from '../config/setting.ts';
import { remoteUser } from '../http/identity.ts';
import { type MountedRequest, pathEnd } from '../http/mount.ts';
import { REQUEST_ID_HEADER, requestId } from '../http/request-id.ts';
import { DEBUG, INFO, LEVELS } from '../logging/levels.ts';
import { getLogger, hierarchy } from '../logging/logger.ts';
import { strftime } from '../logging/strftime.ts';
import type { Filter, Settings } from '../protocol/types.ts';
import { toStandardErrorSoon, type WriteLine } from './line-output.ts';
import { type CountedResponse, countBody } from './response-size.ts';

const COMBINED =
  '%(REMOTE_ADDR)s - %(REMOTE_USER)s [%(time)s] ' +
  '"%(REQUEST_METHOD)s %(REQUEST_URI)s %(HTTP_VERSION)s" ' +
  '%(status)s %(bytes)s "%(HTTP_REFERER)s" "%(HTTP_USER_AGENT)s"';

const LEVEL_NAMES = ['DEBUG', 'INFO', 'WARN', 'WARNING', 'ERROR', 'CRITICAL'] as const;

export const transloggerSettings = defineSettings(
  {
    format: {
      type: text,
      default: COMBINED,
      help: 'The line, with fields such as %(status)s; in an INI file each % is written twice.',
      example: '%%(REMOTE_ADDR)s %%(status)s %%(duration_ms)s',
    },
    json: { type: bool, default: false, help: 'Write a JSON object a line, in place of format.' },
    skip: {
      type: list,
      default: [],
      help: 'Paths that are not logged, with what lies below them.',
      example: '/healthz /static',
    },
    logger_name: {
      type: text,
      default: 'wsgi',
      help: 'The logger that the lines go to; its name stands in JSON lines.',
    },
    logging_level: { type: oneOf(...LEVEL_NAMES), default: 'INFO', help: 'The level of the lines.' },
    set_logger_level: {
      type: oneOf(...LEVEL_NAMES),
      default: 'DEBUG',
      help: 'The level that the logger lets through, unless the INI file has one for it.',
    },
    setup_console_handler: {
      type: bool,
      default: true,
      help: 'Write the lines to standard error, where the INI file does not configure logging.',
    },
  },
  { meaning: 'a line of log for each request, in Apache’s format or as JSON' },
);

/** nginx's, for a client that left before there was a status. */
const CLIENT_LEFT = 499;

/** A request that is answered; what an application may rewrite, or what is gone with the connection, as it was first. */
interface Transaction {
  readonly req: IncomingMessage;
  readonly res: CountedResponse;
  readonly time: number;
  /** Of `performance.now()`; 0 where nobody asks for the duration. */
  readonly start: number;
  readonly address: string | undefined;
  readonly method: string | undefined;
  readonly url: string | undefined;
  /** The answer is out as a whole; HTTP/2's responses have no property for it. */
  finished: boolean;
}

type Line = (transaction: Transaction) => string;

type Field = (transaction: Transaction) => string | undefined;

const FIELDS: Readonly<Record<string, Field>> = {
  REMOTE_ADDR: ({ address }) => address,
  REMOTE_USER: ({ req }) => remoteUser(req),
  time: ({ time }) => apacheTime(time),
  REQUEST_METHOD: ({ method }) => method,
  REQUEST_URI: ({ url }) => url,
  HTTP_VERSION: ({ req }) => `HTTP/${req.httpVersion}`,
  status: ({ res }) => String(statusOf(res)),
  bytes: ({ res }) => (res.bodyBytes === 0 ? undefined : String(res.bodyBytes)),
  HTTP_REFERER: ({ req }) => req.headers.referer,
  HTTP_USER_AGENT: ({ req }) => req.headers['user-agent'],
  HTTP_HOST: ({ req }) => req.headers.host,
  duration_ms: ({ start }) => milliseconds(start),
  REQUEST_ID: ({ req }) => requestId(req),
};

/** Makes the filter of a `[filter:*]` section. */
export function makeTranslogger(_globalConf: Settings, settings: SettingsOf<typeof transloggerSettings>): Filter {
  return translogger(settings);
}
makeTranslogger.settings = transloggerSettings;

/**
 * A filter that logs each request.
 * @param options the settings of the INI file, typed.
 * @param write takes the lines in place of standard error, each without its end.
 */
export function translogger(options: OptionsOf<typeof transloggerSettings> = {}, write?: WriteLine): Filter {
  const settings = withDefaults(transloggerSettings, options);
  const line = settings.json ? jsonLine(settings) : lineOf(settings.format);
  const output = write ? (transaction: Transaction) => write(line(transaction)) : destination(settings, line);
  if (output === undefined) return (app) => app;
  const showsId = settings.json || settings.format.includes('%(REQUEST_ID)s');
  const isTimed = settings.json || settings.format.includes('%(duration_ms)');
  const { skip } = settings;
  return (app) => (req, res) => {
    const { method, url } = req;
    if (skip.length > 0 && skip.some((path) => liesBelow(url ?? '/', path))) return app(req, res);
    const transaction: Transaction = {
      req,
      res: countBody(res),
      time: Date.now(),
      start: isTimed ? performance.now() : 0,
      address: req.socket.remoteAddress,
      method,
      url: (req as MountedRequest).originalUrl ?? url,
      finished: false,
    };
    // Whoever reads the line looks for the same id in what the client was told.
    if (showsId) res.setHeader(REQUEST_ID_HEADER, requestId(req));
    if (settings.json) {
      res.on('finish', () => {
        transaction.finished = true;
      });
    }
    res.on('close', () => output(transaction));
    return app(req, res);
  };
}

/** Where the lines go, each made only if it is wanted; undefined for nowhere. */
function destination(
  settings: SettingsOf<typeof transloggerSettings>,
  line: Line,
): ((transaction: Transaction) => void) | undefined {
  const level = LEVELS.get(settings.logging_level) ?? INFO;
  const least = LEVELS.get(settings.set_logger_level) ?? DEBUG;
  // Departure: Paste writes to a console handler of its own unless told not to, whatever the INI file configures.
  if (hierarchy().isConfigured) {
    const logger = getLogger(settings.logger_name);
    // What [logger_wsgi] says goes before the default.
    logger.setDefaultLevel(least);
    return (transaction) => {
      if (logger.isEnabledFor(level)) logger.report(level, line(transaction), DETAILS);
    };
  }
  if (!settings.setup_console_handler || level < least) return undefined;
  return (transaction) => toStandardErrorSoon(line(transaction));
}

/** To look at the stack for each line would cost more than the line, and so would looking for what is escaped already. */
const DETAILS = { caller: { functionName: 'translogger', file: 'translogger', line: 0 }, isOneLine: true };

function liesBelow(url: string, path: string): boolean {
  if (!url.startsWith(path)) return false;
  return path.endsWith('/') || url.length === path.length || url[path.length] === '/' || pathEnd(url) === path.length;
}

const PIECE = /%\((\w+)\)[sd]|%%/g;

/** Fields that no client has a say in. */
const SAFE: ReadonlySet<string> = new Set(['time', 'status', 'bytes', 'duration_ms', 'REQUEST_ID']);

function lineOf(format: string): Line {
  return format === COMBINED ? combinedLine : compile(format);
}

/** What `compile` makes of the default, without a call for each field: that is a third of what a logged request costs. */
const combinedLine: Line = ({ req, res, time, address, method, url }) => {
  const { referer, 'user-agent': userAgent } = req.headers;
  const client = `${escapeField(address) ?? '-'} - ${escapeField(remoteUser(req)) ?? '-'}`;
  const request = `${escapeField(method) ?? '-'} ${escapeField(url) ?? '-'} HTTP/${escapeField(req.httpVersion)}`;
  const answer = `${statusOf(res)} ${res.bodyBytes === 0 ? '-' : res.bodyBytes}`;
  return `${client} [${apacheTime(time)}] "${request}" ${answer} "${escapeField(referer) ?? '-'}" "${escapeField(userAgent) ?? '-'}"`;
};

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
    const [piece, name] = match;
    addText(format.slice(end, match.index));
    end = match.index + piece.length;
    const field = name !== undefined && Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined;
    if (field === undefined || name === undefined) addText(piece === '%%' ? '%' : piece);
    else {
      fields.push(SAFE.has(name) ? field : (transaction) => escapeField(field(transaction)));
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

/** An object with the same names in each line, so that it can be searched; what is not known is null. */
function jsonLine({ logger_name: logger, logging_level: level }: SettingsOf<typeof transloggerSettings>): Line {
  return ({ req, res, time, start, address, method, url, finished }) =>
    asciiJson({
      time: new Date(time).toISOString(),
      level,
      logger,
      remote_addr: address ?? null,
      remote_user: remoteUser(req) ?? null,
      method,
      url,
      http_version: req.httpVersion,
      status: statusOf(res),
      bytes: res.bodyBytes,
      duration_ms: Number(milliseconds(start)),
      aborted: !finished,
      referer: req.headers.referer ?? null,
      user_agent: req.headers['user-agent'] ?? null,
      request_id: requestId(req),
    });
}

function statusOf(res: ServerResponse): number {
  return res.headersSent ? res.statusCode : CLIENT_LEFT;
}

function milliseconds(start: number): string {
  return (performance.now() - start).toFixed(1);
}

const UNSAFE = /["\\]|[^\x20-\x7e]/;

/** What a client sent cannot forge a line or a field (Apache's own escapes, CVE-2003-0020). */
function escapeField(value: string | undefined): string | undefined {
  if (value === undefined || !UNSAFE.test(value)) return value;
  return value.replace(/["\\]|[^\x20-\x7e]/gu, (character) =>
    character === '"' || character === '\\'
      ? `\\${character}`
      : [...Buffer.from(character)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join(''),
  );
}

/** JSON escapes what could end the line; this, what could turn or colour a terminal. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

let lastSecond = Number.NaN;
let lastTime = '';

/** `10/Oct/2000:13:55:36 -0700`; made once a second, since the local time zone costs as much as the rest of a line. */
function apacheTime(time: number): string {
  const second = Math.floor(time / 1000);
  if (second === lastSecond) return lastTime;
  lastSecond = second;
  lastTime = strftime('%d/%b/%Y:%H:%M:%S %z', new Date(time));
  return lastTime;
}
