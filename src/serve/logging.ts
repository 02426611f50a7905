/** Logging for a process that serves: by the INI file, if that says anything about it. */
import type { LoadSession } from '../deploy/session.ts';
import { errorMessage } from '../errors.ts';
import type { Logger } from '../log.ts';
import { getLogger, hierarchy } from '../logging/logger.ts';
import { fileUser } from '../process/user.ts';
import type { Ownership } from './listeners.ts';
import type { ServePlan } from './plan.ts';

/** The logger of paster's own messages. */
const OWN_LOGGER = 'paster';

/** Logging by the INI file, in effect. */
export interface ConfiguredLogging {
  /** Where paster's own messages go. */
  readonly log: Logger;
  /** USR1: goes on in the files that have the names now. What cannot be opened is said, and the old file stays. */
  reopen(): void;
}

/**
 * Configures the loggers of this process by the INI file of a plan.
 *
 * @param isFirst of the processes that serve the plan: it empties the files that are to begin anew
 * @returns undefined where the file says nothing about logging, or there is none
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
  // Only now: most of it is about files.
  const { configureLoggers } = await import('../deploy/logging.ts');
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
  };
}
