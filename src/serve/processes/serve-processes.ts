/** `serve` for a file, or a choice of `--only` and `--without`, with nothing but background processes. */

import { LoadSession } from '../../deploy/session.ts';
import { EXIT_OK } from '../../errors.ts';
import { handleSignals } from '../../process/program/signals.ts';
import type { Service } from '../service.ts';
import { BackgroundProcesses } from './background-processes.ts';
import { SupervisedService } from './supervised-service.ts';

/** Runs the processes until a signal ends them. @returns The exit status. */
export async function serveProcesses(service: Service): Promise<number> {
  service.session.logWarnings(service.log);
  const processes = new BackgroundProcesses(service);
  const target = new SupervisedService(undefined, processes, service, () =>
    service.configureLogging(new LoadSession(service.plan.globalConf)),
  );
  // From now on a signal must stop the processes.
  const stopped = handleSignals(target, service.signalOptions());
  try {
    await processes.start();
    service.claimPidFile();
  } catch (error) {
    if (!target.isStopping) {
      await processes.stop({ graceful: false });
      throw error;
    }
  }
  await service.offerControl(target);
  if (!target.isStopping) service.listening('', []);
  await stopped;
  return EXIT_OK;
}
