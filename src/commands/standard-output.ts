/** Standard output and error that are pipes: what is written to it is not out yet when the command is done. */
import { errorCode } from '../errors.ts';

/** A reader that has gone (`paster config x.ini | head`) is nobody's mistake. To be called once, before anything is written. */
export function tolerateClosedOutput(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error) => {
      if (errorCode(error) !== 'EPIPE') throw error;
    });
  }
}

/** Resolves when all that has been written is out; ending the process before would cut it off. */
export async function outputWritten(): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise<void>((resolve) => {
      stream.write('', () => resolve());
    });
  }
}
