/** What a script writes to standard error, as messages of a line each. */
import type { Readable } from 'node:stream';

const LONGEST_LINE = 4096;

/** Hands text over line by line; a line without end is cut. */
export function logLines(stream: Readable, log: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8').on('error', () => {});
  stream.on('data', (text: string) => {
    const lines = text.split('\n');
    lines[0] = rest + lines[0];
    rest = lines.pop() ?? '';
    for (; rest.length > LONGEST_LINE; rest = rest.slice(LONGEST_LINE)) lines.push(rest.slice(0, LONGEST_LINE));
    for (const line of lines) log(line.replace(/\r$/, ''));
  });
  stream.once('end', () => {
    if (rest !== '') log(rest);
  });
}
