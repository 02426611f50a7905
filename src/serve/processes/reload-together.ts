/** Gives several supervisors a new version: all of them, or none. */
import { RunError } from '../../errors.ts';
import type { ReloadResult } from '../../process/supervisor/current-version.ts';
import { type Failure, SUPERSEDED } from '../../process/supervisor/worker-changes.ts';

/** A supervisor whose old workers run until the new ones are ready. */
export interface Reloading {
  /** What messages call it: `[process:mailer]`. */
  readonly name: string;
  /** As `Supervisor.reload`. */
  reload(reason: string, confirm?: () => Promise<void>): Promise<ReloadResult>;
}

/**
 * Reloads supervisors one after the other. The new workers of each start when those of the one before it are ready, and all new
 * workers take over together. If one does not start, the old workers of all supervisors keep running. If the old workers of
 * that supervisor have already ended, the others are reloaded nevertheless.
 * @param isSuperseded whether a newer reload has been requested
 * @returns the error of the one that does not start
 */
export async function reloadTogether(
  all: readonly Reloading[],
  reason: string,
  isSuperseded: () => boolean,
): Promise<ReloadResult> {
  return (await firstFailure(all, reason, isSuperseded)) ?? { ok: true };
}

interface NamedFailure extends Failure {
  readonly name: string;
}

async function firstFailure(
  [first, ...others]: readonly Reloading[],
  reason: string,
  isSuperseded: () => boolean,
): Promise<NamedFailure | undefined> {
  if (!first) return undefined;
  const { name } = first;
  if (isSuperseded()) return { ...SUPERSEDED, name };
  let failure: NamedFailure | undefined;
  const result = await first.reload(reason, async () => {
    failure = await firstFailure(others, reason, isSuperseded);
    // It has been logged where it happened.
    if (failure && !failure.hasEnded) throw new RunError('PASTER_PROCESS', `${failure.name} has not been reloaded`);
  });
  return failure ?? (result.ok ? undefined : { ...result, name });
}
