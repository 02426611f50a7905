/** `paster run`: runs a task of an INI file now, in this process. */
import { configuredVariables, protectRoot } from '../../config/env-file.ts';
import { didYouMean } from '../../config/nearest.ts';
import { backgroundContext, ownEnvironment } from '../../deploy/background/background-section.ts';
import { type RunningProcess, runProcess } from '../../deploy/background/loaded-process.ts';
import { readTaskSettings } from '../../deploy/background/task-settings.ts';
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
import { after, timerMs } from '../../timer.ts';
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
  const background = await ownEnvironment(file, section, session);
  const { preload: modules } = await applyEnvironment({ file, background }, session);
  const context = await backgroundContext(file, section, globalConf, session);
  const { user, group, cwd, timeout, graceful_timeout: grace } = await readTaskSettings(context);
  session.logWarnings(programLogger('warn', console.err));
  const ownership = { user, group };
  enterPlan({ directory: workingDirectory(), ownership, variables: configuredVariables() });
  process.env[TASK_DUE] = new Date().toISOString();
  await setUpLogging({ file, globalConf }, session, ownership, false);
  await preload({ preload: modules, file, directory: workingDirectory() }, undefined);
  if (cwd !== undefined) process.chdir(cwd);
  const work = async (): Promise<number> => {
    let running: RunningProcess | undefined;
    let isStopped = false;
    let killer: NodeJS.Timeout | undefined;
    let giveUp = (_error: Error): void => {};
    const givenUp = new Promise<never>((_resolve, reject) => {
      giveUp = reject;
    });
    const kill = (): void => {
      void running?.stop({ graceful: false }).catch(() => {});
      giveUp(new RunError('PASTER_TASK', `[task:${name}] did not end within graceful_timeout (${grace} s)`));
    };
    const stop = (): void => {
      isStopped = true;
      killer ??= setTimeout(kill, timerMs(grace)).unref();
      void running?.stop({ graceful: true }).catch(() => {});
    };
    // Before the program is imported: listeners that are added afterwards are taken for the program's own.
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
    running = await runProcess(context, { onGroup: () => {} });
    if (isStopped) stop();
    let isLate = false;
    const limit = after(timeout, () => {
      isLate = true;
      stop();
    });
    try {
      await Promise.race([running.finished, givenUp]);
    } catch (error) {
      if (error instanceof PasterError) throw error;
      throw await partFailure(error, context);
    } finally {
      clearTimeout(limit);
      clearTimeout(killer);
    }
    if (isLate)
      throw new RunError('PASTER_TASK', `[task:${name}] was stopped: it ran longer than its timeout of ${timeout} s`);
    return EXIT_OK;
  };
  return guardLoading(work, console.err, neverSettlesError);
}
