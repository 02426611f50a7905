/** Lets a filter take the place of an answer when its status is known, before any of it is out. */
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { type HeaderPairs, headersGiven } from '../http/head-parameters.ts';

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
  let isReleased = false;

  /** True: nothing of this answer goes out. */
  function swallows(status: number): boolean {
    if (!isDecided) {
      isDecided = true;
      if (!res.headersSent && isTaken(status)) taken = status;
    }
    return taken !== undefined && !isReleased;
  }

  const release: Release = {
    send(status, headers, body) {
      if (res.destroyed) return;
      // For as long as this takes: the methods behind call each other (HTTP/2's end its write), and with them these.
      isReleased = true;
      try {
        writeHead.call(res, status, headers);
        Reflect.apply(end, res, [body]);
      } finally {
        isReleased = false;
      }
    },
  };

  res.writeHead = ((status: number, ...rest: unknown[]) => {
    const isFirst = !isDecided;
    if (!swallows(status)) return Reflect.apply(writeHead, res, [status, ...rest]);
    if (isFirst) setHeaders(res, headersGiven(rest));
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

function setHeaders(res: ServerResponse, headers: HeaderPairs): void {
  const names = new Set<string>();
  for (const [name, value] of headers) {
    if (value === undefined) continue;
    // What is given goes before what is set; what is given twice goes beside.
    if (names.has(name.toLowerCase())) res.appendHeader(name, Array.isArray(value) ? value : String(value));
    else res.setHeader(name, value);
    names.add(name.toLowerCase());
  }
}
