/** The entry of a worker process. */
import { enableCompileCache } from './process/program/compile-cache.ts';

// Node takes from the cache what is imported from now on.
enableCompileCache();
const { runWorkerProgram } = await import('./serve/worker/worker-program.ts');
process.exit(await runWorkerProgram());
