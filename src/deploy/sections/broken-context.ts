/**
 * The context of a part that could not be resolved, so that `check` can go on and find more errors. It can be part of
 * other contexts; loading its target fails with the known error.
 */
import {
  type Context,
  type ContextLoader,
  type FactoryContext,
  type SectionRef,
  settingsOf,
  type Target,
  type Trail,
} from '../context.ts';
import type { PartKind } from '../part-kinds.ts';

class BrokenTarget implements Target {
  readonly description = 'a part that could not be resolved';
  readonly file = undefined;
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }

  load(): Promise<unknown> {
    return Promise.reject(this.error);
  }
}

/** @param sections The section with the error; none if a reference leads nowhere. */
export function brokenContext(
  kind: PartKind,
  sections: readonly SectionRef[],
  trail: Trail,
  loader: ContextLoader,
  error: unknown,
): FactoryContext {
  return {
    form: 'factory',
    kind,
    sections,
    globalConf: settingsOf(),
    localConf: settingsOf(),
    origins: new Map(),
    trail,
    protocol: 'object',
    protocolAssumed: false,
    target: new BrokenTarget(error),
    loader,
    implied: settingsOf(),
  };
}

/** The error of a broken context; undefined for any other one. */
export function brokenBy(context: Context): unknown {
  return context.form === 'factory' && context.target instanceof BrokenTarget ? context.target.error : undefined;
}
