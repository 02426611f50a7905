/** A client that sends raw bytes to the HTTP server of a program. */
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/**
 * A client that has connected, and everything that it receives until the end.
 * @param localAddress an address of this machine to connect from
 */
export async function rawClient(
  { url }: { readonly url: string },
  localAddress = '127.0.0.1',
): Promise<{ socket: Socket; all: Promise<string> }> {
  const socket = createConnection({ port: Number(new URL(url).port), host: '127.0.0.1', localAddress });
  onTestFinished(() => void socket.destroy());
  let text = '';
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1');
  });
  socket.on('error', () => {});
  const all = once(socket, 'close').then(() => text);
  await once(socket, 'connect');
  return { socket, all };
}
