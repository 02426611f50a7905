/** An answer of one line of plain text. */
import { type OutgoingHttpHeaders, type ServerResponse, STATUS_CODES } from 'node:http';

/** @param message Default: what the status means. */
export function answerPlain(
  res: ServerResponse,
  status: number,
  headers: OutgoingHttpHeaders = {},
  message: string = STATUS_CODES[status] ?? String(status),
): void {
  const body = `${message}\n`;
  res.writeHead(status, {
    ...headers,
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
  });
  res.end(body);
}
