/** Kills workers that send no heartbeats, since their event loop is blocked. */
import type { Logger } from '../../log.ts';
import type { WorkerHandle } from './worker-handle.ts';

/**
 * @param heartbeatMs how often workers send one
 * @param seconds how long they may be silent: `worker_timeout`
 * @returns a timer to clear
 */
export function watchHeartbeats<Boot>(
  workers: () => readonly WorkerHandle<Boot>[],
  heartbeatMs: number,
  seconds: number,
  log: Logger,
): NodeJS.Timeout {
  let last = performance.now();
  return setInterval(() => {
    const now = performance.now();
    // If this process was blocked too, the machine was suspended.
    const wasSuspended = now - last > heartbeatMs * 2;
    last = now;
    for (const worker of workers()) {
      if (worker.state !== 'ready') continue;
      if (wasSuspended) worker.resetSilence();
      else if (worker.silence > seconds * 1000) {
        log.error(`worker ${worker.pid} has been blocked for ${seconds} s and is killed`);
        worker.resetSilence();
        worker.killedFor = 'stuck';
        worker.kill();
      }
    }
  }, heartbeatMs);
}
