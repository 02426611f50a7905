/** Lets a process survive when its output cannot be written: to a full disk, a closed terminal, or a pipe that is not read any more. */
import { errorCode, errorMessage } from '../../errors.ts';

/** Milliseconds between attempts to write to a stream that failed. */
const RETRY_MS = 1000;

/**
 * Keeps this process alive when its standard output or error cannot be written. That output is lost; when writing works
 * again, a line says so. To be called once, before anything is written.
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

/** Resolves when everything is written to pipes; an earlier exit would lose the rest. */
export async function outputWritten(): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise<void>((resolve) => {
      stream.write('', () => resolve());
    });
  }
}
