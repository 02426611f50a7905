/** Lets `paster status` find the server of a plan. */
import type { Logger } from '../log.ts';
import type { ServerStatus } from '../metrics/server-status.ts';
import type { ServePlan } from './plan.ts';

/** Has the server of a plan be found. Without an INI file it has no name to be found by. */
export async function answerForPlan({ file }: ServePlan, ask: () => Promise<ServerStatus>, log: Logger): Promise<void> {
  if (file === undefined) return;
  // Only now: nobody waits for it before the server listens.
  const { offerStatus } = await import('../process/control-socket.ts');
  await offerStatus(file, ask, log);
}
