/** Ends an application that a command has called without serving it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { runPartCode } from '../../deploy/compose.ts';
import type { Context } from '../../deploy/context.ts';
import type { Logger } from '../../log.ts';
import type { App } from '../../protocol/types.ts';

/** How long its `close()` may take. A program's handler of SIGTERM may never settle. */
const LIMIT_S = 5;

/**
 * Calls `close()` of an application, and waits for it within limits: the process ends next.
 *
 * @throws PasterError if `close()` fails in time, with the place of the section
 */
export async function closeApp(app: App, context: Context, log: Logger): Promise<void> {
  const timer = new AbortController();
  const late = sleep(LIMIT_S * 1000, true, { signal: timer.signal }).catch(() => false);
  const closed = runPartCode(context, async () => void (await app.close?.()));
  try {
    if (await Promise.race([closed, late])) {
      log.error(`the application is not closed after ${LIMIT_S} s; the process ends without waiting for it`);
    }
  } finally {
    timer.abort();
  }
}
