/** Finds the section of a background process or a task, and the section whose environment variables it runs with. */
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

/** The section itself; undefined for a task that sends a request, since it runs with the environment of the application. */
export async function environmentSection(
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
