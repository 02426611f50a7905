/** Notices a wait that cannot end: Node would end the process with status 13 and say nothing a user understands. */
import type { PasterError } from '../errors.ts';

/**
 * Runs `work`; when it waits, and nothing is left in the process that it could be waiting for, it has failed.
 *
 * @param explain asked then for the error; undefined: somebody else sees to it
 */
export async function unlessIdle<T>(work: () => Promise<T>, explain: () => PasterError | undefined): Promise<T> {
  let idle = () => {};
  const forgotten = new Promise<never>((_resolve, reject) => {
    idle = () => {
      const error = explain();
      if (error) reject(error);
    };
  });
  process.on('beforeExit', idle);
  try {
    return await Promise.race([work(), forgotten]);
  } finally {
    process.off('beforeExit', idle);
  }
}
