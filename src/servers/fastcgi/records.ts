/**
 * Reads and writes FastCGI records (FastCGI specification 1.0, sections 3.3, 3.4, 5 and 8), from a stream that is split anywhere.
 * Knows neither sockets nor what a record means.
 */

import { GrowingBuffer } from '../../growing-buffer.ts';

/** Record types (section 8). */
export const BEGIN_REQUEST = 1;
export const ABORT_REQUEST = 2;
export const END_REQUEST = 3;
export const PARAMS = 4;
export const STDIN = 5;
export const STDOUT = 6;
export const STDERR = 7;
export const DATA = 8;
export const GET_VALUES = 9;
export const GET_VALUES_RESULT = 10;
export const UNKNOWN_TYPE = 11;

/** Roles (section 6). */
export const RESPONDER = 1;
export const AUTHORIZER = 2;
export const FILTER = 3;

/** BEGIN_REQUEST's flag (section 5.1). */
export const KEEP_CONN = 1;

/** END_REQUEST's protocol status (section 5.5). */
export const REQUEST_COMPLETE = 0;
export const CANT_MPX_CONN = 1;
export const OVERLOADED = 2;
export const UNKNOWN_ROLE = 3;

export const VERSION = 1;
export const HEADER_LENGTH = 8;
export const MAX_CONTENT = 65_535;
/** Length of the bodies of BEGIN_REQUEST, END_REQUEST and UNKNOWN_TYPE. */
const BODY_LENGTH = 8;

/** The peer has sent something that is not FastCGI; the rest of the connection cannot be read. */
export class ProtocolError extends Error {}

/**
 * Called with the content of records. That of a stream (PARAMS, STDIN, DATA) comes in the pieces that it arrives in, each a view
 * that is valid during the call; other content comes whole. `content` is empty only for an empty record.
 */
export type RecordHandler = (type: number, requestId: number, content: Buffer) => void;

const EMPTY = Buffer.alloc(0);

/** Reads records from a stream of bytes that is split anywhere. */
export class RecordDecoder {
  readonly #handler: RecordHandler;
  readonly #header = Buffer.alloc(HEADER_LENGTH);
  #headerLength = 0;
  #type = 0;
  #requestId = 0;
  #content = 0;
  #padding = 0;
  /** The content of a record that is delivered whole and has not come in one piece: at most MAX_CONTENT bytes. */
  #partial: GrowingBuffer | undefined;
  #stopped = false;

  constructor(handler: RecordHandler) {
    this.#handler = handler;
  }

  /** True between two records: everything that was read has been delivered. */
  get idle(): boolean {
    return this.#headerLength === 0 && this.#content === 0 && this.#padding === 0;
  }

  /** Reads no further. */
  stop(): void {
    this.#stopped = true;
  }

  /** @throws ProtocolError if the bytes are no FastCGI records of version 1. */
  push(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length && !this.#stopped) {
      if (this.#content > 0) {
        at = this.#readContent(bytes, at);
      } else if (this.#padding > 0) {
        // Padding may follow any record, an empty one too (section 3.3).
        const skipped = Math.min(this.#padding, bytes.length - at);
        this.#padding -= skipped;
        at += skipped;
      } else {
        at = this.#readHeader(bytes, at);
      }
    }
  }

