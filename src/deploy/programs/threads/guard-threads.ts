/** The threads of a program that is served: none of them opens a port past the filters of the INI file. */
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import threads, { type WorkerOptions } from 'node:worker_threads';
import { OWN_CODE } from '../../../own-files.ts';

const PRELOAD = join(OWN_CODE, 'deploy/programs/threads/refuse-listen.js');

let isGuarding = false;

/** Replaces the class of threads, for good: packages that are imported ahead keep what they find. */
export function replaceWorker(): void {
  const { Worker } = threads;
  threads.Worker = class extends Worker {
    constructor(file: string | URL, options?: WorkerOptions) {
      super(file, isGuarding ? guarded(options) : options);
    }
  };
  Object.defineProperty(threads.Worker, 'name', { value: 'Worker' });
  syncBuiltinESMExports();
}

/** From now on, each new thread refuses to listen. */
export function guardThreads(): void {
  isGuarding = true;
}

/** Required and not imported: the code of a thread that is given as a text does not wait for imports. */
function guarded(options: WorkerOptions = {}): WorkerOptions {
  return { ...options, execArgv: [...(options.execArgv ?? process.execArgv), `--require=${PRELOAD}`] };
}
