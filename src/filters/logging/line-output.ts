/** Writes the lines of filters to standard error. */
import { LineBatch } from '../../logging/output/line-file.ts';

/** Gets one line, without its end. */
export type WriteLine = (line: string) => void;

/** Lines are collected for this long, or up to this many characters. */
const MAX_WAIT_MS = 10;
const MAX_CHARACTERS = 65_536;

const waiting = new LineBatch();

/** Writes a line at once, after those that are waiting. */
export const toStandardError: WriteLine = (line) => {
  flush();
  process.stderr.write(`${line}\n`);
};

/**
 * Writes a line together with the next ones: a system call for each would cost more than making the line. What is waiting when the
 * process ends is written, unless a signal kills it.
 */
export const toStandardErrorSoon: WriteLine = (line) => {
  if (waiting.length === 0) setTimeout(flush, MAX_WAIT_MS).unref();
  waiting.add(line);
  if (waiting.length >= MAX_CHARACTERS) flush();
};

function flush(): void {
  if (waiting.length > 0) process.stderr.write(waiting.take());
}

process.on('exit', flush);
