/** Reads from an INI file what a web server or service manager needs to know: addresses, static files and limits. */
import { readFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { bool, seconds } from '../config/settings/setting-types.ts';
import type { Context } from '../deploy/context.ts';
import { type LoadedServer, loadContext, loadServer } from '../deploy/load.ts';
import { namesOfKind } from '../deploy/part-kinds.ts';
import { getsWholePath } from '../deploy/sections/application-settings.ts';
import { pathLinesSetting, pathSetting } from '../deploy/sections/setting-paths.ts';
import { applyEnvironment, type ConfiguredEnvironment } from '../deploy/server/environment.ts';
import {
  loadServers,
  MAIN,
  type NamedServer,
  type NamedServers,
  type ServerNames,
  serverNames,
} from '../deploy/server/server-group.ts';
import type { ProcessSettings } from '../deploy/server/server-settings.ts';
import type { LoadSession } from '../deploy/session.ts';
import { configUri } from '../deploy/uri.ts';
import { ConfigError } from '../errors.ts';
import type { Address, TcpAddress, UnixAddress } from '../net/address.ts';
import { type AppLayout, layoutOf } from './app-layout.ts';
import { type BackgroundParts, readBackground } from './background.ts';
import { type DeploymentVariables, deploymentVariables } from './variables.ts';

/** What a web server can connect to. */
export type Backend = TcpAddress | UnixAddress;

/** The protocol of the server. */
export type Scheme = 'http' | 'https' | 'fastcgi' | 'scgi';

/** What a web server needs to know of a server. */
export interface DeployedServer {
  /** The name of its section. */
  readonly section: string;
  /** The first server has the settings of the processes. */
  readonly settings: ProcessSettings;
  readonly scheme: Scheme;
  /** Whether the server speaks only HTTP/2. */
  readonly http2Only: boolean;
  /** Whether the server expects a PROXY header at the beginning of a connection. */
  readonly proxyProtocol: boolean;
  /** The addresses to which a web server on this machine can connect; empty if the section names none. */
  readonly backends: readonly Backend[];
  /** The server's `script_name`, without a slash at its end; undefined: the web server sets it. */
  readonly scriptName: string | undefined;
  /** The file with the certificate of a server that speaks HTTPS, an absolute path. */
  readonly certificate: string | undefined;
  /** The files with the private keys of such a server, absolute paths. */
  readonly privateKeys: readonly string[];
  /** Seconds for which the server keeps an idle connection; undefined: no limit. */
  readonly keepAlive: number | undefined;
  /** All addresses of the section. */
  readonly addresses: readonly Address[];
  /** Whether it says that the application gets the whole path below a prefix. */
  readonly mountsWhole: boolean;
}

/** What is deployed, with the first of its servers. */
export interface Deployment extends DeployedServer {
  /** The INI file, an absolute path. */
  readonly file: string;
  /** The directory of the project's package.json; if there is none, that of the INI file, or the parent of its etc/. */
  readonly project: string;
  /** The project's name in lower-case letters, digits and hyphens. */
  readonly name: string;
  /** The other servers that are served together with this one. */
  readonly others: readonly DeployedServer[];
  /** Whether there is a server. A file without one has nothing but processes and tasks. */
  readonly hasServer: boolean;
  readonly background: BackgroundParts;
  /** The sections that the command line names. */
  readonly names: DeploymentNames;
  /** The arguments `name=value` of the command line, as `serve` takes them. */
  readonly assignments: readonly string[];
  /** Whether the application gets the whole path below a prefix. */
  readonly getsWholePath: boolean;
  readonly layout: AppLayout;
  readonly variables: DeploymentVariables;
}

export interface DeploymentNames {
  readonly app: string | undefined;
  /** None: those of `[paster]`, or main. */
  readonly servers: readonly string[];
}

const SCHEMES: readonly string[] = ['http', 'https', 'fastcgi', 'scgi'] satisfies Scheme[];

/**
 * Reads the INI file as `serve` would, server and application; no application code is run.
 *
 * @param file An absolute path.
 * @param envFiles The files of `--dotenv`, which have been read.
 * @throws ConfigError, ErrorList as the loader does; ConfigError for a server to which a web server cannot connect.
 */
export async function readDeployment(
  file: string,
  names: DeploymentNames,
  envFiles: readonly string[],
  session: LoadSession,
): Promise<Deployment> {
  const background = await readBackground(file, session);
  const served = await serverNames(file, names.servers, session);
  const hasServer = served[0] !== undefined || (await hasMainServer(file, background, session));
  const { servers, app, environment } = hasServer
    ? await readWeb(file, names, served, session)
    : await readNoWeb(session);
  const [first, ...others] = servers;
  const main = deployedServer(first);
  const contexts = servers.map(({ server }) => server.context);
  const project = await projectOf(file);
  return {
    ...main,
    others: others.map(deployedServer),
    file,
    project: project.directory,
    name: project.name,
    hasServer,
    background,
    names,
    assignments: Object.entries(session.callerGlobals).map(([key, value]) => `${key}=${value}`),
    getsWholePath: main.mountsWhole || (app !== undefined && getsWholePath(app)),
    layout: app ? await layoutOf(app) : NO_LAYOUT,
    variables: await deploymentVariables(
      [...(app ? [{ contexts: [...contexts, app], environment }] : []), ...background.processes, ...background.tasks],
      session,
      envFiles,
    ),
  };
}

/** As `serve` decides: a file with background processes and without `[server:main]` runs these alone. */
async function hasMainServer(file: string, background: BackgroundParts, session: LoadSession): Promise<boolean> {
  if (background.processes.length + background.tasks.length === 0) return true;
  return namesOfKind((await session.read(file)).sections.keys(), 'server').includes('main');
}

/** @throws ConfigError if a web server cannot connect to it */
function deployedServer({ name: section, server }: NamedServer): DeployedServer {
  const { scheme, context, settings, addresses } = server;
  if (!isScheme(scheme)) throw unreachableServer(server);
  const own = context.localConf;
  const scriptName = own['script_name'] ?? own['scriptName'];
  const certificate = pathSetting(context, 'ssl_cert') ?? pathSetting(context, 'ssl_pem');
  return {
    section,
    settings,
    scheme,
    http2Only: scheme === 'http' && bool.parse(own['http2'] ?? 'false'),
    proxyProtocol: isHttp(scheme) && own['proxy_protocol'] !== undefined,
    backends: addresses.flatMap(reachableAddress),
    certificate: certificate && resolve(certificate),
    privateKeys: [...(pathLinesSetting(context, 'ssl_key') ?? pathLinesSetting(context, 'ssl_pem') ?? [])],
    scriptName: scriptName?.replace(/\/$/, ''),
    keepAlive: isHttp(scheme) ? seconds.parse(own['keep_alive_timeout'] ?? STANDARD_KEEP_ALIVE) : undefined,
    addresses,
    mountsWhole: own['mount']?.trim() === 'whole',
  };
}

export function isHttp(scheme: Scheme): boolean {
  return scheme === 'http' || scheme === 'https';
}

interface Web {
  readonly servers: NamedServers;
  readonly app: Context | undefined;
  readonly environment: ConfiguredEnvironment;
}

async function readWeb(file: string, names: DeploymentNames, served: ServerNames, session: LoadSession): Promise<Web> {
  const environment = await applyEnvironment({ file, serverNames: names.servers, appName: names.app }, session);
  const options = { globalConf: session.callerGlobals };
  const uri = configUri(file);
  const servers = await loadServers(uri, served, { ...options, overrides: {} }, session);
  const app = await loadContext('app', uri, { ...options, name: names.app }, session);
  return { servers, app, environment };
}

/** A server that nothing uses, for its defaults. */
async function readNoWeb(session: LoadSession): Promise<Web> {
  const server = await loadServer('npm:paster#http', {}, session);
  return { servers: [{ name: MAIN, server }], app: undefined, environment: NO_ENVIRONMENT };
}

const NO_ENVIRONMENT: ConfiguredEnvironment = { files: [], variables: {}, preload: [] };
const NO_LAYOUT: AppLayout = { staticRoots: [], bodyLimit: undefined, health: undefined };

/** The default of `keep_alive_timeout` in the HTTP server. */
const STANDARD_KEEP_ALIVE = '5';

function isScheme(scheme: string): scheme is Scheme {
  return SCHEMES.includes(scheme);
}

function unreachableServer({ context, scheme }: LoadedServer): ConfigError {
  const [section] = context.sections;
  const what = scheme === '' ? 'a server runner' : scheme;
  return new ConfigError(
    'PASTER_EXPORT',
    `[${section?.name ?? 'server'}] ${what}: nothing can connect to this server`,
    {
      location: section?.location,
      hint: 'export knows http, fastcgi and scgi; --server-section names another section',
    },
  );
}

/** No address for a descriptor, or for a port that is chosen at the start. A wildcard address is reached at the loopback. */
function reachableAddress(address: Address): Backend[] {
  if (address.kind === 'fd') return [];
  if (address.kind === 'unix') return [{ kind: 'unix', path: resolve(address.path) }];
  if (address.port === 0) return [];
  const host = address.host === '0.0.0.0' ? '127.0.0.1' : address.host === '::' ? '::1' : address.host;
  return [{ kind: 'tcp', host, port: address.port }];
}

interface Project {
  readonly directory: string;
  readonly name: string;
}

/** The nearest package around the INI file. If there is none, the INI file's directory, or the parent of its etc/. */
async function projectOf(file: string): Promise<Project> {
  const home = dirname(file);
  for (let directory = home; ; directory = dirname(directory)) {
    const text = await readFile(join(directory, 'package.json'), 'utf8').catch(() => undefined);
    if (text !== undefined) return { directory, name: deploymentName(packageName(text) ?? basename(directory)) };
    if (directory !== dirname(directory)) continue;
    const fallback = basename(home) === 'etc' ? dirname(home) : home;
    return { directory: fallback, name: deploymentName(basename(fallback)) };
  }
}

/** The name in a package.json, without its scope. */
function packageName(text: string): string | undefined {
  try {
    const { name }: { name?: unknown } = Object(JSON.parse(text));
    return typeof name === 'string' ? name.replace(/^@[^/]*\//, '') : undefined;
  } catch {
    return undefined;
  }
}

function deploymentName(text: string): string {
  const name = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+/, '')
    .slice(0, MAX_NAME)
    .replace(/-+$/, '');
  return name === '' ? 'app' : name;
}

/** Leaves room for a suffix within the 63 characters of a name in Kubernetes. */
const MAX_NAME = 40;
