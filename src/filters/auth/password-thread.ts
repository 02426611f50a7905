/** The entry point of a thread that verifies passwords for `password-pool.ts`, one at a time. */
import { parentPort } from 'node:worker_threads';
import { type PasswordJob, verifyJob } from './password.ts';

parentPort?.on('message', async (job: PasswordJob) => {
  parentPort?.postMessage(await verifyJob(job));
});
