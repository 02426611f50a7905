/** The logger that paster's own parts are given. Where its lines go is decided by whoever starts the process. */

import { printableMessage } from './printable.ts';

/** How much a message matters, the least first. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Takes messages for people, each a text without a line end. `console` is one. */
export interface Logger {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };

/** A logger that writes the messages of `level` and above, a line each, through `write`. */
export function lineLogger(level: LogLevel, write: (line: string, level: LogLevel) => void): Logger {
  const at = (messageLevel: LogLevel) => (message: string) => {
    // A message may quote a request, a file or a peer.
    if (RANK[messageLevel] >= RANK[level]) write(printableMessage(message), messageLevel);
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** As `lineLogger`, for a terminal that others write to as well: all but `info` says whose it is and how much it matters. */
export function programLogger(level: LogLevel, write: (line: string) => void): Logger {
  return lineLogger(level, (line, of) => write(of === 'info' ? line : `paster: ${of}: ${line}`));
}

/** Swallows everything; the default in library use, where paster must not write to a stranger's terminal. */
export const silentLogger: Logger = lineLogger('error', () => {});

/** Where parts that an INI file puts together say what no request is answered with: standard error. */
export const partLogger: Logger = lineLogger('info', (line) => process.stderr.write(`${line}\n`));
