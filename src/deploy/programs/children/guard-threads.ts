/** The threads of a program that is served: none of them opens a port past the filters of the INI file. */
import { syncBuiltinESMExports } from 'node:module';
import threads, { type WorkerOptions } from 'node:worker_threads';

let preload: string | undefined;

/** Replaces the class of threads, for good: packages that are imported ahead keep what they find. */
export function replaceWorker(): void {
  const { Worker } = threads;
  threads.Worker = class extends Worker {
    constructor(file: string | URL, options?: WorkerOptions) {
      super(file, preload === undefined ? options : guarded(preload, options));
    }
  };
  Object.defineProperty(threads.Worker, 'name', { value: 'Worker' });
  syncBuiltinESMExports();
}

/** From now on, each new thread refuses to listen. @param file what it loads first */
export function guardThreads(file: string): void {
  preload = file;
}

/** Required and not imported: the code of a thread that is given as a text does not wait for imports. */
function guarded(file: string, options: WorkerOptions = {}): WorkerOptions {
  return { ...options, execArgv: [...(options.execArgv ?? process.execArgv), `--require=${file}`] };
}
