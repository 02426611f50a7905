/** What comes over a connection. */
import type { Socket } from 'node:net';

/** Resolves when so many characters have come. */
export function received(socket: Socket, length: number): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      if (text.length >= length) resolve(text);
    });
  });
}
