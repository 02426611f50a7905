/** Configures logging for a process that serves, if the INI file says anything about it. */
import type { LoadSession } from '../deploy/session.ts';
import type { Paint } from '../diagnostics/paint.ts';
import { errorMessage } from '../errors.ts';
import { type Logger, type LogLevel, lineLogger } from '../log.ts';
import { fileUser } from '../process/daemon/drop-privileges.ts';
import type { Ownership, ServePlan } from './plan.ts';

/**
 * A logger whose messages go to another one after `redirect`. Its methods are those of the other logger, with no function of
 * its own in between: a format may show the function that has logged a message.
 */
export type RedirectedLogger = { -readonly [Level in keyof Logger]: Logger[Level] };

export function redirectedLogger(to: Logger): RedirectedLogger {
  return {
    debug: to.debug.bind(to),
    info: to.info.bind(to),
    warn: to.warn.bind(to),
    error: to.error.bind(to),
  };
}

/** As `programLogger`, with the levels in colours. */
export function terminalLogger(level: LogLevel, write: (line: string) => void, paint: Paint): Logger {
  return lineLogger(level, (line, of) => {
    if (of === 'info') write(line);
    else write(`${paint(of === 'error' ? 'red' : of === 'warn' ? 'yellow' : 'dim', `paster: ${of}:`)} ${line}`);
  });
}

/** The logger of paster's own messages. */
const OWN_LOGGER = 'paster';

export interface ConfiguredLogging {
  /** Where paster's own messages go. */
  readonly log: Logger;
  /** USR1: opens the log files again. An error is logged, and the old file stays in use. */
  reopen(): void;
  /** Closes the log files, after the logging sections have been removed from the INI file. */
  close(): void;
}

/**
 * Configures the loggers of this process by the INI file of a plan.
 *
 * @param isFirst whether this is the first process that serves the plan: it truncates the files with mode `w`
 * @returns undefined if there is no INI file or it has no logging sections
 * @throws ConfigError, ErrorList or RunError, as `configureLogging`
 */
export async function setUpLogging(
  { file, globalConf }: Pick<ServePlan, 'file' | 'globalConf'>,
  session: LoadSession,
  ownership: Ownership,
  isFirst: boolean,
): Promise<ConfiguredLogging | undefined> {
  if (file === undefined) return undefined;
  const document = await session.read(file);
  if (!document.sections.has('loggers')) return undefined;
  // Loaded late: most processes do not need it.
  const { configureLoggers } = await import('../deploy/logging.ts');
  const { getLogger, hierarchy } = await import('../logging/python/logger.ts');
  configureLoggers(document, { globalConf, truncate: isFirst, user: fileUser(ownership) });
  const log = getLogger(OWN_LOGGER);
  return {
    log,
    reopen() {
      try {
        hierarchy().reopen();
      } catch (error) {
        log.error(`USR1: ${errorMessage(error)}`);
      }
    },
    close: () => hierarchy().configure([], new Map()),
  };
}
