/** `serve` with workers or with reload: the supervisor holds the sockets, and the workers serve. */
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { debugFlags } from '../config/debug.ts';
import { applyEnvFiles, configuredVariables } from '../config/env-file.ts';
import type { Context } from '../deploy/context.ts';
import type { LoadedServer } from '../deploy/load.ts';
import { applyEnvironment, type ConfiguredEnvironment } from '../deploy/server/environment.ts';
import type { NamedServers } from '../deploy/server/server-group.ts';
import { LoadSession } from '../deploy/session.ts';
import { ConfigError, EXIT_OK } from '../errors.ts';
import type { Logger } from '../log.ts';
import { memoryLimit } from '../machine/capacity.ts';
import { bindSocket, type HeldSocket, holdSocket } from '../net/held-socket.ts';
import { OWN_CODE } from '../own-files.ts';
import { printable } from '../printable.ts';
import { handleSignals } from '../process/program/signals.ts';
import { ignoredPaths } from '../process/reload/ignored.ts';
import { pollingPeriod } from '../process/reload/polling-filesystems.ts';
import { Supervisor } from '../process/supervisor/supervisor.ts';
import { enterDirectory, workingDirectory } from '../working-directory.ts';
import { listenerUrl, openBrowser, servedName } from './announce.ts';
import { deathDetails } from './death-details.ts';
import { type Development, newDevelopment, nextVersion } from './development/development.ts';
import { loadPlannedServers, type ServePlan, type StickyPlan, servedContexts, type WorkerPlan } from './plan.ts';
import { BackgroundProcesses } from './processes/background-processes.ts';
import { startEnvironment } from './processes/start-environment.ts';
import { SupervisedService } from './processes/supervised-service.ts';
import { allSockets, type OpenedSockets, plannedEndpoints, serverAddresses } from './server-sockets.ts';
import type { Service } from './service.ts';
import { makeWorkersDirectory } from './sticky/workers-directory.ts';
import { shownAddresses } from './terminal/banner.ts';
import { developerLog, takesKeys } from './terminal/developer-output.ts';
import { Upgrade } from './upgrade/upgrade.ts';

const WORKER = join(OWN_CODE, 'worker.js');
/** How long an upgrade waits until no worker of this process accepts connections. */
const DRAINED_LIMIT_MS = 2000;

