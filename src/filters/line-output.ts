/** Where filters write their lines for people: standard error, many lines at once where many come. */

/** Takes one line, without its end. */
export type WriteLine = (line: string) => void;

/** Lines are written when so many characters wait, even if more come. */
const ENOUGH = 65_536;

let waiting = '';

/**
 * Writes a line to standard error: with the lines that come in the same turn of the event loop, since each write is a
 * system call that the request waits for. A process that ends writes what is left.
 */
export const toStandardError: WriteLine = (line) => {
  if (waiting === '') setImmediate(flush);
  waiting += `${line}\n`;
  if (waiting.length >= ENOUGH) flush();
};

function flush(): void {
  if (waiting === '') return;
  const lines = waiting;
  waiting = '';
  process.stderr.write(lines);
}

process.on('exit', flush);
