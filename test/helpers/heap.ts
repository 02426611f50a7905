/** The objects alive on the heap. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Collects all garbage. */
export function collect(): void {
  setFlagsFromString('--expose-gc');
  const gc: unknown = runInNewContext('gc');
  if (typeof gc === 'function') gc();
}

/** Bytes in use after all garbage has been collected. */
export function heapUsed(): number {
  collect();
  return process.memoryUsage().heapUsed;
}
