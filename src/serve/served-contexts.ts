/** Everything that a plan serves, resolved but not built. */
import type { Context } from '../deploy/context.ts';
import { loadContext } from '../deploy/load.ts';
import { warnOfLocalClients } from '../deploy/local-clients.ts';
import { warnOfObsolete } from '../deploy/obsolete.ts';
import { innerContexts } from '../deploy/outline.ts';
import { ownSchema } from '../deploy/own-part.ts';
import type { LoadSession } from '../deploy/session.ts';
import { PasterError } from '../errors.ts';
import type { ServePlan } from './plan.ts';

/**
 * The contexts of the application and of the server with all that is in them; `session` learns what they have to warn
 * of. What cannot be resolved is left out: it is reported when somebody tries to build it.
 */
export async function servedContexts(plan: ServePlan, session: LoadSession): Promise<Context[]> {
  const { appUri, appName, serverUri, serverName, directory: relativeTo, globalConf } = plan;
  const contexts: Context[] = [];
  const visit = async (context: Context): Promise<void> => {
    contexts.push(context);
    // A server's are warned of where it is loaded.
    if (context.form === 'factory' && context.kind !== 'server') {
      warnOfObsolete(context, await ownSchema(context), session);
    }
    for (const inner of await innerContexts(context)) await visit(inner.context);
  };
  const mains: Context[] = [];
  for (const [kind, uri, name] of [
    ['app', appUri, appName],
    ['server', serverUri, serverName],
  ] as const) {
    try {
      const main = await loadContext(kind, uri, { relativeTo, name, globalConf }, session);
      mains.push(main);
      await visit(main);
    } catch (error) {
      if (!(error instanceof PasterError)) throw error;
    }
  }
  const app = mains.find(({ kind }) => kind === 'app');
  const server = mains.find(({ kind }) => kind === 'server');
  if (app) await warnOfLocalClients(app, server, session);
  return contexts;
}
