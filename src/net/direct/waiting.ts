/**
 * Connections that wait in the kernel's queue when a server stops. The kernel resets them when the last copy of the socket is
 * closed, although their clients have connected and may have sent a request. So they are accepted first. They are kept until the
 * listener is closed: otherwise clients that get a response and connect again would fill the queue as fast as it is emptied.
 */
import type { Server, Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';

/** What a listener has accepted for later. */
interface Kept {
  /** Each function passes one connection to the server. */
  readonly connections: (() => void)[];
  /** Those of the server. */
  readonly handlers: readonly ((socket: Socket) => void)[];
}

/** Clients may connect faster than this process accepts. */
const MAX_ACCEPT_S = 0.5;

const keptBy = new WeakMap<Server, Kept>();

/**
 * Closes listeners when nothing waits any more; keeps what they accept until then for `passOn`.
 * @param timeout seconds. Default, and at most: half a second.
 */
export async function stopAccepting(listeners: readonly Server[], timeout = MAX_ACCEPT_S): Promise<void> {
  const kept = listeners.filter(({ listening }) => listening).map(keepConnections);
  const count = (): number => kept.reduce((sum, { connections }) => sum + connections.length, 0);
  const end = performance.now() + Math.min(timeout, MAX_ACCEPT_S) * 1000;
  let before: number;
  do {
    before = count();
    // Node looks for connections between two turns of the event loop. The first `turn` may only end the current one.
    await turn();
    await turn();
  } while (count() > before && performance.now() < end);
  closeAll(listeners);
}

export function closeAll(listeners: readonly Server[]): void {
  for (const listener of listeners) if (listener.listening) listener.close();
}

function keepConnections(listener: Server): Kept {
  const earlier = keptBy.get(listener);
  if (earlier) return earlier;
  const handlers = listener.rawListeners('connection') as unknown as Kept['handlers'];
  const kept: Kept = { connections: [], handlers };
  keptBy.set(listener, kept);
  listener.removeAllListeners('connection');
  listener.on('connection', (socket) => {
    // A client that resets its connection must not end the process.
    socket.on('error', ignore);
    kept.connections.push(() => {
      socket.off('error', ignore);
      if (!socket.destroyed) listener.emit('connection', socket);
    });
  });
  return kept;
}

function ignore(): void {}

/** Whether a listener keeps its connections now. */
export function keepsConnections(listener: Server): boolean {
  return keptBy.has(listener);
}

/** Keeps a connection that has no socket. */
export function keepConnection(listener: Server, pass: () => void): void {
  keptBy.get(listener)?.connections.push(pass);
}

/** Passes what the listeners have kept to their servers. */
export function passOn(listeners: readonly Server[]): void {
  for (const listener of listeners) {
    const kept = keptBy.get(listener);
    if (!kept) continue;
    keptBy.delete(listener);
    listener.removeAllListeners('connection');
    for (const handler of kept.handlers) listener.on('connection', handler);
    for (const pass of kept.connections) pass();
  }
}
