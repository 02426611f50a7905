/**
 * Writes a response as STDOUT records. A small response leaves as one buffer in one write: head, body and END_REQUEST. Of a
 * large one the application's own buffers are written without copying them.
 *
 * Text for the web server's error log is sent between the end of STDOUT and END_REQUEST, in small records: HAProxy 2.6 ends with
 * a segmentation fault if a STDERR record comes earlier or is as large as its buffer.
 */
import type { Socket } from 'node:net';
import { type Batch, oneCallback, type WriteCallback } from '../../gateway/socket.ts';
import type { Connection } from '../../net/direct/connection.ts';
import {
  encodeEndRequest,
  encodeRecord,
  encodeStream,
  HEADER_LENGTH,
  MAX_CONTENT,
  REQUEST_COMPLETE,
  STDERR,
  STDOUT,
  VERSION,
  writeHeader,
} from './records.ts';

/** Up to here copying costs less than another element for `writev`. */
const COPY_LIMIT = 16 * 1024;

/** Well below HAProxy's buffer (`tune.bufsize`), which has 16 KiB by default. */
const STDERR_CONTENT = 4096;

/**
 * Writes a batch. @returns what `socket.write` returned.
 * @param errors the text for STDERR, with which the request ends; undefined: the request continues.
 */
export function writeResponse(
  connection: Connection,
  requestId: number,
  batch: Batch,
  errors: string | undefined,
): boolean {
  const last = errors !== undefined;
  const { data, encodings } = batch;
  const callback = oneCallback(batch.callbacks);
  let total = 0;
  for (let i = 0; i < data.length; i++) {
    const piece = data[i] as string | Uint8Array;
    total += typeof piece === 'string' ? Buffer.byteLength(piece, encodings[i]) : piece.byteLength;
  }
  const tail = last ? tailText(requestId, errors) : '';
  if (total > COPY_LIMIT) return writePieces(connection.socket, requestId, batch, tail, callback);
  if (total === 0 && !last) {
    // An empty STDOUT record would end the stream (section 3.3), so only the callback remains.
    if (callback) process.nextTick(callback);
    return !connection.writableNeedDrain;
  }
  const text = asText(batch, total);
  if (text !== undefined) {
    const records = textHeader(requestId, total) + text + tail;
    return connection.write(records, callBack, callback) || connection.socket.write(records, 'latin1', callback);
  }
  const buffer = Buffer.allocUnsafe((total > 0 ? HEADER_LENGTH + total : 0) + tail.length);
  let at = 0;
  if (total > 0) {
    at = writeHeader(buffer, 0, STDOUT, requestId, total);
    for (let i = 0; i < data.length; i++) {
      const piece = data[i] as string | Uint8Array;
      if (typeof piece === 'string') {
        at += buffer.write(piece, at, encodings[i] ?? 'utf8');
      } else {
        buffer.set(piece, at);
        at += piece.byteLength;
      }
    }
  }
  buffer.write(tail, at, 'latin1');
  return connection.write(buffer, callBack, callback) || connection.socket.write(buffer, callback);
}

/** Writes a response that is one short text of a byte a character, and the end of the request; then calls `done(of)`. */
export function writeWhole<T>(
  connection: Connection,
  requestId: number,
  text: string,
  errors: string,
  done: (of: T, error?: Error | null) => void,
  of: T,
): void {
  const records = textHeader(requestId, text.length) + text + tailText(requestId, errors);
  if (!connection.write(records, done, of)) connection.socket.write(records, 'latin1', (error) => done(of, error));
}

function callBack(callback: WriteCallback | undefined, error?: Error): void {
  callback?.(error);
}

/** The batch as one text of a byte a character; undefined if it has other characters, or bytes. */
function asText({ data, encodings }: Batch, total: number): string | undefined {
  const first = data[0];
  if (data.length !== 1 || typeof first !== 'string' || first.length !== total) return undefined;
  const encoding = encodings[0];
  return encoding === undefined || encoding === 'utf8' || encoding === 'latin1' ? first : undefined;
}

/** Records as latin-1 text: Node writes a short text without making a buffer of it, which halves the cost of a write. */
function textHeader(requestId: number, length: number): string {
  if (requestId !== headerId || length !== headerContent) {
    headerText = String.fromCharCode(
      VERSION,
      STDOUT,
      requestId >> 8,
      requestId & 0xff,
      length >> 8,
      length & 0xff,
      0,
      0,
    );
    headerId = requestId;
    headerContent = length;
  }
  return headerText;
}

let headerId = 0;
let headerContent = 0;
let headerText = '';

let tailId = 0;
let lastTail = '';

/** Web servers that do not multiplex use one id for all requests, so the last tail is kept. */
function tailText(requestId: number, errors: string): string {
  if (errors !== '') return makeTail(requestId, errors);
  if (requestId !== tailId || lastTail === '') {
    tailId = requestId;
    lastTail = makeTail(requestId, '');
  }
  return lastTail;
}

/** Section 3.3: an empty record ends a stream. */
function makeTail(requestId: number, errors: string): string {
  const tail = [encodeRecord(STDOUT, requestId)];
  if (errors !== '') {
    tail.push(encodeStream(STDERR, requestId, Buffer.from(errors), STDERR_CONTENT), encodeRecord(STDERR, requestId));
  }
  tail.push(encodeEndRequest(requestId, REQUEST_COMPLETE));
  return Buffer.concat(tail).toString('latin1');
}

function writePieces(
  socket: Socket,
  requestId: number,
  batch: Batch,
  tail: string,
  callback: WriteCallback | undefined,
): boolean {
  let accepted = true;
  let after = tail === '' ? callback : undefined;
  socket.cork();
  for (let i = 0; i < batch.data.length; i++) {
    const piece = batch.data[i] as string | Uint8Array;
    const bytes = typeof piece === 'string' ? Buffer.from(piece, batch.encodings[i]) : piece;
    for (let at = 0; at < bytes.byteLength; at += MAX_CONTENT) {
      const content = bytes.subarray(at, at + MAX_CONTENT);
      const header = Buffer.allocUnsafe(HEADER_LENGTH);
      writeHeader(header, 0, STDOUT, requestId, content.byteLength);
      socket.write(header);
      const final = i === batch.data.length - 1 && at + MAX_CONTENT >= bytes.byteLength;
      accepted = socket.write(content, final ? after : undefined);
      if (final) after = undefined;
    }
  }
  if (tail !== '') accepted = socket.write(tail, 'latin1', callback);
  socket.uncork();
  return accepted;
}
