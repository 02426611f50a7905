/** The response to a request whose body is too large, before that body has come. */
import type { IncomingMessage, ServerResponse } from 'node:http';

/** How much more of a body, and for how long, is taken in so that the client gets to read the response. */
const LINGER_BYTES = 2 ** 22;
const LINGER_MS = 2000;

/**
 * Responds with 413 at once, and closes the connection only after a while: closing it on a sender would make its end of the
 * connection forget the response (RFC 9112 section 9.6).
 */
export function refuseBody(req: IncomingMessage, res: ServerResponse): void {
  writeHead413(res);
  res.write(CONTENT_TOO_LARGE);
  const { end } = res;
  const finish = (): void => {
    clearTimeout(timer);
    Reflect.apply(end, res, []);
  };
  const timer = setTimeout(finish, LINGER_MS);
  res.once('close', () => clearTimeout(timer));
  // Over HTTP/2 the response is a stream's end, and the connection stays.
  if (req.complete || req.httpVersionMajor === 2) finish();
  let discarded = 0;
  req.push = (chunk: Buffer | null): boolean => {
    discarded += chunk?.length ?? 0;
    if (chunk === null || discarded > LINGER_BYTES) finish();
    return true;
  };
  req.resume();
}

export const CONTENT_TOO_LARGE = 'Content Too Large\n';

export function writeHead413(res: ServerResponse): void {
  res.shouldKeepAlive = false;
  res.writeHead(413, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': CONTENT_TOO_LARGE.length,
  });
}
