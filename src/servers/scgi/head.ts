/**
 * Reads the head of an SCGI request (https://python.ca/scgi/protocol.txt): a netstring of names and values, from a stream that is
 * split anywhere. Knows neither sockets nor what the variables mean.
 */
import { GrowingBuffer } from '../../growing-buffer.ts';
import { MAX_VARIABLES } from '../gateway-settings.ts';

/** The head is wrong. Without a status it is not even SCGI, and the peer would not understand a response. */
export class BadHead extends Error {
  readonly status: 400 | 431 | undefined;

  constructor(message: string, status?: 400 | 431) {
    super(message);
    this.status = status;
  }
}

export interface ScgiHead {
  /** Variables in the order they came, name and value in turn, bytes as latin-1. */
  readonly pairs: string[];
  /** The bytes after the head: the beginning of the body. */
  readonly rest: Buffer;
}

const COLON = 0x3a;
const COMMA = 0x2c;
const ZERO = 0x30;

export class ScgiHeadReader {
  readonly #maxSize: number;
  #size = 0;
  #digits = 0;
  /** Bytes of the netstring still to come, with its comma; undefined until its length is known. */
  #missing: number | undefined;
  #head = new GrowingBuffer();

  /** @param maxSize the most bytes that the variables may have. */
  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  /**
   * Takes the next bytes. @returns the head when it is complete.
   * @throws BadHead if they are wrong; nothing more may be pushed then.
   */
  push(bytes: Buffer): ScgiHead | undefined {
    let at = 0;
    while (this.#missing === undefined) {
      if (at === bytes.length) return undefined;
      this.#lengthByte(bytes[at++] as number);
    }
    const end = Math.min(at + this.#missing, bytes.length);
    this.#missing -= end - at;
    const piece = bytes.subarray(at, end);
    const isWhole = this.#missing === 0 && this.#head.length === 0;
    if (!isWhole) this.#head.push(piece);
    if (this.#missing > 0) return undefined;
    const block = isWhole ? piece : this.#head.view();
    if (block[block.length - 1] !== COMMA) throw new BadHead('the netstring does not end with a comma');
    return { pairs: decodeVariables(block.subarray(0, -1)), rest: bytes.subarray(end) };
  }

  #lengthByte(byte: number): void {
    if (byte === COLON && this.#digits > 0) {
      this.#missing = this.#size + 1;
      return;
    }
    const digit = byte - ZERO;
    // Netstrings have no leading zeros. A peer that speaks HTTP to this socket is refused at its first byte.
    if (!(digit >= 0 && digit <= 9) || (this.#digits > 0 && this.#size === 0)) {
      throw new BadHead('the request does not begin with a netstring');
    }
    this.#digits++;
    this.#size = this.#size * 10 + digit;
    if (this.#size > this.#maxSize) throw new BadHead(`more than ${this.#maxSize} bytes of headers`, 431);
  }
}

const LENGTH = /^\d{1,15}$/;

/**
 * Names and values, each followed by a NUL. The specification allows no name twice, but web servers repeat a header that the
 * client has repeated; only the length must not differ.
 * @throws BadHead if the block breaks the rules.
 */
export function decodeVariables(block: Buffer): string[] {
  const pairs = block.toString('latin1').split('\0', 2 * MAX_VARIABLES + 2);
  if (pairs.length > 2 * MAX_VARIABLES + 1) throw new BadHead(`more than ${MAX_VARIABLES} headers`, 431);
  // After the last NUL there is nothing.
  if (pairs.pop() !== '' || pairs.length % 2 !== 0) throw new BadHead('the headers do not end with a NUL', 400);
  const [first, length = ''] = pairs;
  if (first !== 'CONTENT_LENGTH') throw new BadHead('the first header is not CONTENT_LENGTH', 400);
  if (!LENGTH.test(length)) throw new BadHead('CONTENT_LENGTH is not a number', 400);
  let version: string | undefined;
  for (let i = 2; i < pairs.length; i += 2) {
    const name = pairs[i];
    const value = pairs[i + 1];
    if (name === '') throw new BadHead('a header without a name', 400);
    if (name === 'SCGI') version = value;
    if (name !== 'CONTENT_LENGTH') continue;
    // nginx sends a second, empty one if its configuration lists it and the request has no body.
    if (value !== '' && value !== length) throw new BadHead('two different CONTENT_LENGTHs', 400);
    pairs[i + 1] = length;
  }
  if (version !== '1') throw new BadHead('no SCGI = 1 among the headers (nginx: include scgi_params)', 400);
  return pairs;
}
