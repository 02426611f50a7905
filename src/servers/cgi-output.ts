/** A CGI response (RFC 3875 section 6) on a stream that carries nothing else: SCGI's connection, CGI's standard output. */
import type { Writable } from 'node:stream';
import { type Batch, oneCallback } from '../gateway/socket.ts';

/** Writes a batch. @returns what `stream.write` returned. */
export function writeBatch(stream: Writable, { data, encodings, callbacks }: Batch): boolean {
  const callback = oneCallback(callbacks);
  if (data.length === 0) {
    if (callback) process.nextTick(callback);
    return !stream.writableNeedDrain;
  }
  let hasRoom = true;
  stream.cork();
  for (let i = 0; i < data.length; i++) {
    const isLast = i === data.length - 1;
    hasRoom = stream.write(data[i], encodings[i] ?? 'utf8', isLast ? callback : undefined);
  }
  stream.uncork();
  return hasRoom;
}

/** A whole response of the server's own. */
export function plainResponse(status: number, reason: string): string {
  return `Status: ${status} ${reason}\r\nContent-Type: text/plain\r\n\r\n${reason}\n`;
}
