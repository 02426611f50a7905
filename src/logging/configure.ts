/** Puts what an INI file says about logging into effect. */
import { dirname } from 'node:path';
import { errorCode, errorMessage, RunError } from '../errors.ts';
import { captureConsole, releaseConsole } from './console-capture.ts';
import type { OpenOptions } from './handler-classes.ts';
import { getLogger, type Handler, hierarchy, type LoggerSetup } from './logger.ts';
import type { LoggingPlan, PlannedHandler } from './sections.ts';

/**
 * Opens the handlers and gives them to their loggers, in the place of whatever was configured before.
 *
 * @throws RunError where a file cannot be opened, at the place of its name; then all stays as it was
 */
export function applyLogging(plan: LoggingPlan, options: OpenOptions): void {
  const handlers = openAll(plan.handlers, options);
  const setups = plan.loggers.map(({ name, level, propagate, handlers: names }): [string, LoggerSetup] => [
    name,
    { level, propagate, handlers: [...new Set(names)].flatMap((each) => handlers.get(each) ?? []) },
  ]);
  hierarchy().configure([...handlers.values()], new Map(setups));
  if (plan.captureConsole) captureConsole(getLogger('console'));
  else releaseConsole();
}

function openAll(planned: ReadonlyMap<string, PlannedHandler>, options: OpenOptions): Map<string, Handler> {
  const opened = new Map<string, Handler>();
  for (const [name, handler] of planned) {
    try {
      opened.set(name, handler.plan.open(handler.level, handler.formatter, options));
    } catch (error) {
      for (const each of opened.values()) each.close();
      throw cannotOpen(handler, error);
    }
  }
  return opened;
}

function cannotOpen({ section, plan, fileLocation }: PlannedHandler, cause: unknown): RunError {
  const { path = '' } = plan.file ?? {};
  const message = `[${section.name}] cannot write the log file ${path}: ${errorMessage(cause)}`;
  return new RunError('PASTER_LOG_FILE', message, {
    location: fileLocation ?? section.location,
    hint: errorCode(cause) === 'ENOENT' ? `create its directory: mkdir -p ${dirname(path)}` : undefined,
    cause,
  });
}
