const SMALLEST = 256;

/**
 * Bytes that come in pieces, in one buffer. A list of the pieces would cost a peer that sends byte by byte nothing, and
 * this side some hundred bytes for each: an object, and the memory that it was read into.
 */
export class GrowingBuffer {
  #bytes: Buffer = Buffer.alloc(0);
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

  /** What has come so far, not copied. Pieces that come later do not change it. */
  view(start = 0): Buffer {
    return this.#bytes.subarray(start, this.#length);
  }
}
