/**
 * `npm:paster#translogger` (`egg:Paste#translogger`): logs a line for each request when its response is complete or the client has
 * left: in Apache's combined format, in another one with Paste's fields, or as JSON.
 */
import { defineSettings, type OptionsOf, type SettingsOf, withDefaults } from '../../config/settings/setting.ts';
import { bool, list, oneOf, text } from '../../config/settings/setting-types.ts';
import type { MountedRequest } from '../../http/mount.ts';
import { AMBIGUOUS, longestPrefix, PathPrefixes } from '../../http/path-prefixes.ts';
import { REQUEST_ID_HEADER, requestId } from '../../http/request-headers.ts';
import { interceptResponse } from '../../http/response/response-interceptor.ts';
import { getLogger, hierarchy } from '../../logging/python/logger.ts';
import { DEBUG, INFO, LEVELS } from '../../logging/python/record.ts';
import { requestOutput } from '../../logging/request-output.ts';
import type { Filter, Settings } from '../../protocol/types.ts';
import {
  COMBINED,
  jsonFormatter,
  type LineFormatter,
  lineFormatter,
  ResponseSize,
  type Transaction,
} from './access-line.ts';
import { toStandardErrorSoon, type WriteLine } from './line-output.ts';

const LEVEL_NAMES = ['DEBUG', 'INFO', 'WARN', 'WARNING', 'ERROR', 'CRITICAL'] as const;

export const transloggerSettings = defineSettings(
  {
    format: {
      type: text,
      default: COMBINED,
      help: 'The line, with fields such as %(status)s; in an INI file each % is written twice.',
      example: '%%(REMOTE_ADDR)s %%(status)s %%(duration_ms)s',
    },
    json: { type: bool, default: false, help: 'Write one JSON object per line instead of format.' },
    skip: {
      type: list,
      default: [],
      help: 'Paths that are not logged, with everything below them.',
      example: '/healthz /static',
    },
    logger_name: {
      type: text,
      default: 'wsgi',
      help: 'The logger that gets the lines; JSON lines contain its name.',
    },
    logging_level: { type: oneOf(...LEVEL_NAMES), default: 'INFO', help: 'The level of the lines.' },
    set_logger_level: {
      type: oneOf(...LEVEL_NAMES),
      default: 'DEBUG',
      help: 'The level from which the logger writes lines, unless the INI file sets one for it.',
    },
    setup_console_handler: {
      type: bool,
      default: true,
      help: 'Write the lines to standard error, where the INI file does not configure logging.',
    },
  },
  { meaning: 'a log line for each request, in Apache’s format or as JSON' },
);

/** Makes the filter of a `[filter:*]` section. */
export function makeTranslogger(_globalConf: Settings, settings: SettingsOf<typeof transloggerSettings>): Filter {
  return translogger(settings);
}
makeTranslogger.settings = transloggerSettings;

/**
 * A filter that logs each request.
 * @param options the settings of the INI file, typed.
 * @param write gets the lines, without their ends. Default: standard error.
 */
export function translogger(options: OptionsOf<typeof transloggerSettings> = {}, write?: WriteLine): Filter {
  const settings = withDefaults(transloggerSettings, options);
  const line = settings.json
    ? jsonFormatter(settings.logger_name, settings.logging_level)
    : lineFormatter(settings.format || COMBINED);
  const output = write ? (transaction: Transaction) => write(line(transaction)) : destination(settings, line);
  if (output === undefined) return (app) => app;
  const showsId = settings.json || settings.format.includes('%(REQUEST_ID)');
  const isTimed = settings.json || settings.format.includes('%(duration_ms)');
  const skipped = new PathPrefixes<SkippedPath>();
  for (const path of settings.skip) skipped.add(path, { isOnlyBelow: path.endsWith('/') });
  return (app) => (req, res) => {
    const { method, url } = req;
    if (settings.skip.length > 0 && isSkipped(url ?? '/', skipped)) return app(req, res);
    const size = new ResponseSize(res);
    interceptResponse(res, size);
    const transaction: Transaction = {
      req,
      res,
      size,
      time: Date.now(),
      start: isTimed ? performance.now() : 0,
      address: req.socket.remoteAddress,
      method,
      url: (req as MountedRequest).originalUrl ?? url,
      hasFinished: false,
    };
    // The client gets the id that the line has.
    if (showsId) res.setHeader(REQUEST_ID_HEADER, requestId(req));
    if (settings.json) {
      res.on('finish', () => {
        transaction.hasFinished = true;
      });
    }
    try {
      return app(req, res);
    } finally {
      // Most responses are complete by now. Only a duration in the line could still change, and waiting for 'close' would cost as
      // much as making the line.
      if (res.writableEnded && !isTimed) output(transaction);
      else res.on('close', () => output(transaction));
    }
  };
}

/** Writes lines to the logger or to standard error, and makes only those that are written. Undefined if none is. */
function destination(
  settings: SettingsOf<typeof transloggerSettings>,
  line: LineFormatter,
): ((transaction: Transaction) => void) | undefined {
  const level = LEVELS.get(settings.logging_level) ?? INFO;
  const least = LEVELS.get(settings.set_logger_level) ?? DEBUG;
  // Departure: Paste writes to a console handler of its own unless told not to, whatever the INI file configures.
  if (hierarchy().isConfigured) {
    const logger = getLogger(settings.logger_name);
    // The level of [logger_wsgi], if any, overrides this.
    logger.setDefaultLevel(least);
    if (logger.reachesConsole(level)) requestOutput().isTaken = true;
    return (transaction) => {
      if (logger.isEnabledFor(level)) logger.report(level, line(transaction), DETAILS);
    };
  }
  if (!settings.setup_console_handler || level < least) return undefined;
  // At a terminal, in development, `serve` writes shorter lines.
  if (requestOutput().isOffered && isStandard(settings)) return undefined;
  requestOutput().isTaken = true;
  return (transaction) => toStandardErrorSoon(line(transaction));
}

/** Whether the INI file asks for no other lines than the standard ones. */
function isStandard({ json, format, skip }: SettingsOf<typeof transloggerSettings>): boolean {
  return !json && skip.length === 0 && (format === '' || format === COMBINED);
}

/** Passed to the logger, since finding the caller in the stack, or characters to escape, would cost more than making the line. */
const DETAILS = { caller: { functionName: 'translogger', file: 'translogger', line: 0 }, isOneLine: true };

interface SkippedPath {
  /** As for `/static/`, which does not skip `/static` itself. */
  readonly isOnlyBelow: boolean;
}

/** Whether a path is not logged. A path that the application may read in another way is logged. */
function isSkipped(url: string, skipped: PathPrefixes<SkippedPath>): boolean {
  const match = longestPrefix(url, [skipped]);
  if (match === undefined || match === AMBIGUOUS) return false;
  return !match.value.isOnlyBelow || url[match.length] === '/';
}
