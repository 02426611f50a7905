/** Logging as an INI file has it: the sections with their values, in effect or only looked at. */
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { IniDocument } from '../config/ini.ts';
import { ConfigError, ErrorList } from '../errors.ts';
import { applyLogging } from '../logging/configure.ts';
import { configuresLogging, type LoggingReading, readLogging } from '../logging/sections.ts';
import type { Settings } from '../protocol/types.ts';
import type { FileUser } from '../user-files.ts';
import type { CheckSession } from './check-session.ts';
import { settingsOf } from './context.ts';
import { SectionScope } from './section-scope.ts';

/** Options of `configureLogging`. */
export interface LoggingOptions {
  /** Names to texts; wins over [DEFAULT] in the interpolation of the logging sections. Default: none. */
  readonly globalConf?: Readonly<Settings> | undefined;
  /** Whether a file with the mode `"w"` begins anew. Default: true. */
  readonly truncate?: boolean | undefined;
  /** The user that root serves as, and opens files for. Default: root itself. */
  readonly user?: FileUser | undefined;
}

/** As `configureLogging`, of a document that has been read. */
export function configureLoggers(document: IniDocument, options: LoggingOptions): void {
  if (!configuresLogging(document)) {
    throw new ConfigError('PASTER_LOGGING', 'there is no section [loggers] in this file', {
      location: { file: document.file, line: 1, column: 1 },
      hint: 'logging is configured by [loggers], [handlers] and [formatters]',
    });
  }
  const { plan, mistakes } = read(document, options.globalConf);
  const [mistake] = mistakes;
  if (mistake) throw mistakes.length === 1 ? mistake : new ErrorList(mistakes);
  applyLogging(plan, { truncate: options.truncate ?? true, user: options.user });
}

function read(document: IniDocument, globalConf: Readonly<Settings> | undefined): LoggingReading {
  return readLogging(document, new SectionScope(document, settingsOf(globalConf), undefined));
}

/** Tells a check what is wrong with the logging sections of a file, if it has any. */
export function checkLogging(document: IniDocument, session: CheckSession): void {
  if (!configuresLogging(document)) return;
  const scope = new SectionScope(document, session.caller, undefined, (error, entry) => session.mistake(error, entry));
  const { plan, mistakes, warnings } = readLogging(document, scope);
  for (const mistake of mistakes) session.mistake(mistake);
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
