/** The end of a connection that has an answer on it. */
import type { Socket } from 'node:net';

/** How long a connection whose answer is out waits for the peer to see it and to close. */
const LINGER_MS = 2000;

/**
 * Closes so that the peer gets all that was written: closing a TCP socket with unread bytes in it would send a reset
 * and take the answer back. So what still comes is read and thrown away until the peer closes.
 */
export function closeGently(socket: Socket): void {
  socket.once('finish', linger);
  socket.end();
  socket.resume();
}

function linger(this: Socket): void {
  const timer = setTimeout(destroyLater, LINGER_MS, this);
  timer.unref();
  this.once('close', () => clearTimeout(timer));
}

function destroyLater(socket: Socket): void {
  socket.destroy();
}
