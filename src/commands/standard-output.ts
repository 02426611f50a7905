/** Standard output that is a pipe: what is written to it is not out yet when the command is done. */
import { errorCode } from '../errors.ts';

/**
 * Resolves when all that has been written to standard output is out; ending the process before would cut it off. A
 * reader that has gone (`paster config x.ini | head`) is nobody's mistake.
 */
export function outputWritten(): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error?: Error | null): void => {
      if (error && errorCode(error) !== 'EPIPE') reject(error);
      else resolve();
    };
    process.stdout.on('error', done);
    process.stdout.write('', done);
  });
}