/** Serves until a signal ends it. @returns The exit status. */
export async function serveWorkers(service: Service): Promise<number> {
  const { plan, request, servers, server, session, log, logFile } = service;
  const { inspect, reload, reloadInterval } = request;
  if (server.runner) {
    throw new ConfigError('PASTER_SERVER_RUNNER', 'a server runner listens by itself and cannot be supervised', {
      location: server.context.sections[0]?.location,
      hint: 'leave out workers and --reload; --only web leaves out background processes',
    });
  }
  // The workers load the same contexts; their warnings are logged once, here.
  const contexts = await servedContexts(plan, session);
  // Importing such a program ahead would run it.
  const runsPackage = contexts.some(isProgramOfPackage);
  session.logWarnings(log);
  if (inspect) await (await import('./inspector.ts')).refuseTaken(inspect);
  const bound = await service.openSockets(servers, bindSocket);
  /** Every socket that was ever held, by the address in the configuration. */
  const held = new Map<string, HeldSocket>();
  const hold = (opened: readonly OpenedSockets<HeldSocket>[]): HeldSocket[] => {
    for (const { sockets } of opened) for (const [name, socket] of sockets) held.set(name, socket);
    return allSockets(opened);
  };
  let stickyDirectory: string | undefined;
  const sticky = ([{ server }]: NamedServers): StickyPlan | undefined => {
    if (!server.settings.sticky) return undefined;
    stickyDirectory ??= makeWorkersDirectory(request.ownership);
    return { directory: stickyDirectory, cookie: cookieName(plan) };
  };
  const development = newDevelopment();
  const developer = service.isLogConfigured ? undefined : await developerLog({ ...request, ...plan }, server);
  const describe = (version: LoadedVersion) =>
    versionOf(service, version, sticky(version.loaded), development, runsPackage);
  /** Has read the files of the version that serves, or that will serve. */
  let read = session;
  const first = describe({ loaded: servers, environment: service.environment, opened: bound, sockets: hold(bound) });
  let { sockets } = first;
  let endpoints = plannedEndpoints(first.boot.servers, sockets);
  const watched = [...session.files, ...first.boot.envFiles];
  const processes = new BackgroundProcesses(service);
  const supervisor = new Supervisor<WorkerPlan>({
    ...first,
    describeProcesses: async () => ({ ...(await processes.status()), addresses: serverAddresses(endpoints) }),
    otherProcesses: () => processes.others(),
    served: servedName(plan),
    entry: WORKER,
    async revise(current, onlyCode) {
      if (onlyCode) {
        const { boot } = current;
        const reloadsPages = boot.development?.version !== undefined;
        return { ...current, boot: { ...boot, development: nextVersion(development, reloadsPages) } };
      }
      const rereading = new LoadSession(plan.globalConf);
      const { environment, next } = await service.inTurn(async () => {
        enterDirectory(workingDirectory());
        applyEnvFiles(plan.envFiles);
        const environment = await applyEnvironment({ ...plan, reload }, rereading);
        return { environment, next: await loadPlannedServers(plan, rereading) };
      });
      if (reload) void processes.update();
      read = rereading;
      // In development the messages about a version that does not load go there too.
      if (reload) await service.configureLogging(read);
      const known = new Map([...held].filter(([, socket]) => current.sockets.includes(socket)));
      const opened = await service.openSockets(next, holdSocket, known);
      const sockets = hold(opened);
      // Workers know from the order which server a socket belongs to.
      const same =
        sockets.length === current.sockets.length &&
        sockets.every((socket, index) => socket === current.sockets[index]);
      return describe({ loaded: next, environment, opened, sockets: same ? current.sockets : sockets });
    },
    onReplaced(serving) {
      const before = endpoints.map(listenerUrl);
      sockets = serving.sockets;
      endpoints = plannedEndpoints(serving.boot.servers, sockets);
      logChangedAddresses(before, endpoints.map(listenerUrl), log);
    },
    // The workers report the other files to watch, from the configuration that they load.
    reload: reload
      ? {
          files: watched,
          debounce: reloadInterval,
          polling: pollingPeriod([plan.directory, ...watched.map(dirname)], reloadInterval),
          onReload: developer?.reloaded,
        }
      : undefined,
    output: logFile && (() => logFile.fd),
    onFailure: developer && ((error) => void developer.failed(error)),
    describeDeath(worker, exit) {
      const { failure } = worker;
      if (failure) void developer?.failed(failure);
      return deathDetails(worker, exit, developer !== undefined);
    },
    log,
  });
  // From now on a signal must stop the workers and close the sockets.
  const upgrade = new Upgrade(service, {
    sockets: () => new Map([...held].filter(([, socket]) => sockets.includes(socket))),
    alone: (action) => processes.alone(() => supervisor.alone(action)),
    suspend: (onTaskRun) => processes.suspend(onTaskRun),
    handOver(pass) {
      supervisor.relay.redirect(pass);
      const drained = Promise.all(supervisor.workers.map((worker) => worker.drained));
      void supervisor.stop({ graceful: true });
      void processes.stop({ graceful: true });
      return Promise.race([drained.then(() => {}), sleep(DRAINED_LIMIT_MS, undefined, { ref: false })]);
    },
  });
  const target = new SupervisedService(supervisor, processes, upgrade, service, () => service.configureLogging(read));
  service.predecessor?.onConnection((connection) => supervisor.relay.pass(connection));
  const stopped = handleSignals(
    target,
    service.signalOptions((signal) => upgrade.takes(signal)),
  );
  try {
    // The application is not loaded if the sockets cannot listen.
    await service.listen(bound, supervisor.warm());
    service.pidFile.reserve();
    await Promise.all([supervisor.start(), processes.start()]);
    if (!target.isStopping) await service.takeOver();
  } catch (error) {
    if (!target.isStopping) {
      await Promise.all([supervisor.stop({ graceful: false }), processes.stop({ graceful: false })]);
      throw error;
    }
  }
  await service.offerControl(target);
  let closeKeys = async (): Promise<void> => {};
  if (!target.isStopping) {
    service.listening(endpoints);
    processes.checkTasks();
    if (takesKeys(request, server)) {
      const { handleKeys } = await import('./terminal/keys.ts');
      closeKeys = handleKeys({
        reload: () => void target.reload('r'),
        quit: () => void target.stop({ graceful: true }),
        open: () => void openBrowser(endpoints, log),
        addresses: () => shownAddresses(endpoints, servers.length === 1),
      });
    }
  }
  await stopped;
  await closeKeys();
  return (await upgrade.ended()) ?? EXIT_OK;
}

