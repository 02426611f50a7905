/** What every process below the supervisor does before it loads code: web workers and background processes. */
import { dirname } from 'node:path';
import { ErrorList, errorMessage, PasterError } from '../../errors.ts';
import { dropPrivileges } from '../../process/daemon/drop-privileges.ts';
import { LogFile } from '../../process/daemon/logfile.ts';
import { setLastTask } from '../../process/program/last-task.ts';
import type { WorkerControl } from '../../process/worker/worker-control.ts';
import { enterDirectory } from '../../working-directory.ts';
import type { WorkerPlan } from '../plan.ts';

/** Enters the directory, becomes the user, and sets the variables of a plan. */
export function enterPlan({
  directory,
  ownership,
  variables,
}: Pick<WorkerPlan, 'directory' | 'ownership' | 'variables'>): void {
  // A link in the path may have been switched since this warm worker started.
  enterDirectory(directory);
  // The supervisor keeps its user: it removes its files and opens its log again, and never loads an application.
  dropPrivileges(ownership.user, ownership.group);
  // Afterwards, so that a configured HOME overrides the user's own.
  Object.assign(process.env, variables);
}

/** Imports the modules that trace the application. */
export async function preload(
  { preload: modules, file, directory: cwd }: Pick<WorkerPlan, 'preload' | 'file' | 'directory'>,
  worker: number | undefined,
): Promise<void> {
  if (modules.length === 0) return;
  // Loaded late: most applications are not traced.
  const { importPreloaded } = await import('../../deploy/instrumentation.ts');
  const directory = file === undefined ? cwd : dirname(file);
  setLastTask(await importPreloaded(modules, { directory, worker }));
}

/** Watches the files that an error is about. */
export function watchFilesOf(error: unknown, control: WorkerControl): void {
  const errors = error instanceof ErrorList ? error.errors : error instanceof PasterError ? [error] : [];
  control.watch(errors.flatMap(({ path }) => path ?? []));
}

/**
 * Lets a worker follow its log file after it was renamed. Until then the worker writes to the descriptor that it has inherited.
 * @returns a function that opens the file again and returns the new descriptor
 */
export function followedLogFile(path: string, control: WorkerControl): () => number | undefined {
  let file: LogFile | undefined;
  return () => {
    try {
      if (file) file.reopen();
      else {
        file = new LogFile(path);
        file.capture();
      }
      return file.fd;
    } catch (error) {
      // The user of this worker may not be allowed to open the file. A successor inherits the new file from the supervisor.
      control.replace(`cannot open its log again (${errorMessage(error)})`, 'log');
      return undefined;
    }
  };
}
