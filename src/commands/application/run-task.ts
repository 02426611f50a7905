/** `paster run`: runs a task of an INI file now, in this process. */
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { configuredVariables, protectRoot } from '../../config/env-file.ts';
import { didYouMean } from '../../config/nearest.ts';
import { backgroundContext, environmentSection } from '../../deploy/background/background-section.ts';
import { type RunningProcess, runProcess } from '../../deploy/background/loaded-process.ts';
import { readTaskSettings, type TaskSettings } from '../../deploy/background/task-settings.ts';
import { type Context, sectionPrefix } from '../../deploy/context.ts';
import { guardLoading, neverSettlesError } from '../../deploy/loading-step.ts';
import { namesOfKind } from '../../deploy/part-kinds.ts';
import { applyEnvironment } from '../../deploy/server/environment.ts';
import { LoadSession } from '../../deploy/session.ts';
import { partFailure } from '../../deploy/validate.ts';
import { EXIT_OK, PasterError, RunError, UsageError } from '../../errors.ts';
import { programLogger } from '../../log.ts';
import { TASK_DUE } from '../../process/ipc/messages.ts';
import { setUpLogging } from '../../serve/logging.ts';
import { enterPlan, preload } from '../../serve/worker/prepare-process.ts';
import { after, isDoneWithin } from '../../timer.ts';
import { workingDirectory } from '../../working-directory.ts';
import { DOTENV, iniPath, parseAssignments, readEnvFiles } from '../command-line/arguments.ts';
import type { Command, Console } from '../command-line/command.ts';

export const runTaskCommand: Command = {
  name: 'run',
  summary: 'run a scheduled task of an INI file now',
  args: [
    ['<config>', 'an INI file'],
    ['<task>', 'the name of a [task:...] section'],
    ['[name=value...]', 'a global value; overrides [DEFAULT]'],
  ],
  options: [DOTENV],
  completes: { after: ['*.ini'], names: ['task'] },
  examples: [['paster run etc/config.ini nightly', 'runs [task:nightly] to its end; exit status 1 if it fails']],
  run: runTask,
};

async function runTask(
  args: readonly string[],
  options: Readonly<Record<string, unknown>>,
  console: Console,
): Promise<number> {
  const [config = '', name = '', ...assignments] = args;
  const file = iniPath(config);
  readEnvFiles(options);
  protectRoot();
  const globalConf = parseAssignments(assignments);
  const session = new LoadSession(globalConf);
  const names = namesOfKind((await session.read(file)).sections.keys(), 'task');
  if (!names.includes(name)) {
    throw new UsageError('PASTER_USAGE', `run: there is no section [task:${name}]`, { hint: didYouMean(name, names) });
  }
  const section = { kind: 'task', name } as const;
  const background = await environmentSection(file, section, session);
  const { preload: modules } = await applyEnvironment({ file, background }, session);
  const context = await backgroundContext(file, section, globalConf, session);
  const settings = await readTaskSettings(context);
  const { user, group, cwd } = settings;
  session.logWarnings(programLogger('warn', console.err));
  const ownership = { user, group };
  enterPlan({ directory: workingDirectory(), ownership, variables: configuredVariables() });
  process.env[TASK_DUE] = new Date().toISOString();
  await setUpLogging({ file, globalConf }, session, ownership, false);
  await preload({ preload: modules, file, directory: workingDirectory() }, undefined);
  if (cwd !== undefined) process.chdir(cwd);
  const work = async (): Promise<number> => {
    await runToEnd(context, settings);
    return EXIT_OK;
  };
  return guardLoading(work, console.err, neverSettlesError);
}

/** Runs the task until it ends. If a signal or its timeout stops it, it has `graceful_timeout` seconds to end. */
async function runToEnd(context: Context, { timeout, graceful_timeout: grace }: TaskSettings): Promise<void> {
  const section = sectionPrefix(context);
  let isLate = false;
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  const stopped = once(stopping.signal, 'abort');
  // Added before a Node program is loaded: handlers that are added later belong to the program.
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  const limit = after(timeout, () => {
    isLate = true;
    stop();
  });
  // The timer must not keep this process alive: code that loads may wait for something that never happens, and a Node
  // program may have nothing left to do.
  limit?.unref();
  let running: RunningProcess | undefined;
  const loading = runProcess(context, { onGroup: () => {}, stopped: stopping.signal });
  const ended = loading.then((loaded) => {
    running = loaded;
    if (!loaded.endsWhenIdle) limit?.ref();
    return loaded.finished;
  });
  try {
    const isStopped = await Promise.race([ended.then(() => false), stopped.then(() => true)]);
    if (isStopped) {
      // Once stopped, a program that waits at its top level counts as loaded: lets `loading` resolve first.
      await turn();
      loading.then((loaded) => loaded.stop({ graceful: true })).catch(() => {});
      if (!(await isDoneWithin(grace, () => ended, { keepsProcess: !running?.endsWhenIdle }))) {
        running?.stop({ graceful: false }).catch(() => {});
        throw new RunError('PASTER_TASK', `${section}did not end within graceful_timeout (${grace} s)`);
      }
    }
  } catch (error) {
    if (error instanceof PasterError) throw error;
    throw await partFailure(error, context);
  } finally {
    clearTimeout(limit);
  }
  if (isLate)
    throw new RunError('PASTER_TASK', `${section}was stopped: it ran longer than its timeout of ${timeout} s`);
}
