/** Loads and serves the plan of a worker; runs in the child, below `process/worker/worker.ts`. */
import { isAbsolute } from 'node:path';
import { loadTarget } from '../../deploy/compose.ts';
import type { Context, FactoryContext } from '../../deploy/context.ts';
import { innerContexts } from '../../deploy/inspect/outline.ts';
import { loadContext } from '../../deploy/load.ts';
import { guardLoading, neverSettlesError } from '../../deploy/loading-step.ts';
import { importPackage, observeEvaluation, prepareTsx } from '../../deploy/modules/import-module.ts';
import { replaceListen } from '../../deploy/programs/listening/policy.ts';
import { refuseListeningLater } from '../../deploy/programs/listening/refusal.ts';
import type { programFactory } from '../../deploy/programs/program.ts';
import type { NamedServer } from '../../deploy/server/server-group.ts';
import { type ServedListener, type Serving, serveTogether } from '../../deploy/server/serving.ts';
import { LoadSession } from '../../deploy/session.ts';
import { validateSettings } from '../../deploy/validate.ts';
import { paintFor } from '../../diagnostics/paint.ts';
import type { Logger } from '../../log.ts';
import { meter } from '../../metrics/meter.ts';
import type { WorkerPreparation, WorkerStart, WorkerWarming } from '../../process/worker/worker.ts';
import type { WorkerControl } from '../../process/worker/worker-control.ts';
import { warnOfPollingSessions } from '../../protocol/polling-sessions.ts';
import type { App } from '../../protocol/types.ts';
import { withoutSecretParameters } from '../../secrets.ts';
import { isWeb, serverIdentity } from '../announce.ts';
import { setUpLogging, terminalLogger } from '../logging.ts';
import {
  loadBuiltinServer,
  loadDevelopment,
  loadPlannedApp,
  loadPlannedServers,
  plannedAppContext,
  reloadPatterns,
  servedContexts,
  type WorkerPlan,
} from '../plan.ts';
import { showFailures, shownRequests } from '../terminal/developer-output.ts';
import { configurationReadAhead, type ReadConfiguration, readConfigurationAhead } from './configuration-ahead.ts';
import { enterPlan, followedLogFile, preload, watchFilesOf } from './prepare-process.ts';

/** Loads and serves the plan's application, or the error that keeps it from loading. */
export const startWorker: WorkerStart<WorkerPlan> = (plan, open, control) =>
  guardLoading(() => start(plan, open, control), writeToStandardError, neverSettlesError, control);

/**
 * Loads what every application needs, so that a spare worker has it already: the servers of the plan's protocols, which takes 20 ms,
 * and in development the code that wraps the application.
 */
export const warmWorker: WorkerWarming<WorkerPlan> = async (plan, rehearsal) => {
  const { servers, reload } = plan;
  for (const { scheme } of servers) await loadBuiltinServer(scheme, {});
  // With TLS, browsers speak it.
  if (servers.some(({ scheme }) => scheme === 'https')) {
    await import('../../servers/http/http2.ts');
    await import('../../servers/http/tls/certificates.ts');
  }
  if (reload) await loadDevelopment();
  if (!rehearsal || rehearsal.isOver()) return;
  const { rehearse } = await import('./rehearsal.ts');
  // One server is enough, because all of them run mostly the same code.
  const { scheme = '' } = servers.find((each) => isWeb(each.scheme)) ?? servers[0] ?? {};
  await guardLoading(() => rehearse({ scheme, reload }, rehearsal.isOver), ignore, ignore);
  // A reload on a change of files may need other modules, and would get them from this worker.
  if (reload || rehearsal.isOver()) return;
  enterPlan(plan);
  await preload(plan, rehearsal.number);
};

function ignore(): undefined {}

/**
 * Prepares a spare worker to import packages of the application. The process must be in the same state as when it loads the
 * application.
 */
