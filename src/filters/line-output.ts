/** Where filters write their lines for people: standard error. */
import { LineBatch } from '../logging/line-batch.ts';

/** Takes one line, without its end. */
export type WriteLine = (line: string) => void;

/** Lines wait for others that long, in milliseconds, or until there are so many characters of them. */
const LONGEST_WAIT = 10;
const ENOUGH = 65_536;

const waiting = new LineBatch();

/** Writes a line at once, after those that wait. */
export const toStandardError: WriteLine = (line) => {
  flush();
  process.stderr.write(`${line}\n`);
};

/**
 * Writes a line together with the next ones: each write is a system call that costs a request more than its line does. A
 * process that ends writes what is left, unless a signal kills it that it does not listen to.
 */
export const toStandardErrorSoon: WriteLine = (line) => {
  if (waiting.length === 0) setTimeout(flush, LONGEST_WAIT).unref();
  waiting.add(line);
  if (waiting.length >= ENOUGH) flush();
};

function flush(): void {
  if (waiting.length > 0) process.stderr.write(waiting.take());
}

process.on('exit', flush);
