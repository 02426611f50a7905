/** Copies of a request, one for each application of a cascade, and the spool from which each copy reads the body. */
import type { FileHandle } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GrowingBuffer } from '../../growing-buffer.ts';
import type { MountedRequest } from '../../http/mount.ts';
import { markConsuming } from '../../net/node-internals/messages.ts';

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

/** The most bytes of a body that are kept in memory: enough for a form or a JSON document. Paste keeps 4096. */
const MAX_IN_MEMORY = 64 * 1024;
/** The most bytes that are read from the file at a time. */
const READ_SIZE = 64 * 1024;

/** Bytes from the client, and their position in the body. */
interface Chunk {
  readonly start: number;
  /** Undefined at the end of the body. */
  readonly bytes: Buffer | undefined;
}

/**
 * Lets several readers in turn read the body of one request from its beginning. It reads from the client only what a reader asks
 * for, and keeps it in memory, or in a file if it is large.
 */
export class BodySpool {
  readonly #source: IncomingMessage;
  readonly #limit: number;
  #iterator: AsyncIterator<Buffer | string> | undefined;
  #memory = new GrowingBuffer();
  #file: FileHandle | undefined;
  /** How many bytes from the beginning can be read again. */
  #kept = 0;
  /** How many bytes have come from the client. */
  #received = 0;
  #receiving: Promise<Chunk> | undefined;
  #isKeeping = true;
  #closed = false;

  /** Called when the body turns out to be larger than the limit, before `read` fails. */
  tooLarge: (() => void) | undefined;

  /** @param limit the most bytes that are kept. */
  constructor(source: IncomingMessage, limit: number) {
    this.#source = source;
    this.#limit = limit;
  }

  /** Whether no reader has asked for any of the body. */
  get isUntouched(): boolean {
    return this.#iterator === undefined;
  }

  /**
   * Resolves to some bytes of the body from a position on, or to undefined at its end.
   * @throws if the client has left, the file system fails, or the body is too large.
   */
  async read(position: number): Promise<Buffer | undefined> {
    for (;;) {
      if (position < this.#kept) return this.#recall(position);
      this.#receiving ??= this.#receive();
      const { start, bytes } = await this.#receiving;
      if (position === start) return bytes;
      if (bytes === undefined) return undefined;
    }
  }

  /** To be called when only one reader is left: it can read again what has been kept, and no more is kept. */
  stopKeeping(): void {
    this.#isKeeping = false;
  }

  /** Ends the reading. What the client still sends is discarded, so that the connection can be used again. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#memory = new GrowingBuffer();
    await this.#iterator?.return?.();
    if (this.#iterator && !this.#source.destroyed) this.#source.resume();
    await this.#receiving?.catch(() => {});
    await this.#file?.close();
  }

  async #receive(): Promise<Chunk> {
    const start = this.#received;
    // Decided before reading: a later reader cannot recover a chunk that was not kept.
    const isKept = this.#isKeeping;
    try {
      if (isKept && Number(this.#source.headers['content-length'] ?? 0) > this.#limit) this.#refuse();
      this.#iterator ??= this.#source.iterator({ destroyOnReturn: false });
      const { done, value } = await this.#iterator.next();
      if (done) return { start, bytes: undefined };
      const bytes = Buffer.from(value);
      this.#received += bytes.length;
      if (isKept && !this.#closed) await this.#keep(bytes, start);
      return { start, bytes };
    } finally {
      this.#receiving = undefined;
    }
  }

  async #keep(bytes: Buffer, start: number): Promise<void> {
    if (this.#received > this.#limit) {
      // `stopKeeping` was called while this chunk was read.
      if (!this.#isKeeping) return;
      this.#refuse();
    }
    if (!this.#file && this.#received > MAX_IN_MEMORY) {
      this.#file = await openUnnamedFile();
      await write(this.#file, this.#memory.view(), 0);
      this.#memory = new GrowingBuffer();
    }
    if (this.#file) await write(this.#file, bytes, start);
    else this.#memory.push(bytes);
    this.#kept = this.#received;
  }

  #refuse(): never {
    this.tooLarge?.();
    throw new Error(`a body of more than ${this.#limit} bytes`);
  }

  async #recall(position: number): Promise<Buffer> {
    if (this.#file) {
      const length = Math.min(READ_SIZE, this.#kept - position);
      const { buffer, bytesRead } = await this.#file.read(Buffer.alloc(length), 0, length, position);
      return buffer.subarray(0, bytesRead);
    }
    return this.#memory.view(position);
  }
}

async function write(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}

/** A file that no other program can open, and that is gone when it is closed. */
async function openUnnamedFile(): Promise<FileHandle> {
  const [{ randomUUID }, { open, unlink }] = await Promise.all([import('node:crypto'), import('node:fs/promises')]);
  const path = join(tmpdir(), `paster-body-${randomUUID()}`);
  const file = await open(path, 'wx+', 0o600);
  await unlink(path);
  return file;
}
