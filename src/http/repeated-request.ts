/** A request once more, for an application that is asked after another one: as it came, with its body from a spool. */
import type { IncomingMessage } from 'node:http';
import type { BodySpool } from './body-spool.ts';
import type { MountedRequest } from './mount.ts';

/** The state of Node's IncomingMessage that its own `_read` sets, without which nothing more is asked for. */
interface Reading {
  _consuming: boolean;
  readonly _readableState: { readingMore: boolean };
}

export interface RepeatedRequest {
  readonly request: IncomingMessage;
  /** Who has it has lost it: it breaks off, and what becomes of it does not matter to the connection. */
  letGo(): void;
}

/**
 * A request of Node's own kind with the head of `original` and with whatever filters have put on that one; what becomes of
 * it is not seen there.
 */
export function repeatRequest(original: MountedRequest, body: BodySpool): RepeatedRequest {
  // Not imported: see held-response.ts.
  const request: MountedRequest = new (process.getBuiltinModule('node:http').IncomingMessage)(original.socket);
  for (const key of Reflect.ownKeys(original)) {
    if (Object.hasOwn(request, key)) continue;
    const property = Object.getOwnPropertyDescriptor(original, key);
    if (property) Object.defineProperty(request, key, property);
  }
  request.httpVersionMajor = original.httpVersionMajor;
  request.httpVersionMinor = original.httpVersionMinor;
  request.httpVersion = original.httpVersion;
  request.rawHeaders = original.rawHeaders;
  request.headers = { ...original.headers };
  if (original.method !== undefined) request.method = original.method;
  if (original.url !== undefined) request.url = original.url;
  const { environ } = original;
  // Mounting changes it.
  if (environ) {
    const value = Object.assign(Object.create(null), environ);
    Object.defineProperty(request, 'environ', { value, writable: true, configurable: true, enumerable: true });
  }

  let position = 0;
  let isOurs = true;
  const reading = request as unknown as Reading;
  request._read = () => {
    if (!reading._consuming) {
      reading._consuming = true;
      reading._readableState.readingMore = false;
    }
    body.read(position).then(
      (bytes) => {
        if (request.destroyed) return;
        position += bytes?.length ?? 0;
        if (bytes === undefined) {
          request.complete = true;
          request.trailers = original.trailers;
          request.rawTrailers = original.rawTrailers;
        }
        request.push(bytes ?? null);
      },
      (error: Error) => request.destroy(error),
    );
  };
  request._destroy = (error, callback) => {
    original.off('close', breakOff);
    if (!request.complete) {
      request.aborted = true;
      request.emit('aborted');
      if (isOurs && !original.destroyed) original.destroy(error ?? undefined);
    }
    // As Node: who does not listen is not ended by a client that leaves.
    callback(request.listenerCount('error') > 0 ? error : null);
  };
  const breakOff = (): void => {
    if (!original.complete) request.destroy(Object.assign(new Error('aborted'), { code: 'ECONNRESET' }));
  };
  original.once('close', breakOff);

  return {
    request,
    letGo() {
      isOurs = false;
      request.destroy();
    },
  };
}
