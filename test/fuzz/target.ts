/** A target of the fuzzer. */
import type { Random } from './random.ts';

export interface Target {
  readonly name: string;
  start(): Promise<StartedTarget>;
}

export interface StartedTarget {
  /**
   * One case. Appends the input to `trace` before it sends it to the target.
   * @throws Error if the target has done what it must not.
   */
  run(random: Random, trace: Buffer[]): Promise<void>;
  stop(): Promise<void>;
}

export function must(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}
