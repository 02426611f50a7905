/** Notices a wait that cannot end: Node would end the process with status 13 and say nothing a user understands. */
import type { PasterError } from '../errors.ts';

/**
 * Runs `work`; when it waits, and nothing is left in the process that it could be waiting for, it has failed.
 *
 * @param explain asked then for the error
 */
export async function unlessIdle<T>(work: () => Promise<T>, explain: () => PasterError): Promise<T> {
  let idle = () => {};
  const forgotten = new Promise<never>((_resolve, reject) => {
    idle = () => reject(explain());
  });
  process.once('beforeExit', idle);
  try {
    return await Promise.race([work(), forgotten]);
  } finally {
    process.off('beforeExit', idle);
  }
}
