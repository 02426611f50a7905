/** A second thread that ends its process, whatever the first one is doing, when the parent is gone. */
import { setTimeout as sleep } from 'node:timers/promises';
import { workerData } from 'node:worker_threads';

const POLL_MS = 250;

while (process.ppid === workerData) await sleep(POLL_MS);
process.kill(process.pid, 'SIGKILL');
