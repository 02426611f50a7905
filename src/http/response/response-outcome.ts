/** How far a response has come, and how it ended. */
import type { ServerResponse } from 'node:http';

/** Whether another response can be sent instead of the application's. */
export function isUnanswered(res: ServerResponse): boolean {
  return !res.headersSent && !res.writableEnded && !res.destroyed;
}

/**
 * Whether a response that has closed has left as a whole. Node lets go of the socket then, and before Node 24 also when a write
 * to it has failed.
 */
export function isComplete(res: ServerResponse): boolean {
  return res.writableFinished && isUnbroken(res) && res.socket === null;
}

/** The same of a response that has emitted 'finish', with or without a connection. */
export function isUnbroken(res: ServerResponse): boolean {
  return !res.req.socket.errored;
}

/** Whether a response has a body, whatever the application writes (RFC 9110 section 6.4.1). */
export function hasBody({ req, statusCode }: ServerResponse): boolean {
  return req?.method !== 'HEAD' && statusCode !== 204 && statusCode !== 304;
}
