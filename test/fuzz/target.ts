/** What can be fuzzed. */
import type { Random } from './random.ts';

export interface Target {
  readonly name: string;
  start(): Promise<StartedTarget>;
}

export interface StartedTarget {
  /**
   * One case. Appends what it feeds the target to `trace` before it does.
   * @throws Error where the target has done what it must not.
   */
  run(random: Random, trace: Buffer[]): Promise<void>;
  stop(): Promise<void>;
}

export function must(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}
