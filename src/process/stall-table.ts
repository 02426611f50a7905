/**
 * What a worker has in hand, in memory that a second thread of the process can read while the first stands still. The
 * worker's main thread writes, the thread of `stall-thread.ts` reads.
 */

const SLOTS = 64;
const TEXT_BYTES = 240;
/** In 32-bit words: the descriptor for the record; how many did not find a slot; then the length of each text, 0 if free. */
const OUTPUT = 0;
const OVERFLOW = 1;
const LENGTHS = 2;
const WORDS = LENGTHS + SLOTS;
const TIMES_AT = Math.ceil((WORDS * 4) / 8) * 8;
/** When the main thread last turned, and when each slot was taken. */
const TIMES = 1 + SLOTS;
const TEXT_AT = TIMES_AT + TIMES * 8;
const STANDARD_ERROR = 2;

export interface InHand {
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

  /** The main thread lives. */
  beat(): void {
    this.#times[0] = Date.now();
  }

  get silence(): number {
    return Date.now() - (this.#times[0] ?? 0);
  }

  /** Takes something in hand. @returns To be called, once, when it is done. */
  take(what: string): () => void {
    const slot = this.#free.pop();
    if (slot === undefined) {
      this.#count(1);
      return () => this.#count(-1);
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

  /** The oldest first, and how many there are besides. */
  read(): { readonly inHand: readonly InHand[]; readonly more: number } {
    const now = Date.now();
    const inHand: InHand[] = [];
    for (let slot = 0; slot < SLOTS; slot++) {
      const length = this.#words[LENGTHS + slot] ?? 0;
      if (length === 0) continue;
      const start = slot * TEXT_BYTES;
      const what = this.#text.toString('utf8', start, start + length);
      inHand.push({ what, milliseconds: Math.max(0, now - (this.#times[1 + slot] ?? now)) });
    }
    inHand.sort((one, other) => other.milliseconds - one.milliseconds);
    return { inHand, more: this.#words[OVERFLOW] ?? 0 };
  }

  #count(by: number): void {
    this.#words[OVERFLOW] = (this.#words[OVERFLOW] ?? 0) + by;
  }
}
