/** Finds the section of a background process or a task, and whose environment it has. */
import type { Settings } from '../../protocol/types.ts';
import { factoryContext } from '../compose.ts';
import type { FactoryContext } from '../context.ts';
import { loadContext } from '../load.ts';
import type { LoadSession } from '../session.ts';
import { configUri } from '../uri.ts';

export interface BackgroundSection {
  readonly kind: 'process' | 'task';
  /** `mailer` of `[process:mailer]`. */
  readonly name: string;
}

/** The section whose environment is used; undefined for a task that sends a request, which gets the application's environment. */
export async function ownEnvironment(
  file: string,
  { kind, name }: BackgroundSection,
  session: LoadSession,
): Promise<BackgroundSection | undefined> {
  const { sections } = await session.read(file);
  const isRequest = kind === 'task' && sections.get(`task:${name}`)?.entries.has('request');
  return isRequest ? undefined : { kind, name };
}

/** The section's context. */
export async function backgroundContext(
  file: string,
  { kind, name }: BackgroundSection,
  globalConf: Settings,
  session: LoadSession,
): Promise<FactoryContext> {
  return factoryContext(await loadContext(kind, configUri(file), { name, globalConf }, session));
}
