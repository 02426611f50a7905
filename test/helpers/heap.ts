/** What is alive on the heap. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Lets go of everything that can be collected. */
export function collect(): void {
  setFlagsFromString('--expose-gc');
  const gc: unknown = runInNewContext('gc');
  if (typeof gc === 'function') gc();
}

/** Bytes in use once everything that can be collected is. */
export function heapUsed(): number {
  collect();
  return process.memoryUsage().heapUsed;
}
