/** What a worker does with its plan; runs in the child, under `process/worker.ts`. */
import { debugFlags } from '../config/debug.ts';
import type { LoadedServer } from '../deploy/load.ts';
import { LoadSession } from '../deploy/session.ts';
import { neverSettled } from '../deploy/unsettled.ts';
import { ErrorList, errorMessage, PasterError } from '../errors.ts';
import { programLogger } from '../log.ts';
import { meter } from '../metrics/meter.ts';
import { LogFile } from '../process/logfile.ts';
import { dropPrivileges } from '../process/user.ts';
import type { WorkerControl, WorkerStart } from '../process/worker.ts';
import type { App, Settings } from '../protocol/types.ts';
import { withoutSecretParameters } from '../secrets.ts';
import { enterDirectory } from '../working-directory.ts';
import { failureApp } from './failure-app.ts';
import { guardLoading } from './loading.ts';
import { setUpLogging } from './logging.ts';
import { loadBuiltinServer, loadPlannedApp, loadPlannedServer } from './plan.ts';
import { reloadPatterns } from './reload-patterns.ts';
import { servedContexts } from './served-contexts.ts';
import type { WorkerPlan } from './worker-plan.ts';

/** Loads and serves the plan's application, or in its place the error that keeps it from loading. */
export const startWorker: WorkerStart<WorkerPlan> = (plan, open, control) =>
  guardLoading(
    () => start(plan, open, control),
    (line) => process.stderr.write(`${line}\n`),
    neverSettled,
    control.stopped,
  );

const start: WorkerStart<WorkerPlan> = async (plan, open, control) => {
  // It may have been started, warm, before a link on the way was switched.
  enterDirectory(plan.directory);
  // The supervisor stays who it is: it removes its files and opens its log again, and never loads an application.
  dropPrivileges(plan.ownership.user, plan.ownership.group);
  // Afterwards, so that a HOME of a --dotenv file overrides the user's own.
  Object.assign(process.env, plan.variables);
  const logFile = plan.logFile === undefined ? undefined : followedLogFile(plan.logFile, control);
  const session = new LoadSession(plan.globalConf);
  meter().isAttended = true;
  meter().ask = () => control.ask();
  let log = programLogger(plan.logLevel, (line) => process.stderr.write(`${line}\n`));
  try {
    const logging = await setUpLogging(plan, session, plan.ownership, false).catch((error) => {
      // What is to be shown in the application's place may be this very error.
      if (!control.failure) throw error;
    });
    control.onReopenLogs(() => {
      logging?.reopen();
      return logFile?.();
    });
    log = logging?.log ?? log;
    if (plan.inspect && control.isFirst) {
      const { takeInspector } = await import('./inspector.ts');
      await takeInspector(plan.inspect, control.stopped, log);
    }
    if (control.failure) {
      const server = await anyServer(plan, session);
      const isShown = !hidesErrors(server.context.globalConf);
      return await server.serveOn(failureApp(control.failure, isShown, plan.directory), open, log);
    }
    const server = await loadPlannedServer(plan, session);
    if (plan.reload) {
      control.watchPatterns(reloadPatterns(await servedContexts(plan, session), plan.directory));
    }
    const app = await loadPlannedApp(plan, session);
    return await server.serveOn(observed(app, plan.countRequests, control), open, log);
  } catch (error) {
    if (error instanceof PasterError) control.watch(pathsAtFault(error));
    throw error;
  } finally {
    // Also when it fails: a change of these files is what everybody waits for then.
    control.watch([...session.files, ...plan.envFiles]);
  }
};

function pathsAtFault(error: PasterError): string[] {
  const errors = error instanceof ErrorList ? error.errors : [error];
  return errors.flatMap(({ path }) => path ?? []);
}

/** Whoever has files watched is a developer: only a clear no keeps what is wrong from the browser. */
function hidesErrors(globalConf: Settings): boolean {
  try {
    return globalConf['serve_traceback'] !== undefined && !debugFlags(globalConf).serveTraceback;
  } catch {
    // That may be what is wrong.
    return false;
  }
}

/**
 * Its output goes into the file already, by descriptor; this is for when the file is renamed.
 * @returns what to call then; that returns the new descriptor
 */
function followedLogFile(path: string, control: WorkerControl): () => number | undefined {
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
      // As another user it may not; a successor inherits the new file from the supervisor.
      control.replace(`cannot open its log again (${errorMessage(error)})`, 'log');
      return undefined;
    }
  };
}

/** To show an error any server will do that speaks the protocol, if the INI file's own is part of the error. */
async function anyServer(plan: WorkerPlan, session: LoadSession): Promise<LoadedServer> {
  try {
    return await loadPlannedServer(plan, session);
  } catch {
    return loadBuiltinServer(plan.scheme, plan.overrides);
  }
}

/** Tells the supervisor of each request, so that it can replace this worker in time, and what it was if it gets stuck. */
function observed(app: App, isCounted: boolean, control: WorkerControl): App {
  const { hold } = control;
  if (!isCounted && !hold) return app;
  const wrapped: App = (req, res) => {
    if (isCounted) control.countRequest();
    if (hold) res.once('close', hold(`${req.method} ${withoutSecretParameters(req.url ?? '')}`));
    return app(req, res);
  };
  return Object.assign(wrapped, app);
}
