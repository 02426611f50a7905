/** The code of parts that is running while something is loaded: named in the error if it hangs or ends the process. */
import { EXIT_FAILURE, formatError, type Location, type PasterError, RunError } from '../errors.ts';

/** Code of a part that has been called and has not settled yet. */
export interface LoadingStep {
  /** The part: `[app:main] ./app.js:makeApp`. */
  readonly what: string;
  readonly location: Location | undefined;
  /** Why it does not settle, if that is known when it does not. */
  readonly hint?: () => string;
}

/** In the whole process, since that is what hangs or ends. The innermost step is the last. */
const running = new Set<LoadingStep>();

/** Runs code as `step` until it settles. */
export async function asLoadingStep<T>(step: LoadingStep, run: () => T | Promise<T>): Promise<T> {
  running.add(step);
  try {
    return await run();
  } finally {
    running.delete(step);
  }
}

/** The innermost step that is running. */
export function currentStep(): LoadingStep | undefined {
  return [...running].at(-1);
}

/** The error if the event loop is empty while a step is running; undefined if none is. */
export function neverSettlesError(): RunError | undefined {
  const step = currentStep();
  if (!step) return undefined;
  const { what, location, hint } = step;
  return new RunError('PASTER_NEVER_SETTLES', `${what} never gets ready`, {
    location,
    hint: hint?.() ?? 'it waits for something that does not come',
  });
}

/**
 * Runs `work`, which may go on to serve.
 *
 * @param write writes a line at once: the process is about to end
 * @param explain the error to throw if `work` waits for something that cannot come; undefined: no error
 * @param stopped aborted when this process is stopped, whether it has loaded or not
 * @throws RunError if `work` waits for something that cannot come
 */
export async function guardLoading<T>(
  work: () => Promise<T>,
  write: (line: string) => void,
  explain: () => RunError | undefined = neverSettlesError,
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
    return await unlessDeadlocked(work, explain);
  } finally {
    process.off('exit', exiting);
  }
}

/**
 * Rejects when `work` waits and nothing is left in the process that it could wait for. Node would end the process with
 * status 13 and a message that users do not understand.
 */
async function unlessDeadlocked<T>(work: () => Promise<T>, explain: () => PasterError | undefined): Promise<T> {
  let onIdle = () => {};
  const deadlock = new Promise<never>((_resolve, reject) => {
    onIdle = () => {
      const error = explain();
      if (error) reject(error);
    };
  });
  process.on('beforeExit', onIdle);
  try {
    return await Promise.race([work(), deadlock]);
  } finally {
    process.off('beforeExit', onIdle);
  }
}
