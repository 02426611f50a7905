/** What the supervisor of a background process sends to it, and how the section is read on both sides. */

import { dirname } from 'node:path';
import { applyEnvFiles, configuredVariables } from '../../config/env-file.ts';
import {
  type BackgroundSection,
  backgroundContext,
  environmentSection,
} from '../../deploy/background/background-section.ts';
import {
  type BackgroundSettings,
  checkMachine,
  readBackgroundSettings,
} from '../../deploy/background/process-settings.ts';
import type { FactoryContext } from '../../deploy/context.ts';
import type { PreloadedModule } from '../../deploy/instrumentation.ts';
import { withEnvironment } from '../../deploy/server/environment.ts';
import type { LoadSession } from '../../deploy/session.ts';
import { describeError } from '../../errors.ts';
import type { LogLevel } from '../../log.ts';
import { checkUser } from '../../process/daemon/drop-privileges.ts';
import { ignoredPaths } from '../../process/reload/ignored.ts';
import type { SupervisorSettings } from '../../process/supervisor/supervisor-options.ts';
import type { TaskDefinition } from '../../process/tasks/scheduled-task.ts';
import type { Settings } from '../../protocol/types.ts';
import { enterDirectory, workingDirectory } from '../../working-directory.ts';
import type { Ownership } from '../plan.ts';
import type { Service } from '../service.ts';
import { startEnvironment } from './start-environment.ts';

/** What a background process, or the process of a task, gets from its supervisor. */
export interface ProcessPlan {
  readonly kind: 'process' | 'task';
  /** The name of its section: `mailer` of `[process:mailer]`. */
  readonly process: string;
  readonly file: string;
  /** The directory that paster was started in. */
  readonly directory: string;
  readonly globalConf: Settings;
  /** `cwd` of the section. */
  readonly cwd: string | undefined;
  readonly variables: Readonly<Record<string, string>>;
  readonly envFiles: readonly string[];
  /** The modules that it imports before all other code. */
  readonly preload: readonly PreloadedModule[];
  readonly ownership: Ownership;
  readonly reload: boolean;
  readonly logLevel: LogLevel;
  readonly logFile: string | undefined;
  /** Whether its code is only imported and checked. */
  readonly importsOnly?: boolean;
}

/** Reads a section for its supervisor. @throws ConfigError or ErrorList as the loader does */
export async function supervisorSettings(
  service: Service,
  name: string,
  session: LoadSession,
): Promise<SupervisorSettings<ProcessPlan>> {
  const { boot, env, settings } = await readSection(
    service,
    { kind: 'process', name },
    session,
    readBackgroundSettings,
  );
  return {
    boot,
    env,
    sockets: [],
    workers: settings.instances,
    exclusive: settings.exclusive,
    isIgnored: ignoredPaths(settings.reload_ignore, dirname(boot.file)),
    startTimeout: settings.start_timeout,
    gracefulTimeout: settings.graceful_timeout,
    maxMemory: settings.max_memory,
  };
}

/** Reads the section of a task. @throws as `supervisorSettings` */
export async function taskDefinition(
  service: Service,
  name: string,
  session: LoadSession,
): Promise<TaskDefinition<ProcessPlan>> {
  // Loaded late: most files have no task.
  const { nextRun, readTaskSettings } = await import('../../deploy/background/task-settings.ts');
  const { checkSection } = await import('../../deploy/background/loaded-process.ts');
  let hasCode = false;
  const { boot, env, settings } = await readSection(service, { kind: 'task', name }, session, async (context) => {
    const settings = await readTaskSettings(context);
    hasCode = context.target.find !== undefined;
    // An error in a task would otherwise show only when it runs, perhaps at night. A process reports its error now, when it starts.
    await checkSection(context, { imports: false }).catch((error: unknown) => {
      // In development the module may still have to be written, and no watcher would reload the section then.
      if (!service.request.reload) throw error;
      service.log.error(describeError(error));
    });
    return settings;
  });
  const { schedule, timezone, jitter, overlap, missed, timeout, graceful_timeout: gracefulTimeout } = settings;
  return {
    boot,
    check: hasCode ? { ...boot, importsOnly: true } : undefined,
    env,
    schedule: timezone === undefined ? schedule : `${schedule} ${timezone}`,
    nextRun: (after) => nextRun(settings, after),
    jitter,
    overlap,
    missed,
    timeout,
    gracefulTimeout,
  };
}

/** The settings for how a process of any kind runs. */
type ProcessSettings = Pick<BackgroundSettings, 'cwd' | 'user' | 'group'>;

function readSection<S extends ProcessSettings>(
  { plan, request, log, logFile, inTurn }: Service,
  section: BackgroundSection,
  session: LoadSession,
  readSettings: (context: FactoryContext) => Promise<S>,
): Promise<{ readonly boot: ProcessPlan; readonly env: NodeJS.ProcessEnv; readonly settings: S }> {
  const { file = '', globalConf, directory } = plan;
  const { reload, logLevel, ownership } = request;
  const { kind, name } = section;
  // Reading the section sets its variables in this process for a moment.
  return inTurn(async () => {
    enterDirectory(workingDirectory());
    applyEnvFiles(plan.envFiles);
    const background = await environmentSection(file, section, session);
    return withEnvironment({ file, background, reload }, session, async ({ files, preload }) => {
      const context = await backgroundContext(file, section, globalConf, session);
      const settings = await readSettings(context);
      checkMachine(settings, context);
      const owner = ownerOf(settings, ownership);
      checkUser(owner.user, owner.group);
      const boot = {
        kind,
        process: name,
        file,
        directory,
        globalConf,
        cwd: settings.cwd,
        variables: configuredVariables(),
        envFiles: [...plan.envFiles, ...files],
        preload,
        ownership: owner,
        reload,
        logLevel,
        logFile: logFile?.path,
      };
      return { boot, env: startEnvironment(boot, log, `[${kind}:${name}] `), settings };
    });
  });
}

/** A user of its own comes with that user's groups, not with the group of `--group`. */
function ownerOf({ user, group }: ProcessSettings, ownership: Ownership): Ownership {
  return user === undefined ? { ...ownership, group: group ?? ownership.group } : { user, group };
}
