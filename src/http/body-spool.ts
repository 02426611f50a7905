/**
 * Lets a request's body be read more than once: what has been read of it is kept, in memory up to a limit and in a file
 * beyond it. What nobody reads is not taken from the client.
 */
import type { FileHandle } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GrowingBuffer } from '../growing-buffer.ts';

/** Paste's is 4096 bytes; a form or a JSON document is to need no file. */
const IN_MEMORY = 64 * 1024;
const PIECE = 64 * 1024;

interface Taken {
  readonly start: number;
  /** Undefined at the end. */
  readonly bytes: Buffer | undefined;
}

export class BodySpool {
  readonly #source: IncomingMessage;
  readonly #limit: number;
  #iterator: AsyncIterator<Buffer | string> | undefined;
  #memory = new GrowingBuffer();
  #file: FileHandle | undefined;
  /** Bytes that can be had again. */
  #kept = 0;
  /** Bytes that have come from the client. */
  #taken = 0;
  #taking: Promise<Taken> | undefined;
  #isKeeping = true;
  #closed = false;

  /** Called when the body turns out to be larger than the limit, before `read` fails. */
  tooLarge: (() => void) | undefined;

  /** @param limit the most bytes that are kept. */
  constructor(source: IncomingMessage, limit: number) {
    this.#source = source;
    this.#limit = limit;
  }

  /** Nobody has asked for any of it. */
  get isUntouched(): boolean {
    return this.#iterator === undefined;
  }

  /**
   * What follows from a position on: a piece of it, or undefined at the end.
   * @throws what the client's leaving made of the request, the file system's errors, or that the body is too large.
   */
  async read(position: number): Promise<Buffer | undefined> {
    for (;;) {
      if (position < this.#kept) return this.#recall(position);
      this.#taking ??= this.#take();
      const { start, bytes } = await this.#taking;
      if (position === start) return bytes;
      if (bytes === undefined) return undefined;
    }
  }

  /** Whoever reads now is the last one: what has come so far can be had once more, what follows goes by. */
  keepNoMore(): void {
    this.#isKeeping = false;
  }

  /** The exchange is over. What the client still sends goes by, lest it holds the connection up. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#memory = new GrowingBuffer();
    await this.#iterator?.return?.();
    if (this.#iterator && !this.#source.destroyed) this.#source.resume();
    await this.#taking?.catch(() => {});
    await this.#file?.close();
  }

  async #take(): Promise<Taken> {
    const start = this.#taken;
    // Told before it comes: of a piece that somebody has asked for and will not read, the next one knows nothing.
    const isKept = this.#isKeeping;
    try {
      if (isKept && Number(this.#source.headers['content-length'] ?? 0) > this.#limit) this.#refuse();
      this.#iterator ??= this.#source.iterator({ destroyOnReturn: false });
      const { done, value } = await this.#iterator.next();
      if (done) return { start, bytes: undefined };
      const bytes = Buffer.from(value);
      this.#taken += bytes.length;
      if (isKept && !this.#closed) await this.#keep(bytes, start);
      return { start, bytes };
    } finally {
      this.#taking = undefined;
    }
  }

  async #keep(bytes: Buffer, start: number): Promise<void> {
    if (this.#taken > this.#limit) {
      // The reader of this piece has become the last one.
      if (!this.#isKeeping) return;
      this.#refuse();
    }
    if (!this.#file && this.#taken > IN_MEMORY) {
      this.#file = await openNameless();
      await write(this.#file, this.#memory.view(), 0);
      this.#memory = new GrowingBuffer();
    }
    if (this.#file) await write(this.#file, bytes, start);
    else this.#memory.push(bytes);
    this.#kept = this.#taken;
  }

  #refuse(): never {
    this.tooLarge?.();
    throw new Error(`a body of more than ${this.#limit} bytes`);
  }

  async #recall(position: number): Promise<Buffer> {
    if (this.#file) {
      const length = Math.min(PIECE, this.#kept - position);
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

/** A file that is nobody else's, and gone with the descriptor. */
async function openNameless(): Promise<FileHandle> {
  const [{ randomUUID }, { open, unlink }] = await Promise.all([import('node:crypto'), import('node:fs/promises')]);
  const path = join(tmpdir(), `paster-body-${randomUUID()}`);
  const file = await open(path, 'wx+', 0o600);
  await unlink(path);
  return file;
}
