/** The code of parts that is running while something is loaded: named in the error if it hangs or ends the process. */
import { EXIT_FAILURE, formatError, type Location, type PasterError, RunError, startTimeoutError } from '../errors.ts';

/** How long the import of a module may take while an INI file is checked, in milliseconds. */
export const IMPORT_TIMEOUT_MS = 10_000;

/** Code of a part that has been called and has not settled yet. */
export interface LoadingStep {
  /** The part: `[app:main] ./app.js:makeApp`. */
  readonly what: string;
  readonly location: Location | undefined;
  /** Why it does not settle, if that is known when it does not. */
  readonly hint?: () => string;
  /** The error that says what it still waits for after this many seconds. Default: one that names the step. */
  readonly overdue?: (seconds: number) => RunError;
}

/** What a supervisor tells a process that loads. */
export interface LoadingOrders {
  /** Aborted when this process is stopped, whether it has loaded or not. */
  readonly stopped: AbortSignal;
  /** Resolves with the seconds that loading may take, once they are over. */
  readonly overdue?: Promise<number>;
}

/** What makes each step fail. In the whole process, since that is what hangs or ends. The innermost step is the last. */
const running = new Map<LoadingStep, (error: unknown) => void>();

/** Runs code as `step` until it settles, or until it throws where nothing catches the error, such as in a timer. */
export async function asLoadingStep<T>(step: LoadingStep, run: () => T | Promise<T>): Promise<T> {
  const uncaught = new Promise<never>((_resolve, reject) => {
    running.set(step, reject);
  });
  // Before others, who then see that the process survives the error.
  if (running.size === 1) process.prependListener('uncaughtExceptionMonitor', failStep);
  try {
    return await Promise.race([run(), uncaught]);
  } finally {
    running.delete(step);
    if (running.size === 0) process.off('uncaughtExceptionMonitor', failStep);
  }
}

function failStep(error: unknown): void {
  // An application that catches the error may survive it.
  if (process.listenerCount('uncaughtException') > 0) return;
  const fail = [...running.values()].at(-1);
  process.once('uncaughtException', () => fail?.(error));
}

/** The innermost step that is running. */
export function currentStep(): LoadingStep | undefined {
  return [...running.keys()].at(-1);
}

/** The error if the event loop is empty while a step is running; undefined if none is. */
export function neverSettlesError(): RunError | undefined {
  const step = currentStep();
  if (!step) return undefined;
  const { what, location, hint } = step;
  return new RunError('PASTER_NEVER_SETTLES', `${what} never becomes ready`, {
    location,
    hint: hint?.() ?? 'it waits for something that never happens',
  });
}

/** The error if a step is still running after this many seconds; undefined if none is. */
export function overdueError(seconds: number): RunError | undefined {
  const step = currentStep();
  if (!step) return undefined;
  const { what, location, overdue } = step;
  // It is not an endless loop: in one, the timer that reports this would not have fired.
  return overdue?.(seconds) ?? startTimeoutError(what, seconds, 'a promise that never settles', location);
}

/**
 * Runs `work`, which may go on to serve.
 *
 * @param write writes a line at once: the process is about to end
 * @param explain the error to throw if `work` waits for something that cannot come; undefined: no error
 * @throws RunError if `work` waits for something that cannot come, or longer than the supervisor allows
 */
export async function guardLoading<T>(
  work: () => Promise<T>,
  write: (line: string) => void,
  explain: () => RunError | undefined = neverSettlesError,
  { stopped, overdue }: Partial<LoadingOrders> = {},
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
    return await Promise.race([unlessDeadlocked(work, explain), ...(overdue ? [givenUp(overdue)] : [])]);
  } finally {
    process.off('exit', exiting);
  }
}

/** Rejects when the time is over, if a step is running: it knows more than the supervisor. */
async function givenUp(overdue: Promise<number>): Promise<never> {
  const error = overdueError(await overdue);
  if (error) throw error;
  return new Promise(() => {});
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
