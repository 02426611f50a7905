/** Reads the background processes and the tasks of an INI file for `export`. */
import { backgroundContext, ownEnvironment } from '../deploy/background/background-section.ts';
import { type BackgroundSettings, readBackgroundSettings } from '../deploy/background/process-settings.ts';
import { readTaskSettings, type TaskSettings } from '../deploy/background/task-settings.ts';
import { type Context, type FactoryContext, placeOfKey, sectionPlace, sectionPrefix } from '../deploy/context.ts';
import { loadContext } from '../deploy/load.ts';
import { namesOfKind, WEB } from '../deploy/part-kinds.ts';
import { type ConfiguredEnvironment, withEnvironment } from '../deploy/server/environment.ts';
import type { LoadSession } from '../deploy/session.ts';
import { configUri } from '../deploy/uri.ts';
import { ConfigError } from '../errors.ts';

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
      const own = await ownEnvironment(file, section, session);
      const part = await withEnvironment({ file, background: own }, session, async (environment) => {
        const context = await backgroundContext(file, section, session.caller, session);
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
  return [await loadContext('app', configUri(file), { globalConf: session.caller, name }, session)];
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
