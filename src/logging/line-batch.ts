/**
 * Lines that wait to be written together, as bytes from the beginning: texts that are joined piece by piece stay trees in
 * memory until somebody reads them, and to keep and walk those costs more than everything else of a line.
 */

/** The buffer at first: what a process that logs little needs. */
const FIRST_SIZE = 16_384;
/** A buffer that one huge line has made larger than this is not kept. */
const LARGEST_KEPT = 262_144;
const MOST_BYTES_PER_UNIT = 3;
const LINE_FEED = 10;

export class LineBatch {
  #bytes = Buffer.allocUnsafeSlow(FIRST_SIZE);
  #length = 0;

  /** In bytes. */
  get length(): number {
    return this.#length;
  }

  /** @param line without its end. */
  add(line: string): void {
    const most = this.#length + line.length * MOST_BYTES_PER_UNIT + 1;
    if (most > this.#bytes.length) this.#grow(most);
    this.#length += this.#bytes.write(line, this.#length);
    this.#bytes[this.#length++] = LINE_FEED;
  }

  /** What has waited; nothing waits any more. */
  take(): Buffer {
    const taken = Buffer.from(this.#bytes.subarray(0, this.#length));
    this.#length = 0;
    if (this.#bytes.length > LARGEST_KEPT) this.#bytes = Buffer.allocUnsafeSlow(FIRST_SIZE);
    return taken;
  }

  #grow(least: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(least, 2 * this.#bytes.length));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}
