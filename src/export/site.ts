/** How a web server is to stand in front of a deployment: what the command line says, checked, and the rest by the INI file. */
import { join } from 'node:path';
import { UsageError } from '../errors.ts';
import { parseAddress, type TcpAddress } from '../net/address.ts';
import { fromWorkingDirectory } from '../working-directory.ts';
import type { Backend, Deployment, Scheme } from './deployment.ts';
import type { AppPlaces } from './places.ts';

/** What `export` is told besides the INI file. */
export interface SiteOptions {
  readonly hosts: readonly string[];
  readonly prefix: string | undefined;
  readonly serverName: string | undefined;
  readonly listen: string | undefined;
  readonly maxBody: string | undefined;
  readonly standalone: boolean;
  readonly stateDir: string | undefined;
  /** The file with the authorities of the application's certificate. */
  readonly backendCa: string | undefined;
  readonly insecureBackend: boolean;
}

/** All that a web server's configuration is made of. Texts are checked but not quoted: each syntax does that its own way. */
export interface Site {
  readonly name: string;
  readonly scheme: Scheme;
  readonly backends: readonly Backend[];
  /** The command line says which machines, so that this one may be none of them. */
  readonly hostsGiven: boolean;
  /** Empty for the root, or a path without a slash at its end. */
  readonly prefix: string;
  readonly serverName: string | undefined;
  readonly listen: TcpAddress;
  /** Somebody asked for it. */
  readonly listenGiven: boolean;
  /** The most MiB of a request's body. */
  readonly maxBodyMiB: number;
  readonly keepAlive: number | undefined;
  /** How the application's certificate is verified; undefined: it has none, or it is not. */
  readonly backendTls: BackendTls | undefined;
  readonly scriptName: string | undefined;
  readonly places: AppPlaces;
  /** Set for a complete configuration: the directory of the web server's own files. */
  readonly stateDir: string | undefined;
}

/** How the certificate of an application is verified. */
export interface BackendTls {
  /** The file with the certificates of the authorities that are trusted. */
  readonly ca: string;
  /** A name that the application's certificate is for; an address only if it has no name. */
  readonly name: string;
  /** The same for servers that verify names alone, by OpenSSL: the subject's common name where there is no other. */
  readonly hostName: string;
  /** The application's own certificate is the only one that is trusted, so that its name adds nothing. */
  readonly isPinned: boolean;
}

const SERVER_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/;
const PREFIX = /^(?:\/[A-Za-z0-9._~-]+)+$/;
const HOST = /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$|^[0-9A-Fa-f:.]+$/;
const MAX_BODY = /^([1-9]\d{0,6})([mMgG])?$/;

/** @throws UsageError for what no configuration could say, or what the INI file contradicts. */
export function siteOf(
  target: string,
  deployment: Deployment,
  options: SiteOptions,
  tls: BackendTls | undefined,
): Site {
  const { name, scheme, scriptName, keepAlive, places } = deployment;
  if (deployment.http2Only) {
    throw mistake('the server speaks nothing but HTTP/2', 'web servers ask by HTTP/1.1: leave http2 out');
  }
  const backends = backendsOf(deployment, options.hosts);
  const serverName = checkedServerName(options.serverName);
  const prefix = prefixOf(options.prefix, scriptName);
  const stateDir = options.standalone
    ? fromWorkingDirectory(options.stateDir ?? join(deployment.project, 'var', target))
    : undefined;
  if (!options.standalone && options.stateDir !== undefined) {
    throw mistake('--state-dir goes with --standalone', 'a site has no files of its own');
  }
  return {
    name,
    scheme,
    backends,
    hostsGiven: options.hosts.length > 0,
    prefix,
    serverName,
    listen: listenOf(options.listen ?? (options.standalone ? '127.0.0.1:8900' : '*:80')),
    listenGiven: options.listen !== undefined || options.standalone,
    maxBodyMiB: maxBodyMiB(options.maxBody, places),
    keepAlive,
    backendTls: tls,
    scriptName,
    places,
    stateDir,
  };
}

