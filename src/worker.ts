/** The entry of a worker process: loads and serves what its supervisor sends. */
import { meter } from './metrics/meter.ts';
import { enableCompileCache } from './process/program/compile-cache.ts';
import { runLastTask } from './process/program/last-task.ts';
import { tolerateUnwritableOutput } from './process/program/standard-output.ts';
import { runWorker, type WorkerStart } from './process/worker/worker.ts';
import type { WorkerPlan } from './serve/plan.ts';
import type { ProcessPlan } from './serve/processes/process-plan.ts';
import { startProcess } from './serve/processes/start-process.ts';
import { prepareWorker, startWorker, warmWorker } from './serve/worker/start-worker.ts';

tolerateUnwritableOutput();
enableCompileCache();

type Plan = WorkerPlan | ProcessPlan;

const start: WorkerStart<Plan> = (plan, open, control) =>
  'process' in plan ? startProcess(plan, open, control) : startWorker(plan, open, control);

const status = await runWorker<Plan>(start, meter(), {
  warm: async (plan, ...rest) => 'process' in plan || warmWorker(plan, ...rest),
  prepare: (plan, units) => {
    if ('process' in plan) throw new Error('a background process imports nothing ahead');
    return prepareWorker(plan, units);
  },
});
await runLastTask();
process.exit(status);