export const prepareWorker: WorkerPreparation<WorkerPlan> = async (plan, units) => {
  enterPlan(plan);
  // Before packages, as in a cold start: they may set variables. Not without `reload`: then a file may change long before the
  // reload that the change is meant for.
  if (plan.reload) await readConfigurationAhead(plan);
  await enterProgramOf(plan).catch(ignore);
  // Before packages are observed: what paster itself changes must not be taken for a change by a package or the application.
  replaceListen();
  const { replaceChildren } = await import('../../deploy/programs/children/guard-children.ts');
  replaceChildren();
  const typescript = units.find(({ byTsx }) => byTsx);
  if (typescript) await prepareTsx(typescript.from);
  return importPackage;
};

/**
 * Prepares the process as for its program, such as its arguments. With several programs it is not known which one a package belongs
 * to.
 */
async function enterProgramOf(plan: WorkerPlan): Promise<void> {
  const contexts = await servedContexts(plan, new LoadSession(plan.globalConf));
  const programs = contexts.filter(isProgram);
  const [program] = programs;
  if (!program || programs.length > 1) return;
  const factory = (await program.target.load()) as ReturnType<typeof programFactory>;
  factory.enterAhead((await validateSettings(factory, program)) as Parameters<typeof factory>[1]);
}

function isProgram(context: Context): context is FactoryContext {
  return context.form === 'factory' && context.target.description.startsWith('listen:');
}

const start: WorkerStart<WorkerPlan> = async (plan, open, control) => {
  enterPlan(plan);
  const logFile = plan.logFile === undefined ? undefined : followedLogFile(plan.logFile, control);
  const ahead = control.isConfigurationSame ? await configurationReadAhead(plan) : undefined;
  const session = ahead?.session ?? new LoadSession(plan.globalConf);
  meter().isWatching = true;
  meter().ask = control.ask;
  observeEvaluation(() => control.evaluated());
  if (plan.importsOnly) {
    await preload(plan, control.number);
    return await importOnly(plan, session, open);
  }
  try {
    const logging = await setUpLogging(plan, session, plan.ownership, false).catch((error) => {
      // This may be the error that is served instead of the application.
      if (!control.failure) throw error;
    });
    control.onReopenLogs(() => {
      logging?.reopen();
      return logFile?.();
    });
    const log = logging?.log ?? terminalLogger(plan.logLevel, writeToStandardError, paintFor(process.stderr));
    if (plan.inspect && control.isFirst) {
      const { takeInspector } = await import('../inspector.ts');
      await takeInspector(plan.inspect, control.stopped, log);
    }
    const starting = { plan, control, session, log, open: async () => listenersByServer(await open(), plan) };
    if (control.failure) return await serveFailure(starting, control.failure);
    return await serveApplication(starting, ahead, logging !== undefined);
  } catch (error) {
    watchFilesOf(error, control);
    throw error;
  } finally {
    // Also after an error, which a change of one of these files may correct.
    control.watch([...session.files, ...plan.envFiles, ...plan.preload.map(({ name }) => name).filter(isAbsolute)]);
  }
};

/** A worker whose process is set up and that has loaded nothing of the application. */
interface StartingWorker {
  readonly plan: WorkerPlan;
  readonly control: WorkerControl;
  readonly session: LoadSession;
  readonly log: Logger;
  /** Opens the listeners, those of each server in a list. */
  readonly open: () => Promise<ServedListener[][]>;
}

/**
 * Loads the application and serves it.
 * @param ahead what a spare worker has read of the configuration, if it has not changed since
 * @param isLogConfigured whether the INI file says what is logged; otherwise failures and requests are shown on the terminal
 */