function prefixOf(given: string | undefined, scriptName: string | undefined): string {
  const prefix = (given ?? scriptName ?? '').replace(/\/$/, '');
  if (prefix !== '' && (!PREFIX.test(prefix) || /\/\.\.?(?:\/|$)/.test(prefix))) {
    throw mistake(
      `--prefix: ${JSON.stringify(prefix)} is not a path that every web server reads alike`,
      'allowed: /app, of letters, digits and . _ ~ -',
    );
  }
  if (scriptName !== undefined && scriptName !== prefix) {
    throw mistake(
      `--prefix: the INI file has script_name = ${scriptName === '' ? '/' : scriptName}`,
      'both say where the application is: change one',
    );
  }
  return prefix;
}

function backendsOf({ backends, scheme }: Deployment, hosts: readonly string[]): readonly Backend[] {
  if (hosts.length === 0) {
    // A socket file and a port of one server lead to the same processes: the file is the shorter way.
    const own = backends.find(({ kind }) => kind === 'unix') ?? backends[0];
    if (own) return [own];
    throw mistake(
      'the server has no address that could be written down',
      `give its section a socket, or a host and a port${scheme === 'fastcgi' ? ', or say --host HOST:PORT' : ''}`,
    );
  }
  const standard = backends.find((each) => each.kind === 'tcp');
  return hosts.map((text) => {
    const bare = /^[^:]+$|^[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$/.test(text);
    if (bare && !standard) {
      throw mistake(
        `--host ${JSON.stringify(text)}: the server has no TCP port`,
        'give the section host and port, or write HOST:PORT',
      );
    }
    const address: Backend | undefined = bare
      ? { kind: 'tcp', host: text, port: standard?.port ?? 0 }
      : tcpOnly(parseAddress(text));
    if (address && address.port > 0 && HOST.test(address.host)) return address;
    throw mistake(`--host: ${JSON.stringify(text)} is not a host`, 'allowed: HOST, HOST:PORT, [IPV6]:PORT');
  });
}

function listenOf(text: string): TcpAddress {
  const address = tcpOnly(parseAddress(/^\d+$/.test(text) ? `*:${text}` : text));
  if (address && address.port > 0 && HOST.test(address.host)) return address;
  throw mistake(`--listen: ${JSON.stringify(text)} is not an address`, 'allowed: 127.0.0.1:8900, [::1]:8900, *:80');
}

function tcpOnly(address: ReturnType<typeof parseAddress>): TcpAddress | undefined {
  return address?.kind === 'tcp' ? address : undefined;
}

/** The name of a host, as it may stand in every syntax. */
export function checkedServerName(name: string | undefined): string | undefined {
  if (name === undefined || SERVER_NAME.test(name)) return name;
  throw mistake(`--server-name: ${JSON.stringify(name)} is not the name of a host`, 'allowed: example.org');
}

/** `--max-body` in MiB. Default: what the application lets through, or 50. */
export function maxBodyMiB(text: string | undefined, { bodyLimit }: AppPlaces): number {
  if (text === undefined) return bodyLimit === undefined ? 50 : Math.max(1, Math.ceil(bodyLimit / 2 ** 20));
  const [, digits, unit = 'm'] = MAX_BODY.exec(text) ?? [];
  if (digits === undefined) throw mistake(`--max-body: ${JSON.stringify(text)} is not a size`, 'allowed: 50m, 1g');
  return Number(digits) * (unit.toLowerCase() === 'g' ? 1024 : 1);
}

export function mistake(message: string, hint: string): UsageError {
  return new UsageError('PASTER_EXPORT', `export: ${message}`, { hint });
}

/** `host:port`, an IPv6 address in brackets. */
export function hostPort({ host, port }: TcpAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** The same with `*` for every address. */
export function listenText(address: TcpAddress): string {
  return address.host === '0.0.0.0' ? `*:${address.port}` : hostPort(address);
}
