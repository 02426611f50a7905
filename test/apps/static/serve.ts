/** Serves a directory of files by a real HTTP server, and sends requests whose targets no client library normalizes. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { onTestFinished } from 'vitest';
import type { App } from '../../../src/protocol/types.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

export type Ask = (target: string, headers?: Readonly<Record<string, string>>, method?: string) => Promise<Answer>;

/** Serves an application on a free loopback port until the test ends. */
export async function serveApp(app: App): Promise<{ ask: Ask; port: number; url: string }> {
  const server = createServer((req, res) => {
    Promise.resolve(app(req, res)).catch((error: unknown) => {
      // A status that no test expects.
      res.statusCode = 599;
      res.end(String(error));
    });
  }).listen(0, '127.0.0.1');
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await app.close?.();
  });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { port, url: `http://127.0.0.1:${port}`, ask: (...request) => askRaw(port, ...request) };
}

/** Sends the target unchanged, and reads the response up to the end of the connection. */
export async function askRaw(
  port: number,
  target: string,
  headers: Readonly<Record<string, string>> = {},
  method: string = 'GET',
): Promise<Answer> {
  const socket = connect(port, '127.0.0.1');
  const lines = Object.entries({ host: 'localhost', connection: 'close', ...headers });
  socket.write(
    Buffer.from(
      `${method} ${target} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`,
      'latin1',
    ),
  );
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk);
  return parseAnswer(Buffer.concat(chunks));
}

function parseAnswer(bytes: Buffer): Answer {
  const end = bytes.indexOf('\r\n\r\n');
  const [first = '', ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n');
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { status: Number(first.split(' ')[1]), headers, body: bytes.subarray(end + 4) };
}
