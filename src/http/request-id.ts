/** The name that a request has in logs and answers: the one that it came with, if that is safe to repeat, or a new one. */
import type { IncomingMessage } from 'node:http';

/** The header that carries it, in requests and answers. */
export const REQUEST_ID_HEADER = 'x-request-id';

// Whoever sends it can choose it: nothing that means something in a log, in HTML or in a terminal.
const SANE = /^[\w.:+=@/-]{1,128}$/;

/** The request's id; a new one is written into its headers, so that whoever asks next gets the same. */
export function requestId(req: IncomingMessage): string {
  const given = req.headers[REQUEST_ID_HEADER];
  if (typeof given === 'string' && SANE.test(given)) return given;
  const made = crypto.randomUUID();
  req.headers[REQUEST_ID_HEADER] = made;
  return made;
}
