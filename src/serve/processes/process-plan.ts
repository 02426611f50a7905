/** What the supervisor of a background process sends to it, and how the section is read on both sides. */
import { dirname } from 'node:path';
import { applyEnvFiles, configuredVariables } from '../../config/env-file.ts';
import { type BackgroundSettings, readBackgroundSettings } from '../../deploy/background/process-settings.ts';
import { factoryContext } from '../../deploy/compose.ts';
import type { FactoryContext } from '../../deploy/context.ts';
import { loadContext } from '../../deploy/load.ts';
import { withEnvironment } from '../../deploy/server/environment.ts';
import type { LoadSession } from '../../deploy/session.ts';
import { configUri } from '../../deploy/uri.ts';
import type { LogLevel } from '../../log.ts';
import { checkUser } from '../../process/daemon/drop-privileges.ts';
import { ignoredPaths } from '../../process/reload/ignored.ts';
import type { Supervision } from '../../process/supervisor/supervision.ts';
import type { Settings } from '../../protocol/types.ts';
import { enterDirectory, workingDirectory } from '../../working-directory.ts';
import type { Ownership } from '../plan.ts';
import type { Service } from '../service.ts';

/** What a background process is told. */
export interface ProcessPlan {
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
  readonly ownership: Ownership;
  readonly reload: boolean;
  readonly logLevel: LogLevel;
  readonly logFile: string | undefined;
}

/** Reads a section for its supervisor. @throws ConfigError or ErrorList as the loader does */
export function processSupervision(
  { plan, request, logFile, inTurn }: Service,
  name: string,
  session: LoadSession,
): Promise<Supervision<ProcessPlan>> {
  const { file = '', globalConf, directory } = plan;
  const { reload, logLevel, ownership } = request;
  // The variables are set in this process meanwhile.
  return inTurn(() => {
    enterDirectory(workingDirectory());
    applyEnvFiles(plan.envFiles);
    return withEnvironment({ file, processName: name, reload }, session, async ({ files }) => {
      const settings = await readBackgroundSettings(await processContext({ file, process: name, globalConf }, session));
      const owner = ownerOf(settings, ownership);
      checkUser(owner.user, owner.group);
      return {
        boot: {
          process: name,
          file,
          directory,
          globalConf,
          cwd: settings.cwd,
          variables: configuredVariables(),
          envFiles: [...plan.envFiles, ...files],
          ownership: owner,
          reload,
          logLevel,
          logFile: logFile?.path,
        },
        env: { ...process.env },
        sockets: [],
        workers: settings.instances,
        exclusive: settings.exclusive,
        isIgnored: ignoredPaths(settings.reload_ignore, dirname(file)),
        startTimeout: settings.start_timeout,
        gracefulTimeout: settings.graceful_timeout,
        maxMemory: settings.max_memory,
      };
    });
  });
}

/** The section's context. */
export async function processContext(
  { file, process, globalConf }: Pick<ProcessPlan, 'file' | 'process' | 'globalConf'>,
  session: LoadSession,
): Promise<FactoryContext> {
  return factoryContext(await loadContext('process', configUri(file), { name: process, globalConf }, session));
}

/** A user of its own comes with that user's groups, not with the group of `--group`. */
function ownerOf({ user, group }: BackgroundSettings, ownership: Ownership): Ownership {
  return user === undefined ? { ...ownership, group: group ?? ownership.group } : { user, group };
}
