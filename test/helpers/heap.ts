/** The objects alive on the heap. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const gc: unknown = runInNewContext('gc');
  if (typeof gc === 'function') gc();
}

/** Bytes in use after all garbage has been collected. */
export function heapUsed(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}
