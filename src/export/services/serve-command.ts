/** The command line that serves a deployment, on this machine or in a container, where it speaks HTTP. */
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { PACKAGE_ROOT } from '../../own-files.ts';
import type { Deployment } from '../deployment.ts';

const PASTER = 'bin/paster.js';

/** Node, paster (the project's own, if it has one) and the arguments of `serve`. */
export function localCommand(deployment: Deployment): string[] {
  const own = join(deployment.project, 'node_modules/paster', PASTER);
  const { names, caller, file } = deployment;
  const sections = [
    ...(names.app === undefined ? [] : ['-n', names.app]),
    ...(names.server === undefined ? [] : ['--server-name', names.server]),
  ];
  return [process.execPath, existsSync(own) ? own : join(PACKAGE_ROOT, PASTER), 'serve', ...sections, file, ...caller];
}

/** The directory of the project in a container. */
export const CONTAINER_HOME = '/app';

export interface ContainerCommand {
  readonly command: readonly string[];
  readonly port: number;
  readonly scheme: 'http' | 'https';
  /** The most seconds that it takes to finish its requests. */
  readonly gracefulTimeout: number;
}

const CONTAINER_PORT = 8080;

/**
 * Probes and an Ingress speak HTTP to a port. If the server section speaks HTTP, only its address is replaced; any other
 * server is replaced by `serve -s http`, with the same workers and graceful timeout.
 */
export function containerCommand(deployment: Deployment): ContainerCommand {
  const { names, caller, file, project, scheme, backends, settings } = deployment;
  const isHttp = (scheme === 'http' || scheme === 'https') && !deployment.http2Only;
  const tcp = backends.find((each) => each.kind === 'tcp');
  const port = isHttp && tcp && tcp.port >= 1024 ? tcp.port : CONTAINER_PORT;
  const section = names.server === undefined ? [] : ['--server-name', names.server];
  const workers = settings.workers === undefined ? [] : ['--workers', String(settings.workers)];
  const timeout = ['--graceful-timeout', String(settings.graceful_timeout)];
  const command = [
    'node',
    `node_modules/paster/${PASTER}`,
    'serve',
    ...(names.app === undefined ? [] : ['-n', names.app]),
    ...(isHttp ? section : ['-s', 'http', ...workers, ...timeout]),
    ...['--host', '0.0.0.0', '--port', String(port)],
    relative(project, file),
    ...caller,
  ];
  return {
    command,
    port,
    scheme: isHttp && scheme === 'https' ? 'https' : 'http',
    gracefulTimeout: Math.ceil(settings.graceful_timeout),
  };
}
