/** Prepares this process as a worker of an INI file is prepared before it loads the application. */
import { dirname } from 'node:path';
import { applyEnvironment } from '../../deploy/server/environment.ts';
import type { LoadSession } from '../../deploy/session.ts';
import { setLastTask } from '../../process/program/last-task.ts';
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
