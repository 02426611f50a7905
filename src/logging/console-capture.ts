/** `capture_console`: what an application writes with `console` becomes records of the logger `console`. */
import { Console } from 'node:console';
import { Writable } from 'node:stream';
import { format } from 'node:util';
import { DEBUG, ERROR, INFO, type Level, WARNING } from './levels.ts';
import type { NamedLogger } from './logger.ts';

type ConsoleMethods = Record<string, unknown>;

let originals: ConsoleMethods | undefined;

/** From now on `console` logs. Again, or for another logger: the last one counts. */
export function captureConsole(logger: NamedLogger): void {
  releaseConsole();
  const { console } = globalThis;
  // Node's own, with all that it can do: tables, groups, counters, timers.
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
  // Of these it is known how much they matter.
  Object.assign(methods, { debug: at(DEBUG), info: at(INFO), log: at(INFO), warn: at(WARNING), error: at(ERROR) });
  originals = Object.fromEntries(Object.keys(methods).map((name) => [name, Reflect.get(console, name)]));
  Object.assign(console, methods);
}

/** Gives `console` back. */
export function releaseConsole(): void {
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
