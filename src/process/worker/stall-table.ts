/**
 * The requests in flight of a worker, in memory that another thread can read while the main thread is blocked. The main
 * thread writes, `inspection-thread.ts` reads.
 */

const SLOTS = 64;
const TEXT_BYTES = 240;
/** In 32-bit words: the descriptor for the record; how many requests got no slot; then the length of each text, 0 if free. */
const OUTPUT = 0;
const OVERFLOW = 1;
const LENGTHS = 2;
const WORDS = LENGTHS + SLOTS;
const TIMES_AT = Math.ceil((WORDS * 4) / 8) * 8;
/** The main thread's last heartbeat, and when each slot was taken. */
const TIMES = 1 + SLOTS;
const TEXT_AT = TIMES_AT + TIMES * 8;
const STANDARD_ERROR = 2;

export interface TrackedRequest {
  readonly what: string;
  readonly milliseconds: number;
}

export class StallTable {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #times: Float64Array;
  readonly #text: Buffer;
  readonly #free: number[];

  /** A new one, or the other thread's view of one. */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(TEXT_AT + SLOTS * TEXT_BYTES)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer, 0, WORDS);
    this.#times = new Float64Array(buffer, TIMES_AT, TIMES);
    this.#text = Buffer.from(buffer, TEXT_AT);
    this.#free = Array.from({ length: SLOTS }, (_, index) => SLOTS - 1 - index);
    if (this.#words[OUTPUT] === 0) this.#words[OUTPUT] = STANDARD_ERROR;
  }

  get output(): number {
    return this.#words[OUTPUT] ?? STANDARD_ERROR;
  }

  set output(fd: number) {
    this.#words[OUTPUT] = fd;
  }

  /** To be called by the main thread at intervals. */
  beat(): void {
    this.#times[0] = Date.now();
  }

  /** Milliseconds since the last heartbeat. */
  get silence(): number {
    return Date.now() - (this.#times[0] ?? 0);
  }

  /** @returns To be called, once, when the request is done. */
  add(what: string): () => void {
    const slot = this.#free.pop();
    if (slot === undefined) {
      this.#countOverflow(1);
      return () => this.#countOverflow(-1);
    }
    const start = slot * TEXT_BYTES;
    const length = this.#text.write(what, start, TEXT_BYTES, 'utf8');
    this.#times[1 + slot] = Date.now();
    this.#words[LENGTHS + slot] = length;
    return () => {
      this.#words[LENGTHS + slot] = 0;
      this.#free.push(slot);
    };
  }

  /** The requests, oldest first, and how many more there are. */
  read(): { readonly requests: readonly TrackedRequest[]; readonly more: number } {
    const now = Date.now();
    const requests: TrackedRequest[] = [];
    for (let slot = 0; slot < SLOTS; slot++) {
      const length = this.#words[LENGTHS + slot] ?? 0;
      if (length === 0) continue;
      const start = slot * TEXT_BYTES;
      const what = this.#text.toString('utf8', start, start + length);
      requests.push({ what, milliseconds: Math.max(0, now - (this.#times[1 + slot] ?? now)) });
    }
    requests.sort((one, other) => other.milliseconds - one.milliseconds);
    return { requests, more: this.#words[OVERFLOW] ?? 0 };
  }

  #countOverflow(by: number): void {
    this.#words[OVERFLOW] = (this.#words[OVERFLOW] ?? 0) + by;
  }
}
