/** The logger that paster's own parts use. The entry of the process decides where its lines go. */
import { printableMessage } from './printable.ts';

/** The levels of messages, the lowest first. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Takes messages without a line end. `console` is such a logger. */
export interface Logger {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };

/** A logger that passes the messages of `level` and above to `write`, each as a line. */
export function lineLogger(level: LogLevel, write: (line: string, level: LogLevel) => void): Logger {
  const at = (messageLevel: LogLevel) => (message: string) => {
    // A message may quote a request, a file or a peer.
    if (RANK[messageLevel] >= RANK[level]) write(printableMessage(message), messageLevel);
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** A logger whose messages begin with what they are about. */
export function prefixedLogger(log: Logger, prefix: string): Logger {
  // An error in the file of a section names the section behind the place.
  const at = (level: LogLevel) => (message: string) => log[level](`${prefix}${message.replaceAll(prefix, '')}`);
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** As `lineLogger`, for a terminal that other programs write to as well: all levels but `info` have a prefix. */
export function programLogger(level: LogLevel, write: (line: string) => void): Logger {
  return lineLogger(level, (line, of) => write(of === 'info' ? line : `paster: ${of}: ${line}`));
}

/** Discards everything; the default in programs that use paster as a library, which own their terminal. */
export const silentLogger: Logger = lineLogger('error', () => {});

/** For messages of an INI file's parts that do not belong in a response: writes to standard error. */
export const partLogger: Logger = lineLogger('info', (line) => process.stderr.write(`${line}\n`));
