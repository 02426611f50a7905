/** Counts the bytes of a response's body, as the application hands them over. */
import type { ServerResponse } from 'node:http';

type Callback = (error?: Error | null) => void;
type Write = (this: ServerResponse, chunk: unknown, encoding?: BufferEncoding, callback?: Callback) => unknown;

/** What has been handed over of one body. */
export class BodyCount {
  /** Bytes so far, before chunks, and before what filters outside of the one that counts make of it. */
  bytes = 0;
  /** The methods behind those that count: with them here, all responses share the functions that do. */
  readonly write: Write;
  readonly end: Write;

  constructor(write: Write, end: Write) {
    this.write = write;
    this.end = end;
  }
}

const COUNT = Symbol('paster.body-count');

type CountedResponse = ServerResponse & { [COUNT]?: BodyCount };

/** Counts from now on. Where the answer has no body (HEAD, 204, 304) nothing is counted. */
export function countBody(res: CountedResponse): BodyCount {
  // By a filter outside of this one.
  const known = res[COUNT];
  if (known !== undefined) return known;
  const count = new BodyCount(res.write as Write, res.end as unknown as Write);
  res[COUNT] = count;
  res.write = countingWrite as ServerResponse['write'];
  res.end = countingEnd as unknown as ServerResponse['end'];
  return count;
}

function countingWrite(this: CountedResponse, chunk: unknown, encoding?: BufferEncoding, callback?: Callback): unknown {
  const count = countBody(this);
  count.bytes += bodySize(this, chunk, encoding);
  return count.write.call(this, chunk, encoding, callback);
}

function countingEnd(this: CountedResponse, chunk?: unknown, encoding?: BufferEncoding, callback?: Callback): unknown {
  const count = countBody(this);
  const size = count.bytes + (chunk ? bodySize(this, chunk, encoding) : 0);
  const result = count.end.call(this, chunk, encoding, callback);
  // HTTP/2's calls write, which counts the chunk once more.
  count.bytes = size;
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
