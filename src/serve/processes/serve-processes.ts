/** `serve` for a file, or a choice of `--only` and `--without`, with nothing but background processes. */

import { LoadSession } from '../../deploy/session.ts';
import { EXIT_OK } from '../../errors.ts';
import { handleSignals } from '../../process/program/signals.ts';
import { timerMs } from '../../timer.ts';
import type { Service } from '../service.ts';
import { Upgrade } from '../upgrade/upgrade.ts';
import { BackgroundProcesses } from './background-processes.ts';
import { SupervisedService } from './supervised-service.ts';

/** Runs the processes until a signal ends them. @returns The exit status. */
export async function serveProcesses(service: Service): Promise<number> {
  service.session.logWarnings(service.log);
  const processes = new BackgroundProcesses(service);
  const upgrade = new Upgrade(service, {
    sockets: () => new Map(),
    alone: (action) => processes.alone(action),
    suspend: (onTaskRun) => processes.suspend(onTaskRun),
    async handOver() {
      void processes.stop({ graceful: true });
    },
  });
  const target = new SupervisedService(undefined, processes, upgrade, service, () =>
    service.configureLogging(new LoadSession(service.plan.globalConf)),
  );
  // From now on a signal must stop the processes.
  const stopped = handleSignals(
    target,
    service.signalOptions((signal) => upgrade.takes(signal)),
  );
  try {
    service.pidFile.reserve();
    await processes.start();
    if (!target.isStopping) await service.takeOver();
  } catch (error) {
    if (!target.isStopping) {
      await processes.stop({ graceful: false });
      throw error;
    }
  }
  await service.offerControl(target);
  if (!target.isStopping) {
    service.listening([]);
    processes.checkTasks();
  }
  // Nothing else keeps this process if paster control has stopped all sections.
  const alive = setInterval(() => {}, timerMs(Number.POSITIVE_INFINITY));
  await stopped;
  clearInterval(alive);
  return (await upgrade.ended()) ?? EXIT_OK;
}
