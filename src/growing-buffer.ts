const SMALLEST = 256;

const EMPTY: Buffer = Buffer.alloc(0);

/**
 * Collects pieces of bytes in one buffer. A list of the pieces would cost hundreds of bytes for each: an object, and the
 * memory that it was read into. A peer that sends single bytes could use that to exhaust memory.
 */
export class GrowingBuffer {
  #bytes = EMPTY;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Copies the piece. */
  push(piece: Uint8Array): void {
    const length = this.#length + piece.length;
    if (length > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#bytes.length, SMALLEST));
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    this.#bytes.set(piece, this.#length);
    this.#length = length;
  }

  /** The bytes so far, not copied. Later pieces do not change them. */
  view(start = 0): Buffer {
    return this.#bytes.subarray(start, this.#length);
  }
}
