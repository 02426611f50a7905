/** Standard output and error, which may be a full disk, a terminal that was closed, or a pipe that is not read any more. */
import { errorCode, errorMessage } from '../errors.ts';

/** How often a stream that cannot be written is tried, in milliseconds. */
const RETRY_MS = 1000;

/**
 * Keeps this process alive when its standard output or error cannot be written: what is written meanwhile is lost, and when
 * writing works again a line there says so. To be called once, before anything is written.
 */
export function tolerateUnwritableOutput(): void {
  for (const stream of [process.stdout, process.stderr]) {
    // Node leaves these two streams open after an error, so the next write is another attempt.
    let lost = 0;
    let reason = '';
    let timer: NodeJS.Timeout | undefined;
    let isProbing = false;
    const probe = (): void => {
      isProbing = true;
      stream.write(`paster: ${lost} writes to this output were lost (${reason})\n`, (error) => {
        isProbing = false;
        if (error) return;
        clearInterval(timer);
        timer = undefined;
        lost = 0;
      });
    };
    stream.on('error', (error) => {
      if (isProbing) return;
      lost++;
      reason = errorMessage(error);
      // A reader that has gone (`paster config x.ini | head`) does not come back.
      if (errorCode(error) !== 'EPIPE') timer ??= setInterval(probe, RETRY_MS).unref();
    });
  }
}

/** Resolves when all that has been written to pipes is out; ending the process before would cut it off. */
export async function outputWritten(): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise<void>((resolve) => {
      stream.write('', () => resolve());
    });
  }
}
