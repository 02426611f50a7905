/**
 * What one `serve` is to do, as plain data: the supervisor sends it to its workers, which load by it what the command
 * line said.
 */
import { resolve } from 'node:path';
import { nearest } from '../config/nearest.ts';
import { createPart } from '../deploy/compose.ts';
import { ownPackage } from '../deploy/entry-points.ts';
import { type LoadedServer, loadContext, loadServer } from '../deploy/load.ts';
import { type AddressOverrides, processSettings } from '../deploy/server-settings.ts';
import type { LoadSession } from '../deploy/session.ts';
import { configPath, configUri, parseUri } from '../deploy/uri.ts';
import { errorMessage, UsageError } from '../errors.ts';
import type { App, Settings } from '../protocol/types.ts';

export interface ServePlan {
  readonly appUri: string;
  readonly appName: string | undefined;
  readonly serverUri: string;
  readonly serverName: string | undefined;
  /** The directory that URIs are relative to. */
  readonly directory: string;
  readonly globalConf: Settings;
  readonly overrides: AddressOverrides;
  /** The INI file, if it is one that is served. */
  readonly file: string | undefined;
  /** Files of environment variables, absolute: read when it starts and at each reload. */
  readonly envFiles: readonly string[];
}

/** The server of a plan, loaded by the process that answers for it, and what was learned on the way. */
export interface Prepared {
  readonly server: LoadedServer;
  readonly session: LoadSession;
}

export interface PlanOptions {
  readonly appName?: string | undefined;
  readonly serverName?: string | undefined;
  readonly serverType?: string | undefined;
  readonly overrides?: AddressOverrides;
  readonly envFiles?: readonly string[];
}

/** @throws UsageError for a server type that there is none of. */
export async function planOf(
  spec: string,
  globalConf: Settings,
  directory: string,
  options: PlanOptions,
): Promise<ServePlan> {
  const { appName, serverName, serverType, overrides = {}, envFiles = [] } = options;
  const uri = parseUri(spec);
  const appUri = uri ? spec : configUri(resolve(directory, spec));
  const isConfig = uri === undefined || uri.scheme === 'config';
  if (serverType !== undefined) {
    if (serverName !== undefined) {
      throw new UsageError('PASTER_USAGE', '--server and --server-name exclude each other', {
        hint: 'a server by its type has no section',
      });
    }
    await checkServerType(serverType);
  }
  if (serverName !== undefined && !isConfig) {
    throw new UsageError('PASTER_USAGE', '--server-name names a section, and there is no INI file');
  }
  checkOverrides(overrides);
  return {
    appUri,
    appName,
    serverUri:
      isConfig && serverType === undefined ? (appUri.split('#')[0] ?? appUri) : `npm:paster#${serverType ?? 'http'}`,
    serverName: isConfig && serverType === undefined ? serverName : undefined,
    directory,
    globalConf,
    overrides,
    file: isConfig ? (uri ? configPath(uri, directory) : resolve(directory, spec)) : undefined,
    envFiles,
  };
}

/** What stands on the command line is wrong there, and not in the section that it goes before. */
function checkOverrides(overrides: AddressOverrides): void {
  for (const name of ['host', 'port', 'socket', 'workers', 'graceful_timeout'] as const) {
    const text = overrides[name];
    const { type } = processSettings.declarations[name];
    try {
      if (text !== undefined) type.parse(text);
    } catch (error) {
      throw new UsageError('PASTER_USAGE', `--${name.replace('_', '-')}: ${errorMessage(error)}`, {
        hint: `allowed: ${type.allowed}`,
      });
    }
  }
  const [tcp] = (['host', 'port'] as const).filter((name) => overrides[name] !== undefined);
  if (tcp !== undefined && overrides.socket !== undefined) {
    throw new UsageError('PASTER_USAGE', `--socket and --${tcp} exclude each other`, { hint: 'keep one of them' });
  }
}

/** What `--server` takes is a server among paster's own entry points. */
async function checkServerType(type: string): Promise<void> {
  const types = [...((await ownPackage()).entryPoints.get('paste.server_factory')?.keys() ?? [])];
  if (types.includes(type)) return;
  const meant = nearest(type, types);
  throw new UsageError('PASTER_USAGE', `--server: there is no built-in server "${type}"`, {
    hint: meant === undefined ? `there are: ${types.join(', ')}` : `did you mean "${meant}"?`,
  });
}

/** Loads the server of a plan; as Paste does, before the application. */
export function loadPlannedServer(plan: ServePlan, session: LoadSession): Promise<LoadedServer> {
  const { serverUri: uri, serverName: name, directory: relativeTo, globalConf, overrides } = plan;
  return loadServer(uri, { relativeTo, name, globalConf, overrides }, session);
}

/** One of paster's own servers with no settings but an address: what can be had when the INI file cannot be read. */
export function loadBuiltinServer(type: string, overrides: AddressOverrides): Promise<LoadedServer> {
  return loadServer(`npm:paster#${type}`, { overrides });
}

/** Loads the application of a plan. */
export async function loadPlannedApp(plan: ServePlan, session: LoadSession): Promise<App> {
  const { appUri: uri, appName: name, directory: relativeTo, globalConf } = plan;
  const context = await loadContext('app', uri, { relativeTo, name, globalConf }, session);
  return createPart(context);
}
