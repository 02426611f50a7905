/** Which paths an overloaded server still serves: those of the built-in monitoring applications, and those of `overload_except`. */
import { join } from 'node:path';
import { PathPrefixes } from '../../http/path-prefixes.ts';
import { PACKAGE_ROOT } from '../../own-files.ts';
import type { Context } from '../context.ts';
import { innerContexts } from '../inspect/outline.ts';

/** By prefix: `all` is exempt, of `health` the paths that `npm:paster#health` answers, and `none`. */
export type ExemptPaths = PathPrefixes<Exemption>;

type Exemption = 'all' | 'health' | 'none';

/** The modules of the built-in applications, which have several names. */
const MONITORING: ReadonlyMap<string, Exemption> = new Map([
  [join(PACKAGE_ROOT, 'dist/apps/monitoring/health.js'), 'health'],
  [join(PACKAGE_ROOT, 'dist/apps/monitoring/metrics.js'), 'all'],
  [join(PACKAGE_ROOT, 'dist/apps/monitoring/status.js'), 'all'],
]);

/**
 * @param app the application, resolved; undefined if it is not in an INI file
 * @param listed the prefixes of `overload_except`
 */
export async function exemptPaths(app: Context | undefined, listed: readonly string[]): Promise<ExemptPaths> {
  const paths: ExemptPaths = new PathPrefixes();
  for (const prefix of listed) paths.add(prefix, 'all');
  if (app) await addMonitoring(app, '', paths);
  return paths;
}

async function addMonitoring(context: Context, prefix: string, paths: ExemptPaths): Promise<void> {
  const inner = await innerContexts(context);
  const exemption = context.form === 'factory' ? MONITORING.get(context.target.file ?? '') : undefined;
  // Another application may be mounted below the prefix of a monitoring one.
  if (exemption !== undefined || (inner.length === 0 && context.kind === 'app')) paths.add(prefix, exemption ?? 'none');
  for (const each of inner) {
    if (each.context.kind === 'filter') continue;
    await addMonitoring(each.context, prefix + mountedAt(each.key), paths);
  }
}

/** The path in a key of `urlmap`. Other keys, such as those of a cascade, mount nothing. */
function mountedAt(key = ''): string {
  const [path = ''] = /\/.*$/.exec(key.replace(/^https?:\/\/[^/]*/, '')) ?? [];
  return path === '/' ? '' : path;
}
