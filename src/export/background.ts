/** Reads the background processes and the tasks of an INI file for `export`, and notes what other schedulers do differently with tasks. */
import { backgroundContext, environmentSection } from '../deploy/background/background-section.ts';
import { type BackgroundSettings, readBackgroundSettings } from '../deploy/background/process-settings.ts';
import { readTaskSettings, type TaskSettings } from '../deploy/background/task-settings.ts';
import { type Context, type FactoryContext, placeOfKey, sectionPlace, sectionPrefix } from '../deploy/context.ts';
import { loadContext } from '../deploy/load.ts';
import { namesOfKind, WEB } from '../deploy/part-kinds.ts';
import { type ConfiguredEnvironment, withEnvironment } from '../deploy/server/environment.ts';
import type { LoadSession } from '../deploy/session.ts';
import { configUri } from '../deploy/uri.ts';
import { ConfigError, formatLocation } from '../errors.ts';

export interface BackgroundParts {
  readonly processes: readonly BackgroundPart<BackgroundSettings>[];
  readonly tasks: readonly BackgroundPart<TaskSettings>[];
}

/** A background process or a task. */
export interface BackgroundPart<Settings = BackgroundSettings | TaskSettings> {
  /** Of the section: `mailer` of `[process:mailer]`. */
  readonly name: string;
  /** The name for a unit or an object, which no other part has. */
  readonly id: string;
  readonly settings: Settings;
  readonly context: FactoryContext;
  /** What runs in its process. */
  readonly contexts: readonly Context[];
  readonly environment: ConfiguredEnvironment;
}

/** @throws ConfigError or ErrorList as `serve` does */
export async function readBackground(file: string, session: LoadSession): Promise<BackgroundParts> {
  const sections = [...(await session.read(file)).sections.keys()];
  const ids = new Set<string>([WEB]);
  const readAll = async <S>(
    kind: 'process' | 'task',
    readSettings: (context: FactoryContext) => Promise<S>,
  ): Promise<BackgroundPart<S>[]> => {
    const parts: BackgroundPart<S>[] = [];
    for (const name of namesOfKind(sections, kind)) {
      const section = { kind, name };
      const own = await environmentSection(file, section, session);
      const part = await withEnvironment({ file, background: own }, session, async (environment) => {
        const context = await backgroundContext(file, section, session.callerGlobals, session);
        const settings = await readSettings(context);
        return { context, settings, environment, contexts: [context, ...(await requestedApp(context, file, session))] };
      });
      parts.push({ ...part, name, id: newId(name, kind, ids) });
    }
    return parts;
  };
  return {
    processes: await readAll('process', readBackgroundSettings),
    tasks: await readAll('task', readTaskSettings),
  };
}

/** The application that a `request` is for. */
async function requestedApp(
  { kind, localConf }: FactoryContext,
  file: string,
  session: LoadSession,
): Promise<Context[]> {
  if (kind !== 'task' || localConf['request'] === undefined) return [];
  const name = localConf['app'];
  return [await loadContext('app', configUri(file), { globalConf: session.callerGlobals, name }, session)];
}

/** Lower-case letters, digits and hyphens. A process and a task may have the same name. */
function newId(name: string, kind: 'process' | 'task', taken: Set<string>): string {
  const plain =
    name
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-|-$/g, '') || kind;
  let id = plain;
  for (let count = 2; taken.has(id); count++) id = `${plain}-${count}`;
  taken.add(id);
  return id;
}

/** An error in a setting of a part, or in its section, that the target of `export` cannot express. */
export function partError(
  { context }: Pick<BackgroundPart, 'context'>,
  setting: string | undefined,
  message: string,
  hint: string,
): ConfigError {
  const key = setting === undefined ? '' : `${setting}: `;
  return new ConfigError('PASTER_EXPORT', `${sectionPrefix(context)}${key}${message}`, {
    location: placeOfKey(context, setting) ?? sectionPlace(context),
    hint,
  });
}

// --- tasks in another scheduler than paster: what is different there, and tasks that restart other parts with `paster control`

/** `paster control` may be one of several commands that a shell runs. */
const CONTROL = /\bpaster(?:\.js)?['"]? control\b/;
const RELOAD = /\bcontrol \S+ reload\s*$/;
const RESTART = /\bcontrol \S+ stop (\S+) && .*\bcontrol \S+ start \1['"\s]/;

type RestartedParts =
  /** Everything in the file is reloaded. */
  | { readonly kind: 'all' }
  | { readonly kind: 'process'; readonly part: BackgroundPart }
  /** `paster control` does something else. */
  | { readonly kind: 'other' };

/**
 * Recognizes the commands that `create --from` writes for `cron_restart` of pm2.
 * @returns what a task restarts; undefined for a task that does not call `paster control`
 */
export function restartedBy(
  { context }: BackgroundPart<TaskSettings>,
  { processes }: BackgroundParts,
): RestartedParts | undefined {
  const command = context.localConf['command'] ?? '';
  if (!CONTROL.test(command)) return undefined;
  if (RELOAD.test(command)) return { kind: 'all' };
  const [, name] = RESTART.exec(command) ?? [];
  const part = processes.find((each) => each.name === name);
  return part ? { kind: 'process', part } : { kind: 'other' };
}

/** What another scheduler than paster does in a different way, with the place of the setting. */
export function scheduleNotes(parts: BackgroundParts, scheduler: 'systemd' | 'Kubernetes'): string[] {
  return parts.tasks.flatMap((part) => {
    const { overlap, jitter } = part.settings;
    const note = (setting: string, text: string) => {
      const location = placeOfKey(part.context, setting);
      const place = location === undefined ? '' : `${formatLocation(location)}: `;
      return `${place}${sectionPrefix(part.context)}${setting}: ${text}`;
    };
    const restarted = restartedBy(part, parts);
    if (restarted && scheduler === 'Kubernetes') return [note('command', NO_CONTROL_OF_PODS)];
    return [
      ...(restarted?.kind === 'other' ? [note('command', NO_CONTROL_OF_UNITS)] : []),
      ...(scheduler === 'systemd' && overlap !== 'skip'
        ? [note('overlap', `systemd always skips a run while one is in progress`)]
        : []),
      ...(scheduler === 'Kubernetes' && jitter > 0 ? [note('jitter', 'Kubernetes starts each run on time')] : []),
    ];
  });
}

const NO_CONTROL_OF_UNITS =
  'paster control finds no server, since each part is a unit of its own: write a unit and a timer that run systemctl';
const NO_CONTROL_OF_PODS =
  'paster control does not reach other pods, so there is no CronJob for it: write one that runs "kubectl rollout restart", with a ServiceAccount that may do that';
