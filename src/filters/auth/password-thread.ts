/** A thread that computes password hashes, one job at a time, for the pool that started it. */
import { parentPort } from 'node:worker_threads';
import { type PasswordJob, verifyJob } from './password.ts';

parentPort?.on('message', async (job: PasswordJob) => {
  parentPort?.postMessage(await verifyJob(job));
});
