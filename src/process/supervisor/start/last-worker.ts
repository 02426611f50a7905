/**
 * A server that stops while none of its workers serves: the connections that wait in the kernel's queue would be reset when the
 * sockets close, so a worker starts for them.
 */
import type { Logger } from '../../../log.ts';
import { hasWaiting } from '../../../net/held-socket.ts';
import { timerMs } from '../../../timer.ts';
import type { Pool } from '../pool.ts';

/**
 * Resolves when a worker serves if connections wait, or does not start.
 * @param limit seconds
 * @returns the seconds that are left of it
 */
export async function serveWaiting<Boot>(pool: Pool<Boot>, limit: number, log: Logger): Promise<number> {
  // With `isRedirected`, another server accepts on the sockets.
  if (limit === 0 || pool.relay.isRedirected || pool.workers.some(({ state }) => state === 'ready')) return limit;
  if (!(await hasWaiting(pool.settings.sockets))) return limit;
  log.info('a connection waits: a worker serves it before the server ends');
  const begun = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timerMs(limit));
  });
  await Promise.race([pool.serveOnce(), late]);
  clearTimeout(timer);
  return Math.max(0, limit - (performance.now() - begun) / 1000);
}
