/**
 * `npm:paster#translogger` (`egg:Paste#translogger`): a line of log for each request, when its answer is over - complete,
 * or left by the client. Apache's combined format, another one of Paste's fields, or JSON.
 */
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
import type { MountedRequest } from '../http/mount.ts';
import { AMBIGUOUS, longestPrefix, PathPrefixes } from '../http/path-prefixes.ts';
import { REQUEST_ID_HEADER, requestId } from '../http/request-id.ts';
import { DEBUG, INFO, LEVELS } from '../logging/levels.ts';
import { getLogger, hierarchy } from '../logging/logger.ts';
import type { Filter, Settings } from '../protocol/types.ts';
import { COMBINED, jsonLine, type Line, lineOf, type Transaction } from './access-line.ts';
import { toStandardErrorSoon, type WriteLine } from './line-output.ts';
import { countBody } from './response-size.ts';

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
  const line = settings.json
    ? jsonLine(settings.logger_name, settings.logging_level)
    : lineOf(settings.format || COMBINED);
  const output = write ? (transaction: Transaction) => write(line(transaction)) : destination(settings, line);
  if (output === undefined) return (app) => app;
  const showsId = settings.json || settings.format.includes('%(REQUEST_ID)');
  const isTimed = settings.json || settings.format.includes('%(duration_ms)');
  const skipped = new PathPrefixes<SkippedPath>();
  for (const path of settings.skip) skipped.add(path, { isOnlyBelow: path.endsWith('/') });
  return (app) => (req, res) => {
    const { method, url } = req;
    if (settings.skip.length > 0 && isBelow(url ?? '/', skipped)) return app(req, res);
    const transaction: Transaction = {
      req,
      res,
      body: countBody(res),
      time: Date.now(),
      start: isTimed ? performance.now() : 0,
      address: req.socket.remoteAddress,
      method,
      url: (req as MountedRequest).originalUrl ?? url,
      hasFinished: false,
    };
    // Whoever reads the line looks for the same id in what the client was told.
    if (showsId) res.setHeader(REQUEST_ID_HEADER, requestId(req));
    if (settings.json) {
      res.on('finish', () => {
        transaction.hasFinished = true;
      });
    }
    try {
      return app(req, res);
    } finally {
      // Most answers are whole by now: unless it tells how long they took, a line would be the same at their end, and to wait
      // for that costs as much as the line does.
      if (res.writableEnded && !isTimed) output(transaction);
      else res.on('close', () => output(transaction));
    }
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

interface SkippedPath {
  /** `/static/` does not skip `/static` itself. */
  readonly isOnlyBelow: boolean;
}

/** A path that the application may read in another way is logged. */
function isBelow(url: string, skipped: PathPrefixes<SkippedPath>): boolean {
  const match = longestPrefix(url, [skipped]);
  if (match === undefined || match === AMBIGUOUS) return false;
  return !match.value.isOnlyBelow || url[match.length] === '/';
}
