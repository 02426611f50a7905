/**
 * Which worker has which session, in a file that the workers share, as processes of Node share no other memory. A worker writes
 * a session before the client knows its id, so every worker finds it at the client's next request.
 *
 * The file has a fixed size. A session is in one of the entries of the bucket that its hash selects; in a full bucket, a new
 * session replaces the one that has been used least recently.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';

const ENTRY_BYTES = 32;
const BUCKET_ENTRIES = 8;
const BUCKET_BYTES = ENTRY_BYTES * BUCKET_ENTRIES;
const BUCKETS = 2 ** 14;

/** Room for 131,072 sessions. */
export const TABLE_BYTES = BUCKETS * BUCKET_BYTES;

/** Of an entry: part of the session's hash, the worker, and the second in which it was last used. */
const HASH_BYTES = 12;
const WORKER_BYTES = 16;
const USED_AT = HASH_BYTES + WORKER_BYTES;

/** The time of the last use is written at most this often. */
const TOUCH_S = 15;

export class SessionTable {
  readonly #fd: number;
  readonly #bucket = Buffer.alloc(BUCKET_BYTES);

  constructor(file: string) {
    this.#fd = openSync(file, 'r+');
  }

  /** The worker of a session, in base64url. */
  find(session: string): string | undefined {
    const { start, hash } = this.#read(session);
    const place = this.#placeOf(hash);
    if (place === undefined) return undefined;
    const now = seconds();
    if (now - this.#bucket.readUInt32LE(place + USED_AT) > TOUCH_S) {
      this.#bucket.writeUInt32LE(now, place + USED_AT);
      writeSync(this.#fd, this.#bucket, place, ENTRY_BYTES, start + place);
    }
    return this.#bucket.toString('base64url', place + HASH_BYTES, place + USED_AT);
  }

  /** @param worker 16 bytes in base64url */
  add(session: string, worker: string): void {
    const { start, hash } = this.#read(session);
    const place = this.#placeOf(hash) ?? this.#leastRecentlyUsed();
    hash.copy(this.#bucket, place);
    this.#bucket.write(worker, place + HASH_BYTES, WORKER_BYTES, 'base64url');
    this.#bucket.writeUInt32LE(seconds(), place + USED_AT);
    writeSync(this.#fd, this.#bucket, place, ENTRY_BYTES, start + place);
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** Reads the bucket of a session. */
  #read(session: string): { readonly start: number; readonly hash: Buffer } {
    const digest = createHash('sha256').update(session).digest();
    const start = (digest.readUInt32LE(0) % BUCKETS) * BUCKET_BYTES;
    this.#bucket.fill(0);
    readSync(this.#fd, this.#bucket, 0, BUCKET_BYTES, start);
    return { start, hash: digest.subarray(4, 4 + HASH_BYTES) };
  }

  #placeOf(hash: Buffer): number | undefined {
    for (let place = 0; place < BUCKET_BYTES; place += ENTRY_BYTES) {
      if (hash.equals(this.#bucket.subarray(place, place + HASH_BYTES))) return place;
    }
    return undefined;
  }

  /** An empty entry has never been used. */
  #leastRecentlyUsed(): number {
    let best = 0;
    for (let place = 0; place < BUCKET_BYTES; place += ENTRY_BYTES) {
      if (this.#bucket.readUInt32LE(place + USED_AT) < this.#bucket.readUInt32LE(best + USED_AT)) best = place;
    }
    return best;
  }
}

function seconds(): number {
  return Math.floor(Date.now() / 1000);
}