/** A version whose configuration has been read, and whose sockets are open. */
interface LoadedVersion {
  readonly loaded: NamedServers;
  readonly environment: ConfiguredEnvironment;
  readonly opened: readonly OpenedSockets<HeldSocket>[];
  /** Those of `opened`, or those of the current version if they are the same. */
  readonly sockets: readonly HeldSocket[];
}

/** What the supervisor gets about a version of the web workers. */
function versionOf(
  service: Service,
  { loaded, environment, opened, sockets }: LoadedVersion,
  sticky: StickyPlan | undefined,
  development: Development,
  runsPackage: boolean,
) {
  const { plan, request, log } = service;
  const { inspect, reload } = request;
  const [{ server }] = loaded;
  const { settings } = server;
  const flags = debugFlags(server.context.globalConf);
  const worker = workerPlan(service, opened, server, environment, sticky);
  const { directory, variables, ownership, preload } = worker;
  // In development one version serves at a time, and a fixed number is the simplest.
  const scaling = reload ? undefined : server.scaling;
  return {
    boot: {
      ...worker,
      development: nextVersion(development, reload && settings.browser_reload && flags.browserReload),
    },
    env: startEnvironment(worker, log),
    sockets,
    workers: workersOf(server, reload),
    scaling,
    automatic: server.automaticWorkers,
    memoryLimit: memoryLimit(),
    exclusive: settings.reload_exclusive,
    canary: settings.canary > 0 ? { seconds: settings.canary, margin: settings.canary_errors / 100 } : undefined,
    isIgnored: ignoredPaths(settings.reload_ignore, plan.file === undefined ? plan.directory : dirname(plan.file)),
    // A debugger may pause a worker for any time.
    startTimeout: inspect ? 0 : settings.start_timeout,
    gracefulTimeout: settings.graceful_timeout,
    workerTimeout: inspect ? 0 : settings.worker_timeout,
    maxRequests: settings.max_requests,
    maxRequestsJitter: settings.max_requests_jitter,
    maxMemory: settings.max_memory,
    spareWorkers: settings.spare_workers,
    // Modules that trace packages have to see how the application itself imports them.
    preload:
      settings.reload_preload === 'auto' && !runsPackage && preload.length === 0
        ? {
            leaveOut: settings.reload_preload_except,
            environment: { directory, variables, ownership },
            isReload: reload,
          }
        : undefined,
  };
}

function workerPlan(
  { plan, request, logFile }: Service,
  opened: readonly OpenedSockets<HeldSocket>[],
  server: LoadedServer,
  environment: ConfiguredEnvironment,
  sticky: StickyPlan | undefined,
): WorkerPlan {
  const { reload, logLevel, ownership, inspect } = request;
  return {
    ...plan,
    servers: opened.map(({ name, server: { scheme }, sockets }) => ({ name, scheme, sockets: sockets.size })),
    envFiles: [...plan.envFiles, ...environment.files],
    variables: configuredVariables(),
    preload: environment.preload,
    workers: workersOf(server, reload),
    countRequests: server.settings.max_requests > 0,
    sticky,
    reload,
    logLevel,
    ownership,
    logFile: logFile?.path,
    inspect,
  };
}

function logChangedAddresses(before: readonly string[], now: readonly string[], log: Logger): void {
  for (const url of before) if (!now.includes(url)) log.info(printable(`no longer serving on ${url}`));
  for (const url of now) if (!before.includes(url)) log.info(printable(`serving on ${url}`));
}

function workersOf({ workers, workersWithReload }: LoadedServer, reload: boolean): number {
  return (reload ? workersWithReload : workers) ?? 1;
}

function isProgramOfPackage(context: Context): boolean {
  return context.form === 'factory' && /^listen:.*\bnode_modules\//.test(context.target.description);
}

/** Browsers send a cookie to every port and path of a host, so each server has a name of its own. */
function cookieName({ serverUri, serverNames }: ServePlan): string {
  const hash = createHash('sha256')
    .update(`${serverUri}\n${serverNames.join(' ')}`)
    .digest('hex');
  return `paster_worker_${hash.slice(0, 8)}`;
}
