/** `serve` with workers or with reload: the supervisor holds the sockets, and the workers serve. */
import { join } from 'node:path';
import { ConfigError, EXIT_OK } from '../errors.ts';
import type { LogLevel } from '../log.ts';
import type { Address } from '../net/address.ts';
import { holdSocket } from '../net/held-socket.ts';
import { OWN_CODE } from '../own-files.ts';
import { obeySignals, type Supervised } from '../process/signals.ts';
import { Supervisor } from '../process/supervisor.ts';
import type { Lifecycle } from './lifecycle.ts';
import { type Ownership, openAll } from './listeners.ts';
import type { Prepared, ServePlan } from './plan.ts';
import { servedContexts } from './served-contexts.ts';
import { warnAll } from './single.ts';
import { fixedSettings, type WorkerPlan } from './worker-plan.ts';

const WORKER = join(OWN_CODE, 'worker.js');

export interface SupervisedOptions {
  /** Reload on changes, and the milliseconds that a burst of them is waited out. */
  readonly reload: { readonly debounce: number | undefined } | undefined;
  readonly logLevel: LogLevel;
  readonly ownership: Ownership;
  /** Sockets that systemd has opened. */
  readonly passed: readonly Address[];
}

/** Serves until a signal ends it. @returns The exit status. */
export async function serveSupervised(
  plan: ServePlan,
  { server, session }: Prepared,
  options: SupervisedOptions,
  lifecycle: Lifecycle,
): Promise<number> {
  const { log, logFile } = lifecycle;
  const { logLevel, ownership, passed } = options;
  if (server.runner) {
    throw new ConfigError('PASTER_SERVER_RUNNER', 'a server runner listens by itself and cannot be supervised', {
      location: server.context.sections[0]?.location,
      hint: 'leave out workers and --reload',
    });
  }
  // The workers load it again; said here, what there is to warn of is said once.
  await servedContexts(plan, session);
  warnAll(session, log);
  const sockets = await openAll(server, passed, ownership, holdSocket);
  const { settings, scheme } = server;
  const supervisor = new Supervisor<WorkerPlan>({
    entry: WORKER,
    boot: {
      ...plan,
      scheme,
      fixed: fixedSettings(server),
      countRequests: settings.max_requests > 0,
      reload: options.reload !== undefined,
      logLevel,
      ownership,
      logFile: logFile?.path,
    },
    sockets,
    workers: server.workers ?? 1,
    gracefulTimeout: settings.graceful_timeout,
    workerTimeout: settings.worker_timeout,
    maxRequests: settings.max_requests,
    maxRequestsJitter: settings.max_requests_jitter,
    maxMemory: settings.max_memory,
    // What else there is to watch the workers say: it is in the configuration that they load.
    reload: options.reload && { patterns: session.files, debounce: options.reload.debounce },
    output: logFile && (() => logFile.fd),
    log,
  });
  // From now on a signal has to find the workers and the sockets.
  const attended = new Attended(supervisor, lifecycle);
  const obeyed = obeySignals(attended, () => lifecycle.reopenLogs());
  try {
    await supervisor.start();
    lifecycle.claim(settings.graceful_timeout);
  } catch (error) {
    if (!attended.isStopping) {
      await supervisor.stop({ graceful: false });
      throw error;
    }
  }
  if (!attended.isStopping) lifecycle.listening({ scheme, addresses: sockets.map((socket) => socket.address) });
  await obeyed;
  return EXIT_OK;
}

/** The supervisor, with those told who have to know what it is doing. */
class Attended implements Supervised {
  readonly finished: Promise<void>;
  readonly #supervisor: Supervisor<WorkerPlan>;
  readonly #lifecycle: Lifecycle;
  isStopping = false;

  constructor(supervisor: Supervisor<WorkerPlan>, lifecycle: Lifecycle) {
    this.#supervisor = supervisor;
    this.#lifecycle = lifecycle;
    this.finished = supervisor.finished;
  }

  reload(reason: string): Promise<unknown> {
    return this.#lifecycle.reloading(() => this.#supervisor.reload(reason));
  }

  addWorker(): Promise<void> {
    return this.#supervisor.addWorker();
  }

  removeWorker(): Promise<void> {
    return this.#supervisor.removeWorker();
  }

  reopenLogs(): void {
    this.#supervisor.reopenLogs();
  }

  async stop(how: { graceful: boolean }): Promise<void> {
    this.isStopping = true;
    void this.#lifecycle.stopping();
    await this.#supervisor.stop(how);
  }
}