async function serveApplication(
  { plan, control, session, log, open }: StartingWorker,
  ahead: ReadConfiguration | undefined,
  isLogConfigured: boolean,
): Promise<Serving> {
  await preload(plan, control.number);
  const servers = ahead?.servers ?? (await loadPlannedServers(plan, session));
  const [{ server }] = servers;
  if (plan.reload) {
    const patterns = ahead?.patterns ?? reloadPatterns(await servedContexts(plan, session), plan.directory);
    control.watchPatterns(patterns);
  }
  if (!isLogConfigured) await showFailures(plan, server);
  const withLines = await shownRequests(plan, server);
  refuseListeningLater(plan.directory, log);
  const context = ahead?.app ?? (await plannedAppContext(plan, session));
  const loaded = await loadPlannedApp(plan, context, () => control.notePage());
  const app = trackedApp(withLines(loaded), plan, control, log);
  const sticky = plan.sticky && new (await import('../sticky/sticky-sessions.ts')).StickySessions(plan.sticky, log);
  const serving = { log, isFirst: control.isFirst, context };
  const running = await serveTogether(servers, sticky?.around(app) ?? app, open, serving);
  meter().identity = serverIdentity(plan, running.endpoints);
  return sticky?.with(running) ?? running;
}

/** Serves the error with which the application has failed to load. */
async function serveFailure({ plan, control, session, log, open }: StartingWorker, failure: Error): Promise<Serving> {
  const servers = await serversForFailure(plan, session);
  const { failureApp } = await import('../development/load-failure.ts');
  const globalConf = servers[0]?.server.context.globalConf ?? {};
  const app = failureApp(failure, globalConf, plan, () => control.notePage());
  return await serveTogether(servers, app, open, { log, isFirst: control.isFirst });
}

function writeToStandardError(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Adds to the application what a worker notes of its requests. */
function trackedApp(loaded: App, plan: WorkerPlan, control: WorkerControl, log: Logger): App {
  // It is enough if one worker logs the warning.
  const workers = control.isFirst && !plan.sticky ? plan.workers : 1;
  const app = warnOfPollingSessions(loaded, workers, (message) => log.warn(message));
  return trackRequests(app, plan.countRequests, control);
}

/** For `check -v`: imports the modules as a worker that serves does, so that their effects show. */
async function importOnly(plan: WorkerPlan, session: LoadSession, open: () => Promise<unknown>) {
  const { appUri, appName: name, directory: relativeTo, globalConf } = plan;
  await importTargets(await loadContext('app', appUri, { relativeTo, name, globalConf }, session));
  await open();
  return { close: () => Promise.resolve() };
}

/** In the order in which `createApp` imports them. */
async function importTargets(context: Context): Promise<void> {
  if (context.form === 'factory') await loadTarget(context);
  const inner = (await innerContexts(context)).map((each) => each.context);
  const isAppFirst = context.form === 'pipeline' || context.form === 'filter-app';
  for (const each of isAppFirst ? [...inner.slice(-1), ...inner.slice(0, -1)] : inner) await importTargets(each);
}

/** Any server that speaks the protocol can show an error, if the INI file's own server is part of the error. */
async function serversForFailure(plan: WorkerPlan, session: LoadSession): Promise<readonly NamedServer[]> {
  try {
    return await loadPlannedServers(plan, session);
  } catch {
    return Promise.all(
      plan.servers.map(async ({ name, scheme }) => ({ name, server: await loadBuiltinServer(scheme, plan.overrides) })),
    );
  }
}

/** The listeners of each server. */
function listenersByServer<T>(listeners: readonly T[], { servers }: WorkerPlan): T[][] {
  let next = 0;
  return servers.map(({ sockets }) => {
    next += sockets;
    return listeners.slice(next - sockets, next);
  });
}

/** Counts requests for `max_requests`, and names those in flight if this worker is blocked. */
function trackRequests(app: App, isCounted: boolean, control: WorkerControl): App {
  const { trackRequest } = control;
  if (!isCounted && !trackRequest) return app;
  const wrapped: App = (req, res) => {
    if (isCounted) control.countRequest();
    if (trackRequest) res.once('close', trackRequest(`${req.method} ${withoutSecretParameters(req.url ?? '')}`));
    return app(req, res);
  };
  return Object.assign(wrapped, app);
}
