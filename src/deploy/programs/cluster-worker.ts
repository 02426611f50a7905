/**
 * A program that forks itself with node:cluster runs as one of its workers: paster starts the processes, as many as
 * `workers` of the INI file says, and each of them serves.
 */
import cluster, { type Worker } from 'node:cluster';
import { syncBuiltinESMExports } from 'node:module';
import { ConfigError } from '../../errors.ts';
import { placeInStack } from '../modules/error-place.ts';
import { placeOfFork } from './children/guard-children.ts';

/** Makes `cluster.isWorker` true in this process. Forks would listen on ports of their own, past the filters. */
export function becomeClusterWorker(): void {
  const ClusterWorker = Reflect.get(cluster, 'Worker') as new (options: { id: number }) => Worker;
  const worker = Object.assign(new ClusterWorker({ id: process.pid }), {
    process,
    isConnected: () => true,
    isDead: () => false,
  });
  const isWorker = { isPrimary: false, isMaster: false, isWorker: true, worker };
  Object.assign(cluster, isWorker, { fork: refuseFork });
  // For `import { isPrimary } from 'node:cluster'`.
  syncBuiltinESMExports();
}

function refuseFork(): never {
  throw forksError();
}

export function forksError(): ConfigError {
  return new ConfigError('PASTER_FORKS', 'the program forks workers with node:cluster', {
    location: placeInStack(placeOfFork()),
    hint: 'serve the file that the workers run, and write workers = 2 in [server:main]',
  });
}

/** Whether Node itself calls `listen()`, for the forks of a program that was not known to have any. */
export function isPortOfForks(): boolean {
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, isPortOfForks);
  return holder.stack?.includes('node:internal/cluster/') ?? false;
}
