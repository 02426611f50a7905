/** Whose code is being run to load something, so that one that never comes back, or ends the process, can be named. */
import { type Location, RunError } from '../errors.ts';

/** Somebody's code that has been called and has not settled yet. */
export interface Step {
  /** Whose: `[app:main] ./app.js:makeApp`. */
  readonly what: string;
  readonly location: Location | undefined;
}

/** Of the whole process, since that is what waits or ends. The innermost one is the last. */
const begun = new Set<Step>();

/** Runs somebody's code; it is named by `step` for as long as it does not settle. */
export async function asStep<T>(step: Step, run: () => T | Promise<T>): Promise<T> {
  begun.add(step);
  try {
    return await run();
  } finally {
    begun.delete(step);
  }
}

/** What is being run right now. */
export function currentStep(): Step | undefined {
  return [...begun].at(-1);
}

/** The error for when nothing is left that the current step could be waiting for; undefined when there is none. */
export function neverSettled(): RunError | undefined {
  const step = currentStep();
  if (!step) return undefined;
  const { what, location } = step;
  return new RunError('PASTER_NEVER_SETTLES', `${what} never gets ready`, {
    location,
    hint: 'it waits for something that does not come',
  });
}
