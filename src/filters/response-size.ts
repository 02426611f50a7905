/** Counts the bytes of a response's body, as the application hands them over. */
import type { ServerResponse } from 'node:http';

/** A response whose body is counted. */
export type CountedResponse = ServerResponse & {
  /** Bytes of the body so far, before chunks, and before what filters outside of this make of it. */
  bodyBytes: number;
};

type Callback = (error?: Error | null) => void;
type Write = (this: CountedResponse, chunk: unknown, encoding?: BufferEncoding, callback?: Callback) => boolean;

/** Counts from now on. Where the answer has no body (HEAD, 204, 304) nothing is counted. */
export function countBody(res: ServerResponse): CountedResponse {
  const counted = res as CountedResponse;
  const write = res.write as Write;
  const end = res.end as unknown as Write;
  counted.bodyBytes = 0;
  counted.write = function (this: CountedResponse, chunk: unknown, encoding?: BufferEncoding, callback?: Callback) {
    this.bodyBytes += bodySize(this, chunk, encoding);
    return write.call(this, chunk, encoding, callback);
  } as CountedResponse['write'];
  counted.end = function (this: CountedResponse, chunk?: unknown, encoding?: BufferEncoding, callback?: Callback) {
    if (chunk) this.bodyBytes += bodySize(this, chunk, encoding);
    return end.call(this, chunk, encoding, callback);
  } as unknown as CountedResponse['end'];
  return counted;
}

/** What a chunk adds to the body that goes out: nothing after the end, or where the answer has none. */
function bodySize(res: ServerResponse, chunk: unknown, encoding: unknown): number {
  if (res.writableEnded || res.destroyed || !hasBody(res)) return 0;
  return chunkSize(chunk, encoding);
}

/** Whether the answer has a body, whatever the application writes (RFC 9110 section 6.4.1). */
export function hasBody({ req, statusCode }: ServerResponse): boolean {
  return req?.method !== 'HEAD' && statusCode !== 204 && statusCode !== 304;
}

/** The bytes of what `write` and `end` take. */
export function chunkSize(chunk: unknown, encoding: unknown): number {
  if (typeof chunk === 'string') return Buffer.byteLength(chunk, encodingOf(encoding));
  return chunk instanceof Uint8Array ? chunk.byteLength : 0;
}

/** Where an encoding may stand, there may be a callback too. */
function encodingOf(encoding: unknown): BufferEncoding {
  return typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8';
}
