import { type IniDocument, readIni } from '../config/ini.ts';
import { fromWorkingDirectory } from '../working-directory.ts';
import type { LoggingOptions } from './logging.ts';

/**
 * Configures the loggers of this process by the `[loggers]`, `[handlers]` and `[formatters]` sections of an INI file, as
 * Python's `logging.config.fileConfig` does; what was configured before is replaced. `serve` does this by itself; `loadApp`
 * does not.
 *
 * ```js
 * await configureLogging('etc/log_deploy.ini')
 * getLogger('shop').info('up')
 * ```
 *
 * @param source a path, relative to the working directory, or a document from `parseIni`
 * @throws ConfigError for a mistake in these sections, with file, line and column, ErrorList for several; RunError where a
 *   log file cannot be opened: then logging stays as it was
 */
export async function configureLogging(source: string | IniDocument, options: LoggingOptions = {}): Promise<void> {
  const document = typeof source === 'string' ? await readIni(fromWorkingDirectory(source)) : source;
  // Only now: who logs to nowhere but standard error needs no files.
  const { configureLoggers } = await import('./logging.ts');
  configureLoggers(document, options);
}
