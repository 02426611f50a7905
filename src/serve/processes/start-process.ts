/** Runs a background process by its plan; in the child, below `process/worker/worker.ts`. */
import { dirname, isAbsolute } from 'node:path';
import { backgroundContext } from '../../deploy/background/background-section.ts';
import { checkSection, runProcess } from '../../deploy/background/loaded-process.ts';
import { guardLoading, neverSettlesError } from '../../deploy/loading-step.ts';
import { LoadSession } from '../../deploy/session.ts';
import type { WorkerRunning, WorkerStart } from '../../process/worker/worker.ts';
import { setUpLogging } from '../logging.ts';
import { reloadPatterns } from '../plan.ts';
import { enterPlan, followedLogFile, preload, watchFilesOf } from '../worker/prepare-process.ts';
import type { ProcessPlan } from './process-plan.ts';

export const startProcess: WorkerStart<ProcessPlan> = (plan, _open, control) =>
  guardLoading(
    () => start(plan, control),
    (line) => process.stderr.write(`${line}\n`),
    neverSettlesError,
    control,
  );

async function start(plan: ProcessPlan, control: Parameters<typeof startProcess>[2]): Promise<WorkerRunning> {
  enterPlan(plan);
  const logFile = plan.logFile === undefined ? undefined : followedLogFile(plan.logFile, control);
  const session = new LoadSession(plan.globalConf);
  try {
    const logging = await setUpLogging(plan, session, plan.ownership, false);
    control.onReopenLogs(() => {
      logging?.reopen();
      return logFile?.();
    });
    // The supervisor has logged the error. A save starts the next version.
    if (control.failure) return { close: () => Promise.resolve() };
    const context = await backgroundContext(plan.file, { ...plan, name: plan.process }, plan.globalConf, session);
    if (plan.reload && plan.kind === 'process') control.watchPatterns(reloadPatterns([context], dirname(plan.file)));
    await preload(plan, control.number);
    if (plan.cwd !== undefined) process.chdir(plan.cwd);
    if (plan.importsOnly) {
      await checkSection(context, { imports: true });
      return { finished: Promise.resolve(), close: () => Promise.resolve() };
    }
    const running = await runProcess(context, {
      onGroup: (pid) => control.ownGroup(pid),
      onBegun: () => control.begun(),
      stopped: control.stopped,
    });
    return {
      finished: untilEnd(running.finished),
      endsWhenIdle: running.endsWhenIdle,
      childMemory: () => running.childMemory(),
      close: ({ graceful }) => running.stop({ graceful }),
    };
  } catch (error) {
    watchFilesOf(error, control);
    throw error;
  } finally {
    control.watch([...session.files, ...plan.envFiles, ...plan.preload.map(({ name }) => name).filter(isAbsolute)]);
  }
}

/** An error ends the process as an uncaught one does: the supervisor gets it, and logs it. */
function untilEnd(finished: Promise<void>): Promise<void> {
  return finished.catch((error: unknown) => {
    process.nextTick(() => {
      throw error;
    });
    return new Promise(() => {});
  });
}
