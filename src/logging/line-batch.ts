/**
 * Lines that wait to be written together, as bytes almost from the beginning: texts that are joined piece by piece stay
 * trees in memory until somebody reads them, and to keep and walk those costs more than everything else of a line.
 */

/** So many lines are made to bytes at once, which costs hardly more than one. */
const FEW = 16;
/** The buffer at first: what a process that logs little needs. */
const FIRST_SIZE = 16_384;
/** A buffer that one huge line has made larger than this is not kept. */
const LARGEST_KEPT = 262_144;
const MOST_BYTES_PER_UNIT = 3;

export class LineBatch {
  #lines: string[] = [];
  #bytes = Buffer.allocUnsafeSlow(FIRST_SIZE);
  #filled = 0;
  #length = 0;

  /** In UTF-16 units: of most lines, bytes. */
  get length(): number {
    return this.#length;
  }

  /** @param line without its end. */
  add(line: string): void {
    this.#length += line.length + 1;
    if (this.#lines.push(line) === FEW) this.#fill();
  }

  /** What has waited, in bytes; nothing waits any more. */
  take(): Buffer {
    this.#fill();
    const taken = Buffer.from(this.#bytes.subarray(0, this.#filled));
    this.#filled = 0;
    this.#length = 0;
    if (this.#bytes.length > LARGEST_KEPT) this.#bytes = Buffer.allocUnsafeSlow(FIRST_SIZE);
    return taken;
  }

  #fill(): void {
    if (this.#lines.length === 0) return;
    // The last one has an end too.
    this.#lines.push('');
    const text = this.#lines.join('\n');
    this.#lines = [];
    const most = this.#filled + text.length * MOST_BYTES_PER_UNIT;
    if (most > this.#bytes.length) this.#grow(most);
    this.#filled += this.#bytes.write(text, this.#filled);
  }

  #grow(least: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(least, 2 * this.#bytes.length));
    this.#bytes.copy(larger, 0, 0, this.#filled);
    this.#bytes = larger;
  }
}
