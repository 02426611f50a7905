/** Standard output that is a pipe: what is written to it is not out yet when the command is done. */
import { errorCode } from '../errors.ts';

/** A reader that has gone (`paster config x.ini | head`) is nobody's mistake. To be called once, before anything is written. */
export function tolerateClosedOutput(): void {
  process.stdout.on('error', (error) => {
    if (errorCode(error) !== 'EPIPE') throw error;
  });
}

/** Resolves when all that has been written to standard output is out; ending the process before would cut it off. */
export function outputWritten(): Promise<void> {
  return new Promise((resolve) => {
    process.stdout.write('', () => resolve());
  });
}
