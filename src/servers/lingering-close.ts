/** Closes a connection after a response so that the peer can read all of it. */
import type { Socket } from 'node:net';

/** How long a connection whose response is out waits for the peer to close. */
const LINGER_MS = 2000;

/**
 * Closes a TCP socket so that the peer gets everything written to it. Closing one with unread bytes would send a reset, which
 * discards the response, so what still comes is read and thrown away until the peer closes.
 */
export function lingeringClose(socket: Socket): void {
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
