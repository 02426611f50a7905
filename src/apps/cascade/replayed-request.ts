/** Copies of a request for each application of a cascade, with the body from a spool. */
import type { IncomingMessage } from 'node:http';
import type { MountedRequest } from '../../http/mount.ts';
import { markConsuming } from '../../net/node-internals/messages.ts';
import type { BodySpool } from './body-spool.ts';

export interface ReplayedRequest {
  readonly request: IncomingMessage;
  /** Destroys the request without the connection: its application is not asked any more. */
  abandon(): void;
}

/**
 * Makes an IncomingMessage with the head of `original` and the properties that filters have added to it. Changes to it do not
 * reach `original`.
 */
export function replayRequest(original: MountedRequest, body: BodySpool): ReplayedRequest {
  // Not imported: see tentative-response.ts.
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
  // Copied, since mounting changes it.
  if (environ) {
    const value = Object.assign(Object.create(null), environ);
    Object.defineProperty(request, 'environ', { value, writable: true, configurable: true, enumerable: true });
  }

  let position = 0;
  let isAbandoned = false;
  const read = (): void => {
    markConsuming(request);
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
  const destroy: IncomingMessage['_destroy'] = (error, callback) => {
    original.off('close', breakOff);
    if (!request.complete) {
      request.aborted = true;
      request.emit('aborted');
      if (!isAbandoned && !original.destroyed) original.destroy(error ?? undefined);
    }
    // As in Node: without a listener for 'error', a client that leaves must not end the process.
    callback(request.listenerCount('error') > 0 ? error : null);
  };
  const breakOff = (): void => {
    if (!original.complete) request.destroy(Object.assign(new Error('aborted'), { code: 'ECONNRESET' }));
  };
  original.once('close', breakOff);
  request._read = read;
  request._destroy = destroy;

  return {
    request,
    abandon() {
      isAbandoned = true;
      request.destroy();
    },
  };
}
