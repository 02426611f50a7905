/** The servers of the user's code that a process starts: whether they can listen is known only some time after `listen()`. */
import { subscribe } from 'node:diagnostics_channel';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';

const LOOK_MS = 10;
/** The lookup of a host name may take long, and is no reason to keep a process from being started. */
const LONGEST_MS = 2000;

/** To be called before the code of the user runs. @returns a function that waits until all that listens by then does, or has failed */
export function watchListens(): () => Promise<void> {
  const pending = new Set<unknown>();
  const server = (message: unknown) => (message as { readonly server: unknown }).server;
  // Node does not emit them everywhere: then only errors that come at once are noticed.
  subscribe('tracing:net.server.listen:asyncStart', (message) => pending.add(server(message)));
  subscribe('tracing:net.server.listen:asyncEnd', (message) => pending.delete(server(message)));
  subscribe('tracing:net.server.listen:error', (message) => pending.delete(server(message)));
  return async () => {
    const limit = performance.now() + LONGEST_MS;
    // `listen()` may be called in a callback of this turn, and an error is emitted in a later one.
    await turn();
    while (pending.size > 0 && performance.now() < limit) await sleep(LOOK_MS);
    await turn();
  };
}
