/**
 * The configuration that a spare worker reads before a file changes: the documents, the servers, and what the application is
 * composed of. A reload then starts with the application's own modules. Nothing of the application is imported for it.
 */
import type { Context } from '../../deploy/context.ts';
import { builtinSchema } from '../../deploy/schema.ts';
import type { NamedServers } from '../../deploy/server/server-group.ts';
import { LoadSession } from '../../deploy/session.ts';
import {
  loadPlannedServers,
  plannedAppContext,
  plannedServerContexts,
  reloadPatterns,
  servedContexts,
  type WorkerPlan,
} from '../plan.ts';

export interface ReadConfiguration {
  readonly session: LoadSession;
  /** Undefined: they have to be loaded again, since other code or other files than the INI file belong to them. */
  readonly servers: NamedServers | undefined;
  readonly patterns: readonly string[];
  readonly app: Context;
}

let ahead: { readonly plan: string; readonly read: Promise<ReadConfiguration | undefined> } | undefined;

/** What cannot be read now is read again when it is needed, and that error is reported. */
export async function readConfigurationAhead(plan: WorkerPlan): Promise<void> {
  ahead = { plan: textOf(plan), read: read(plan).catch(() => undefined) };
  await ahead.read;
}

/** What was read ahead, if that was for this plan. The files must be the same since then. */
export async function configurationReadAhead(plan: WorkerPlan): Promise<ReadConfiguration | undefined> {
  return ahead?.plan === textOf(plan) ? ahead.read : undefined;
}

async function read(plan: WorkerPlan): Promise<ReadConfiguration> {
  const session = new LoadSession(plan.globalConf);
  const areBuiltIn = await Promise.all((await plannedServerContexts(plan, session)).map(isBuiltIn));
  // With TLS it would read certificates, which may be renewed.
  const isTls = plan.servers.some(({ scheme }) => scheme === 'https');
  const isKnown = areBuiltIn.every(Boolean) && !isTls;
  return {
    session,
    servers: isKnown ? await loadPlannedServers(plan, session) : undefined,
    patterns: reloadPatterns(await servedContexts(plan, session), plan.directory),
    app: await plannedAppContext(plan, session),
  };
}

async function isBuiltIn(context: Context): Promise<boolean> {
  return context.form === 'factory' && (await builtinSchema(context)) !== undefined;
}

/** The same text for equal plans. `development` is left out, because it differs in each version. */
function textOf({ development: _development, ...plan }: WorkerPlan): string {
  return JSON.stringify(plan);
}
