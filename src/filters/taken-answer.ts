/** Lets a filter take the place of an answer when its status is known, before any of it is out. */
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

/** The response itself, past what stands in for it. */
export interface Release {
  /** Sends another answer, with the headers that the response has then. */
  send(status: number, headers: OutgoingHttpHeaders, body: Buffer): void;
}

type Callback = () => void;

/**
 * Asks `isTaken` once, when the application begins its answer. Where that says yes, what the application writes is thrown
 * away, and when it has ended, `replace` sends the answer in its place; the headers are still those of the application.
 */
export function takeAnswer(
  res: ServerResponse,
  isTaken: (status: number) => boolean,
  replace: (status: number, release: Release) => void,
): void {
  const { writeHead, write, end, flushHeaders } = res;
  let taken: number | undefined;
  let isDecided = false;
  let isOver = false;

  /** True: nothing of this answer goes out. */
  function swallows(status: number): boolean {
    if (!isDecided) {
      isDecided = true;
      if (!res.headersSent && isTaken(status)) taken = status;
    }
    return taken !== undefined;
  }

  const release: Release = {
    send(status, headers, body) {
      if (res.destroyed) return;
      writeHead.call(res, status, headers);
      Reflect.apply(end, res, [body]);
    },
  };

  res.writeHead = ((status: number, ...rest: unknown[]) => {
    const isFirst = !isDecided;
    if (!swallows(status)) return Reflect.apply(writeHead, res, [status, ...rest]);
    if (isFirst)
      setHeaders(
        res,
        rest.find((each) => typeof each === 'object' && each !== null),
      );
    return res;
  }) as ServerResponse['writeHead'];

  res.flushHeaders = () => {
    if (!swallows(res.statusCode)) flushHeaders.call(res);
  };

  res.write = ((chunk: unknown, encoding?: unknown, callback?: unknown) => {
    if (!swallows(res.statusCode)) return Reflect.apply(write, res, [chunk, encoding, callback]);
    callBack(encoding, callback);
    return true;
  }) as ServerResponse['write'];

  res.end = ((chunk?: unknown, encoding?: unknown, callback?: unknown) => {
    if (!swallows(res.statusCode)) return Reflect.apply(end, res, [chunk, encoding, callback]);
    callBack(chunk, encoding, callback);
    if (!isOver && taken !== undefined) {
      isOver = true;
      res.statusMessage = '';
      replace(taken, release);
    }
    return res;
  }) as ServerResponse['end'];
}

function callBack(...parameters: unknown[]): void {
  const callback = parameters.find((each) => typeof each === 'function');
  if (callback) process.nextTick(callback as Callback);
}

/** The third parameter of `writeHead`: an object, or names and values in turn. */
function setHeaders(res: ServerResponse, headers: unknown): void {
  if (Array.isArray(headers)) {
    const pairs = headers.every(Array.isArray) ? headers.flat() : headers;
    for (let index = 0; index + 1 < pairs.length; index += 2) res.appendHeader(String(pairs[index]), pairs[index + 1]);
  } else {
    for (const [name, value] of Object.entries((headers ?? {}) as OutgoingHttpHeaders)) {
      if (value !== undefined) res.setHeader(name, value);
    }
  }
}
