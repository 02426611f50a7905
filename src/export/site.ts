/** Builds the site of a web server in front of a deployment from the INI file and the options of `export`, which it checks. */
import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { errorMessage, UsageError } from '../errors.ts';
import { parseAddress, type TcpAddress } from '../net/address.ts';
import { fromWorkingDirectory } from '../working-directory.ts';
import type { AppLayout } from './app-layout.ts';
import { type Backend, type Deployment, isHttp, type Scheme } from './deployment.ts';

/** The options of `export` for web servers. */
export interface SiteOptions {
  readonly hosts: readonly string[];
  readonly prefix: string | undefined;
  readonly serverName: string | undefined;
  readonly listen: string | undefined;
  readonly maxBody: string | undefined;
  readonly standalone: boolean;
  readonly stateDir: string | undefined;
  /** A file with the CA certificates for the application's certificate. */
  readonly backendCa: string | undefined;
  readonly insecureBackend: boolean;
}

/** Everything in a web server's configuration. Texts are checked but not quoted, since each syntax has its own quotes. */
export interface Site {
  readonly name: string;
  /** The section of the server. */
  readonly section: string;
  readonly scheme: Scheme;
  /** The HTTP server that gets the WebSockets, which the protocol of this one does not carry; undefined: there is none. */
  readonly webSockets: Site | undefined;
  readonly backends: readonly Backend[];
  /** Whether the command line names the machines; then this machine may not be one of them. */
  readonly hostsGiven: boolean;
  /** Empty for the root, or a path without a slash at its end. */
  readonly prefix: string;
  /** What a web server takes off the path over HTTP: the prefix, or nothing for an application with `mount = whole`. */
  readonly removedPrefix: string;
  readonly serverName: string | undefined;
  readonly listen: TcpAddress;
  /** Whether the command line sets it. */
  readonly listenGiven: boolean;
  /** The largest request body. */
  readonly maxBodyMiB: number;
  readonly keepAlive: number | undefined;
  readonly proxyProtocol: boolean;
  /** How the application's certificate is verified; undefined: there is none, or it is not verified. */
  readonly backendTls: BackendTls | undefined;
  readonly scriptName: string | undefined;
  readonly layout: AppLayout;
  /** The directory of the web server's own files; set for a complete configuration. */
  readonly stateDir: string | undefined;
}

/** How a web server verifies the application's certificate. */
export interface BackendTls {
  /** The file with the trusted CA certificates. */
  readonly ca: string;
  /** A name in the application's certificate; an address only if it has no name. */
  readonly name: string;
  /** The same for servers that verify only names, with OpenSSL: the subject's common name if there is no other. */
  readonly hostName: string;
  /** Whether only the application's own certificate is trusted; then checking its name would add nothing. */
  readonly isPinned: boolean;
}

const SERVER_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/;
const PREFIX = /^(?:\/[A-Za-z0-9._~-]+)+$/;
const HOST = /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$|^[0-9A-Fa-f:.]+$/;
const MAX_BODY = /^([1-9]\d{0,6})([mMgG])?$/;

/** @throws UsageError for an option that no configuration can express, or that contradicts the INI file. */
export function siteOf(target: string, deployment: Deployment, options: SiteOptions): Site {
  const servers = [deployment, ...deployment.others];
  // Of several servers, FastCGI and SCGI cost the least, and HTTP carries the WebSockets.
  const pages = servers.find(({ scheme }) => !isHttp(scheme)) ?? deployment;
  const site = siteOfServer(target, { ...deployment, ...pages }, options);
  const web = isHttp(pages.scheme) ? undefined : servers.find(({ scheme }) => isHttp(scheme));
  if (!web) return site;
  const name = `${deployment.name}-${web.section.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`;
  // A port of the command line is one of the first server.
  const hosts = options.hosts.map((host) => host.replace(/(?<=^[^:]*|\]):\d+$/, ''));
  const upgraded = { ...deployment, ...web, name, scriptName: pages.scriptName };
  return { ...site, webSockets: siteOfServer(target, upgraded, { ...options, hosts }) };
}

