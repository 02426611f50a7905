/** A CGI response (RFC 3875 section 6) on a stream that carries nothing else: SCGI's connection, CGI's standard output. */
import type { Writable } from 'node:stream';
import { type Batch, oneCallback } from '../gateway/socket.ts';

/** Writes a batch; says what `stream.write` said. */
export function writeBatch(stream: Writable, { data, encodings, callbacks }: Batch): boolean {
  const callback = oneCallback(callbacks);
  if (data.length === 0) {
    if (callback) process.nextTick(callback);
    return !stream.writableNeedDrain;
  }
  let accepted = true;
  stream.cork();
  for (let i = 0; i < data.length; i++) {
    const last = i === data.length - 1;
    accepted = stream.write(data[i], encodings[i] ?? 'utf8', last ? callback : undefined);
  }
  stream.uncork();
  return accepted;
}

/** The whole of an answer that no application has given. */
export function plainAnswer(status: number, reason: string): string {
  return `Status: ${status} ${reason}\r\nContent-Type: text/plain\r\n\r\n${reason}\n`;
}
