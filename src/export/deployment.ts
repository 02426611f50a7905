/** What an INI file says that those in front of the application have to know: its sockets, static files and limits. */
import { readFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { bool, seconds } from '../config/setting.ts';
import { type LoadedServer, loadContext, loadServer } from '../deploy/load.ts';
import type { ProcessSettings } from '../deploy/server-settings.ts';
import type { LoadSession } from '../deploy/session.ts';
import { pathSetting } from '../deploy/setting-paths.ts';
import { configUri } from '../deploy/uri.ts';
import { ConfigError } from '../errors.ts';
import type { Address, TcpAddress, UnixAddress } from '../net/address.ts';
import { type AppPlaces, placesOf } from './places.ts';

/** What a web server can connect to. */
export type Backend = TcpAddress | UnixAddress;

/** What the server speaks. */
export type Scheme = 'http' | 'https' | 'fastcgi' | 'scgi';

export interface Deployment {
  /** The INI file, an absolute path. */
  readonly file: string;
  /** The directory with the project's package.json; without one, the INI file's, or the one with its etc/. */
  readonly project: string;
  /** The project's name in lower-case letters, digits and hyphens. */
  readonly name: string;
  readonly scheme: Scheme;
  /** HTTP/2 is all that the server speaks. */
  readonly http2Only: boolean;
  /** Where this machine's web server connects to; empty if the section names nothing that one could connect to. */
  readonly backends: readonly Backend[];
  readonly settings: ProcessSettings;
  /** The server's `script_name`, without a slash at its end; undefined: as the web server says. */
  readonly scriptName: string | undefined;
  /** The file with the certificate of a server that speaks HTTPS, an absolute path. */
  readonly certificate: string | undefined;
  /** Seconds that the server keeps an idle connection; undefined: as long as the web server likes. */
  readonly keepAlive: number | undefined;
  /** All that the section names. */
  readonly addresses: readonly Address[];
  /** The sections that were asked for by name, and `name=value` for [DEFAULT], as `serve` takes them. */
  readonly names: DeploymentNames;
  readonly caller: readonly string[];
  readonly places: AppPlaces;
}

export interface DeploymentNames {
  readonly app: string | undefined;
  readonly server: string | undefined;
}

const SCHEMES: readonly string[] = ['http', 'https', 'fastcgi', 'scgi'] satisfies Scheme[];

/**
 * Reads the INI file as `serve` would, server and application; no application code is run.
 *
 * @param file An absolute path.
 * @throws ConfigError, ErrorList as the loader does; ConfigError for a server that nobody can stand in front of.
 */
export async function readDeployment(file: string, names: DeploymentNames, session: LoadSession): Promise<Deployment> {
  const options = { globalConf: session.caller };
  const uri = configUri(file);
  const server = await loadServer(uri, { ...options, name: names.server }, session);
  const app = await loadContext('app', uri, { ...options, name: names.app }, session);
  const { scheme, context, settings } = server;
  if (!isScheme(scheme)) throw notConnected(server);
  const own = context.localConf;
  const scriptName = own['script_name'] ?? own['scriptName'];
  const certificate = pathSetting(context, 'ssl_cert') ?? pathSetting(context, 'ssl_pem');
  const isHttp = scheme === 'http' || scheme === 'https';
  const project = await projectOf(file);
  return {
    file,
    project: project.directory,
    name: project.name,
    scheme,
    http2Only: scheme === 'http' && bool.parse(own['http2'] ?? 'false'),
    backends: server.addresses.flatMap(reachable),
    settings,
    certificate: certificate && resolve(certificate),
    scriptName: scriptName?.replace(/\/$/, ''),
    keepAlive: isHttp ? seconds.parse(own['keep_alive_timeout'] ?? STANDARD_KEEP_ALIVE) : undefined,
    addresses: server.addresses,
    names,
    caller: Object.entries(session.caller).map(([key, value]) => `${key}=${value}`),
    places: await placesOf(app),
  };
}

/** The default of the HTTP server's `keep_alive_timeout`. */
const STANDARD_KEEP_ALIVE = '5';

function isScheme(scheme: string): scheme is Scheme {
  return SCHEMES.includes(scheme);
}

function notConnected({ context, scheme }: LoadedServer): ConfigError {
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

/** A descriptor has no address, nor has a port that is chosen at the start; every address of a machine is reached at one. */
function reachable(address: Address): Backend[] {
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

/** The nearest directory above the INI file that is a package, and the package's name; else the INI file's own, or the one with its etc/. */
async function projectOf(file: string): Promise<Project> {
  const home = dirname(file);
  for (let directory = home; ; directory = dirname(directory)) {
    const text = await readFile(join(directory, 'package.json'), 'utf8').catch(() => undefined);
    if (text !== undefined) return { directory, name: nameOf(packageName(text) ?? basename(directory)) };
    if (directory !== dirname(directory)) continue;
    const fallback = basename(home) === 'etc' ? dirname(home) : home;
    return { directory: fallback, name: nameOf(basename(fallback)) };
  }
}

/** Without its scope; a package.json that is none says nothing. */
function packageName(text: string): string | undefined {
  try {
    const { name }: { name?: unknown } = Object(JSON.parse(text));
    return typeof name === 'string' ? name.replace(/^@[^/]*\//, '') : undefined;
  } catch {
    return undefined;
  }
}

function nameOf(text: string): string {
  const name = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+/, '')
    .slice(0, MAX_NAME)
    .replace(/-+$/, '');
  return name === '' ? 'app' : name;
}

/** What leaves room for a suffix within the 63 characters of a name in Kubernetes. */
const MAX_NAME = 40;
