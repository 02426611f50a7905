/** The answer of a part that shows how the server is at this moment. */
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

export function answerReport(res: ServerResponse, type: string, body: string, headers: OutgoingHttpHeaders = {}): void {
  res.writeHead(200, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  });
  res.end(body);
}