  #readHeader(bytes: Buffer, at: number): number {
    let header = bytes;
    let start = at;
    let end = at + HEADER_LENGTH;
    if (this.#headerLength > 0 || end > bytes.length) {
      const taken = Math.min(HEADER_LENGTH - this.#headerLength, bytes.length - at);
      bytes.copy(this.#header, this.#headerLength, at, at + taken);
      this.#headerLength += taken;
      // A wrong version is detected at its first byte: a peer that speaks HTTP to this socket may never send eight bytes.
      if (this.#header[0] !== VERSION) throw wrongVersion();
      if (this.#headerLength < HEADER_LENGTH) return bytes.length;
      header = this.#header;
      start = 0;
      end = at + taken;
      this.#headerLength = 0;
    }
    if (header[start] !== VERSION) throw wrongVersion();
    this.#type = header[start + 1] as number;
    this.#requestId = ((header[start + 2] as number) << 8) | (header[start + 3] as number);
    this.#content = ((header[start + 4] as number) << 8) | (header[start + 5] as number);
    this.#padding = header[start + 6] as number;
    if (this.#content === 0) this.#handler(this.#type, this.#requestId, EMPTY);
    return end;
  }

  #readContent(bytes: Buffer, at: number): number {
    const end = Math.min(at + this.#content, bytes.length);
    const content = at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end);
    this.#content -= end - at;
    if (isStream(this.#type)) {
      this.#handler(this.#type, this.#requestId, content);
    } else if (this.#content === 0 && this.#partial === undefined) {
      this.#handler(this.#type, this.#requestId, content);
    } else {
      this.#partial ??= new GrowingBuffer();
      this.#partial.push(content);
      if (this.#content === 0) {
        const whole = this.#partial.view();
        this.#partial = undefined;
        this.#handler(this.#type, this.#requestId, whole);
      }
    }
    return end;
  }
}

function isStream(type: number): boolean {
  return type === STDIN || type === PARAMS || type === DATA;
}

function wrongVersion(): ProtocolError {
  return new ProtocolError(
    `the data is not FastCGI ${VERSION} (does the web server speak HTTP or SCGI to this socket?)`,
  );
}

/** Called with a pair: its number, where its name begins, where its value begins, and where that ends. */
export type PairVisitor = (position: number, nameAt: number, valueAt: number, end: number) => void;

/**
 * Visits the name-value pairs (section 3.4) between `start` and `end`.
 * @throws ProtocolError if a length exceeds the end, or for more than `maxPairs`.
 */
export function eachPair(bytes: Buffer, start: number, end: number, maxPairs: number, visit: PairVisitor): void {
  let at = start;
  for (let position = 0; at < end; position++) {
    if (position >= maxPairs) throw new ProtocolError(`more than ${maxPairs} name-value pairs`);
    let nameLength = bytes[at++] as number;
    if (nameLength > 127) {
      nameLength = longLength(bytes, at, end, nameLength);
      at += 3;
    }
    let valueLength = at < end ? (bytes[at++] as number) : Number.NaN;
    if (valueLength > 127) {
      valueLength = longLength(bytes, at, end, valueLength);
      at += 3;
    }
    const valueAt = at + nameLength;
    const next = valueAt + valueLength;
    // Also false for NaN, if the lengths themselves are incomplete.
    if (!(next <= end)) throw new ProtocolError('a name-value pair extends beyond the end of its stream');
    visit(position, at, valueAt, next);
    at = next;
  }
}

/**
 * Reads name-value pairs into a flat list, name and value in turn, bytes as latin-1.
 * @throws ProtocolError like `eachPair`.
 */
export function decodePairs(bytes: Buffer, maxPairs = Number.POSITIVE_INFINITY): string[] {
  // One call into native code for the whole block instead of two a pair; the pairs are slices of this text.
  const text = bytes.toString('latin1');
  const pairs: string[] = [];
  eachPair(bytes, 0, bytes.length, maxPairs, (_position, nameAt, valueAt, end) => {
    pairs.push(text.substring(nameAt, valueAt), text.substring(valueAt, end));
  });
  return pairs;
}

function longLength(bytes: Buffer, at: number, end: number, first: number): number {
  if (at + 3 > end) return Number.NaN;
  return (
    (first & 0x7f) * 0x1000000 +
    (((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number))
  );
}

/** A request that came in one piece; the next call of `wholeRequest` reuses the object. */
export interface WholeRequest {
  requestId: number;
  keepConnection: boolean;
  paramsAt: number;
  paramsEnd: number;
}

const whole: WholeRequest = { requestId: 0, keepConnection: false, paramsAt: 0, paramsEnd: 0 };

/**
 * A request to a responder that is all of `bytes`, PARAMS in one record and STDIN empty: most web servers send this for a
 * request without a body. Undefined for everything else, which the decoder reads.
 */
export function wholeRequest(bytes: Buffer, length: number): WholeRequest | undefined {
  if (length < 4 * HEADER_LENGTH + BODY_LENGTH) return undefined;
  const id = ((bytes[2] as number) << 8) | (bytes[3] as number);
  if (id === 0 || contentOf(bytes, 0, BEGIN_REQUEST, id) !== BODY_LENGTH) return undefined;
  let at = HEADER_LENGTH;
  if (((bytes[at] as number) << 8) + (bytes[at + 1] as number) !== RESPONDER) return undefined;
  whole.requestId = id;
  whole.keepConnection = ((bytes[at + 2] as number) & KEEP_CONN) !== 0;
  at += BODY_LENGTH + (bytes[6] as number);
  if (at + HEADER_LENGTH > length) return undefined;
  const content = contentOf(bytes, at, PARAMS, id);
  if (content <= 0) return undefined;
  whole.paramsAt = at + HEADER_LENGTH;
  whole.paramsEnd = whole.paramsAt + content;
  at = whole.paramsEnd + (bytes[at + 6] as number);
  if (at + HEADER_LENGTH > length || contentOf(bytes, at, PARAMS, id) !== 0) return undefined;
  at += HEADER_LENGTH + (bytes[at + 6] as number);
  if (at + HEADER_LENGTH > length || contentOf(bytes, at, STDIN, id) !== 0) return undefined;
  return at + HEADER_LENGTH + (bytes[at + 6] as number) === length ? whole : undefined;
}

/** The content length of the record at `at`; -1 if it is not of that type and request. */
function contentOf(bytes: Buffer, at: number, type: number, requestId: number): number {
  if (bytes[at] !== VERSION || bytes[at + 1] !== type) return -1;
  if ((((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) !== requestId) return -1;
  return ((bytes[at + 4] as number) << 8) | (bytes[at + 5] as number);
}

/** Writes name-value pairs, texts as latin-1. */
export function encodePairs(pairs: readonly string[]): Buffer {
  const parts: Buffer[] = [];
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    const name = Buffer.from(pairs[i] as string, 'latin1');
    const value = Buffer.from(pairs[i + 1] as string, 'latin1');
    parts.push(encodeLength(name.length), encodeLength(value.length), name, value);
  }
  return Buffer.concat(parts);
}

function encodeLength(length: number): Buffer {
  if (length <= 127) return Buffer.of(length);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length + 0x80000000);
  return bytes;
}

/** Writes a header at `at`. @returns where the content begins. */
export function writeHeader(
  into: Buffer,
  at: number,
  type: number,
  requestId: number,
  contentLength: number,
  padding = 0,
): number {
  into[at] = VERSION;
  into[at + 1] = type;
  into[at + 2] = requestId >> 8;
  into[at + 3] = requestId & 0xff;
  into[at + 4] = contentLength >> 8;
  into[at + 5] = contentLength & 0xff;
  into[at + 6] = padding;
  into[at + 7] = 0;
  return at + HEADER_LENGTH;
}

/** One record; content of at most MAX_CONTENT bytes. */
export function encodeRecord(type: number, requestId: number, content: Uint8Array = EMPTY, padding = 0): Buffer {
  if (content.length > MAX_CONTENT) throw new RangeError(`a record holds at most ${MAX_CONTENT} bytes`);
  const record = Buffer.alloc(HEADER_LENGTH + content.length + padding);
  writeHeader(record, 0, type, requestId, content.length, padding);
  record.set(content, HEADER_LENGTH);
  return record;
}

/** Bytes of a stream in as many records as needed, without the empty one that ends it (section 3.3). */
export function encodeStream(type: number, requestId: number, bytes: Uint8Array, most = MAX_CONTENT): Buffer {
  const records: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += most) {
    records.push(encodeRecord(type, requestId, bytes.subarray(at, at + most)));
  }
  return Buffer.concat(records);
}

/** END_REQUEST (section 5.5). */
export function encodeEndRequest(requestId: number, protocolStatus: number, appStatus = 0): Buffer {
  const body = Buffer.alloc(BODY_LENGTH);
  body.writeUInt32BE(appStatus >>> 0);
  body[4] = protocolStatus;
  return encodeRecord(END_REQUEST, requestId, body);
}

/** The response to an unknown management record (section 4.2). */
export function encodeUnknownType(type: number): Buffer {
  const body = Buffer.alloc(BODY_LENGTH);
  body[0] = type;
  return encodeRecord(UNKNOWN_TYPE, 0, body);
}

export interface BeginRequest {
  readonly role: number;
  readonly keepConnection: boolean;
}

/** @throws ProtocolError if the body is not that of BEGIN_REQUEST (section 5.1). */
export function decodeBeginRequest(content: Buffer): BeginRequest {
  if (content.length < BODY_LENGTH) throw new ProtocolError('a BEGIN_REQUEST that is too short');
  return { role: content.readUInt16BE(0), keepConnection: ((content[2] as number) & KEEP_CONN) !== 0 };
}

export function encodeBeginRequest(requestId: number, role: number, keepConnection: boolean): Buffer {
  const body = Buffer.alloc(BODY_LENGTH);
  body.writeUInt16BE(role);
  body[2] = keepConnection ? KEEP_CONN : 0;
  return encodeRecord(BEGIN_REQUEST, requestId, body);
}
