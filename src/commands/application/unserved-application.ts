/**
 * For commands that load an application without serving it: prepares the process as `serve` prepares a worker, and closes the
 * application at the end.
 */
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runPartCode } from '../../deploy/compose.ts';
import type { Context } from '../../deploy/context.ts';
import { applyEnvironment } from '../../deploy/server/environment.ts';
import type { LoadSession } from '../../deploy/session.ts';
import type { Logger } from '../../log.ts';
import { setLastTask } from '../../process/program/last-task.ts';
import type { App } from '../../protocol/types.ts';
import { workingDirectory } from '../../working-directory.ts';

/** Whose environment to set up. */
interface Application {
  /** The INI file, an absolute path; undefined if the application is in none. */
  readonly file: string | undefined;
  readonly appName: string | undefined;
}

/**
 * Sets the variables of the INI file, and imports what `preload` of its server names.
 * @throws as `applyEnvironment` and `importPreloaded`
 */
export async function setUpEnvironment({ file, appName }: Application, session: LoadSession): Promise<void> {
  const { preload } = await applyEnvironment({ file, appName }, session);
  if (preload.length === 0) return;
  // Loaded late: most applications are not traced.
  const { importPreloaded } = await import('../../deploy/instrumentation.ts');
  const directory = file === undefined ? workingDirectory() : dirname(file);
  setLastTask(await importPreloaded(preload, { directory, worker: undefined }));
}

/** Seconds that `close()` of an application may take. It calls a program's handler of SIGTERM, which may never settle. */
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
