/** Counts the bytes of a response's body, as the application hands them over. */
import type { ServerResponse } from 'node:http';

type Callback = (error?: Error | null) => void;
type Write = (this: ServerResponse, chunk: unknown, encoding?: BufferEncoding, callback?: Callback) => unknown;

/** A response whose body is counted. */
export type CountedResponse = ServerResponse & {
  /** Bytes of the body so far, before chunks, and before what filters outside of this make of it. */
  bodyBytes: number;
  /** The methods behind those that count: with them here, all responses share the functions that do. */
  uncountedWrite: Write;
  uncountedEnd: Write;
};

/** Counts from now on. Where the answer has no body (HEAD, 204, 304) nothing is counted. */
export function countBody(res: ServerResponse): CountedResponse {
  const counted = res as CountedResponse;
  // By a filter outside of this one.
  if (counted.bodyBytes !== undefined) return counted;
  counted.bodyBytes = 0;
  counted.uncountedWrite = res.write as Write;
  counted.uncountedEnd = res.end as unknown as Write;
  counted.write = countingWrite as CountedResponse['write'];
  counted.end = countingEnd as unknown as CountedResponse['end'];
  return counted;
}

function countingWrite(this: CountedResponse, chunk: unknown, encoding?: BufferEncoding, callback?: Callback): unknown {
  this.bodyBytes += bodySize(this, chunk, encoding);
  return this.uncountedWrite(chunk, encoding, callback);
}

function countingEnd(this: CountedResponse, chunk?: unknown, encoding?: BufferEncoding, callback?: Callback): unknown {
  const size = this.bodyBytes + (chunk ? bodySize(this, chunk, encoding) : 0);
  const result = this.uncountedEnd(chunk, encoding, callback);
  // HTTP/2's calls write, which counts the chunk once more.
  this.bodyBytes = size;
  return result;
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
