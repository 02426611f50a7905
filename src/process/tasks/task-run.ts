/** One run of a task: a worker process without sockets that ends by itself. */
import { RunError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { TaskResult } from '../../metrics/server-status.ts';
import { enterDirectory, inCurrentRelease, workingDirectory } from '../../working-directory.ts';
import { describeExit, type Exit, overdueText, WORKER_DONE } from '../ipc/child-exit.ts';
import { NO_LIMITS } from '../ipc/messages.ts';
import { titleOf } from '../program/title.ts';
import { WorkerHandle } from '../supervisor/worker-handle.ts';

export interface TaskRunOptions<Boot> {
  readonly name: string;
  readonly entry: string;
  readonly served: string;
  readonly output: () => number | 'inherit';
  readonly log: Logger;
  readonly boot: Boot;
  readonly env: NodeJS.ProcessEnv;
}

/** A run in progress. */
export interface TaskProcess {
  readonly pid: number | undefined;
  readonly ended: Promise<TaskEnd>;
  /** Asks it to end, and kills it after some seconds. `result` is what its end counts as. */
  stop(result: TaskResult, seconds: number): Promise<void>;
  reopenLogs(): void;
}

export interface TaskEnd {
  readonly result: TaskResult;
  readonly error: Error | undefined;
  /** Whether it was killed because it did not end in time when it was asked to. */
  readonly isKilled: boolean;
}

let lastId = 0;

export function startTaskRun<Boot>({ name, entry, served, output, log, boot, env }: TaskRunOptions<Boot>): TaskProcess {
  enterDirectory(workingDirectory());
  let isKilled = false;
  const worker = new WorkerHandle<Boot>({
    id: ++lastId,
    entry: inCurrentRelease(entry),
    sockets: [],
    listens: false,
    place: undefined,
    env,
    execArgv: [],
    output: output(),
    onWatch: () => {},
    onConfiguration: () => {},
    onPatterns: () => {},
    onPage: () => {},
    onPreload: () => {},
    onEarlyModules: () => {},
    onOpening: () => true,
    onReplace: () => {},
    onAsk: () => new Promise(() => {}),
    onReport: () => {},
    onConnection: (connection) => connection.close(),
    onOverdue(seconds) {
      isKilled = true;
      log.warn(overdueText(`process ${worker.pid}`, seconds));
    },
  });
  worker.title = titleOf(`task ${name}`, served);
  let stopped: TaskResult | undefined;
  const how = { isFirst: true, failure: undefined, asksToOpen: false, isConfigurationSame: false };
  const booted = worker.boot(boot, { ...NO_LIMITS, reportsUntilReady: true }, how);
  // `ended` reports the same error.
  booted.catch(() => {});
  return {
    pid: worker.pid,
    ended: worker.exited.then((exit) => {
      if (stopped !== undefined) return { result: stopped, error: undefined, isKilled };
      if (exit.code === WORKER_DONE) return { result: 'ok', error: undefined, isKilled };
      return { result: 'failed', error: worker.failure ?? endedEarly(exit), isKilled };
    }),
    stop(result, seconds) {
      stopped ??= result;
      return worker.stop({ graceful: seconds > 0, timeout: seconds });
    },
    reopenLogs: () => worker.reopenLogs(),
  };
}

function endedEarly(exit: Exit): RunError {
  return new RunError('PASTER_TASK', `its process ended ${describeExit(exit)}`);
}
