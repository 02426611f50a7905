/** A worker process, from its start to its end: loads and serves what its supervisor sends. */
import { meter } from '../../metrics/meter.ts';
import { runLastTask } from '../../process/program/last-task.ts';
import { tolerateUnwritableOutput } from '../../process/program/standard-output.ts';
import { runWorker, type WorkerStart } from '../../process/worker/worker.ts';
import type { WorkerPlan } from '../plan.ts';
import type { ProcessPlan } from '../processes/process-plan.ts';
import { prepareWorker, startWorker, warmWorker } from './start-worker.ts';

type Plan = WorkerPlan | ProcessPlan;

/** Loaded late: most workers serve. */
const loadStartProcess = () => import('../processes/start-process.ts');

const start: WorkerStart<Plan> = async (plan, open, control) => {
  if (!('process' in plan)) return startWorker(plan, open, control);
  const { startProcess } = await loadStartProcess();
  return startProcess(plan, open, control);
};

/** @returns the exit status */
export async function runWorkerProgram(): Promise<number> {
  tolerateUnwritableOutput();
  const status = await runWorker<Plan>(start, meter(), {
    warm: (plan, ...rest) => ('process' in plan ? loadStartProcess() : warmWorker(plan, ...rest)),
    prepare: (plan, units) => {
      if ('process' in plan) throw new Error('a background process imports nothing ahead');
      return prepareWorker(plan, units);
    },
  });
  await runLastTask();
  return status;
}
