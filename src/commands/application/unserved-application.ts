/**
 * For commands that load an application without serving it: prepares the process as `serve` prepares a worker, and closes the
 * application at the end.
 */
import { dirname } from 'node:path';
import { runPartCode } from '../../deploy/compose.ts';
import type { Context } from '../../deploy/context.ts';
import { applyEnvironment } from '../../deploy/server/environment.ts';
import type { LoadSession } from '../../deploy/session.ts';
import type { Logger } from '../../log.ts';
import { setLastTask } from '../../process/program/last-task.ts';
import type { App } from '../../protocol/types.ts';
import { isDoneWithin } from '../../timer.ts';
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

/** How long `close()` of an application may take. A program's handler of SIGTERM may never settle. */
const CLOSE_LIMIT_S = 5;

/**
 * Calls `close()` of an application, and waits for it within limits: the process ends next.
 *
 * @throws PasterError if `close()` fails in time, with the place of the section
 */
export async function closeApp(app: App, context: Context, log: Logger): Promise<void> {
  const close = () => runPartCode(context, async () => void (await app.close?.()));
  if (await isDoneWithin(CLOSE_LIMIT_S, close)) return;
  log.error(`the application has not closed after ${CLOSE_LIMIT_S} s; the process ends without waiting for it`);
}
