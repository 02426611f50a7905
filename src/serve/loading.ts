/** Guards a process while it loads what others have written: code that never comes back or ends it is named. */
import { currentStep, neverSettled } from '../deploy/unsettled.ts';
import { EXIT_FAILURE, formatError, RunError } from '../errors.ts';
import { unlessIdle } from '../process/idle.ts';

/**
 * Runs `work`, which may go on to serve.
 *
 * @param write where it is said that the process ends; there is no later
 * @param explain what to throw when it waits for what cannot come
 * @param stopped aborted when this process is told to end, finished or not
 * @throws RunError when it waits for what cannot come
 */
export async function guardLoading<T>(
  work: () => Promise<T>,
  write: (line: string) => void,
  explain: () => RunError | undefined = neverSettled,
  stopped?: AbortSignal,
): Promise<T> {
  const exiting = (status: number): void => {
    const step = currentStep();
    if (!step) return;
    const { what, location } = step;
    const error = new RunError('PASTER_EXITED', `${what} ended the process while it was loaded`, { location });
    write(`paster: ${formatError(error)}`);
    if (status === 0) process.exitCode = EXIT_FAILURE;
  };
  process.on('exit', exiting);
  stopped?.addEventListener('abort', () => process.off('exit', exiting));
  try {
    return await unlessIdle(work, explain);
  } finally {
    process.off('exit', exiting);
  }
}
