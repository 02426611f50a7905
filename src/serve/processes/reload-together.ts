/** Gives several supervisors a new version: all of them, or none. */
import { RunError } from '../../errors.ts';
import type { ReloadResult } from '../../process/supervisor/supervisor.ts';
import type { Failure } from '../../process/supervisor/worker-changes.ts';

/** A supervisor whose old workers run until the new ones are ready. */
export interface Reloading {
  /** What messages call it: `[process:mailer]`. */
  readonly name: string;
  /** As `Supervisor.reload`. */
  reload(reason: string, confirm?: () => Promise<void>): Promise<ReloadResult>;
}

/**
 * Reloads them in this order. The new workers of each start when those before it are ready, and take over when those of all
 * are; if one does not start, the old ones of all keep running.
 * @returns the error of the one that does not start
 */
export async function reloadTogether(all: readonly Reloading[], reason: string): Promise<ReloadResult> {
  return (await firstFailure(all, reason)) ?? { ok: true };
}

interface NamedFailure extends Failure {
  readonly name: string;
}

async function firstFailure(
  [first, ...others]: readonly Reloading[],
  reason: string,
): Promise<NamedFailure | undefined> {
  if (!first) return undefined;
  let failure: NamedFailure | undefined;
  const result = await first.reload(reason, async () => {
    failure = await firstFailure(others, reason);
    // It has been logged where it happened.
    if (failure) throw new RunError('PASTER_PROCESS', `${failure.name} has not been reloaded`);
  });
  return failure ?? (result.ok ? undefined : { ...result, name: first.name });
}
