/** Counts the bytes of a response's body, as the application hands them over. */
// The global of this name is a getter, which costs as much as what it is needed for.
import { Buffer } from 'node:buffer';
import type { ServerResponse } from 'node:http';

type Callback = (error?: Error | null) => void;
type Write = (this: ServerResponse, chunk: unknown, encoding?: BufferEncoding, callback?: Callback) => unknown;

/** What has been handed over of one body. */
export class BodyCount {
  /** Bytes so far, before chunks, and before what filters outside of the one that counts make of it. */
  bytes = 0;
  /** The methods behind those that count: with them here, all responses share the functions that do. */
  readonly #write: Write;
  readonly #end: Write;

  constructor({ write, end }: ServerResponse) {
    this.#write = write as Write;
    this.#end = end as unknown as Write;
  }

  write(res: ServerResponse, chunk: unknown, encoding?: BufferEncoding, callback?: Callback): unknown {
    this.bytes += bodySize(res, chunk, encoding);
    return this.#write.call(res, chunk, encoding, callback);
  }

  end(res: ServerResponse, chunk?: unknown, encoding?: BufferEncoding, callback?: Callback): unknown {
    const size = this.bytes + (chunk ? bodySize(res, chunk, encoding) : 0);
    const result = this.#end.call(res, chunk, encoding, callback);
    // HTTP/2's calls write, which counts the chunk once more.
    this.bytes = size;
    return result;
  }
}

const COUNT = Symbol('paster.body-count');

type CountedResponse = ServerResponse & { [COUNT]?: BodyCount };

/** Counts from now on. Where the answer has no body (HEAD, 204, 304) nothing is counted. */
export function countBody(res: CountedResponse): BodyCount {
  const { [COUNT]: known, write, end } = res;
  // By a filter outside of this one, and none in between makes another body of this.
  if (known !== undefined && write === countingWrite && end === countingEnd) return known;
  const count = new BodyCount(res);
  if (known === undefined) {
    res[COUNT] = count;
    res.write = countingWrite as unknown as ServerResponse['write'];
    res.end = countingEnd as unknown as ServerResponse['end'];
  } else {
    res.write = count.write.bind(count, res) as ServerResponse['write'];
    res.end = count.end.bind(count, res) as unknown as ServerResponse['end'];
  }
  return count;
}

type Counting = ServerResponse & { readonly [COUNT]: BodyCount };

function countingWrite(this: Counting, chunk: unknown, encoding?: BufferEncoding, callback?: Callback): unknown {
  return this[COUNT].write(this, chunk, encoding, callback);
}

function countingEnd(this: Counting, chunk?: unknown, encoding?: BufferEncoding, callback?: Callback): unknown {
  return this[COUNT].end(this, chunk, encoding, callback);
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
