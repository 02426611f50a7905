/** How an answer ended, for those who ask when it has closed. */
import type { ServerResponse } from 'node:http';

/**
 * Whether the whole answer has left. Node lets go of the socket then, and before Node 24 also where a write to it has failed. HTTP/2's
 * responses have no socket: there the stream was not reset, and the application had ended it.
 */
export function isComplete(res: ServerResponse): boolean {
  return res.writableFinished && isUnbroken(res) && (isHttp2(res) || res.socket === null);
}

/** The same of an answer that has said 'finish', which HTTP/2's always do; one without a connection among them. */
export function isUnbroken(res: ServerResponse): boolean {
  return isHttp2(res) ? res.writableEnded && res.stream.rstCode === 0 : !res.req.socket.errored;
}

function isHttp2(res: ServerResponse): res is ServerResponse & { readonly stream: { readonly rstCode?: number } } {
  return 'stream' in res && res.stream !== undefined;
}