function siteOfServer(target: string, deployment: Deployment, options: SiteOptions): Site {
  const tls = backendTls(deployment, options);
  const { name, section, scheme, scriptName, keepAlive, proxyProtocol, layout } = deployment;
  if (deployment.http2Only) {
    throw exportError('the server speaks only HTTP/2', 'web servers connect with HTTP/1.1: leave http2 out');
  }
  if (proxyProtocol && target !== 'haproxy') {
    throw exportError(
      `${target} sends no PROXY header to an HTTP server, but the section has proxy_protocol`,
      'leave proxy_protocol out, or use HAProxy',
    );
  }
  const backends = backendsOf(deployment, options.hosts);
  const serverName = checkedServerName(options.serverName);
  const prefix = prefixOf(options.prefix, scriptName);
  const stateDir = options.standalone
    ? fromWorkingDirectory(options.stateDir ?? join(deployment.project, 'var', target))
    : undefined;
  if (!options.standalone && options.stateDir !== undefined) {
    throw exportError('--state-dir needs --standalone', 'a site has no files of its own');
  }
  return {
    name,
    section,
    scheme,
    webSockets: undefined,
    backends,
    hostsGiven: options.hosts.length > 0,
    prefix,
    removedPrefix: deployment.getsWholePath ? '' : prefix,
    serverName,
    listen: listenOf(options.listen ?? (options.standalone ? '127.0.0.1:8900' : '*:80')),
    listenGiven: options.listen !== undefined || options.standalone,
    maxBodyMiB: maxBodyMiB(options.maxBody, layout),
    keepAlive,
    proxyProtocol,
    backendTls: tls,
    scriptName,
    layout,
    stateDir,
  };
}

function prefixOf(given: string | undefined, scriptName: string | undefined): string {
  const prefix = (given ?? scriptName ?? '').replace(/\/$/, '');
  if (prefix !== '' && (!PREFIX.test(prefix) || /\/\.\.?(?:\/|$)/.test(prefix))) {
    throw exportError(
      `--prefix: ${JSON.stringify(prefix)} is not a path that every web server interprets in the same way`,
      'allowed: /app, of letters, digits and . _ ~ -',
    );
  }
  if (scriptName !== undefined && scriptName !== prefix) {
    throw exportError(
      `--prefix: the INI file has script_name = ${scriptName === '' ? '/' : scriptName}`,
      'both say where the application is: change one',
    );
  }
  return prefix;
}

