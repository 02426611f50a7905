/** What runs in a process of its own: what factories make, and what paster makes itself. */

/** What a factory makes: a function that runs until the signal is aborted, or an object with such a function. */
export type BackgroundProcess = ((signal: AbortSignal) => unknown) | BackgroundObject;

export interface BackgroundObject {
  /** Runs until the signal is aborted or `stop` is called. If it returns earlier, paster starts the process again. */
  run(signal: AbortSignal): unknown;
  stop?(): unknown;
}

/** A process that paster makes itself, with what only these can do. */
export interface OwnProcess extends BackgroundObject {
  /** Resolves when it has started; rejects if it has not. */
  readonly started: Promise<void>;
  /** Whether it ends when nothing is left in the process that it could wait for. */
  readonly endsWhenIdle?: boolean;
  /** Ends it at once. */
  kill?(): void;
  /** Bytes of memory that its child processes hold. */
  childMemory?(): number;
}

export interface ProcessHooks {
  /** Gets the process group that the process has started, and that must end with it. */
  readonly onGroup: (pid: number) => void;
  /** Called when its code runs. From then on it can be stopped gracefully, although it may not have started yet. */
  readonly onBegun?: () => void;
  /** Aborted when it is stopped. `runProcess` then no longer waits until it has started. */
  readonly stopped?: AbortSignal;
}
