/** An error in a line of the log. */
import { errorMessage, formatError, PasterError } from '../errors.ts';

export function describe(error: unknown): string {
  return error instanceof PasterError ? formatError(error) : errorMessage(error);
}
