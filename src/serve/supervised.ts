/** `serve` with workers or with reload: the supervisor holds the sockets, and the workers serve. */
import { dirname, join } from 'node:path';
import { applyEnvFiles, fileVariables, outerEnvironment } from '../config/env-file.ts';
import type { LoadedServer } from '../deploy/load.ts';
import { LoadSession } from '../deploy/session.ts';
import { ConfigError, EXIT_OK } from '../errors.ts';
import type { LogLevel } from '../log.ts';
import type { Address, TcpAddress } from '../net/address.ts';
import { type HeldSocket, holdSocket } from '../net/held-socket.ts';
import { OWN_CODE } from '../own-files.ts';
import { printable } from '../printable.ts';
import { pollingPeriod } from '../process/polling.ts';
import { obeySignals, type Supervised } from '../process/signals.ts';
import { Supervisor } from '../process/supervisor.ts';
import { enterDirectory, workingDirectory } from '../working-directory.ts';
import { listenerUrl } from './announce.ts';
import { deathDetails } from './death-details.ts';
import type { Lifecycle } from './lifecycle.ts';
import { type Ownership, openAll } from './listeners.ts';
import { loadPlannedServer, type Prepared, type ServePlan } from './plan.ts';
import { servedContexts } from './served-contexts.ts';
import { answerForPlan } from './status-socket.ts';
import type { WorkerPlan } from './worker-plan.ts';

const WORKER = join(OWN_CODE, 'worker.js');

export interface SupervisedOptions {
  /** Reload on changes, and the milliseconds of `--reload-interval`. */
  readonly reload: { readonly interval: number | undefined } | undefined;
  readonly logLevel: LogLevel;
  readonly ownership: Ownership;
  /** Sockets that systemd has opened. */
  readonly passed: readonly Address[];
  /** Where a debugger finds the first worker. */
  readonly inspect: TcpAddress | undefined;
}

/** Serves until a signal ends it. @returns The exit status. */
export async function serveSupervised(
  plan: ServePlan,
  { server, session }: Prepared,
  options: SupervisedOptions,
  lifecycle: Lifecycle,
): Promise<number> {
  const { log, logFile } = lifecycle;
  if (server.runner) {
    throw new ConfigError('PASTER_SERVER_RUNNER', 'a server runner listens by itself and cannot be supervised', {
      location: server.context.sections[0]?.location,
      hint: 'leave out workers and --reload',
    });
  }
  // The workers load it again; said here, what there is to warn of is said once.
  await servedContexts(plan, session);
  session.tellWarnings(log);
  const { passed, ownership, inspect } = options;
  if (inspect) await (await import('./inspector.ts')).refuseTaken(inspect);
  /** Every socket that was ever held, by the address that was asked for. */
  const held = await openAll(server, passed, ownership, holdSocket);
  let { scheme } = server;
  const configured = (of: LoadedServer, sockets: readonly HeldSocket[]) => {
    const { settings } = of;
    return {
      boot: workerPlan(plan, of, options, logFile?.path),
      sockets,
      workers: of.workers ?? 1,
      // Whoever is looked at in a debugger stands still as long as one looks.
      startTimeout: inspect ? 0 : settings.start_timeout,
      gracefulTimeout: settings.graceful_timeout,
      workerTimeout: inspect ? 0 : settings.worker_timeout,
      maxRequests: settings.max_requests,
      maxRequestsJitter: settings.max_requests_jitter,
      maxMemory: settings.max_memory,
    };
  };
  const first = configured(server, [...held.values()]);
  const watched = [...session.files, ...plan.envFiles];
  const supervisor = new Supervisor<WorkerPlan>({
    ...first,
    entry: WORKER,
    // The rest comes with the plan, as a reload has it: a warm worker is older than that.
    env: outerEnvironment(),
    async revise(current) {
      enterDirectory(workingDirectory());
      applyEnvFiles(plan.envFiles);
      const next = await loadPlannedServer(plan, new LoadSession(plan.globalConf));
      const known = new Map([...held].filter(([, socket]) => current.sockets.includes(socket)));
      const opened = await openAll(next, passed, ownership, holdSocket, known);
      for (const [name, socket] of opened) held.set(name, socket);
      ({ scheme } = next);
      const sockets = [...opened.values()];
      const same =
        sockets.length === current.sockets.length && sockets.every((socket) => current.sockets.includes(socket));
      return configured(next, same ? current.sockets : sockets);
    },
    onSockets(sockets, before) {
      const added = sockets.filter((socket) => !before.includes(socket));
      for (const { address } of added) log.info(printable(`serving on ${listenerUrl(scheme, address)}`));
    },
    // What else there is to watch the workers say: it is in the configuration that they load.
    reload: options.reload && {
      files: watched,
      debounce: options.reload.interval,
      polling: pollingPeriod([plan.directory, ...watched.map(dirname)], options.reload.interval),
    },
    output: logFile && (() => logFile.fd),
    describeDeath: deathDetails,
    log,
  });
  // From now on a signal has to find the workers and the sockets.
  const attended = new Attended(supervisor, lifecycle);
  const obeyed = obeySignals(attended, () => lifecycle.reopenLogs());
  try {
    await supervisor.start();
    lifecycle.claim(first.gracefulTimeout);
  } catch (error) {
    if (!attended.isStopping) {
      await supervisor.stop({ graceful: false });
      throw error;
    }
  }
  await answerForPlan(plan, () => supervisor.status(), log);
  if (!attended.isStopping) lifecycle.listening({ scheme, addresses: first.sockets.map(({ address }) => address) });
  await obeyed;
  return EXIT_OK;
}

function workerPlan(
  plan: ServePlan,
  { settings, scheme }: LoadedServer,
  { reload, logLevel, ownership, inspect }: SupervisedOptions,
  logFile: string | undefined,
): WorkerPlan {
  return {
    ...plan,
    scheme,
    variables: fileVariables(),
    countRequests: settings.max_requests > 0,
    reload: reload !== undefined,
    logLevel,
    ownership,
    logFile,
    inspect,
  };
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

  report(): Promise<void> {
    return this.#supervisor.report();
  }

  async stop(how: { graceful: boolean }): Promise<void> {
    this.isStopping = true;
    void this.#lifecycle.stopping();
    await this.#supervisor.stop(how);
  }
}
