/**
 * Where errors of requests are shown to a developer. `serve` sets it in development, in a process that writes to a terminal;
 * otherwise the code that catches an error logs it with its stack.
 */

/** Shows an error. `title` says what failed, on one line and without secrets. */
export type FailureReporter = (title: string, error: unknown) => void;

// Shared by all copies of paster in a process: the command may be another installation than the one that a filter is part of.
const KEY: unique symbol = Symbol.for('paster.failure-reporter');
const shared: typeof globalThis & { [KEY]?: FailureReporter | undefined } = globalThis;

/** Sets the reporter of this process. */
export function reportFailuresTo(reporter: FailureReporter): void {
  shared[KEY] = reporter;
}

/**
 * Shows an error if this process has a reporter.
 * @returns Whether it has one: otherwise the caller logs the error.
 */
export function reportFailure(title: string, error: unknown): boolean {
  const reporter = shared[KEY];
  reporter?.(title, error);
  return reporter !== undefined;
}
