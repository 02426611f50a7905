/** Applies the logging configuration of an INI file, including `capture_console`. */

import { Console } from 'node:console';
import { dirname } from 'node:path';
import { Writable } from 'node:stream';
import { format } from 'node:util';
import { errorCode, errorMessage, RunError } from '../errors.ts';
import type { OpenOptions } from './python/handlers.ts';
import { getLogger, type Handler, hierarchy, type LoggerSetup, type NamedLogger } from './python/logger.ts';
import { DEBUG, ERROR, INFO, type Level, WARNING } from './python/record.ts';
import type { LoggingPlan, PlannedHandler } from './python/sections.ts';

/**
 * Opens the handlers and gives them to their loggers, instead of the previous configuration.
 *
 * @throws RunError with the location of its name if a file cannot be opened; then the previous configuration stays
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

// --- capture_console -------------------------------------------------------------------------------------------------

type ConsoleMethods = Record<string, unknown>;

let originals: ConsoleMethods | undefined;

/** Turns everything that the application writes with `console` into records of a logger. A second call replaces the first. */
export function captureConsole(logger: NamedLogger): void {
  releaseConsole();
  const { console } = globalThis;
  // Node's own class keeps tables, groups, counters and timers working.
  const captured = new Console({ stdout: linesTo(logger, INFO), stderr: linesTo(logger, ERROR) });
  const at = (level: Level) => {
    const log = (...args: unknown[]): void => {
      if (logger.isEnabledFor(level)) logger.report(level, format(...args), { by: log });
    };
    return log;
  };
  const methods: ConsoleMethods = Object.fromEntries(
    Object.entries(captured).filter(([, method]) => typeof method === 'function'),
  );
  // The methods whose level is known.
  Object.assign(methods, { debug: at(DEBUG), info: at(INFO), log: at(INFO), warn: at(WARNING), error: at(ERROR) });
  originals = Object.fromEntries(Object.keys(methods).map((name) => [name, Reflect.get(console, name)]));
  Object.assign(console, methods);
}

/** The logger that gets what is written with `console`; undefined: none does. */
export function consoleLogger(): NamedLogger | undefined {
  return originals && getLogger('console');
}

/** Undoes `captureConsole`. */
function releaseConsole(): void {
  if (originals) Object.assign(globalThis.console, originals);
  originals = undefined;
}

function linesTo(logger: NamedLogger, level: Level): Writable {
  return new Writable({
    decodeStrings: false,
    write(chunk: string | Buffer, _encoding, done) {
      logger.report(level, String(chunk).replace(/\n$/, ''), {});
      done();
    },
  });
}
