/** Several servers with one application and one set of processes: which they are, and whether they go together. */
import { isDeepStrictEqual } from 'node:util';
import { acceptedNames } from '../../config/settings/setting.ts';
import { ConfigError, type PasterError, UsageError } from '../../errors.ts';
import { type Address, formatAddress } from '../../net/address.ts';
import { placeOfKey, sectionPlace, sectionPrefix } from '../context.ts';
import { type LoadedServer, type LoadOptions, loadServer } from '../load.ts';
import type { LoadSession } from '../session.ts';
import { servedNames } from './paster-section.ts';
import type { AddressOverrides } from './server-section.ts';
import { OF_EACH_SERVER, type ProcessSettings, processSettings } from './server-settings.ts';

/** One of the servers that serve an application. */
export interface NamedServer {
  /** The name of its section. */
  readonly name: string;
  readonly server: LoadedServer;
}

/** The servers that serve an application; the first one has the settings of the processes. */
export type NamedServers = readonly [NamedServer, ...NamedServer[]];

/** The name of the server to serve by default. */
export const MAIN = 'main';

/** The names of server sections, at least one. Undefined: the main section, which may be a bare `[server]`. */
export type ServerNames = readonly [string | undefined, ...(string | undefined)[]];

/**
 * The servers that a file is served with: those of the command line, or of `[paster]`, or main.
 * @param file undefined: there is no INI file
 */
export async function serverNames(
  file: string | undefined,
  given: readonly string[],
  session: LoadSession,
): Promise<ServerNames> {
  const [first, ...others] = given.length > 0 || file === undefined ? given : await servedNames(file, session);
  return [first, ...others];
}

/** @throws UsageError, ConfigError or ErrorList for the first server with an error, or for servers that do not go together */
export async function loadServers(
  uri: string,
  names: ServerNames,
  options: LoadOptions & { readonly overrides: AddressOverrides },
  session: LoadSession,
): Promise<NamedServers> {
  const [first, ...others] = names;
  const load = async (name: string | undefined, overrides: AddressOverrides): Promise<NamedServer> => ({
    name: name ?? MAIN,
    server: await loadServer(uri, { ...options, name, overrides }, session),
  });
  const { overrides } = options;
  if (others.length === 0) return [await load(first, overrides)];
  const { host, port, socket, ssl_pem, ...common } = overrides;
  const servers: [NamedServer, ...NamedServer[]] = [await load(first, common)];
  for (const name of others) servers.push(await load(name, common));
  const own = { host, port, socket, ssl_pem };
  if (Object.values(own).some((value) => value !== undefined)) {
    const index = servers.indexOf(onlyWebServer(servers, own));
    servers[index] = await load(names[index], overrides);
  }
  const [error] = conflictsOf(servers);
  if (error) throw error;
  return servers;
}

/** The server that the options of an address, and `--https`, are for. */
function onlyWebServer(servers: NamedServers, own: AddressOverrides): NamedServer {
  const [web, another] = servers.filter(({ server }) => server.scheme === 'http' || server.scheme === 'https');
  if (web && !another && own.socket === undefined) return web;
  const [option = ''] = Object.entries(own).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  const flag = option === 'ssl_pem' ? 'https' : option;
  throw new UsageError('PASTER_USAGE', `serve: --${flag} is ambiguous with several servers`, {
    hint: `choose one of ${servers.map(({ name }) => name).join(', ')} with --server-name, or change its section`,
  });
}

/** Why servers cannot be served together; none for a single one. */
export function conflictsOf(servers: readonly NamedServer[]): PasterError[] {
  const [first, ...others] = servers;
  if (!first || others.length === 0) return [];
  return [
    ...servers.flatMap(aloneError),
    ...others.flatMap((each) => settingErrors(each, first)),
    ...others.flatMap((each, index) => addressErrors(each, [first, ...others.slice(0, index)])),
  ];
}

function aloneError({ server }: NamedServer): PasterError[] {
  const why = server.runner
    ? 'a server runner listens by itself'
    : server.oneShot && `${server.scheme} serves one request and ends`;
  if (!why) return [];
  const { context } = server;
  return [
    new ConfigError('PASTER_SERVERS', `${sectionPrefix(context)}${why}: it cannot be served together with others`, {
      location: sectionPlace(context),
    }),
  ];
}

/** The settings of the processes that the section sets to another value than the first one. */
function settingErrors({ server: { context, settings } }: NamedServer, { server: first }: NamedServer): PasterError[] {
  const own = first.context.sections[0]?.name ?? 'server';
  return [...acceptedNames(processSettings.declarations)].flatMap(([written, declared]) => {
    const name = declared as keyof ProcessSettings;
    if (OF_EACH_SERVER.has(name) || !context.origins.has(written)) return [];
    if (isDeepStrictEqual(settings[name], first.settings[name])) return [];
    return [
      new ConfigError(
        'PASTER_SERVERS',
        `${sectionPrefix(context)}${written}: the servers have the same processes, and [${own}] configures these`,
        { location: placeOfKey(context, written), hint: `write it in [${own}], and leave it out here` },
      ),
    ];
  });
}

function addressErrors({ server }: NamedServer, earlier: readonly NamedServer[]): PasterError[] {
  const { context, addresses } = server;
  return addresses.flatMap((address) => {
    const other = earlier.find((each) => each.server.addresses.some((taken) => areSame(taken, address)));
    if (!other) return [];
    const section = other.server.context.sections[0]?.name ?? 'server';
    const key = ['listen', 'socket', 'port', 'host'].find((name) => context.origins.has(name));
    return [
      new ConfigError(
        'PASTER_SERVERS',
        `${sectionPrefix(context)}${formatAddress(address)}: [${section}] listens there already`,
        { location: placeOfKey(context, key) ?? sectionPlace(context), hint: 'give each server an address of its own' },
      ),
    ];
  });
}

/** Whether two servers would need the same socket. */
function areSame(one: Address, other: Address): boolean {
  if (one.kind === 'tcp' && other.kind === 'tcp') {
    if (one.port !== other.port || one.port === 0) return false;
    const hosts = new Set([one.host, other.host]);
    if (hosts.size === 1 || [...hosts].some((host) => WILDCARDS.has(host))) return true;
    return hosts.has('localhost') && (hosts.has('127.0.0.1') || hosts.has('::1'));
  }
  return formatAddress(one) === formatAddress(other);
}

const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);
