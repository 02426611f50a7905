/**
 * The entry of a second thread in a worker, which looks into the main thread while that may be blocked: for `paster control`, and
 * with a `worker_timeout` shortly before the supervisor kills the worker. It does not keep the process alive.
 */
import { workerData } from 'node:worker_threads';
import { serveInspections } from './inspection-pipe.ts';
import { type StallLimits, watchForStalls } from './stall-watch.ts';

/** What the thread is started with. */
export interface InspectionThreadData {
  /** The pipe to the supervisor. */
  readonly fd: number;
  /** With a `worker_timeout`. */
  readonly stalls: StallLimits | undefined;
}

const { fd, stalls } = workerData as InspectionThreadData;
serveInspections(fd);
if (stalls) await watchForStalls(stalls);
