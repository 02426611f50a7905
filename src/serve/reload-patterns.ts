/** The `reload_files` of everything that is served: of [DEFAULT], the server's section and those of the application. */
import { dirname, resolve } from 'node:path';
import { asList } from '../config/convert.ts';
import type { Context } from '../deploy/context.ts';
import { loadContext } from '../deploy/load.ts';
import { innerContexts } from '../deploy/outline.ts';
import type { LoadSession } from '../deploy/session.ts';
import { PasterError } from '../errors.ts';
import type { ServePlan } from './plan.ts';

const KEY = 'reload_files';

/** Absolute patterns. What cannot be loaded now is reported when the worker tries. */
export async function reloadPatterns(plan: ServePlan, session: LoadSession): Promise<string[]> {
  const { appUri, appName, serverUri, serverName, directory: relativeTo, globalConf } = plan;
  const patterns = new Set<string>();
  for (const [kind, uri, name] of [
    ['app', appUri, appName],
    ['server', serverUri, serverName],
  ] as const) {
    try {
      await collect(await loadContext(kind, uri, { relativeTo, name, globalConf }, session), relativeTo, patterns);
    } catch (error) {
      if (!(error instanceof PasterError)) throw error;
    }
  }
  return [...patterns];
}

async function collect(context: Context, directory: string, patterns: Set<string>): Promise<void> {
  const file = context.globalConf['__file__'];
  for (const conf of [context.localConf, context.globalConf]) {
    for (const pattern of asList(conf[KEY] ?? '')) patterns.add(resolve(file ? dirname(file) : directory, pattern));
  }
  for (const { context: inner } of await innerContexts(context)) await collect(inner, directory, patterns);
}
