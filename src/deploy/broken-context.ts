/**
 * Stands for a part that could not be resolved, where loading goes on in search of more mistakes (`check`). Composes
 * like any other part; only loading its target fails, with the mistake that is known already.
 */
import {
  type Context,
  type ContextLoader,
  type FactoryContext,
  type SectionRef,
  settingsOf,
  type Target,
  type Trail,
} from './context.ts';
import type { PartKind } from './kinds.ts';

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

/** @param sections The section at fault; none, if it is the reference that leads nowhere. */
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

/** Why a context stands for a part that could not be resolved; undefined for a sound one. */
export function brokenBy(context: Context): unknown {
  return context.form === 'factory' && context.target instanceof BrokenTarget ? context.target.error : undefined;
}
