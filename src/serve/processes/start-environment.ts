/** The variables that the processes below the supervisor start with. */
import { tooLateAfterStart } from '../../files/program-variables.ts';
import type { Logger } from '../../log.ts';
import { fileUser } from '../../process/daemon/drop-privileges.ts';
import type { WorkerPlan } from '../plan.ts';

/**
 * The environment that the supervisor starts a process with. It has the configured variables, for those that Node and the system
 * read at that moment, unless root starts the process for another user.
 * @param section for the warning
 */
export function startEnvironment(
  { ownership, variables }: Pick<WorkerPlan, 'ownership' | 'variables'>,
  log: Logger,
  section = '',
): NodeJS.ProcessEnv {
  const isForOtherUser = (fileUser(ownership)?.uid ?? 0) !== 0;
  if (!isForOtherUser) return { ...process.env, ...variables };
  for (const name of tooLateAfterStart(variables)) {
    const user = ownership.user ?? '';
    log.warn(
      `${section}${name} has no effect on a process that root starts for user ${user}: use preload, or start paster as ${user}`,
    );
  }
  return { ...process.env };
}
