/** The entry of a worker process: loads what the plan says and serves it, until its supervisor has had enough. */
import { meter } from './metrics/meter.ts';
import { tolerateUnwritableOutput } from './process/standard-output.ts';
import { runWorker } from './process/worker.ts';
import { startWorker } from './serve/start-worker.ts';

tolerateUnwritableOutput();
process.exit(await runWorker(startWorker, meter()));
