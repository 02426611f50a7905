/**
 * An agreement on who writes a line for each request to the terminal, so that no request has two: `serve` in development,
 * or a filter of the INI file.
 */
export interface RequestOutput {
  /**
   * `serve` would write the lines: a filter without a format of its own leaves them to it. That spares a project two INI
   * files, one for a terminal and one for a log.
   */
  isOffered: boolean;
  /** A filter writes lines in a format of its own to the console, so `serve` writes none. */
  isTaken: boolean;
}

// Shared by all copies of paster in a process: the command may be another installation than the one that a filter is part of.
const KEY: unique symbol = Symbol.for('paster.request-output');
const shared: typeof globalThis & { [KEY]?: RequestOutput } = globalThis;

/**
 * The agreement of this process. `serve` sets `isOffered` before it loads the application, and looks at `isTaken` when the
 * filters are made.
 */
export function requestOutput(): RequestOutput {
  shared[KEY] ??= { isOffered: false, isTaken: false };
  return shared[KEY];
}
