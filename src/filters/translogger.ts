/** `npm:paster#translogger` (`egg:Paste#translogger`): a line in Apache's combined format for each request. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { bool, defineSettings, oneOf, type SettingsOf, text } from '../config/setting.ts';
import type { MountedRequest } from '../http/mount.ts';
import type { Filter, Settings } from '../protocol/types.ts';

const COMBINED =
  '%(REMOTE_ADDR)s - %(REMOTE_USER)s [%(time)s] ' +
  '"%(REQUEST_METHOD)s %(REQUEST_URI)s %(HTTP_VERSION)s" ' +
  '%(status)s %(bytes)s "%(HTTP_REFERER)s" "%(HTTP_USER_AGENT)s"';

const LEVELS = ['DEBUG', 'INFO', 'WARN', 'WARNING', 'ERROR', 'CRITICAL'] as const;

export const transloggerSettings = defineSettings(
  {
    logger_name: { type: text, default: 'wsgi', help: 'The logger that the lines go to.' },
    format: { type: text, default: COMBINED, help: 'The line; in an INI file each % is written twice.' },
    logging_level: { type: oneOf(...LEVELS), default: 'INFO', help: 'The level of the lines.' },
    set_logger_level: { type: oneOf(...LEVELS), default: 'DEBUG', help: 'The level that the logger lets through.' },
    setup_console_handler: { type: bool, default: true, help: 'Write the lines to standard error.' },
  },
  { meaning: 'a line of log for each request, in Apache’s format' },
);

const FIELD = /%\((\w+)\)s/g;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** What is known when the request comes, and gone when its connection is. */
interface Arrival {
  readonly time: Date;
  readonly address: string | undefined;
}

type Fields = Record<string, (req: MountedRequest, res: ServerResponse, arrival: Arrival) => string | undefined>;

const FIELDS: Fields = {
  REMOTE_ADDR: (_req, _res, { address }) => address,
  REMOTE_USER: (req) => req.environ?.['REMOTE_USER'],
  time: (_req, _res, { time }) => apacheTime(time),
  REQUEST_METHOD: (req) => req.method,
  REQUEST_URI: (req) => req.originalUrl ?? req.url,
  HTTP_VERSION: (req) => `HTTP/${req.httpVersion}`,
  status: (_req, res) => String(res.statusCode),
  bytes: (_req, res) => res.getHeader('content-length')?.toString(),
  HTTP_REFERER: (req) => req.headers.referer,
  HTTP_USER_AGENT: (req) => req.headers['user-agent'],
};

/** Makes the filter of a `[filter:*]` section. */
export function makeTranslogger(_globalConf: Settings, settings: SettingsOf<typeof transloggerSettings>): Filter {
  const isSilent =
    !settings.setup_console_handler ||
    LEVELS.indexOf(settings.logging_level) < LEVELS.indexOf(settings.set_logger_level);
  if (isSilent) return (app) => app;
  const line = lineMaker(settings.format);
  return (app) => (req, res) => {
    const arrival: Arrival = { time: new Date(), address: req.socket.remoteAddress };
    // An application may rewrite req.url; what the client asked for is what is logged.
    const request: MountedRequest = req;
    request.originalUrl ??= req.url ?? '/';
    res.once('close', () => process.stderr.write(`${line(req, res, arrival)}\n`));
    return app(req, res);
  };
}
makeTranslogger.settings = transloggerSettings;

/** Compiles a format to a function, once. An unknown field stays as it is written. */
function lineMaker(format: string): (req: IncomingMessage, res: ServerResponse, arrival: Arrival) => string {
  return (req, res, arrival) =>
    format.replace(FIELD, (field, name: string) => {
      const read = Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined;
      return read ? escapeField(read(req, res, arrival) ?? '-') : field;
    });
}

/** What a client sent cannot forge a line or a field (Apache's own escapes, CVE-2003-0020). */
function escapeField(value: string): string {
  return value.replace(/["\\]|[^\x20-\x7e]/g, (character) =>
    character === '"' || character === '\\'
      ? `\\${character}`
      : [...Buffer.from(character)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join(''),
  );
}

/** `10/Oct/2000:13:55:36 -0700`. */
function apacheTime(date: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const offset = -date.getTimezoneOffset();
  const zone = `${offset < 0 ? '-' : '+'}${two(Math.floor(Math.abs(offset) / 60))}${two(Math.abs(offset) % 60)}`;
  const day = `${two(date.getDate())}/${MONTHS[date.getMonth()]}/${date.getFullYear()}`;
  return `${day}:${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())} ${zone}`;
}
