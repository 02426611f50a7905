/**
 * The configuration that a spare worker reads before a file changes: the documents, the server, and what the application is
 * composed of. A reload then starts with the application's own modules. Nothing of the application is imported for it.
 */
import type { Context } from '../../deploy/context.ts';
import type { LoadedServer } from '../../deploy/load.ts';
import { builtinSchema } from '../../deploy/schema.ts';
import { LoadSession } from '../../deploy/session.ts';
import {
  loadPlannedServer,
  plannedAppContext,
  plannedServerContext,
  reloadPatterns,
  servedContexts,
  type WorkerPlan,
} from '../plan.ts';

export interface ReadConfiguration {
  readonly session: LoadSession;
  /** Undefined: it has to be loaded again, since other code or other files than the INI file belong to it. */
  readonly server: LoadedServer | undefined;
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
  const context = await plannedServerContext(plan, session);
  const isBuiltIn = context.form === 'factory' && (await builtinSchema(context)) !== undefined;
  const server = isBuiltIn ? await loadPlannedServer(plan, session) : undefined;
  return {
    session,
    // With TLS it has read certificates, which may be renewed.
    server: server?.scheme === 'https' ? undefined : server,
    patterns: reloadPatterns(await servedContexts(plan, session), plan.directory),
    app: await plannedAppContext(plan, session),
  };
}

/** The same for equal plans. Each version has a number of its own. */
function textOf({ development: _development, ...plan }: WorkerPlan): string {
  return JSON.stringify(plan);
}
