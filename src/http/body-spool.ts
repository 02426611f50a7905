/**
 * Lets a request's body be read more than once: what has been read of it is kept, in memory up to a limit and in a file
 * beyond it. What nobody reads is not taken from the client.
 */
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

/** Paste's is 4096 bytes; a form or a JSON document is to need no file. */
const IN_MEMORY = 64 * 1024;
const PIECE = 64 * 1024;

interface Taken {
  readonly start: number;
  /** Undefined at the end. */
  readonly bytes: Buffer | undefined;
}

export class BodySpool {
  readonly #source: Readable;
  #iterator: AsyncIterator<Buffer | string> | undefined;
  #pieces: Taken[] = [];
  #file: FileHandle | undefined;
  /** Bytes that can be had again. */
  #kept = 0;
  /** Bytes that have come from the client. */
  #taken = 0;
  #taking: Promise<Taken> | undefined;
  #isKeeping = true;
  #closed = false;

  constructor(source: Readable) {
    this.#source = source;
  }

  /** Nobody has asked for any of it. */
  get isUntouched(): boolean {
    return this.#iterator === undefined;
  }

  /**
   * What follows from a position on: a piece of it, or undefined at the end.
   * @throws what the client's leaving made of the request, or the file system.
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
    this.#pieces = [];
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
      this.#iterator ??= this.#source.iterator({ destroyOnReturn: false });
      const { done, value } = await this.#iterator.next();
      if (done) return { start, bytes: undefined };
      const bytes = Buffer.from(value);
      this.#taken += bytes.length;
      if (isKept && !this.#closed) await this.#keep({ start, bytes });
      return { start, bytes };
    } finally {
      this.#taking = undefined;
    }
  }

  async #keep(piece: Taken & { readonly bytes: Buffer }): Promise<void> {
    if (!this.#file && this.#taken > IN_MEMORY) {
      this.#file = await openNameless();
      for (const { start, bytes } of this.#pieces) await write(this.#file, bytes, start);
      this.#pieces = [];
    }
    if (this.#file) await write(this.#file, piece.bytes, piece.start);
    else this.#pieces.push(piece);
    this.#kept = this.#taken;
  }

  async #recall(position: number): Promise<Buffer> {
    if (this.#file) {
      const length = Math.min(PIECE, this.#kept - position);
      const { buffer, bytesRead } = await this.#file.read(Buffer.alloc(length), 0, length, position);
      return buffer.subarray(0, bytesRead);
    }
    const piece = this.#pieces.findLast(({ start }) => start <= position);
    return piece?.bytes?.subarray(position - piece.start) ?? Buffer.alloc(0);
  }
}

async function write(file: FileHandle | undefined, bytes: Buffer | undefined, position: number): Promise<void> {
  for (let done = 0; bytes && done < bytes.length; ) {
    done += (await file?.write(bytes, done, bytes.length - done, position + done))?.bytesWritten ?? 0;
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
