/** Applies or checks the logging sections of an INI file. */
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { IniDocument } from '../config/ini/ini.ts';
import { ConfigError, ErrorList } from '../errors.ts';
import type { FileUser } from '../files/user-files.ts';
import { applyLogging } from '../logging/configure.ts';
import { configuresLogging, type LoggingResult, readLogging } from '../logging/python/sections.ts';
import type { Settings } from '../protocol/types.ts';
import type { CheckSession } from './check/check-session.ts';
import { settingsOf } from './context.ts';
import { SectionScope } from './sections/section-scope.ts';

/** Options of `configureLogging`. */
export interface LoggingOptions {
  /** Names to texts; overrides [DEFAULT] in the interpolation of the logging sections. Default: none. */
  readonly globalConf?: Readonly<Settings> | undefined;
  /** Whether a file with the mode `"w"` is truncated. Default: true. */
  readonly truncate?: boolean | undefined;
  /** The user that root serves as and opens files for. Default: root. */
  readonly user?: FileUser | undefined;
}

/** Configures logging from a document, as `configureLogging` does. */
export function configureLoggers(document: IniDocument, options: LoggingOptions): void {
  if (!configuresLogging(document)) {
    throw new ConfigError('PASTER_LOGGING', 'there is no section [loggers] in this file', {
      location: { file: document.file, line: 1, column: 1 },
      hint: 'logging is configured by [loggers], [handlers] and [formatters]',
    });
  }
  const { plan, errors } = read(document, options.globalConf);
  const [error] = errors;
  if (error) throw errors.length === 1 ? error : new ErrorList(errors);
  applyLogging(plan, { truncate: options.truncate ?? true, user: options.user });
}

function read(document: IniDocument, globalConf: Readonly<Settings> | undefined): LoggingResult {
  return readLogging(document, new SectionScope(document, settingsOf(globalConf), undefined));
}

/** Reports the errors in the logging sections of a file, if it has any. */
export function checkLogging(document: IniDocument, session: CheckSession): void {
  if (!configuresLogging(document)) return;
  const scope = new SectionScope(document, session.callerGlobals, undefined, (error, entry) =>
    session.report(error, entry),
  );
  const { plan, errors, warnings } = readLogging(document, scope);
  for (const error of errors) session.report(error);
  for (const { message, location } of warnings) session.warn(message, location);
  for (const {
    section,
    plan: { file },
    fileLocation,
  } of plan.handlers.values()) {
    const directory = file && dirname(file.path);
    if (directory === undefined || statSync(directory, { throwIfNoEntry: false })?.isDirectory()) continue;
    session.warn(`[${section.name}] there is no directory ${directory} (mkdir -p)`, fileLocation ?? section.location);
  }
}
