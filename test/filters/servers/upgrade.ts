/** Requests an upgrade with raw bytes: the handshake of a WebSocket without its frames. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:http';
import type { Duplex } from 'node:stream';
import type { App } from '../../../src/protocol/types.ts';
import { seen } from '../serve.ts';

/** An application that accepts every upgrade, and then sends what it saw of the request. */
export function upgrading(app: App): App {
  const whole: App = (req, res) => app(req, res);
  whole.upgrade = (req: IncomingMessage, socket: Duplex) => {
    const body = JSON.stringify(seen(req));
    socket.end(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n${body}`);
  };
  return whole;
}

/** The status of the response; for 101, also what was received afterwards. */
export async function askUpgrade(
  url: string,
  headers: Record<string, string> = {},
): Promise<{ readonly status: number; readonly seen?: Record<string, unknown> }> {
  const req = request(url, { headers: { connection: 'Upgrade', upgrade: 'echo', ...headers }, agent: false });
  req.end();
  return new Promise((resolve, reject) => {
    req.on('error', reject);
    req.on('response', (res) => {
      res.resume();
      resolve({ status: res.statusCode ?? 0 });
    });
    req.on('upgrade', async (res, socket, head) => {
      const chunks: Buffer[] = [head];
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      await once(socket, 'end');
      socket.destroy();
      resolve({ status: res.statusCode ?? 0, seen: JSON.parse(Buffer.concat(chunks).toString()) });
    });
  });
}
