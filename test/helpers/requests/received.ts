/** Reads from a connection. */
import type { Socket } from 'node:net';

/** Resolves when this number of characters has arrived. */
export function received(socket: Socket, length: number): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      if (text.length >= length) resolve(text);
    });
  });
}
