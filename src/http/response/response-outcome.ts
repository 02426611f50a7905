/** How far a response has come, and how it ended. */
import type { ServerResponse } from 'node:http';

/** Whether another response can be sent instead of the application's. */
export function canBeReplaced(res: ServerResponse): boolean {
  return !res.headersSent && !res.writableEnded && !res.destroyed;
}

/**
 * Whether a response that has closed was sent completely. Node detaches the socket from such a response. Before Node 24 it does so
 * after a failed write too, which `isUnbroken` detects.
 */
export function isComplete(res: ServerResponse): boolean {
  return res.writableFinished && isUnbroken(res) && res.socket === null;
}

/** Whether a response that has emitted 'finish' was sent without an error. Its connection may be open or closed. */
export function isUnbroken(res: ServerResponse): boolean {
  return !res.req.socket.errored;
}

/** Whether a response has a body, whatever the application writes (RFC 9110 section 6.4.1). */
export function hasBody({ req, statusCode }: ServerResponse): boolean {
  return req?.method !== 'HEAD' && statusCode !== 204 && statusCode !== 304;
}
