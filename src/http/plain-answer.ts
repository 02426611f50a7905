/** An answer that says its status and nothing else. */
import { type OutgoingHttpHeaders, type ServerResponse, STATUS_CODES } from 'node:http';

export function answerPlain(res: ServerResponse, status: number, headers: OutgoingHttpHeaders = {}): void {
  const body = `${STATUS_CODES[status] ?? status}\n`;
  res.writeHead(status, {
    ...headers,
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
  });
  res.end(body);
}
