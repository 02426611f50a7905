/** The command lines that run a deployment, on this machine or in a container, where the server speaks HTTP. */
import { existsSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { WEB } from '../../deploy/part-kinds.ts';
import { workersSettingText } from '../../deploy/server/workers-setting.ts';
import { type Address, formatAddress, isLoopback, type TcpAddress } from '../../net/address.ts';
import { PACKAGE_ROOT } from '../../own-files.ts';
import { type BackgroundPart, partError } from '../background.ts';
import { type DeployedServer, type Deployment, isHttp } from '../deployment.ts';

const PASTER = 'bin/paster.js';

/** What of the INI file a command runs. */
export type CommandPart = 'all' | 'web' | BackgroundPart;

/** Node, paster (the project's own, if it has one) and its arguments. */
export function localCommand(deployment: Deployment, part: CommandPart): string[] {
  const own = join(deployment.project, 'node_modules/paster', PASTER);
  const { names, file } = deployment;
  const server = sectionOptions(names.servers);
  const paster = existsSync(own) ? own : join(PACKAGE_ROOT, PASTER);
  return [process.execPath, paster, ...pasterWords(deployment, part, file, server)];
}

function sectionOptions(servers: readonly string[]): string[] {
  return servers.flatMap((name) => ['--server-name', name]);
}

/** @param server the options of `serve` for the web server */
function pasterWords(
  { names, assignments, hasServer }: Deployment,
  part: CommandPart,
  file: string,
  server: readonly string[],
): string[] {
  if (part === 'all' || part === 'web') {
    const app = names.app === undefined || !hasServer ? [] : ['-n', names.app];
    return ['serve', ...app, ...server, ...(part === 'web' ? ['--only', WEB] : []), file, ...assignments];
  }
  checkName(part);
  if (part.context.kind === 'task') return ['run', file, part.name, ...assignments];
  return ['serve', '--only', part.name, file, ...assignments];
}

/** A name that is a word of a command line. */
function checkName(part: BackgroundPart): void {
  if (/^[^-,=\s][^,=]*$/.test(part.name)) return;
  throw partError(part, undefined, 'a command line cannot name this section', 'choose a name of letters and digits');
}

/** The directory of the project in a container. */
export const CONTAINER_HOME = '/app';

export interface ContainerServer {
  readonly port: number;
  readonly scheme: 'http' | 'https';
}

const CONTAINER_PORT = 8080;

/**
 * Probes and an Ingress speak HTTP to a port. If one of the servers speaks HTTP, only its address is replaced; of several such
 * servers the others are left out. If none does, `serve -s http` replaces them, with the same workers and graceful timeout.
 */
export function containerServer(deployment: Deployment): ContainerServer {
  const [web] = webServers(deployment);
  const tcp = web?.backends.find((each) => each.kind === 'tcp');
  const port = tcp && tcp.port >= 1024 ? tcp.port : CONTAINER_PORT;
  return { port, scheme: web?.scheme === 'https' ? 'https' : 'http' };
}

/** Those that speak HTTP/1.1. */
function webServers(deployment: Deployment): DeployedServer[] {
  return [deployment, ...deployment.others].filter((each) => isHttp(each.scheme) && !each.http2Only);
}

/** The sections that a container serves; none if `serve -s http` replaces them. The options of an address fit one server for HTTP. */
function servedSections(deployment: Deployment): DeployedServer[] {
  const [web] = webServers(deployment);
  return web ? [deployment, ...deployment.others].filter((each) => each === web || !isHttp(each.scheme)) : [];
}

/** Those that are served beside the one whose port a container has. */
function besideWeb(deployment: Deployment): DeployedServer[] {
  return servedSections(deployment).filter((each) => !isHttp(each.scheme));
}

/** The ports of these as far as other machines reach them. */
export function portsBesideWeb(deployment: Deployment): { readonly name: string; readonly port: number }[] {
  return besideWeb(deployment).flatMap(({ scheme, addresses }) =>
    addresses.flatMap((address) =>
      isReached(address) ? { name: `${scheme}-${address.port}`, port: address.port } : [],
    ),
  );
}

/** The servers that a container leaves out, that cannot listen in it, and that its network does not reach. */
export function containerNotes(deployment: Deployment): string[] {
  const { others } = deployment;
  if (others.length === 0) return [];
  const served = servedSections(deployment);
  const left = [deployment, ...others]
    .filter((each) => !served.includes(each))
    .map(({ section }) => `[server:${section}]`);
  const [web] = webServers(deployment);
  const how = web ? `[server:${web.section}] is the only server for HTTP` : 'serve -s http serves alone';
  return [
    ...(left.length > 0
      ? [`in a container ${how}: ${left.join(', ')} ${left.length === 1 ? 'is' : 'are'} left out`]
      : []),
    ...besideWeb(deployment).flatMap((each) => addressNote(each, deployment)),
  ];
}

function addressNote({ section, addresses }: DeployedServer, { file, project }: Deployment): string[] {
  const refused = addresses.find(
    (each) => each.kind === 'unix' && !isWritable(relative(project, each.path), each.path),
  );
  const remedy = 'host = 0.0.0.0, and allow with the addresses of the web servers';
  if (refused?.kind === 'unix') {
    const socket = relative(dirname(file), join(project, 'var', basename(refused.path)));
    return [
      `[server:${section}] cannot listen on ${formatAddress(refused)} in the container, which can write only to var/ and /tmp: ` +
        `write socket = %(here)s/${socket}, or ${remedy}`,
    ];
  }
  if (addresses.some(isReached)) return [];
  const all = addresses.map(formatAddress).join(' ');
  return [
    `[server:${section}] listens on ${all} in the container, where only its own processes reach it: write ${remedy}`,
  ];
}

/** Whether a container can write there: the rest of it is read-only, or belongs to root. */
function isWritable(inProject: string, path: string): boolean {
  return inProject.startsWith('../') ? path.startsWith('/tmp/') : inProject.startsWith('var/');
}

function isReached(address: Address): address is TcpAddress {
  return address.kind === 'tcp' && !isLoopback(address.host);
}

export function containerCommand(deployment: Deployment, part: CommandPart): string[] {
  const { hasServer, names, file, project, settings } = deployment;
  const setting = settings.workers;
  const workers = setting === undefined ? [] : ['--workers', workersSettingText(setting, settings.maxChildren)];
  const timeout = ['--graceful-timeout', String(settings.graceful_timeout)];
  const served = servedSections(deployment);
  const isWhole = served.length === 1 + deployment.others.length;
  const sections = isWhole ? names.servers : served.map(({ section }) => section);
  const kind = [
    ...(served.length > 0 ? sectionOptions(sections) : ['-s', 'http']),
    // The first server has the settings of the processes.
    ...(served.includes(deployment) ? [] : [...workers, ...timeout]),
  ];
  const address = ['--host', '0.0.0.0', '--port', String(containerServer(deployment).port)];
  const server = hasServer ? [...kind, ...address] : [];
  return ['node', `node_modules/paster/${PASTER}`, ...pasterWords(deployment, part, relative(project, file), server)];
}

/** The most seconds that a part takes to finish its work. */
export function gracefulTimeout({ hasServer, settings, background }: Deployment, part: CommandPart): number {
  if (part === 'web') return Math.ceil(settings.graceful_timeout);
  const parts = part === 'all' ? [...background.processes, ...background.tasks] : [part];
  const timeouts = parts.map((each) => each.settings.graceful_timeout);
  return Math.ceil(Math.max(...timeouts, ...(part === 'all' && hasServer ? [settings.graceful_timeout] : [])));
}

/** @throws ConfigError for a part with a user of its own: an ordinary user runs all of a container */
export function refuseAccounts({ background }: Deployment): void {
  for (const part of [...background.processes, ...background.tasks]) {
    const setting = (['user', 'group'] as const).find((name) => part.settings[name] !== undefined);
    if (setting === undefined) continue;
    throw partError(part, setting, 'in a container everything runs as one user', `leave ${setting} out`);
  }
}
