/** The entry of a worker process: loads and serves what its supervisor sends. */
import { meter } from './metrics/meter.ts';
import { enableCompileCache } from './process/program/compile-cache.ts';
import { runLastTask } from './process/program/last-task.ts';
import { tolerateUnwritableOutput } from './process/program/standard-output.ts';
import { runWorker } from './process/worker/worker.ts';
import { prepareWorker, startWorker, warmWorker } from './serve/worker/start-worker.ts';

tolerateUnwritableOutput();
enableCompileCache();
const status = await runWorker(startWorker, meter(), { warm: warmWorker, prepare: prepareWorker });
await runLastTask();
process.exit(status);