function backendsOf({ backends, scheme }: Deployment, hosts: readonly string[]): readonly Backend[] {
  if (hosts.length === 0) {
    // A Unix socket and a port of the same server lead to the same processes; the socket is faster.
    const own = backends.find(({ kind }) => kind === 'unix') ?? backends[0];
    if (own) return [own];
    throw exportError(
      'the server has no address to connect to',
      `give its section a socket, or a host and a port${scheme === 'fastcgi' ? ', or say --host HOST:PORT' : ''}`,
    );
  }
  const defaultHost = backends.find((each) => each.kind === 'tcp');
  return hosts.map((text) => {
    const bare = /^[^:]+$|^[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$/.test(text);
    if (bare && !defaultHost) {
      throw exportError(
        `--host ${JSON.stringify(text)}: the server has no TCP port`,
        'give the section host and port, or write HOST:PORT',
      );
    }
    const address: Backend | undefined = bare
      ? { kind: 'tcp', host: text, port: defaultHost?.port ?? 0 }
      : tcpOnly(parseAddress(text));
    if (address && address.port > 0 && HOST.test(address.host)) return address;
    throw exportError(`--host: ${JSON.stringify(text)} is not a host`, 'allowed: HOST, HOST:PORT, [IPV6]:PORT');
  });
}

function listenOf(text: string): TcpAddress {
  const address = tcpOnly(parseAddress(/^\d+$/.test(text) ? `*:${text}` : text));
  if (address && address.port > 0 && HOST.test(address.host)) return address;
  throw exportError(`--listen: ${JSON.stringify(text)} is not an address`, 'allowed: 127.0.0.1:8900, [::1]:8900, *:80');
}

function tcpOnly(address: ReturnType<typeof parseAddress>): TcpAddress | undefined {
  return address?.kind === 'tcp' ? address : undefined;
}

/** A host name that needs no quoting in any configuration. */
export function checkedServerName(name: string | undefined): string | undefined {
  if (name === undefined || SERVER_NAME.test(name)) return name;
  throw exportError(`--server-name: ${JSON.stringify(name)} is not the name of a host`, 'allowed: example.org');
}

/** `--max-body` in MiB. Default: the limit of the application, or 50. */
export function maxBodyMiB(text: string | undefined, { bodyLimit }: AppLayout): number {
  if (text === undefined) return bodyLimit === undefined ? 50 : Math.max(1, Math.ceil(bodyLimit / 2 ** 20));
  const [, digits, unit = 'm'] = MAX_BODY.exec(text) ?? [];
  if (digits === undefined) throw exportError(`--max-body: ${JSON.stringify(text)} is not a size`, 'allowed: 50m, 1g');
  return Number(digits) * (unit.toLowerCase() === 'g' ? 1024 : 1);
}

export function exportError(message: string, hint: string): UsageError {
  return new UsageError('PASTER_EXPORT', `export: ${message}`, { hint });
}

/** `host:port`, an IPv6 address in brackets. */
export function hostPort({ host, port }: TcpAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** The same, with `*` for the wildcard address. */
export function listenText(address: TcpAddress): string {
  return address.host === '0.0.0.0' ? `*:${address.port}` : hostPort(address);
}

// --- the application's certificate -----------------------------------------------------------------------------------

/** The files with the system's CA certificates on Debian, Fedora, and Alpine or FreeBSD. */
const SYSTEM_CAS = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/cert.pem',
] as const;

/**
 * Trusts the CA that the command line names, else the application's certificate itself if it is self-signed, else the
 * system's CAs.
 * @returns undefined if there is no certificate, or it is not verified
 */
function backendTls({ scheme, certificate, others }: Deployment, options: SiteOptions): BackendTls | undefined {
  const { backendCa, insecureBackend, serverName } = options;
  if (scheme !== 'https') {
    if (others.some((each) => each.scheme === 'https')) return undefined;
    if (backendCa === undefined && !insecureBackend) return undefined;
    throw exportError('the server does not speak HTTPS', 'leave --backend-ca and --insecure-backend out');
  }
  if (insecureBackend) return undefined;
  const own = readCertificate(certificate);
  const isSelfSigned = own.checkIssued(own) && own.verify(own.publicKey);
  const isPinned = backendCa === undefined && isSelfSigned;
  const system = SYSTEM_CAS.find((file) => existsSync(file)) ?? SYSTEM_CAS[0];
  const ca = backendCa === undefined ? (isPinned ? (certificate ?? '') : system) : fromWorkingDirectory(backendCa);
  const name = certificateName(own, serverName);
  const commonName = /^CN=([A-Za-z0-9.-]+)$/m.exec(own.subject)?.[1];
  return { ca, name, hostName: isIP(name) === 0 ? name : (commonName ?? name), isPinned };
}

function readCertificate(file: string | undefined): X509Certificate {
  try {
    return new X509Certificate(readFileSync(file ?? ''));
  } catch (error) {
    throw exportError(
      `the certificate of the server cannot be read: ${errorMessage(error)}`,
      'run export where it is, or say --insecure-backend to trust any',
    );
  }
}

function certificateName(certificate: X509Certificate, serverName: string | undefined): string {
  if (serverName !== undefined && certificate.checkHost(serverName) !== undefined) return serverName;
  const names = (certificate.subjectAltName ?? '').split(', ');
  const [dns] = names.filter((each) => each.startsWith('DNS:')).map((each) => each.slice('DNS:'.length));
  const [address] = names
    .filter((each) => each.startsWith('IP Address:'))
    .map((each) => each.slice('IP Address:'.length));
  const name = dns?.replace(/^\*/, 'www') ?? address ?? '';
  if (isIP(name) !== 0 || /^[A-Za-z0-9.-]+$/.test(name)) return name;
  throw exportError(
    'the certificate of the server names no host',
    'make one with a subjectAltName, or say --insecure-backend',
  );
}
