/** `serve` with workers or with reload: the supervisor holds the sockets, and the workers serve. */
import { fileURLToPath } from 'node:url';
import type { LoadedServer } from '../deploy/load.ts';
import { LoadSession } from '../deploy/session.ts';
import { ConfigError, EXIT_OK, locate } from '../errors.ts';
import type { Logger, LogLevel } from '../log.ts';
import { type HeldSocket, holdSocket } from '../net/held-socket.ts';
import { obeySignals } from '../process/signals.ts';
import { Supervisor } from '../process/supervisor.ts';
import { announce } from './announce.ts';
import { loadPlannedServer, type ServePlan } from './plan.ts';
import { reloadPatterns } from './reload-patterns.ts';
import { warnAll } from './single.ts';
import type { WorkerPlan } from './worker-plan.ts';

const WORKER = fileURLToPath(new URL('../worker.js', import.meta.url));

export interface SupervisedOptions {
  /** Reload on changes, and the milliseconds that a burst of them is waited out. */
  readonly reload: { readonly debounce: number | undefined } | undefined;
  readonly logLevel: LogLevel;
}

/** Serves until a signal ends it. @returns The exit status. */
export async function serveSupervised(
  plan: ServePlan,
  options: SupervisedOptions,
  out: (line: string) => void,
  log: Logger,
): Promise<number> {
  const session = new LoadSession(plan.globalConf);
  const server = await loadPlannedServer(plan, session);
  if (server.runner) {
    throw new ConfigError('PASTER_SERVER_RUNNER', 'a server runner listens by itself and cannot be supervised', {
      location: server.context.sections[0]?.location,
      hint: 'leave out workers and --reload',
    });
  }
  const patterns = options.reload ? await reloadPatterns(plan, session) : [];
  warnAll(session, log);
  const sockets = await holdAll(server);
  const { settings, scheme } = server;
  const supervisor = new Supervisor<WorkerPlan>({
    entry: WORKER,
    boot: { ...plan, scheme, countRequests: settings.max_requests > 0, logLevel: options.logLevel },
    sockets,
    workers: server.workers ?? 1,
    gracefulTimeout: settings.graceful_timeout,
    workerTimeout: settings.worker_timeout,
    maxRequests: settings.max_requests,
    maxRequestsJitter: settings.max_requests_jitter,
    maxMemory: settings.max_memory,
    reload: options.reload && { patterns: [...session.files, ...patterns], debounce: options.reload.debounce },
    log,
  });
  // From now on a signal has to find the workers and the sockets.
  const obeyed = obeySignals(supervisor);
  await supervisor.start();
  announce(
    process.pid,
    scheme,
    sockets.map((socket) => socket.address),
    out,
  );
  await obeyed;
  return EXIT_OK;
}

async function holdAll(server: LoadedServer): Promise<HeldSocket[]> {
  const held: HeldSocket[] = [];
  try {
    for (const address of server.addresses) held.push(await holdSocket(address, server.bindOptions));
    return held;
  } catch (error) {
    await Promise.all(held.map((socket) => socket.close()));
    throw locate(error, server.placeOfAddress);
  }
}
