/** Random choices that a seed repeats (mulberry32), and bytes and texts that break parsers. */

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A number from 0 (included) to 1 (excluded). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  }

  /** An integer from 0 (included) to `end` (excluded). */
  below(end: number): number {
    return Math.floor(this.next() * end);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }

  /** Mostly short, sometimes near the lengths where an encoding changes. */
  length(most: number): number {
    const length = this.chance(0.8)
      ? this.below(40)
      : this.pick([0, 1, 127, 128, 255, 256, 4095, 65_535, 65_536, most]);
    return Math.min(length, most);
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let i = 0; i < length; i++) bytes[i] = this.below(256);
    return bytes;
  }

  /** The bytes, cut into pieces at random. */
  split(bytes: Buffer): Buffer[] {
    const most = this.pick([1, 3, 8, 9, 100, 10_000, bytes.length]);
    const pieces: Buffer[] = [];
    // A long text sent byte by byte takes long, and finds nothing that its first bytes do not.
    const splitUpTo = most < 100 && bytes.length > 2000 ? 2000 : bytes.length;
    let at = 0;
    while (at < bytes.length) {
      const end = at < splitUpTo ? at + 1 + this.below(most) : bytes.length;
      pieces.push(bytes.subarray(at, end));
      at = end;
    }
    return pieces;
  }

  /** The same bytes with a few random changes. */
  mutate(bytes: Buffer): Buffer {
    let result = Buffer.from(bytes);
    for (let changes = 1 + this.below(3); changes > 0 && result.length > 0; changes--) {
      const at = this.below(result.length);
      const count = 1 + this.below(12);
      const before = result.subarray(0, at);
      switch (this.below(5)) {
        case 0:
          result[at] = this.pick([0, 1, 0x7f, 0x80, 0xff, this.below(256)]);
          break;
        case 1:
          result[at] = (result[at] as number) ^ (1 << this.below(8));
          break;
        case 2:
          result = Buffer.concat([before, result.subarray(at + count)]);
          break;
        case 3:
          result = Buffer.concat([before, this.bytes(count), result.subarray(at)]);
          break;
        default:
          result = Buffer.concat([before, result.subarray(at, at + count), result.subarray(at)]);
      }
    }
    return result;
  }

  /** A text of single-byte characters that a parser may find hard to read. */
  hostileText(): string {
    const piece = (): string =>
      this.pick([
        () => '\r\n',
        () => '\n',
        () => '\r',
        () => '\0',
        () => '\x7f\x1b[2J',
        () => '%0d%0a%00%2f%zz%',
        () => '..//../',
        () => '?a=b#c',
        () => 'http://evil.test:80/x',
        () => '__proto__',
        () => '\u00c3\u00a9\u0080\u00ff',
        () => '*',
        () => ':',
        () => this.bytes(this.below(20)).toString('latin1'),
        () => 'x'.repeat(this.length(100_000)),
        () => String(this.pick([-1, 0, 1.5, 1e21, 2 ** 53, 99_999_999_999_999])),
      ])();
    return Array.from({ length: this.below(4) }, piece).join('');
  }
}
