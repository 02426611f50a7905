/** The entry of a worker process: loads what the plan says and serves it, until its supervisor has had enough. */
import { meter } from './metrics/meter.ts';
import { runWorker } from './process/worker.ts';
import { startWorker } from './serve/start-worker.ts';

process.exit(await runWorker(startWorker, meter()));
