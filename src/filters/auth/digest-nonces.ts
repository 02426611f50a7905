/**
 * The nonces of Digest authentication (RFC 7616 section 3.3): this process signs them and so need not keep those that it
 * has given out, only those that somebody has used with the right password - for each, which counts it has come with.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { equalTexts } from './password.ts';

/** How far behind the highest count a request may come: browsers send several at once. */
const WINDOW = 64;
/** How many nonces in use are remembered; the oldest goes first, and its client gets a new one. */
const REMEMBERED = 10_000;

interface Use {
  highest: number;
  readonly seen: Set<number>;
}

export class Nonces {
  readonly #key: Buffer;
  readonly #lifetime: number;
  readonly #used = new Map<string, Use>();
  /** Before it, a nonce that is not remembered may be one that was forgotten. */
  #forgottenUntil = 0;

  /**
   * @param lifetime milliseconds
   * @param secret the same in all workers, where there are several; else each knows its own nonces only
   */
  constructor(lifetime: number, secret: string | undefined) {
    this.#lifetime = lifetime;
    this.#key = secret === undefined ? randomBytes(32) : createHmac('sha256', secret).update('paster digest').digest();
  }

  create(now: number = Date.now()): string {
    const text = `${now.toString(36)}.${randomBytes(9).toString('base64url')}`;
    return `${text}.${this.#sign(text)}`;
  }

  /** Whether it is one of ours and not too old. */
  isGood(nonce: string, now: number = Date.now()): boolean {
    const [time = '', random = '', signature = '', ...rest] = nonce.split('.');
    if (rest.length > 0 || !equalTexts(signature, this.#sign(`${time}.${random}`))) return false;
    const made = Number.parseInt(time, 36);
    return made <= now && now - made <= this.#lifetime && (made > this.#forgottenUntil || this.#used.has(nonce));
  }

  /**
   * Takes note of a use, once the password has proved right.
   * @returns false if the count has been there before, or is too far behind: somebody may be repeating a request.
   */
  use(nonce: string, count: number): boolean {
    const use = this.#used.get(nonce) ?? { highest: 0, seen: new Set<number>() };
    if (count <= use.highest - WINDOW || use.seen.has(count)) return false;
    use.seen.add(count);
    use.highest = Math.max(use.highest, count);
    for (const each of use.seen) if (each <= use.highest - WINDOW) use.seen.delete(each);
    this.#used.set(nonce, use);
    if (this.#used.size > REMEMBERED) this.#forgetOldest();
    return true;
  }

  #forgetOldest(): void {
    const [oldest] = this.#used.keys();
    if (oldest === undefined) return;
    this.#used.delete(oldest);
    this.#forgottenUntil = Math.max(this.#forgottenUntil, Number.parseInt(oldest, 36));
  }

  #sign(text: string): string {
    return createHmac('sha256', this.#key).update(text).digest('base64url');
  }
}
