/**
 * A response's bytes as STDOUT records on a socket. A small answer leaves as one buffer in one write, head, body and
 * END_REQUEST together; of a large one the application's own buffers are written, not copies.
 */
import type { Socket } from 'node:net';
import { type Batch, oneCallback, type WriteCallback } from '../../gateway/socket.ts';
import type { DirectWriter } from '../../net/direct-io.ts';
import {
  END_REQUEST_LENGTH,
  HEADER_LENGTH,
  MAX_CONTENT,
  REQUEST_COMPLETE,
  STDOUT,
  VERSION,
  writeEndRequest,
  writeHeader,
} from './records.ts';

/** Up to here copying costs less than another element for `writev`. */
const COPY_LIMIT = 16 * 1024;
const TAIL_LENGTH = HEADER_LENGTH + END_REQUEST_LENGTH;

/** Writes a batch; `last`: and the end of STDOUT and of the request. Says what `socket.write` said. */
export function writeAnswer(
  socket: Socket,
  writer: DirectWriter,
  requestId: number,
  batch: Batch,
  last: boolean,
): boolean {
  const { data, encodings } = batch;
  const callback = oneCallback(batch.callbacks);
  let total = 0;
  for (let i = 0; i < data.length; i++) {
    const piece = data[i] as string | Uint8Array;
    total += typeof piece === 'string' ? Buffer.byteLength(piece, encodings[i]) : piece.byteLength;
  }
  if (total > COPY_LIMIT) return writePieces(socket, requestId, batch, last, callback);
  if (total === 0 && !last) {
    // An empty STDOUT record would end the stream (section 3.3): there is only somebody to call back.
    if (callback) process.nextTick(callback);
    return !socket.writableNeedDrain;
  }
  const text = asText(batch, total);
  if (text !== undefined) {
    const tail = last ? textTail(requestId) : '';
    const records = textHeader(requestId, total) + text + tail;
    return writer.write(records, callBack, callback) || socket.write(records, 'latin1', callback);
  }
  const buffer = Buffer.allocUnsafe((total > 0 ? HEADER_LENGTH + total : 0) + (last ? TAIL_LENGTH : 0));
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
  if (last) writeTail(buffer, at, requestId);
  return writer.write(buffer, callBack, callback) || socket.write(buffer, callback);
}

/** Writes an answer that is one short text of a byte a character, and the end of the request; then calls `done(of)`. */
export function writeWhole<T>(
  socket: Socket,
  writer: DirectWriter,
  requestId: number,
  text: string,
  done: (of: T, error?: Error | null) => void,
  of: T,
): void {
  const records = textHeader(requestId, text.length) + text + textTail(requestId);
  if (!writer.write(records, done, of)) socket.write(records, 'latin1', (error) => done(of, error));
}

function callBack(callback: WriteCallback | undefined, error?: Error): void {
  callback?.(error);
}

/** The batch as one text of a byte a character; undefined where it has other characters, or bytes. */
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
let tailText = '';

/** Web servers that do not multiplex use one id for everything: the tail of the last one is kept. */
function textTail(requestId: number): string {
  if (requestId !== tailId || tailText === '') {
    const tail = Buffer.alloc(TAIL_LENGTH);
    writeTail(tail, 0, requestId);
    tailId = requestId;
    tailText = tail.toString('latin1');
  }
  return tailText;
}

function writePieces(
  socket: Socket,
  requestId: number,
  batch: Batch,
  last: boolean,
  callback: WriteCallback | undefined,
): boolean {
  let accepted = true;
  let after = last ? undefined : callback;
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
  if (last) {
    const tail = Buffer.allocUnsafe(TAIL_LENGTH);
    writeTail(tail, 0, requestId);
    accepted = socket.write(tail, callback);
  }
  socket.uncork();
  return accepted;
}

function writeTail(buffer: Buffer, at: number, requestId: number): void {
  writeEndRequest(buffer, writeHeader(buffer, at, STDOUT, requestId, 0), requestId, REQUEST_COMPLETE);
}
