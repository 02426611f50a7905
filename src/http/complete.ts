/** How a response ended, asked after it has closed. */
import type { ServerResponse } from 'node:http';

/** Whether the whole response has left. Node lets go of the socket then, and before Node 24 also when a write to it has failed. */
export function isComplete(res: ServerResponse): boolean {
  return res.writableFinished && isUnbroken(res) && res.socket === null;
}

/** The same of a response that has emitted 'finish', with or without a connection. */
export function isUnbroken(res: ServerResponse): boolean {
  return !res.req.socket.errored;
}
